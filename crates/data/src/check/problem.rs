//! The list of what can be wrong with a dataset.
//!
//! Not here: how it is found (`check.rs`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dataset::{ImageRecord, Split};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Training works, but perhaps not as meant.
    Warning,
    /// Training would not work.
    Error,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    #[serde(flatten)]
    pub kind: ProblemKind,
    /// The picture's path; `None` where the whole dataset is meant.
    pub image: Option<String>,
    /// The picture's number.
    pub imgid: Option<u32>,
}

/// What is wrong. In JSON the field `problem` holds the name in kebab case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A picture's record in the dataset's file holds what none may hold; the others were checked without it.
    RefusedRecord {
        /// Its place in the file, from 0.
        record: usize,
        /// What is wrong.
        reason: String,
    },
    /// No sentence in this split.
    EmptySplit {
        /// The split.
        split: Split,
    },
    /// No training word is frequent enough.
    EmptyVocabulary {
        /// The asked count.
        threshold: u64,
    },
    /// The features have another width than asked for.
    DimensionMismatch {
        /// D asked for.
        expected: usize,
        /// D of the file.
        found: usize,
    },
    /// The feature file may be another dataset's.
    MoreVectorsThanPictures {
        /// N of the file.
        vectors: usize,
        /// Pictures of the dataset.
        pictures: usize,
        /// The largest imgid and 1.
        needed: usize,
    },
    /// The feature file has no column for this picture.
    NoVector {
        /// N of the file.
        vectors: usize,
    },
    /// A NaN or an infinity in the picture's vector.
    NonFiniteFeature {
        /// Index of the first one.
        at: usize,
        /// NaN, inf or -inf.
        value: String,
    },
    /// The vector is all zero, as when extraction was interrupted.
    ZeroVector,
    /// Another picture has the same number, so both would have the same vector.
    DuplicateImgid {
        /// Path of the other.
        first: String,
    },
    /// Another record has the same file.
    DuplicatePath {
        /// Number of the other.
        first_imgid: u32,
    },
    /// Another sentence has the same number.
    DuplicateSentid {
        /// The number.
        sentid: u32,
        /// Path of the other sentence's picture.
        first: String,
    },
    /// Nothing to learn from.
    NoSentences,
    /// A sentence without words; it would teach to say nothing.
    EmptySentence {
        /// The sentence.
        sentid: u32,
    },
    /// The path is absolute or climbs out of the picture folder.
    PathOutsideFolder,
    /// The picture's file is not there.
    MissingPicture,
    /// The file is there but cannot be read, or is no picture.
    UnreadablePicture {
        /// Why.
        reason: String,
    },
}

impl Problem {
    pub(super) fn of_dataset(severity: Severity, kind: ProblemKind) -> Self {
        Self {
            severity,
            kind,
            image: None,
            imgid: None,
        }
    }

    pub(super) fn of_image(severity: Severity, kind: ProblemKind, image: &ImageRecord) -> Self {
        Self {
            severity,
            kind,
            image: Some(image.path.clone()),
            imgid: Some(image.imgid),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if let (Some(image), Some(imgid)) = (&self.image, self.imgid) {
            write!(f, "`{image}` (imgid {imgid}): ")?;
        }
        write!(f, "{}", self.kind)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefusedRecord { record, reason } => write!(f, "images[{record}]: {reason}"),
            Self::EmptySplit { split } => write!(f, "no sentence in split {split}"),
            Self::EmptyVocabulary { threshold } => {
                write!(
                    f,
                    "no word occurs {threshold} times in the training sentences"
                )
            }
            Self::DimensionMismatch { expected, found } => {
                write!(
                    f,
                    "the features have {found} numbers each, expected {expected}"
                )
            }
            Self::MoreVectorsThanPictures {
                vectors,
                pictures,
                needed,
            } => write!(
                f,
                "{vectors} feature vectors for {pictures} pictures, whose imgids need {needed}: is it another dataset's file?"
            ),
            Self::NoVector { vectors } => {
                write!(f, "no feature vector: the file holds {vectors}, from 0")
            }
            Self::NonFiniteFeature { at, value } => write!(f, "feature {at} is {value}"),
            Self::ZeroVector => write!(f, "all features are zero"),
            Self::DuplicateImgid { first } => write!(f, "same imgid as `{first}`"),
            Self::DuplicatePath { first_imgid } => {
                write!(f, "same file as imgid {first_imgid}")
            }
            Self::DuplicateSentid { sentid, first } => {
                write!(f, "sentid {sentid} is also a sentence of `{first}`")
            }
            Self::NoSentences => write!(f, "no sentences"),
            Self::EmptySentence { sentid } => write!(f, "sentence {sentid} has no words"),
            Self::PathOutsideFolder => write!(f, "the path leads out of the picture folder"),
            Self::MissingPicture => write!(f, "the picture is not there"),
            Self::UnreadablePicture { reason } => write!(f, "no readable picture: {reason}"),
        }
    }
}
