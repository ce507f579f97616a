//! WordNet's synonym sets, as METEOR's distribution carries them.
//!
//! Here: `english.exceptions` (irregular forms), `english.synsets`, and the ending rules that lead from an
//! inflected word to its base. Not here: which words match (`matches.rs`).
//!
//! The rules are those of WordNet's `morph`, all parts of speech in one list, the first base that WordNet knows
//! wins. METEOR never loads `english.relations`, so neither does this.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::error::MeteorError;

/// Ending of the inflected word, ending of the base: nouns, verbs, adjectives.
const ENDINGS: [(&str, &str); 20] = [
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
];

/// From a word to the numbers of its synonym sets.
#[derive(Debug, Default)]
pub(super) struct Synonyms {
    /// `english.synsets` itself: a line with the word, a line with its numbers.
    text: String,
    /// Where a word's two lines start in `text`; the word is the key.
    lines: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    /// Inflected form to its bases.
    bases: HashMap<Box<str>, Vec<Box<str>>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    word: (usize, usize),
    numbers: (usize, usize),
}

impl Synonyms {
    /// Reads both files; the names are for errors.
    pub(super) fn parse(
        (exceptions_name, exceptions): (&str, &str),
        (synsets_name, synsets): (&str, String),
    ) -> Result<Self, MeteorError> {
        let mut this = Self::default();
        for (base, forms) in pairs(exceptions_name, exceptions) {
            let (_, forms) = forms?;
            for form in exceptions[forms.0..forms.1].split_ascii_whitespace() {
                this.bases
                    .entry_ref(form)
                    .or_default()
                    .push(exceptions[base.0..base.1].into());
            }
        }
        let Self { lines, hasher, .. } = &mut this;
        let spelled = |entry: &Entry| &synsets[entry.word.0..entry.word.1];
        // Two lines a word; WordNet has 148,000 words, and what lies about its size gets no more room.
        let words = memchr::memchr_iter(b'\n', synsets.as_bytes()).count() / 2;
        lines.reserve(words.min(1 << 18), |entry| hasher.hash_one(spelled(entry)));
        for (word, numbers) in pairs(synsets_name, &synsets) {
            let (line, numbers) = numbers?;
            let entry = Entry { word, numbers };
            check_numbers(synsets_name, line, &synsets[numbers.0..numbers.1])?;
            let hash = hasher.hash_one(spelled(&entry));
            match lines.find_mut(hash, |other| spelled(other) == spelled(&entry)) {
                Some(earlier) => *earlier = entry,
                None => {
                    lines.insert_unique(hash, entry, |entry| hasher.hash_one(spelled(entry)));
                }
            }
        }
        this.text = synsets;
        Ok(this)
    }

    /// The sets of a word and of its base, in ascending order without repetition.
    pub(super) fn sets(&self, word: &str) -> Vec<u32> {
        let mut sets = Vec::new();
        self.add_sets(word, &mut sets);
        match self.bases.get(word) {
            Some(bases) => bases.iter().for_each(|base| self.add_sets(base, &mut sets)),
            None => {
                if let Some(base) = self.base(word) {
                    self.add_sets(&base, &mut sets);
                }
            }
        }
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    fn entry(&self, word: &str) -> Option<&Entry> {
        let hash = self.hasher.hash_one(word);
        self.lines
            .find(hash, |entry| &self.text[entry.word.0..entry.word.1] == word)
    }

    fn add_sets(&self, word: &str, sets: &mut Vec<u32>) {
        if let Some(entry) = self.entry(word) {
            let numbers = self.text[entry.numbers.0..entry.numbers.1].split_ascii_whitespace();
            sets.extend(numbers.filter_map(|number| number.parse::<u32>().ok()));
        }
    }

    /// The base of a regularly inflected word, where WordNet has it.
    fn base(&self, word: &str) -> Option<String> {
        // Java counts UTF-16 units here.
        if word.ends_with("ss") || word.encode_utf16().count() <= 2 {
            return None;
        }
        ENDINGS.iter().find_map(|(ending, base)| {
            let candidate = format!("{}{base}", word.strip_suffix(ending)?);
            self.entry(&candidate).map(|_| candidate)
        })
    }
}

/// A range of bytes.
type Span = (usize, usize);

/// Each two lines of a file: the first, and the second with its line number; an error if it is missing.
fn pairs<'a>(
    name: &'a str,
    text: &'a str,
) -> impl Iterator<Item = (Span, Result<(u64, Span), MeteorError>)> + 'a {
    let mut start = 0;
    let mut number = 0;
    let mut line = move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let span = (start, start + rest[..length].trim_end_matches('\r').len());
        start += length + 1;
        number += 1;
        Some((number, span))
    };
    std::iter::from_fn(move || {
        let (first_number, first) = line()?;
        let second = line().ok_or_else(|| MeteorError::Line {
            file: name.to_owned(),
            line: first_number + 1,
            expected: "the second line of a pair",
            found: "the end of the file".to_owned(),
        });
        Some((first, second))
    })
}

