//! Any checkpoint by its first bytes, whatever its name ends in.
//!
//! Here: telling the formats apart. Not here: reading them (`load.rs`, `legacy`).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::read_error;
use crate::legacy::read_neuraltalk;
use crate::{Checkpoint, CheckpointError, load};

/// What kind of file the first bytes look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// Ours, or another framework's.
    Safetensors,
    /// A Python pickle; NeuralTalk's `.p` are.
    Pickle,
    /// Torch7, as NeuralTalk2 and char-rnn write it.
    Torch7,
    /// A zip archive, as PyTorch and numpy (`.npz`) write them.
    Zip,
    /// Compressed by gzip.
    Gzip,
    /// HDF5, as Keras and MATLAB 7.3 write it.
    Hdf5,
    /// No byte at all.
    Empty,
    /// None of these.
    Unknown,
}

impl FileKind {
    /// Looks at the first 16 bytes (or as many as there are).
    pub fn sniff(start: &[u8]) -> Self {
        match start {
            [] => Self::Empty,
            // 8 bytes of length (the upper three are always 0), then JSON.
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => Self::Safetensors,
            [0x80, 0..=5, ..] => Self::Pickle,
            [3 | 4, 0, 0, 0, ..] | [b'3' | b'4', b'\n', ..] => Self::Torch7,
            [b'P', b'K', 3, 4, ..] => Self::Zip,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x89, b'H', b'D', b'F', ..] => Self::Hdf5,
            // Protocols 0 and 1 have no magic; a dictionary starts with one of these, and a
            // refused object with the second.
            [b'(' | b'}' | b']', ..] | [b'c', ..] => Self::Pickle,
            _ => Self::Unknown,
        }
    }
}

/// Loads one of our checkpoints or one of NeuralTalk's.
///
/// # Errors
/// As [`load`] and [`read_neuraltalk`]; [`CheckpointError::UnknownFormat`] if it is neither.
pub fn load_any(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut start))
        .map_err(|source| read_error(path, source))?;
    match FileKind::sniff(&start) {
        FileKind::Safetensors => load(path),
        FileKind::Pickle => Ok(read_neuraltalk(path)?.into_checkpoint()),
        found => Err(CheckpointError::UnknownFormat {
            path: path.into(),
            found,
            start,
        }),
    }
}
