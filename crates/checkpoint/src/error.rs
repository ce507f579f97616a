//! What can go wrong with a checkpoint, with the file, the tensor and the numbers.
//!
//! Here: errors of our own format. Not here: errors inside a pickle (`legacy::PickleError`),
//! exit codes (`cli`).

use std::path::{Path, PathBuf};

use models::encoder::EncoderError;
use thiserror::Error;

use crate::any::FileKind;
use crate::legacy::PickleError;

/// Why a checkpoint could not be saved or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file could not be written; the one that was there before is untouched.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file that was to be replaced.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is shorter than its own header says.
    #[error("`{}` is cut off: {expected} bytes expected, {found} found", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header announces.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The file is longer than its own header says.
    #[error("`{}` has {found} bytes, its header accounts for {expected}", path.display())]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes that the header announces.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The header is not one of a safetensors file.
    #[error("`{}` has a broken safetensors header: {problem}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        problem: String,
    },
    /// A safetensors file without our description.
    #[error("`{}` is a safetensors file, but not a neuraltalk checkpoint: format is {}", path.display(), found.as_deref().map_or("not stated".into(), |f| format!("`{f}`")))]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// Its `format` entry.
        found: Option<String>,
    },
    /// Written by a newer program.
    #[error("`{}` has format version {found}, this program reads up to {supported}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u64,
        /// The newest version that this program knows.
        supported: u64,
    },
    /// A description entry is missing or does not parse.
    #[error("`{}`: metadata entry `{entry}` {problem}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key under `__metadata__`.
        entry: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A parameter of the decoder is not in the file.
    #[error("`{}`: tensor `{tensor}` is missing, the model needs it as {expected:?}", path.display())]
    TensorMissing {
        /// The file.
        path: PathBuf,
        /// The parameter.
        tensor: String,
        /// Its shape according to the decoder.
        expected: Vec<usize>,
    },
    /// A tensor that the decoder has no use for.
    #[error("`{}`: tensor `{tensor}` {found:?} is not a parameter of the model (it has {})", path.display(), shortened(expected))]
    TensorUnexpected {
        /// The file.
        path: PathBuf,
        /// Its name in the file.
        tensor: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The names that the decoder has.
        expected: Vec<String>,
    },
    /// A tensor of another size.
    #[error("`{}`: tensor `{tensor}` is {found:?} in the file, the model needs {expected:?}", path.display())]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// The parameter.
        tensor: String,
        /// Its shape according to the decoder.
        expected: Vec<usize>,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of another number type.
    #[error("`{}`: tensor `{tensor}` is stored as {found}, expected F32 (or F16, BF16, F64)", path.display())]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type in the file.
        found: String,
    },
    /// The parts do not fit together.
    #[error("`{}`: {problem}", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// Which parts, with both numbers.
        problem: String,
    },
    /// A pickle that can't be read or is refused.
    #[error("`{}`: {source}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Where in it, and why.
        source: PickleError,
    },
    /// A pickle that is no checkpoint of NeuralTalk.
    #[error("`{}` is no NeuralTalk checkpoint: {problem}", path.display())]
    NeuralTalk {
        /// The file.
        path: PathBuf,
        /// Which key, what was expected and what was found.
        problem: String,
    },
    /// A model that NeuralTalk can't represent.
    #[error("`{}` cannot be written for NeuralTalk: {problem}", path.display())]
    NotForNeuralTalk {
        /// The file that was to be written.
        path: PathBuf,
        /// What the original program lacks.
        problem: String,
    },
    /// Weights of another program that can't be read.
    #[error("`{}`: {problem}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// Tensors that don't make an encoder.
    #[error("`{}`: {source}", path.display())]
    Encoder {
        /// The file.
        path: PathBuf,
        /// The tensor, what was expected and what was found.
        source: EncoderError,
    },
    /// A file of another kind.
    #[error("`{}` is no checkpoint: {}", path.display(), describe(*found, start))]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: FileKind,
        /// Its first bytes (at most 16).
        start: Vec<u8>,
    },
}

impl CheckpointError {
    /// What to try next; the CLI prints it as `hint: ...`.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Read { .. } | Self::Inconsistent { .. } => return None,
            Self::Pickle { source, .. } => return source.hint(),
            Self::Weights { .. } => {
                "save the model's state dict as .safetensors or with torch.save"
            }
            Self::Encoder { source, .. } => match source {
                EncoderError::Unknown { .. } => {
                    "is it the state dict of an encoder, with its published names?"
                }
                _ => "is it the encoder's whole state dict, of an architecture that is known here?",
            },
            Self::NeuralTalk { .. } => {
                "only the model_checkpoint_*.p files of driver.py are checkpoints"
            }
            Self::NotForNeuralTalk { .. } => {
                "NeuralTalk has the LSTM and the RNN, with an image encoding as wide as the word encoding (lstm) or the hidden state (rnn)"
            }
            Self::UnknownFormat { found, .. } => match found {
                FileKind::Torch7 => "Torch7 models (.t7) are not read",
                FileKind::Zip => "a PyTorch or numpy archive has no vocabulary; train a model here",
                FileKind::Gzip => "decompress it with gunzip first",
                FileKind::Empty => "was its writer killed? use the other checkpoint of the run",
                _ => {
                    "a neuraltalk checkpoint is a .safetensors or NeuralTalk's .p file, an encoder a .safetensors, .pth or .caffemodel"
                }
            },
            Self::Write { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull => {
                    "free some space; what was there before is still whole"
                }
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    "choose a folder that you may write to"
                }
                _ => return None,
            },
            Self::Truncated { .. } | Self::TrailingBytes { .. } => {
                "was it copied while it was being written? copy it again, or use the other checkpoint of the run"
            }
            Self::Header { .. } => {
                "a neuraltalk checkpoint is a .safetensors or NeuralTalk's .p file"
            }
            Self::NotACheckpoint { .. } => {
                "only checkpoints that neuraltalk wrote carry a vocabulary; weights alone can't make captions"
            }
            Self::Version { .. } => "use a newer neuraltalk, or save the model again with this one",
            Self::Metadata { .. } => "was the file edited or written by another program?",
            Self::TensorMissing { .. } | Self::TensorUnexpected { .. } => {
                "do the weights belong to another generator (lstm, rnn)?"
            }
            Self::TensorShape { tensor, .. }
                if tensor.starts_with("output.") || tensor.starts_with("embedding.") =>
            {
                "one side of it is the vocabulary: was that rebuilt after training?"
            }
            Self::TensorShape { .. } => "do the sizes belong to another training run?",
            Self::TensorType { .. } => "convert the tensor to float32",
        };
        Some(text.into())
    }
}

/// The first names of a long list.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// What a file of an unknown format looks like.
fn describe(found: FileKind, start: &[u8]) -> String {
    match found {
        FileKind::Torch7 => "it looks like a Torch7 file (.t7)".into(),
        FileKind::Zip => "it is a zip archive".into(),
        FileKind::Gzip => "it is compressed by gzip".into(),
        FileKind::Hdf5 => "it is an HDF5 file".into(),
        FileKind::Empty => "it is empty".into(),
        _ => format!("it starts with `{}`", start.escape_ascii()),
    }
}

pub(crate) fn read_error(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Read {
        path: path.into(),
        source,
    }
}
