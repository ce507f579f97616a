//! Words and their indices.
//!
//! Here: building a vocabulary from training captions, looking words up, the decoder's first bias.
//! Not here: splitting text into words (`dataset/tokens.rs`).
//!
//! Source: `preProBuildWordVocab` in NeuralTalk's `driver.py`. Where we differ: NeuralTalk's order is that of a
//! Python 2 dict and so cannot be reproduced; ours is by count, then by word. Two quirks are kept because its
//! checkpoints have them: index 0 is START on the way in and END, written '.', on the way out; and a real '.'
//! in the captions has an index of its own, whose count in the bias is overwritten by the number of sentences.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Why a list of words is no vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// The first word is not '.'.
    #[error("the first word of a vocabulary is `.` (END), found {found}")]
    First {
        /// The first word in quotes, or `nothing`.
        found: String,
    },
    /// A word occurs twice.
    #[error("word `{word}` has the indices {first} and {second}")]
    Duplicate {
        /// The word.
        word: String,
        /// Its first index.
        first: u32,
        /// Its second index.
        second: u32,
    },
    /// There are counts, but not one per word.
    #[error("{words} words have {counts} counts")]
    Counts {
        /// Number of words.
        words: usize,
        /// Number of counts.
        counts: usize,
    },
    /// More words than an index can hold.
    #[error("{0} words are more than an index of 32 bits can number")]
    TooMany(usize),
}

impl VocabularyError {
    /// What to try next.
    pub fn hint(&self) -> Option<String> {
        Some("the word list comes from a checkpoint: was it edited by hand?".into())
    }
}

/// V words with their indices; index 0 is END when predicted and START when fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Vocabulary {
    words: Vec<String>,
    /// How often each word occurred; at 0 the number of sentences. Empty where it is not known.
    counts: Vec<u64>,
    /// Without index 0: no token of a text is ever END or START.
    ids: HashMap<String, u32>,
}

/// What is written: the lookup table is made again on reading.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    words: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    counts: Vec<u64>,
}

impl Vocabulary {
    /// Index that ends a predicted sentence, written '.'.
    pub const END: u32 = 0;
    /// Index that is fed before the first word.
    pub const START: u32 = 0;

    /// A vocabulary of known words, as a checkpoint has them; `words[0]` is ".".
    ///
    /// # Errors
    /// The first word is not ".", or a word other than the first occurs twice.
    pub fn from_words(words: Vec<String>) -> Result<Self, VocabularyError> {
        Self::new(words, Vec::new())
    }

    /// Words that `captions` have at least `threshold` times, the most frequent first, equal counts by word.
    ///
    /// Each item is one sentence. A word is counted as often as it occurs, also within one sentence.
    ///
    /// # Panics
    /// With more than 2³² distinct words, which no text in memory has.
    pub fn from_captions<I>(captions: I, threshold: u64) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[String]>,
    {
        let mut counts: HashMap<String, u64> = HashMap::new();
        let mut sentences = 0;
        for caption in captions {
            sentences += 1;
            for word in caption.as_ref() {
                // Most words are known already: look first, and allocate a key only for a new one.
                match counts.get_mut(word.as_str()) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(word.clone(), 1);
                    }
                }
            }
        }
        let mut kept: Vec<(String, u64)> = counts
            .into_iter()
            .filter(|&(_, n)| threshold <= n)
            .collect();
        kept.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        let (mut words, mut counts) = (vec![".".to_owned()], vec![sentences]);
        for (word, count) in kept {
            words.push(word);
            counts.push(count);
        }
        Self::new(words, counts).expect("words from a map are distinct")
    }

    fn new(words: Vec<String>, counts: Vec<u64>) -> Result<Self, VocabularyError> {
        if words.first().map(String::as_str) != Some(".") {
            let found = words
                .first()
                .map_or("nothing".into(), |word| format!("`{word}`"));
            return Err(VocabularyError::First { found });
        }
        if !counts.is_empty() && counts.len() != words.len() {
            return Err(VocabularyError::Counts {
                words: words.len(),
                counts: counts.len(),
            });
        }
        let mut ids = HashMap::with_capacity(words.len());
        for (id, word) in words.iter().enumerate().skip(1) {
            let id = u32::try_from(id).map_err(|_| VocabularyError::TooMany(words.len()))?;
            if let Some(first) = ids.insert(word.clone(), id) {
                return Err(VocabularyError::Duplicate {
                    word: word.clone(),
                    first,
                    second: id,
                });
            }
        }
        Ok(Self { words, counts, ids })
    }

    /// All words by index; the first is ".", END.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// V, with END.
    #[expect(clippy::len_without_is_empty, reason = "END is always there")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Index of a word of a text; never 0, so a real "." is found only if it has an index of its own.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// The word at an index.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.words.get(id as usize).map(String::as_str)
    }

    /// How often a word occurred in the training captions (for END: the number of sentences), where known.
    pub fn count(&self, id: u32) -> Option<u64> {
        self.counts.get(id as usize).copied()
    }

    /// Indices of a sentence's words; words that are not in the vocabulary are left out. Adds neither START nor END.
    pub fn encode<S: AsRef<str>>(&self, tokens: &[S]) -> Vec<u32> {
        tokens
            .iter()
            .filter_map(|word| self.id(word.as_ref()))
            .collect()
    }

    /// The words up to the first END, joined by a blank; an index that is out of range is shown as `?`.
    pub fn decode(&self, ids: &[u32]) -> String {
        let words = ids.iter().take_while(|&&id| id != Self::END);
        let words: Vec<&str> = words.map(|&id| self.word(id).unwrap_or("?")).collect();
        words.join(" ")
    }

    /// (V) NeuralTalk's first decoder bias: natural log of the word frequencies, shifted so that the largest is 0.
    ///
    /// `None` where the counts are not known ([`from_words`](Self::from_words)).
    pub fn initial_bias(&self) -> Option<Vec<f64>> {
        let sentences = *self.counts.first()?;
        // Kept from NeuralTalk: it looks counts up by word after `word_counts['.'] = number of sentences`.
        let real_end = self.id(".").map(|id| id as usize);
        let count =
            |(id, &n): (usize, &u64)| if Some(id) == real_end { sentences } else { n } as f64;
        let counts: Vec<f64> = self.counts.iter().enumerate().map(count).collect();
        let total: f64 = counts.iter().sum();
        let logs: Vec<f64> = counts.iter().map(|n| (n / total).ln()).collect();
        let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if max == f64::NEG_INFINITY {
            return Some(vec![0.0; logs.len()]); // no sentences at all: END alone, certain
        }
        Some(logs.iter().map(|log| log - max).collect())
    }
}

