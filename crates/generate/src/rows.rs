//! One decoder step for many partial sentences, and the check of what it returns.
//!
//! Not here: which words are taken (`beam.rs`, `follow.rs`).

use models::Decode;

use crate::{Constraints, GenerateError};

/// A log probability may be this far above 0 by rounding in f32; more is an error.
const ROUNDING: f32 = 1e-3;

/// The decoder, its current state, and the log probabilities (rows, V) of the last step.
pub(crate) struct Rows<'a, D: Decode> {
    decoder: &'a D,
    initial: &'a D::State,
    /// None before the first step: `initial` is borrowed, not copied.
    state: Option<D::State>,
    vocabulary: usize,
    log_probs: Vec<f32>,
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
            steps: 0,
        }
    }

    /// Row r is from now on what row `parents[r]` was, continued with `words[r]`.
    pub fn step(&mut self, parents: &[usize], words: &[u32]) -> Result<(), GenerateError> {
        let state = self.state.as_ref().unwrap_or(self.initial);
        let next = self
            .decoder
            .step(state, parents, words, &mut self.log_probs);
        self.state = Some(next);
        self.steps += 1;
        let found = self.log_probs.len();
        if parents.len().checked_mul(self.vocabulary) == Some(found) {
            Ok(())
        } else {
            let (rows, vocabulary) = (parents.len(), self.vocabulary);
            Err(GenerateError::Shape {
                rows,
                vocabulary,
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
            vocabulary: self.vocabulary,
            log_probs: &self.log_probs,
            step: self.steps - 1,
        }
    }
}

/// Log probabilities (rows, V) of one step.
#[derive(Clone, Copy)]
pub(crate) struct Scores<'a> {
    vocabulary: usize,
    log_probs: &'a [f32],
    step: usize,
}

impl<'a> Scores<'a> {
    /// Log probabilities (V) of the words that may follow row `row`, none of them NaN and all at
    /// most 0 but for rounding. `picture` is named in the error.
    pub fn row(self, row: usize, picture: usize) -> Result<&'a [f32], GenerateError> {
        let values = &self.log_probs[row * self.vocabulary..(row + 1) * self.vocabulary];
        // Without an early exit inside a block the comparison runs on whole vectors.
        let valid = |block: &[f32]| block.iter().fold(true, |valid, &v| valid & (v <= ROUNDING));
        if values.chunks(256).all(valid) {
            return Ok(values);
        }
        match values.iter().position(|&v| v.is_nan() || ROUNDING < v) {
            None => Ok(values),
            Some(word) => Err(GenerateError::NotALogProb {
                picture,
                step: self.step,
                word: word as u32,
                value: values[word],
            }),
        }
    }

    /// The error for a row in which no word may follow.
    pub fn no_word(self, picture: usize) -> GenerateError {
        GenerateError::NoWord {
            picture,
            step: self.step,
        }
    }
}