/// Synonym sets are numbered with up to nine digits.
fn check_numbers(name: &str, line: u64, numbers: &str) -> Result<(), MeteorError> {
    // Digits since the last blank, or too many.
    let digits = numbers.bytes().fold(0_u32, |digits, byte| match byte {
        b'0'..=b'9' if digits < 10 => digits + 1,
        b' ' if digits < 10 => 0,
        _ => 10,
    });
    if digits < 10 {
        return Ok(());
    }
    for number in numbers.split_ascii_whitespace() {
        if 9 < number.len() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(MeteorError::Line {
                file: name.to_owned(),
                line,
                expected: "numbers of synonym sets",
                found: super::error::excerpt(number.as_bytes()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synonyms(exceptions: &str, synsets: &str) -> Result<Synonyms, MeteorError> {
        Synonyms::parse(("exceptions", exceptions), ("synsets", synsets.to_owned()))
    }

    #[test]
    fn a_word_has_its_own_sets_and_those_of_its_bases() {
        let exceptions = "leaf\nleaves\nleave\nleaves\ngoose\ngeese\n";
        let synsets = "leaf\n7 3\nleave\n5\nleaves\n3 9\ngoose\n11\ngees\n99\n";
        let synonyms = synonyms(exceptions, synsets).expect("valid");
        assert_eq!(synonyms.sets("leaf"), [3, 7]);
        assert_eq!(synonyms.sets("leaves"), [3, 5, 7, 9]);
        // An irregular form doesn't follow the rules as well.
        assert_eq!(synonyms.sets("geese"), [11]);
        assert_eq!(synonyms.sets("zebra"), [0; 0]);
    }

    /// Every rule, by a base that only it can find; two rules that occur twice are the same.
    #[test]
    fn regular_endings_lead_to_the_base() {
        let forms = [
            ("dogs", "dog"),
            ("buses", "bus"),
            ("boxes", "box"),
            ("quizes", "quiz"),
            ("churches", "church"),
            ("dishes", "dish"),
            ("firemen", "fireman"),
            ("ponies", "pony"),
            ("likes", "like"),
            ("goes", "go"),
            ("liked", "like"),
            ("walked", "walk"),
            ("liking", "like"),
            ("walking", "walk"),
            ("taller", "tall"),
            ("tallest", "tall"),
            ("nicer", "nice"),
            ("nicest", "nice"),
        ];
        for (form, base) in forms {
            let synonyms = synonyms("", &format!("{base}\n4\n")).expect("valid");
            assert_eq!(synonyms.sets(form), [4], "{form}");
        }
    }

    #[test]
    fn the_first_rule_wins_and_short_words_have_no_base() {
        let both = synonyms("", "like\n1\nlik\n2\n").expect("valid");
        assert_eq!(both.sets("liked"), [1]);
        let synonyms = synonyms("", "gras\n1\na\n2\nab\n3\ngla\n4\n").expect("valid");
        assert_eq!(synonyms.sets("grass"), [0; 0]);
        assert_eq!(synonyms.sets("as"), [0; 0]);
        assert_eq!(synonyms.sets("abs"), [3]);
    }

    #[test]
    fn a_word_that_occurs_twice_has_the_later_sets() {
        assert_eq!(
            synonyms("", "a\n1\nb\n2\na\n3\r\n")
                .expect("valid")
                .sets("a"),
            [3]
        );
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let said = |exceptions, synsets| {
            synonyms(exceptions, synsets)
                .expect_err("damaged")
                .to_string()
        };
        assert_eq!(
            said("", "a\n1\nb"),
            "`synsets` line 4: expected the second line of a pair, found the end of the file"
        );
        assert_eq!(
            said("a\n", ""),
            "`exceptions` line 2: expected the second line of a pair, found the end of the file"
        );
        assert_eq!(
            said("", "a\n1 x\n"),
            "`synsets` line 2: expected numbers of synonym sets, found `x`"
        );
        assert_eq!(
            said("", "a\n1\nb\n1234567890\n"),
            "`synsets` line 4: expected numbers of synonym sets, found `1234567890`"
        );
        assert_eq!(
            said("", "a\n1234567890 1\n"),
            "`synsets` line 2: expected numbers of synonym sets, found `1234567890`"
        );
        assert!(synonyms("", "a\n123456789\n").is_ok());
    }
}
