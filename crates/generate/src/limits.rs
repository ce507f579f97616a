//! How far a search may go: options that greedy, beam and sampling share.

use crate::{Constraints, GenerateError};

/// Length of a sentence, rows per decoder step, and which words are allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Most words of a sentence, END counted; NeuralTalk's is 20.
    pub max_steps: usize,
    /// Most partial sentences that go through the decoder at once (at least one picture's).
    /// Bounds the memory, (rows, V) f32, and changes no result.
    pub max_rows: usize,
    /// Words that may not follow; the default allows all.
    pub constraints: Constraints,
}

impl Default for Limits {
    fn default() -> Self {
        // 256 rows of 8,791 words are 9 MB: they stay in a last-level cache, and a matrix
        // product gains little from more.
        Self {
            max_steps: 20,
            max_rows: 256,
            constraints: Constraints::default(),
        }
    }
}

impl Limits {
    pub(crate) fn check(&self, vocabulary: usize) -> Result<(), GenerateError> {
        if vocabulary == 0 {
            return Err(GenerateError::option(
                "the decoder's vocabulary",
                0,
                "at least 1",
            ));
        }
        if self.max_steps == 0 {
            return Err(GenerateError::option("max_steps", 0, "at least 1"));
        }
        self.constraints.check(vocabulary, self.max_steps)
    }

    /// How many pictures with `rows_each` partial sentences each go through the decoder at once.
    pub(crate) fn pictures_at_once(&self, rows_each: usize) -> usize {
        (self.max_rows / rows_each.max(1)).max(1)
    }
}
