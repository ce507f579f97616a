//! One decoder step for many partial sentences, and the check of what it returns.
//!
//! Not here: which words are taken (`beam.rs`, `follow.rs`).

use models::Decode;
use tensor::step::Choice;

use crate::top_k::Scored;
use crate::{Constraints, GenerateError};

/// A log probability may be this far above 0 by rounding in f32; more is an error. A GPU that chooses words has the same limit (`choose.cu`).
const ROUNDING: f32 = 1e-3;

/// The decoder, its current state, and what the last step says of the next words.
pub(crate) struct Rows<'a, D: Decode> {
    decoder: &'a D,
    initial: &'a D::State,
    /// None before the first step: `initial` is borrowed, not copied.
    state: Option<D::State>,
    vocabulary: usize,
    /// Log probabilities (rows, V) of the last step, if its words weren't chosen by the decoder's device.
    log_probs: Vec<f32>,
    /// The words that were, and how many a row.
    chosen: Vec<Scored>,
    each: Option<usize>,
    /// Steps done so far.
    steps: usize,
}

impl<'a, D: Decode> Rows<'a, D> {
    /// Before the first step, row r is row r of `initial`.
    pub fn new(decoder: &'a D, initial: &'a D::State) -> Self {
        let vocabulary = decoder.vocabulary();
        Self {
            decoder,
            initial,
            state: None,
            vocabulary,
            log_probs: Vec::new(),
            chosen: Vec::new(),
            each: None,
            steps: 0,
        }
    }

    /// Row r is from now on what row `parents[r]` was, continued with `words[r]`. Only the words of `choice` are asked for, where there is
    /// one and the decoder's device can choose them; else all.
    pub fn step(
        &mut self,
        parents: &[usize],
        words: &[u32],
        choice: Option<Choice<'_>>,
    ) -> Result<(), GenerateError> {
        let (decoder, vocabulary) = (self.decoder, self.vocabulary);
        let state = self.state.as_ref().unwrap_or(self.initial);
        let chosen = choice.and_then(|choice| {
            let chosen = &mut self.chosen;
            let next = decoder.step_and_choose(state, parents, words, choice, chosen)?;
            Some((next, choice.each(vocabulary)))
        });
        let (next, found, wanted) = match chosen {
            Some((next, each)) => {
                self.each = Some(each);
                (next, self.chosen.len(), each)
            }
            None => {
                self.each = None;
                let next = decoder.step(state, parents, words, &mut self.log_probs);
                (next, self.log_probs.len(), vocabulary)
            }
        };
        self.state = Some(next);
        self.steps += 1;
        if parents.len().checked_mul(wanted) == Some(found) {
            Ok(())
        } else {
            let rows = parents.len();
            Err(GenerateError::Shape {
                rows,
                vocabulary: wanted,
                found,
            })
        }
    }

    /// Forbids in row `row` what may not follow the sentence `words`.
    pub fn constrain(&mut self, row: usize, words: &[u32], constraints: &Constraints) {
        let range = row * self.vocabulary..(row + 1) * self.vocabulary;
        constraints.apply(words, &mut self.log_probs[range]);
    }

    /// What the last step says of the next words, for any thread to read.
    pub fn scores(&self) -> Scores<'_> {
        Scores {
            rows: match self.each {
                Some(each) => All::Chosen(&self.chosen, each),
                None => All::LogProbs(&self.log_probs, self.vocabulary),
            },
            step: self.steps - 1,
        }
    }
}

/// What one step says of the next words of all rows.
#[derive(Clone, Copy)]
pub(crate) struct Scores<'a> {
    rows: All<'a>,
    step: usize,
}

/// With how many there are a row.
#[derive(Clone, Copy)]
enum All<'a> {
    LogProbs(&'a [f32], usize),
    Chosen(&'a [Scored], usize),
}

/// What may follow one row: none of the log probabilities is NaN, and all are at most 0 but for rounding.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Row<'a> {
    /// Of all words (V).
    LogProbs(&'a [f32]),
    /// The words that the device chose, in its order.
    Chosen(&'a [Scored]),
}

impl<'a> Scores<'a> {
    /// What may follow row `row`. `picture` is named in the error.
    pub fn row(self, row: usize, picture: usize) -> Result<Row<'a>, GenerateError> {
        let not_a_log_prob = |word: usize, value| GenerateError::NotALogProb {
            picture,
            step: self.step,
            word: word as u32,
            value,
        };
        let wrong = |v: f32| v.is_nan() || ROUNDING < v;
        let found = match self.rows {
            All::LogProbs(values, vocabulary) => {
                let values = &values[row * vocabulary..(row + 1) * vocabulary];
                // Without an early exit inside a block the comparison runs on whole vectors.
                let valid =
                    |block: &[f32]| block.iter().fold(true, |valid, &v| valid & (v <= ROUNDING));
                if !values.chunks(256).all(valid)
                    && let Some(word) = values.iter().position(|&v| wrong(v))
                {
                    return Err(not_a_log_prob(word, values[word]));
                }
                Row::LogProbs(values)
            }
            All::Chosen(words, each) => {
                let words = &words[row * each..(row + 1) * each];
                if let Some(&(word, value)) = words.iter().find(|&&(_, v)| wrong(v)) {
                    return Err(not_a_log_prob(word as usize, value));
                }
                Row::Chosen(words)
            }
        };
        Ok(found)
    }

    /// The error for a row in which no word may follow.
    pub fn no_word(self, picture: usize) -> GenerateError {
        GenerateError::NoWord {
            picture,
            step: self.step,
        }
    }
}
