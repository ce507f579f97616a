//! What can be wrong with a caption file.
//!
//! Here: errors with their place, and hints. Not here: problems between two good files (`problem.rs`).

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::problem::Problem;

/// Why the bytes are no caption file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not JSON, or a value of the wrong kind; the message has line and column.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A line of a JSON Lines file.
    #[error("line {line}, column {}: {source}", source.column())]
    Line {
        /// Line, from 1.
        line: usize,
        /// What the line's parser said.
        source: serde_json::Error,
    },
    /// A record without one of the keys that it needs.
    #[error("record {record}: expected {expected}, found neither")]
    Incomplete {
        /// Record, from 1.
        record: usize,
        /// The keys.
        expected: &'static str,
    },
    /// The document is an object of another kind.
    #[error("expected an object with the key `{key}`, found none")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// Plain text that is not UTF-8.
    #[error("line {line}: not UTF-8, byte {byte} of the file")]
    NotUtf8 {
        /// Which of the files, from 0.
        file: usize,
        /// Line, from 1.
        line: usize,
        /// Offset of the first bad byte.
        byte: usize,
    },
}

impl ParseError {
    pub(super) fn in_file(self, path: &Path) -> InputError {
        InputError::Parse {
            path: path.to_owned(),
            source: self,
        }
    }
}

/// Why captions can't be scored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not of a known kind, or damaged.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: ParseError,
    },
    /// Strict pairing found problems.
    #[error("{} problems between candidates and references, first: {}", problems.len(), problems[0])]
    Problems {
        /// All of them.
        problems: Vec<Problem>,
    },
}

impl InputError {
    /// What to try next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("plain references may be named by what stands before their number: `reference` for `reference0` …".into())
            }
            Self::Unreadable { .. } => None,
            Self::Parse { source: ParseError::NotUtf8 { .. }, .. } => Some("convert the file to UTF-8".into()),
            Self::Parse { .. } => Some(
                "known kinds: result_struct.json, COCO results and annotations, JSON Lines with `image_id` and `caption`, \
                 one caption a line; as references also a dataset"
                    .into(),
            ),
            Self::Problems { .. } => Some("leave out `--strict` to score the images that have both".into()),
        }
    }
}
