//! What METEOR knows about each word.
//!
//! Here: spelling and stem as METEOR compares them, function word, synonym sets, number in the paraphrase table.
//! Not here: comparing two sentences (`matches.rs`).
//!
//! METEOR compares Java's 32-bit hash codes instead of spellings, so that `righto` matches `buzzards` exactly.
//! That is kept: scores must agree.

use hashbrown::HashMap;
use hashbrown::HashSet;
use rust_stemmers::{Algorithm, Stemmer};

use super::distribution::Texts;
use super::error::MeteorError;
use super::synonyms::Synonyms;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Java's hash code of the spelling.
    pub key: i32,
    /// Java's hash code of the Snowball stem.
    pub stem: i32,
    pub is_function_word: bool,
    /// Ascending.
    pub synonym_sets: Box<[u32]>,
    /// A bit for the remainder of each set: no common bit, no common set.
    pub synonym_bits: u64,
    /// Number in the paraphrase table.
    pub paraphrase_word: Option<u32>,
}

impl Word {
    /// Whether the two have a synonym set in common.
    pub(super) fn is_synonym(&self, other: &Self) -> bool {
        let may_have = |set: &u32| other.synonym_bits & bit(*set) != 0;
        let has = |set: &u32| other.synonym_sets.binary_search(set).is_ok();
        self.synonym_bits & other.synonym_bits != 0
            && self
                .synonym_sets
                .iter()
                .any(|set| may_have(set) && has(set))
    }
}

/// A set's bit: its remainder.
fn bit(set: u32) -> u64 {
    1 << (set % 64)
}

/// A bit for the remainder of each set.
fn bits(sets: &[u32]) -> u64 {
    sets.iter().fold(0, |bits, &set| bits | bit(set))
}

/// What is known about words in general.
pub(super) struct Knowledge {
    pub stemmer: Stemmer,
    pub function_words: HashSet<Box<str>>,
    pub synonyms: Synonyms,
}

impl Knowledge {
    /// Nothing but the stemmer.
    pub(super) fn new() -> Self {
        Self {
            stemmer: Stemmer::create(Algorithm::English),
            function_words: HashSet::new(),
            synonyms: Synonyms::default(),
        }
    }

    /// From METEOR's files.
    pub(super) fn parse(texts: Texts) -> Result<Self, MeteorError> {
        Ok(Self {
            function_words: texts.function_words.text.lines().map(Box::from).collect(),
            synonyms: Synonyms::parse(
                (&texts.exceptions.name, &texts.exceptions.text),
                (&texts.synsets.name, texts.synsets.text),
            )?,
            ..Self::new()
        })
    }

    /// Everything about one word, which is in lower case and has this number in the paraphrase table.
    pub(super) fn word(&self, word: &str, paraphrase_word: Option<u32>) -> Word {
        let synonym_sets = self.synonyms.sets(word);
        Word {
            key: java_hash(word),
            stem: java_hash(&self.stemmer.stem(word)),
            is_function_word: self.function_words.contains(word),
            synonym_bits: bits(&synonym_sets),
            synonym_sets: synonym_sets.into(),
            paraphrase_word,
        }
    }
}

/// The words of some captions, looked up once.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    ids: HashMap<Box<str>, usize>,
    words: Vec<Word>,
}

impl Vocabulary {
    /// Words with their numbers in the paraphrase table.
    pub(super) fn new(words: Vec<(Box<str>, u32)>, knowledge: &Knowledge) -> Self {
        let mut this = Self::default();
        for (word, number) in words {
            this.words.push(knowledge.word(&word, Some(number)));
            this.ids.insert(word, this.words.len() - 1);
        }
        this
    }

    pub(super) fn get(&self, word: &str) -> Option<&Word> {
        self.ids.get(word).map(|&id| &self.words[id])
    }
}

/// `String.hashCode` of Java: over UTF-16 units, base 31, modulo 2^32.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `"…".hashCode()` in Java.
    #[test]
    fn hash_codes_are_those_of_java() {
        for (word, hash) in [
            ("", 0),
            ("a", 97),
            ("righto", -931_102_253),
            ("buzzards", -931_102_253),
            ("😀", 1_772_899),
        ] {
            assert_eq!(java_hash(word), hash, "{word}");
        }
    }

    #[test]
    fn synonyms_share_a_set() {
        let word = |sets: &[u32]| Word {
            synonym_bits: bits(sets),
            synonym_sets: sets.into(),
            ..Knowledge::new().word("x", None)
        };
        assert!(word(&[1, 70]).is_synonym(&word(&[5, 70])));
        assert!(word(&[70]).is_synonym(&word(&[70])));
        // 6 and 70 have the same bit.
        assert_eq!(bits(&[6, 70, 4097]), 1 << 6 | 1 << 1);
        assert!(!word(&[6]).is_synonym(&word(&[70])));
        assert!(!word(&[]).is_synonym(&word(&[])));
    }

    #[test]
    fn words_are_looked_up_once() {
        let knowledge = Knowledge::new();
        let vocabulary = Vocabulary::new(vec![("dogs".into(), 7), ("a".into(), 3)], &knowledge);
        assert_eq!(vocabulary.get("a"), Some(&knowledge.word("a", Some(3))));
        assert_eq!(vocabulary.get("dog"), None);
    }
}
