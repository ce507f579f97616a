//! What can go wrong with a result file, with the file, the place and the numbers.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use checkpoint::{LocalDisk, replace};

/// Why a result file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The operating system refused to read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to write; what was there before is still there.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The bytes are no `result_struct.json`.
    #[error("`{}`, line {line}, column {column}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1; 0 at the very start of a line.
        column: usize,
        /// What was expected and what was found.
        problem: String,
    },
    /// A number that JSON cannot hold.
    #[error("{what} is {value}, which JSON cannot hold")]
    NotFinite {
        /// Which number.
        what: String,
        /// NaN or infinite.
        value: f64,
    },
    /// BLEU needs something to compare with.
    #[error("picture `{picture}` has no reference sentence")]
    NoReference {
        /// Its `img_path`.
        picture: String,
    },
    /// Two pictures would be copied to the same name.
    #[error("`{}` and `{}` have the same file name", first.display(), second.display())]
    SameName {
        /// The picture that came first.
        first: PathBuf,
        /// The one that would replace it.
        second: PathBuf,
    },
}

impl ReportError {
    /// What to try next; the program prints it as `hint: …`.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "eval and predict write it; check the path"
            }
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "create the folder first",
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "choose a folder that you may write to"
                }
                io::ErrorKind::StorageFull => "free some space; the old file is unchanged",
                _ => return None,
            },
            Self::Malformed { problem, .. } if problem.contains("expected value") => {
                "the file must be JSON; Python's NaN and Infinity are none"
            }
            Self::Malformed { .. } => {
                "expected is what NeuralTalk writes: params, checkpoint_params, and imgblobs with \
                 img_path and candidate {text, logprob} each"
            }
            Self::NotFinite { .. } => "did training diverge? Check the checkpoint's perplexity",
            Self::NoReference { .. } => "leave out pictures without sentences, or give them one",
            Self::SameName { .. } => "rename one of them, or don't copy the pictures",
            Self::Read { .. } => return None,
        };
        Some(text.into())
    }

    /// True if the operating system refused, false if the contents are wrong.
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Write { .. })
    }
}

/// Replaces the file at `path` in one piece.
pub(crate) fn write_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ReportError> {
    replace(&mut LocalDisk, path, write).map_err(|source| ReportError::Write {
        path: path.to_path_buf(),
        source,
    })
}
