//! What can go wrong between a file and a batch, with the file, the place, what was expected and what was found.
//!
//! Here: [`DataError`], its [`hint`](DataError::hint) and [`is_io`](DataError::is_io) for exit codes.
//! Not here: problems of a dataset that was read without error (`check.rs`), errors of a word list (`vocabulary.rs`).

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Byte offset from the start of the file.
    Byte(u64),
    /// Byte offset in the decompressed stream of a compressed part that starts at `part` in the file.
    Inflated {
        /// Byte offset of the compressed part in the file.
        part: u64,
        /// Byte offset after decompression.
        offset: u64,
    },
    /// Line, from 1.
    Line(u64),
    /// Line and column, both from 1.
    LineColumn(usize, usize),
    /// A named part of the file: a variable, a tensor, an object.
    Part(String),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(offset) => write!(f, "byte {offset}"),
            Self::Inflated { part, offset } => {
                write!(
                    f,
                    "byte {offset} of the compressed part that starts at byte {part}"
                )
            }
            Self::Line(line) => write!(f, "line {line}"),
            Self::LineColumn(line, column) => write!(f, "line {line}, column {column}"),
            Self::Part(name) => write!(f, "`{name}`"),
        }
    }
}

/// Why a dataset or a feature file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The bytes are not what their format asks for.
    #[error("`{}` is not a valid {format} file, at {at}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// Where in the file.
        at: Position,
        /// What the format asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file is valid, but holds something that cannot be used as features or captions.
    #[error("`{}` ({format}) cannot be used, at {at}: expected {expected}, found {found}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// Where in the file.
        at: Position,
        /// What would be accepted.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A folder or file in which no known form of dataset was recognised.
    #[error("no dataset in `{}`: {found}", path.display())]
    NoDataset {
        /// The file or folder that was opened.
        path: PathBuf,
        /// What was seen instead.
        found: String,
    },
}

impl DataError {
    /// What to try next; programs print it as `hint: ...`.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some("check the spelling of the path and the folder it is relative to".into())
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("the file exists, but this user may not read it".into())
            }
            Self::Io { .. } => None,
            Self::Malformed { format, .. } if is_text(format) => {
                Some("correct the file at that place; the error is there or just before".into())
            }
            Self::Malformed { .. } => {
                Some("the file may be cut short or damaged: copy or download it again and compare its size".into())
            }
            Self::Unsupported { format, .. } if format.starts_with("MAT") => {
                Some("save it again in MATLAB with `feats` as a real single matrix of one column per picture".into())
            }
            Self::Unsupported { .. } => {
                Some("save a float matrix (N, D) of one row per picture, in the order of imgid, named `feats` where the format has names".into())
            }
            Self::NoDataset { .. } => Some(
                "known forms: dataset.json (NeuralTalk, NeuralTalk2), captions_*.json (COCO), *.token.txt (Flickr), *.csv and *.jsonl with `image` and `caption`".into(),
            ),
        }
    }

    /// True where the operating system failed, false where the data is bad.
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }

    /// An [`Io`](Self::Io) error of `path`, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Forms that people write by hand or with scripts, where a mistake is likelier than damage.
fn is_text(format: &str) -> bool {
    let words = ["dataset", "captions", "tokens"];
    words.iter().any(|word| format.contains(word))
}

/// The two facts that every reader repeats in its errors: which file, which format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub path: &'a Path,
    pub format: &'static str,
}

impl Source<'_> {
    pub fn malformed(
        &self,
        at: Position,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> DataError {
        DataError::Malformed {
            path: self.path.to_owned(),
            format: self.format,
            at,
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub fn unsupported(
        &self,
        at: Position,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> DataError {
        DataError::Unsupported {
            path: self.path.to_owned(),
            format: self.format,
            at,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// serde_json's message carries the line and column; both are split off again.
    pub fn json(&self, error: &serde_json::Error) -> DataError {
        let text = error.to_string();
        let found = text.split(" at line ").next().unwrap_or(&text);
        self.malformed(
            Position::LineColumn(error.line(), error.column()),
            "the fields that this form of dataset has",
            found,
        )
    }
}