impl TryFrom<Stored> for Vocabulary {
    type Error = VocabularyError;

    fn try_from(stored: Stored) -> Result<Self, VocabularyError> {
        Self::new(stored.words, stored.counts)
    }
}

impl From<Vocabulary> for Stored {
    fn from(vocabulary: Vocabulary) -> Self {
        Self {
            words: vocabulary.words,
            counts: vocabulary.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &str) -> Vec<Vec<String>> {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        text.lines().map(words).collect()
    }

    #[test]
    fn order_is_by_count_then_word_and_the_threshold_is_inclusive() {
        let captions = sentences("a b c\nb a\nc a d\nzz");
        let v = Vocabulary::from_captions(&captions, 2);
        assert_eq!(v.words(), [".", "a", "b", "c"]);
        assert_eq!(
            (v.count(0), v.count(1), v.count(3)),
            (Some(4), Some(3), Some(2))
        );
        assert_eq!((v.id("a"), v.id("d"), v.id(".")), (Some(1), None, None));
    }

    #[test]
    fn a_real_full_stop_has_its_own_index_and_the_sentences_count_in_the_bias() {
        let captions = sentences("a . . .\na . .\nb .");
        let v = Vocabulary::from_captions(&captions, 1);
        assert_eq!(v.words(), [".", ".", "a", "b"]);
        assert_eq!((v.id("."), v.count(1)), (Some(1), Some(6)));
        // Counts 3, 3 (not 6), 2, 1 of 9; the largest becomes 0.
        let bias = v.initial_bias().expect("counts are known");
        let want = [0.0, 0.0, (2f64 / 3.0).ln(), (1f64 / 3.0).ln()];
        for (got, want) in bias.iter().zip(want) {
            assert!((got - want).abs() < 1e-15, "{bias:?}");
        }
    }

    #[test]
    fn words_outside_are_dropped_and_decoding_stops_at_end() {
        let v = Vocabulary::from_words([".", "a", "dog"].map(String::from).to_vec()).unwrap();
        assert_eq!(v.encode(&["a", "purple", "dog", "."]), [1, 2]);
        assert_eq!(v.decode(&[1, 2, 0, 1]), "a dog");
        assert_eq!(v.decode(&[1, 9]), "a ?");
        assert_eq!(v.initial_bias(), None);
    }

    #[test]
    fn a_bad_word_list_is_refused() {
        let build =
            |words: &[&str]| Vocabulary::from_words(words.iter().map(|w| w.to_string()).collect());
        assert_eq!(
            build(&[]).unwrap_err().to_string(),
            "the first word of a vocabulary is `.` (END), found nothing"
        );
        assert_eq!(
            build(&["a"]).unwrap_err().to_string(),
            "the first word of a vocabulary is `.` (END), found `a`"
        );
        assert_eq!(
            build(&[".", "a", "b", "a"]).unwrap_err().to_string(),
            "word `a` has the indices 1 and 3"
        );
        assert!(build(&[".", "."]).is_ok());
        let error = serde_json::from_str::<Vocabulary>(r#"{"words":[".","a"],"counts":[1]}"#);
        assert_eq!(error.unwrap_err().to_string(), "2 words have 1 counts");
    }

    #[test]
    fn json_holds_words_and_counts() {
        let v = Vocabulary::from_captions(sentences("a b\na"), 1);
        let text = serde_json::to_string(&v).unwrap();
        assert_eq!(text, r#"{"words":[".","a","b"],"counts":[2,2,1]}"#);
        assert_eq!(serde_json::from_str::<Vocabulary>(&text).unwrap(), v);
    }

    #[test]
    fn no_captions_at_all_give_end_alone() {
        let v = Vocabulary::from_captions(Vec::<Vec<String>>::new(), 5);
        assert_eq!(v.words(), ["."]);
        assert_eq!(v.initial_bias(), Some(vec![0.0]));
    }
}
