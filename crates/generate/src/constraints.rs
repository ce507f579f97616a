//! What a sentence must and may not have: filters between the decoder and the search.
//!
//! A forbidden word's log probability becomes -∞, and no search ever takes such a word. The
//! others keep theirs, so that a caption's `log_prob` is still the model's own. Required words are the beam search's own
//! business (`required.rs`); here is only what is said of them in options.

use crate::required::Required;
use crate::{END, GenerateError};

/// What sentences must have and which words may not follow; the default demands and forbids nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// The words that every sentence begins with. The rules below don't hold within them.
    pub start: Vec<u32>,
    /// Words or phrases that every sentence has, each somewhere; beam search only.
    pub required: Vec<Vec<u32>>,
    /// Fewest words of a sentence, END not counted: END is forbidden before.
    pub min_length: usize,
    /// Words that never occur.
    pub forbidden: Vec<u32>,
    /// No run of this many words occurs twice in a sentence; 0 allows all.
    pub no_repeat_ngram: usize,
}

impl Constraints {
    /// True if every word may follow at any time.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty()
            && self.min_length == 0
            && self.forbidden.is_empty()
            && self.no_repeat_ngram == 0
    }

    pub(crate) fn check(&self, vocabulary: usize, max_steps: usize) -> Result<(), GenerateError> {
        let required = self.required.concat();
        let named = [
            ("a forbidden word", &self.forbidden),
            ("a word of the start", &self.start),
            ("a required word", &required),
        ];
        for (what, words) in named {
            if let Some(word) = words.iter().find(|&&word| vocabulary <= word as usize) {
                let must_be = format!("below the vocabulary's {vocabulary} words");
                return Err(GenerateError::option(what, word, must_be));
            }
        }
        for (what, words) in &named[1..] {
            let impossible = |&&word: &&u32| word == END || self.forbidden.contains(&word);
            if let Some(word) = words.iter().find(impossible) {
                let must_be = "neither forbidden nor the end";
                return Err(GenerateError::option(what, word, must_be));
            }
        }
        if max_steps <= self.start.len() && !self.start.is_empty() {
            let must_be = format!("less than max_steps, which is {max_steps}");
            return Err(GenerateError::option(
                "the start's number of words",
                self.start.len(),
                must_be,
            ));
        }
        Required::check(&self.required)?;
        let long = self.required.iter().any(|phrase| 1 < phrase.len());
        if long && 0 < self.no_repeat_ngram {
            // The beginning of a phrase may have been said before, and could then never be said again.
            let must_be = "0 where a phrase of several words is required";
            return Err(GenerateError::option(
                "no_repeat_ngram",
                self.no_repeat_ngram,
                must_be,
            ));
        }
        if !self.required.is_empty() {
            let required = Required::new(&self.required);
            let missing = required.missing(required.after_all(&self.start));
            let fewest = self.start.len() + missing;
            if max_steps < fewest {
                let must_be = format!("at least {fewest}, for the words that are required");
                return Err(GenerateError::option("max_steps", max_steps, must_be));
            }
        }
        Ok(())
    }

    /// Where a search can't look ahead: refuses required words.
    pub(crate) fn refuse_required(&self, search: &'static str) -> Result<(), GenerateError> {
        match self.required.first() {
            None => Ok(()),
            Some(_) => {
                let count = self.required.len();
                let must_be = format!("0: {search} can't promise them, beam search can");
                Err(GenerateError::option(
                    "the number of required phrases",
                    count,
                    must_be,
                ))
            }
        }
    }

    /// Forbids in `log_probs` (V) what may not follow the sentence `words`.
    pub(crate) fn apply(&self, words: &[u32], log_probs: &mut [f32]) {
        if let Some(&next) = self.start.get(words.len()) {
            let kept = log_probs[next as usize];
            log_probs.fill(f32::NEG_INFINITY);
            log_probs[next as usize] = kept;
            return;
        }
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
