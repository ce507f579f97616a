//! What can go wrong in a search: impossible options, or a decoder that returns no probabilities.

/// Why there are no captions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GenerateError {
    /// An option has a value with which no search is possible.
    #[error("{option} is {value}, it must be {must_be}")]
    Option {
        /// The option's name, as in the options struct.
        option: &'static str,
        /// The value that was given.
        value: String,
        /// What the option allows.
        must_be: String,
    },
    /// The decoder filled a table of another size than (rows, V).
    #[error("the decoder returned {found} log probabilities for {rows} rows of {vocabulary} words")]
    Shape {
        /// Rows that were asked for.
        rows: usize,
        /// V, as the decoder states it.
        vocabulary: usize,
        /// Numbers that came back.
        found: usize,
    },
    /// The decoder returned NaN or a positive number, which is no log probability.
    #[error("picture {picture}, step {step}: the log probability of word {word} is {value}")]
    NotALogProb {
        /// Row of the picture in the initial state.
        picture: usize,
        /// Step, counted from 0.
        step: usize,
        /// The first such word.
        word: u32,
        /// What the decoder returned for it.
        value: f32,
    },
    /// Every word has probability 0: the constraints, or the decoder, leave nothing to say.
    #[error("picture {picture}, step {step}: no word may follow")]
    NoWord {
        /// Row of the picture in the initial state.
        picture: usize,
        /// Step, counted from 0.
        step: usize,
    },
}

impl GenerateError {
    /// What to try next; the program prints it as `hint: …`.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Option { .. } => None,
            Self::Shape { .. } => {
                Some("the checkpoint's vocabulary and its output layer may differ in size".into())
            }
            Self::NotALogProb { value, .. } if value.is_nan() => Some(
                "the weights or the picture's features hold NaN or infinite numbers: did training \
                 diverge?"
                    .into(),
            ),
            Self::NotALogProb { .. } => Some("a decoder must return ln p, at most 0".into()),
            Self::NoWord { .. } => {
                Some("allow more words: fewer forbidden ones, a smaller minimum length".into())
            }
        }
    }

    pub(crate) fn option(
        option: &'static str,
        value: impl ToString,
        must_be: impl ToString,
    ) -> Self {
        Self::Option {
            option,
            value: value.to_string(),
            must_be: must_be.to_string(),
        }
    }
}
