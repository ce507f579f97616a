//! Words that may not follow: a filter between the decoder and the search.
//!
//! A forbidden word's log probability becomes -∞, and no search ever takes such a word. The
//! others keep theirs, so that a caption's `log_prob` is still the model's own.

use crate::{END, GenerateError};

/// Which words may not follow; the default forbids none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Fewest words of a sentence, END not counted: END is forbidden before.
    pub min_length: usize,
    /// Words that never occur.
    pub forbidden: Vec<u32>,
    /// No run of this many words occurs twice in a sentence; 0 allows all.
    pub no_repeat_ngram: usize,
}

impl Constraints {
    /// True if every word may follow.
    pub fn is_empty(&self) -> bool {
        self.min_length == 0 && self.forbidden.is_empty() && self.no_repeat_ngram == 0
    }

    pub(crate) fn check(&self, vocabulary: usize) -> Result<(), GenerateError> {
        match self
            .forbidden
            .iter()
            .find(|&&word| vocabulary <= word as usize)
        {
            None => Ok(()),
            Some(word) => {
                let must_be = format!("below the vocabulary's {vocabulary} words");
                Err(GenerateError::option("a forbidden word", word, must_be))
            }
        }
    }

    /// Forbids in `log_probs` (V) what may not follow the sentence `words`.
    pub(crate) fn apply(&self, words: &[u32], log_probs: &mut [f32]) {
        let mut forbid = |word: u32| log_probs[word as usize] = f32::NEG_INFINITY;
        if words.len() < self.min_length {
            forbid(END);
        }
        self.forbidden.iter().copied().for_each(&mut forbid);
        if 0 < self.no_repeat_ngram && self.no_repeat_ngram <= words.len() {
            let context = &words[words.len() + 1 - self.no_repeat_ngram..];
            for ngram in words.windows(self.no_repeat_ngram) {
                if let Some((&last, before)) = ngram.split_last()
                    && before == context
                {
                    forbid(last);
                }
            }
        }
    }
}
