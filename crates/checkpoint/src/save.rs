//! Writing a checkpoint as one `safetensors` file.
//!
//! Here: the header and the order of the tensors. Not here: how the file gets to the disk in one
//! piece (`replace.rs`), the text entries (`metadata.rs`).
//!
//! Format: 8 bytes little-endian header length, JSON header padded with blanks to a multiple of
//! 8, the tensors without gaps. The `safetensors` crate's own writer is not used because it keeps
//! the metadata in a `HashMap`, so that the same checkpoint would give other bytes each time.
//! Source: the format description in the safetensors repository's README.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use half::f16;
use serde_json::{Map, Value, json};

use crate::encoder_part::ENCODER_PREFIX;
use crate::metadata;
use crate::replace::{Disk, LocalDisk, replace};
use crate::{Checkpoint, CheckpointError};

/// Prefix of the optimizer's arrays; no parameter's name starts with it.
pub(crate) const TRAINING_PREFIX: &str = "training.";

/// Values converted to bytes at a time: 64 KiB, so that no second copy of f32 weights exists.
const VALUES_AT_A_TIME: usize = 16 * 1024;

/// How weights are stored; they are computed with as f32 whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Every number as it is.
    #[default]
    F32,
    /// Matrices and filters in half the bytes, rounded to 11 significant bits. Vectors (biases, batch norms: few numbers,
    /// some of a wide range) and the training state stay as they are.
    F16,
}

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

/// As [`save`], with weights of the given precision.
///
/// # Errors
/// As [`save`]; and if a weight is too large for the precision.
pub fn save_as(
    checkpoint: &Checkpoint,
    precision: Precision,
    path: &Path,
) -> Result<(), CheckpointError> {
    save_on(&mut LocalDisk, checkpoint, precision, path)
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
    save_on(disk, checkpoint, Precision::F32, path)
}

fn save_on<D: Disk>(
    disk: &mut D,
    checkpoint: &Checkpoint,
    precision: Precision,
    path: &Path,
) -> Result<(), CheckpointError> {
    let problem = checkpoint.inconsistency();
    if let Some(problem) = problem.or_else(|| too_large(checkpoint, precision)) {
        return Err(CheckpointError::Inconsistent {
            path: path.into(),
            problem,
        });
    }
    replace(disk, path, |out| write_as(checkpoint, precision, out)).map_err(|source| {
        CheckpointError::Write {
            path: path.into(),
            source,
        }
    })
}

/// Writes the bytes of a checkpoint whose parts fit together.
///
/// # Errors
/// What `out` reports.
pub fn write_to(checkpoint: &Checkpoint, out: &mut dyn Write) -> io::Result<()> {
    write_as(checkpoint, Precision::F32, out)
}

/// As [`write_to`], with weights of the given precision.
///
/// # Errors
/// What `out` reports.
pub fn write_as(
    checkpoint: &Checkpoint,
    precision: Precision,
    out: &mut dyn Write,
) -> io::Result<()> {
    let arrays = arrays(checkpoint, precision);
    let header = header(checkpoint, precision, &arrays)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut bytes = Vec::with_capacity(4 * VALUES_AT_A_TIME);
    for array in arrays {
        for values in array.values.chunks(VALUES_AT_A_TIME) {
            bytes.clear();
            match array.precision {
                Precision::F32 => bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
                Precision::F16 => {
                    bytes.extend(values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()));
                }
            }
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// A tensor of the file.
struct Stored<'a> {
    name: String,
    shape: &'a [usize],
    values: Cow<'a, [f32]>,
    precision: Precision,
}

/// All tensors in the order of the file.
fn arrays(checkpoint: &Checkpoint, precision: Precision) -> Vec<Stored<'_>> {
    let weight = |name, shape, values| Stored {
        name,
        shape,
        values,
        precision: match <[usize]>::len(shape) {
            0 | 1 => Precision::F32,
            _ => precision,
        },
    };
    let weights = checkpoint.weights.iter();
    let mut all: Vec<Stored<'_>> = weights
        .map(|array| weight(array.name.clone(), &array.shape, array.data.singles()))
        .collect();
    let encoder = checkpoint.encoder.iter().flat_map(|part| part.state.iter());
    all.extend(encoder.map(|(name, shape, values)| {
        weight(format!("{ENCODER_PREFIX}{name}"), shape, values.singles())
    }));
    let state = checkpoint.training.iter().flat_map(|state| &state.arrays);
    all.extend(state.map(|array| Stored {
        name: format!("{TRAINING_PREFIX}{}", array.name),
        shape: &array.shape,
        values: array.data.singles(),
        precision: Precision::F32,
    }));
    all
}

/// The first finite number that would become infinite.
fn too_large(checkpoint: &Checkpoint, precision: Precision) -> Option<String> {
    let half = |array: &Stored<'_>| array.precision == Precision::F16;
    arrays(checkpoint, precision)
        .into_iter()
        .filter(half)
        .find_map(|array| {
            let lost = |x: &&f32| x.is_finite() && f16::from_f32(**x).is_infinite();
            let x = array.values.iter().find(lost)?;
            let (name, most) = (&array.name, f16::MAX);
            Some(format!(
                "array `{name}` holds {x}, f16 reaches up to {most}"
            ))
        })
}

/// The JSON header, padded so that the tensors start at a multiple of 8.
fn header(
    checkpoint: &Checkpoint,
    precision: Precision,
    arrays: &[Stored<'_>],
) -> io::Result<Vec<u8>> {
    let mut entries = Map::new();
    let half = precision == Precision::F16;
    entries.insert(
        "__metadata__".into(),
        Value::Object(metadata::render(checkpoint, half)),
    );
    let mut start = 0u64;
    for Stored {
        name,
        shape,
        values,
        precision,
    } in arrays
    {
        let (dtype, width) = match precision {
            Precision::F32 => ("F32", 4),
            Precision::F16 => ("F16", 2),
        };
        let end = start + width * values.len() as u64;
        let info = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
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
