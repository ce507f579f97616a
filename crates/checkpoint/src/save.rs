//! Writing a checkpoint as one `safetensors` file.
//!
//! Here: the header and the order of the tensors. Not here: how the file gets to the disk in one
//! piece (`replace.rs`), the text entries (`metadata.rs`).
//!
//! Format: 8 bytes little-endian header length, JSON header padded with blanks to a multiple of
//! 8, the tensors without gaps. The `safetensors` crate's own writer is not used because it keeps
//! the metadata in a `HashMap`, so that the same checkpoint would give other bytes each time.
//! Source: the format description in the safetensors repository's README.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::metadata;
use crate::replace::{Disk, LocalDisk, replace};
use crate::{Checkpoint, CheckpointError, NamedArray};

/// Prefix of the optimizer's arrays; no parameter's name starts with it.
pub(crate) const TRAINING_PREFIX: &str = "training.";

/// Values converted to bytes at a time: 64 KiB, so that no second copy of the weights exists.
const VALUES_AT_A_TIME: usize = 16 * 1024;

/// Saves a checkpoint: after a crash or a kill at any moment `path` holds the old file or the new
/// one, whole; after `Ok` the new one survives a power cut.
///
/// The same checkpoint always gives the same bytes.
///
/// # Errors
/// [`CheckpointError::Inconsistent`] if the parts don't fit together (nothing is written then),
/// [`CheckpointError::Write`] if the disk refuses.
pub fn save(checkpoint: &Checkpoint, path: &Path) -> Result<(), CheckpointError> {
    save_to(&mut LocalDisk, checkpoint, path)
}

/// As [`save`], on any [`Disk`].
///
/// # Errors
/// As [`save`].
pub fn save_to<D: Disk>(
    disk: &mut D,
    checkpoint: &Checkpoint,
    path: &Path,
) -> Result<(), CheckpointError> {
    if let Some(problem) = checkpoint.inconsistency() {
        return Err(CheckpointError::Inconsistent {
            path: path.into(),
            problem,
        });
    }
    replace(disk, path, |out| write_to(checkpoint, out)).map_err(|source| CheckpointError::Write {
        path: path.into(),
        source,
    })
}

/// Writes the bytes of a checkpoint whose parts fit together.
///
/// # Errors
/// What `out` reports.
pub fn write_to(checkpoint: &Checkpoint, out: &mut dyn Write) -> io::Result<()> {
    let mut arrays: Vec<(String, &NamedArray)> = checkpoint
        .weights
        .iter()
        .map(|array| (array.name.clone(), array))
        .collect();
    for array in checkpoint.training.iter().flat_map(|state| &state.arrays) {
        arrays.push((format!("{TRAINING_PREFIX}{}", array.name), array));
    }
    let header = header(checkpoint, &arrays)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (_, array) in arrays {
        let mut bytes = Vec::with_capacity(4 * VALUES_AT_A_TIME);
        for values in array.data.chunks(VALUES_AT_A_TIME) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// The JSON header, padded so that the tensors start at a multiple of 8.
fn header(checkpoint: &Checkpoint, arrays: &[(String, &NamedArray)]) -> io::Result<Vec<u8>> {
    let mut entries = Map::new();
    entries.insert(
        "__metadata__".into(),
        Value::Object(metadata::render(checkpoint)),
    );
    let mut start = 0u64;
    for (name, array) in arrays {
        let end = start + 4 * array.data.len() as u64;
        let info = json!({"dtype": "F32", "shape": array.shape, "data_offsets": [start, end]});
        if entries.insert(name.clone(), info).is_some() {
            let problem = format!("two arrays are named `{name}`");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        start = end;
    }
    let mut header = serde_json::to_vec(&entries)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}
