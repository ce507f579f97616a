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
    /// No common bit, no common set.
    pub synonym_bits: SetBits,
    /// Number in the paraphrase table.
    pub paraphrase_word: Option<u32>,
}

impl Word {
    /// Whether the two have a synonym set in common.
    pub(super) fn is_synonym(&self, other: &Self) -> bool {
        let has = |set: &u32| other.synonym_sets.binary_search(set).is_ok();
        let mut common = self.synonym_sets.iter();
        self.synonym_bits.meet(&other.synonym_bits)
            && common.any(|&set| other.synonym_bits.may_have(set) && has(&set))
    }
}

/// Synonym sets, a bit for the remainder of each. With 64 bits a third of all pairs of words would have one in common,
/// with 256 a sixth; in truth it is one in two hundred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SetBits([u64; 4]);

impl SetBits {
    pub(super) fn of(sets: &[u32]) -> Self {
        let mut bits = Self::default();
        for &set in sets {
            bits.0[place(set).0] |= 1 << place(set).1;
        }
        bits
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    pub(super) fn meet(&self, other: &Self) -> bool {
        let both = self.0.iter().zip(&other.0).map(|(a, b)| a & b);
        both.fold(0, |all, bits| all | bits) != 0
    }

    fn may_have(&self, set: u32) -> bool {
        self.0[place(set).0] >> place(set).1 & 1 == 1
    }
}

/// A set's word and bit.
fn place(set: u32) -> (usize, u32) {
    ((set / 64 % 4) as usize, set % 64)
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
            synonym_bits: SetBits::of(&synonym_sets),
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
            synonym_bits: SetBits::of(sets),
            synonym_sets: sets.into(),
            ..Knowledge::new().word("x", None)
        };
        assert!(word(&[1, 70]).is_synonym(&word(&[5, 70])));
        assert!(word(&[70]).is_synonym(&word(&[70])));
        assert!(word(&[5]).is_synonym(&word(&[5, 9])));
        // The same bit of two words.
        assert!(word(&[5, 69]).is_synonym(&word(&[5, 69])));
        // 6 and 262 have the same bit.
        assert_eq!(
            SetBits::of(&[6, 262, 70, 4097]).0,
            [1 << 6 | 1 << 1, 1 << 6, 0, 0]
        );
        assert!(!word(&[6]).is_synonym(&word(&[262])));
        assert!(!word(&[5, 6]).is_synonym(&word(&[7, 262])));
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
