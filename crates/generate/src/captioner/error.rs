//! Why a captioner can't be loaded or can't caption.
//!
//! Here: reasons that concern the model or the options. A picture that doesn't decode is a `PictureError` in its own
//! place, so that it never stops the others.

use std::path::PathBuf;

use checkpoint::CheckpointError;
use data::VocabularyError;
use data::picture::PictureError;
use models::ParameterError;
use models::encoder::EncoderError;

use crate::GenerateError;

/// What is wrong with a model, its options, or the one picture that was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptionError {
    /// A file can't be loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Weights don't make the decoder that the file describes.
    #[error("cannot use `{}`: {source}", path.display())]
    Parameters {
        /// The checkpoint.
        path: PathBuf,
        /// Which weight.
        source: ParameterError,
    },
    /// Arrays don't make the encoder that the file describes.
    #[error("cannot use `{}`: {source}", path.display())]
    Encoder {
        /// The checkpoint or weight file.
        path: PathBuf,
        /// Which array.
        source: EncoderError,
    },
    /// Words that make no vocabulary.
    #[error("cannot use `{}`: {source}", path.display())]
    Vocabulary {
        /// The checkpoint.
        path: PathBuf,
        /// Which word.
        source: VocabularyError,
    },
    /// No checkpoint at all.
    #[error("no checkpoint was given")]
    NoCheckpoint,
    /// The checkpoint has no encoder inside, and none was named.
    #[error("`{}` holds no encoder: it was trained on features (`{features}`)", path.display())]
    NoEncoder {
        /// The checkpoint.
        path: PathBuf,
        /// What its features are called.
        features: String,
    },
    /// An encoder was named, but every checkpoint holds its own.
    #[error("`{}` isn't used: `{}` holds the encoder that it was trained with", encoder.display(), path.display())]
    NeedlessEncoder {
        /// A checkpoint.
        path: PathBuf,
        /// The encoder's file.
        encoder: PathBuf,
    },
    /// The encoder's output is not what the decoder reads.
    #[error("`{}` gives {found} numbers a picture, `{}` needs {expected}", encoder.display(), path.display())]
    Width {
        /// The checkpoint.
        path: PathBuf,
        /// The encoder's file.
        encoder: PathBuf,
        /// What the decoder reads.
        expected: usize,
        /// What the encoder makes.
        found: usize,
    },
    /// Members of an ensemble that don't know the same words.
    #[error(
        "`{}` and `{}` have different vocabularies: word {place} is {} in the first and {} in the second",
        first.display(), second.display(), quoted(words.0.as_ref()), quoted(words.1.as_ref())
    )]
    Vocabularies {
        /// One member.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Where they differ first.
        place: usize,
        /// The two words there, if any.
        words: (Option<String>, Option<String>),
    },
    /// A word that has to be in a caption is none of the model's.
    #[error("`{word}` ({option}) is no word of the model: it can't be in a caption")]
    UnknownWord {
        /// The option.
        option: &'static str,
        /// The word.
        word: String,
    },
    /// The search refused its options, or the decoder failed.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The one picture that was given doesn't decode.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

impl CaptionError {
    /// What to try next; the program prints it as `hint: …`.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Checkpoint(error) => return error.hint(),
            Self::Generate(error) => return error.hint(),
            Self::Picture(error) => return error.hint(),
            Self::Vocabulary { source, .. } => return source.hint(),
            Self::Parameters { .. } | Self::Encoder { .. } | Self::NoCheckpoint => return None,
            Self::NeedlessEncoder { .. } => "leave out --encoder",
            Self::NoEncoder { .. } => {
                "name the weight file of the encoder that its training features were made with"
            }
            Self::Width { .. } => "use the encoder that the training's features were made with",
            Self::Vocabularies { .. } => {
                "an ensemble's members must be trained on the same dataset with the same word threshold"
            }
            Self::UnknownWord { .. } => {
                "`neuraltalk inspect CHECKPOINT --words` lists the words that it knows"
            }
        };
        Some(text.into())
    }
}

fn quoted(word: Option<&String>) -> String {
    word.map_or("missing".into(), |word| format!("`{word}`"))
}
