//! Reading a checkpoint back, believing nothing that the file says about itself.
//!
//! Here: the header, the tensors and the check against the decoder's sizes. Not here: the text
//! entries (`metadata.rs`), which kind of file it is (`any.rs`).
//!
//! The header is parsed by the `safetensors` crate, which refuses gaps, overlaps and overflows;
//! the tensors are then read straight into their arrays, so that the file is never in memory a second
//! time: one after the other, or a file in a few parts side by side.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use half::{bf16, f16};
use models::encoder::StateDict;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use tensor::Numbers;

use crate::checkpoint::elements;
use crate::encoder_part::ENCODER_PREFIX;
use crate::error::read_error;
use crate::save::TRAINING_PREFIX;
use crate::{Checkpoint, CheckpointError, NamedArray, TrainingState, metadata};

/// [`load`] allocates at most this many bytes for every byte of the file (and 64 KiB). Arrays
/// take one; the rest is for JSON, of which two bytes (`0,`) can become a value of seventy-two in
/// an array that is being doubled.
pub const MEMORY_FACTOR: usize = 128;

/// Bytes read at a time: a length that is a lie is found out before much is allocated.
const CHUNK_BYTES: usize = 64 * 1024;

/// Parts of a file that are read side by side: at most so many ..
const MOST_PARTS: usize = 4;
/// .. and at least so many bytes each; starting a thread costs as much as converting 100 kB.
const LEAST_PART: usize = 1 << 20;

/// Loads and validates a checkpoint.
///
/// # Errors
/// Any but [`CheckpointError::Write`]: the file, the tensor or entry, what was expected and what
/// was found.
pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let failed = |source| read_error(path, source);
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let (header, start) = read_header(&mut file, length, path)?;
    assemble(&header, start, length, path, |names| {
        let read = |names: &[String]| {
            let Some(first) = names.first() else {
                return Ok(Vec::new());
            };
            let mut file = File::open(path).map_err(failed)?;
            let offset = start + info(&header, first).data_offsets.0 as u64;
            file.seek(SeekFrom::Start(offset)).map_err(failed)?;
            read_all(&mut BufReader::new(file), &header, names, path)
        };
        // Each part on a thread of its own: converting the numbers, into memory that is new, takes longer than reading.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut parts = in_parts(&header, names, threads.min(MOST_PARTS)).into_iter();
        std::thread::scope(|scope| {
            let mine = parts.next();
            let others: Vec<_> = parts
                .map(|names| scope.spawn(move || read(names)))
                .collect();
            let mut all = read(mine.unwrap_or_default())?;
            for other in others {
                all.extend(other.join().expect("reading doesn't panic")?);
            }
            Ok(all)
        })
    })
}

/// As [`load`], from `length` bytes of `input`; `path` is for messages only.
///
/// # Errors
/// As [`load`].
pub fn load_from(
    mut input: impl Read,
    length: u64,
    path: &Path,
) -> Result<Checkpoint, CheckpointError> {
    let (header, start) = read_header(&mut input, length, path)?;
    assemble(&header, start, length, path, |names| {
        read_all(&mut input, &header, names, path)
    })
}

/// Checks what a header says, reads the tensors and puts them in their places.
fn assemble(
    header: &Metadata,
    start: u64,
    length: u64,
    path: &Path,
    read: impl FnOnce(&[String]) -> Result<Vec<Numbers>, CheckpointError>,
) -> Result<Checkpoint, CheckpointError> {
    let expected = start + header.data_len() as u64;
    if length < expected {
        return Err(truncated(path, expected, length));
    }
    if expected < length {
        return Err(CheckpointError::TrailingBytes {
            path: path.into(),
            expected,
            found: length,
        });
    }
    let none = HashMap::new();
    let (mut checkpoint, training) =
        metadata::parse(header.metadata().as_ref().unwrap_or(&none), path)?;
    if let Some(problem) = checkpoint.description_inconsistency() {
        return Err(inconsistent(path, problem));
    }
    let names = header.offset_keys();
    check_parameters(&checkpoint, header, &names, path)?;

    let mut weights = BTreeMap::new();
    let mut state = Vec::new();
    let mut encoder = StateDict::default();
    for (name, data) in names.iter().zip(read(&names)?) {
        let (shape, name) = (info(header, name).shape.clone(), name.as_str());
        if let Some(name) = name.strip_prefix(TRAINING_PREFIX) {
            let name = name.to_owned();
            state.push(NamedArray { name, shape, data });
        } else if let Some(name) = name.strip_prefix(ENCODER_PREFIX) {
            encoder.insert(name, shape, data);
        } else {
            weights.insert(name, (shape, data));
        }
    }
    if let Some(part) = &mut checkpoint.encoder {
        part.state = encoder;
    }
    // Files of other writers may have another order; ours is the decoder's.
    for (name, _) in checkpoint.decoder.parameters() {
        let (shape, data) = weights.remove(name).expect("check_parameters saw it");
        let name = name.to_owned();
        checkpoint.weights.push(NamedArray { name, shape, data });
    }
    checkpoint.training = match training {
        Some(json) => Some(TrainingState {
            arrays: state,
            json,
        }),
        None if state.is_empty() => None,
        None => {
            let problem = format!(
                "{} tensors of a training state, but no `training` entry",
                state.len()
            );
            return Err(inconsistent(path, problem));
        }
    };
    Ok(checkpoint)
}

/// What the header says of one of the names that it gave.
fn info<'a>(header: &'a Metadata, name: &str) -> &'a TensorInfo {
    header.info(name).expect("a name of the header's own")
}

/// Tensors that lie one after the other, in at most `parts` of about as many bytes.
fn in_parts<'a>(header: &Metadata, names: &'a [String], parts: usize) -> Vec<&'a [String]> {
    let end = |name: &String| info(header, name).data_offsets.1;
    let part = (header.data_len() / parts.max(1)).max(LEAST_PART);
    let mut all: Vec<&[String]> = Vec::new();
    let (mut rest, mut limit) = (names, part);
    while let Some(place) = rest.iter().position(|name| end(name) >= limit) {
        let (head, tail) = rest.split_at(place + 1);
        limit = end(&head[place]) + part;
        all.push(head);
        rest = tail;
    }
    all.push(rest);
    all
}

/// The numbers of tensors that come next in the file.
fn read_all(
    input: &mut impl Read,
    header: &Metadata,
    names: &[String],
    path: &Path,
) -> Result<Vec<Numbers>, CheckpointError> {
    let values = |name: &String| read_values(input, info(header, name), name, path);
    names.iter().map(values).collect()
}

/// The parsed header, and where the tensors start.
pub(crate) fn read_header(
    input: &mut impl Read,
    length: u64,
    path: &Path,
) -> Result<(Metadata, u64), CheckpointError> {
    if length < 8 {
        return Err(truncated(path, 8, length));
    }
    let mut prefix = [0; 8];
    input
        .read_exact(&mut prefix)
        .map_err(|source| read_error(path, source))?;
    let announced = u64::from_le_bytes(prefix);
    let end = announced.saturating_add(8);
    if length < end {
        return Err(truncated(path, end, length));
    }
    let text = read_bytes(input, announced as usize, path)?;
    let header = serde_json::from_slice(&text).map_err(|error| CheckpointError::Header {
        path: path.into(),
        problem: error.to_string(),
    })?;
    Ok((header, end))
}

/// Every parameter is there with its shape, and nothing else is.
fn check_parameters(
    checkpoint: &Checkpoint,
    header: &Metadata,
    names: &[String],
    path: &Path,
) -> Result<(), CheckpointError> {
    let decoder = checkpoint.decoder.parameters();
    let mut parameters: Vec<(String, Vec<usize>)> = decoder
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), shape))
        .collect();
    if let Some(part) = &checkpoint.encoder {
        let arrays = part.about.config.network().state_shapes().into_iter();
        parameters.extend(arrays.map(|(name, shape)| (format!("{ENCODER_PREFIX}{name}"), shape)));
    }
    for (name, expected) in &parameters {
        let Some(info) = header.info(name) else {
            return Err(CheckpointError::TensorMissing {
                path: path.into(),
                tensor: name.clone(),
                expected: expected.clone(),
            });
        };
        if info.shape != *expected {
            return Err(CheckpointError::TensorShape {
                path: path.into(),
                tensor: name.clone(),
                expected: expected.clone(),
                found: info.shape.clone(),
            });
        }
    }
    let known: HashSet<&str> = parameters.iter().map(|p| p.0.as_str()).collect();
    for name in names {
        if !name.starts_with(TRAINING_PREFIX) && !known.contains(name.as_str()) {
            let info = info(header, name);
            return Err(CheckpointError::TensorUnexpected {
                path: path.into(),
                tensor: name.clone(),
                found: info.shape.clone(),
                expected: parameters.into_iter().map(|p| p.0).collect(),
            });
        }
    }
    Ok(())
}

/// The values of the tensor that comes next in the file.
fn read_values(
    input: &mut impl Read,
    info: &TensorInfo,
    name: &str,
    path: &Path,
) -> Result<Numbers, CheckpointError> {
    read_stored(input, info, path)?.ok_or_else(|| CheckpointError::TensorType {
        path: path.into(),
        tensor: name.into(),
        found: format!("{:?}", info.dtype),
    })
}

/// The numbers that come next in the file, those of 16 bits as they are; `None`, and nothing is read, for a type that weights don't
/// have.
pub(crate) fn read_stored(
    input: &mut impl Read,
    info: &TensorInfo,
    path: &Path,
) -> Result<Option<Numbers>, CheckpointError> {
    // The header's parser has compared the product with the offsets, and those with the length.
    let count = elements(&info.shape).expect("the header's parser refuses overflows");
    let singles = match info.dtype {
        Dtype::F16 => {
            let halves = read_numbers(input, count, f16::from_le_bytes, path)?;
            return Ok(Some(Numbers::from(halves)));
        }
        Dtype::BF16 => read_numbers(input, count, |b| bf16::from_le_bytes(b).to_f32(), path)?,
        Dtype::F32 => read_numbers(input, count, f32::from_le_bytes, path)?,
        Dtype::F64 => read_numbers(input, count, |b| f64::from_le_bytes(b) as f32, path)?,
        _ => return Ok(None),
    };
    Ok(Some(Numbers::from(singles)))
}

/// `count` numbers of `WIDTH` bytes each.
fn read_numbers<T, const WIDTH: usize>(
    input: &mut impl Read,
    count: usize,
    number: impl Fn([u8; WIDTH]) -> T,
    path: &Path,
) -> Result<Vec<T>, CheckpointError> {
    let mut values = Vec::with_capacity(count);
    let mut left = count * WIDTH;
    let mut chunk = vec![0; CHUNK_BYTES.min(left)];
    while left > 0 {
        let bytes = &mut chunk[..CHUNK_BYTES.min(left)];
        input
            .read_exact(bytes)
            .map_err(|source| read_error(path, source))?;
        values.extend(bytes.as_chunks().0.iter().map(|&bytes| number(bytes)));
        left -= bytes.len();
    }
    Ok(values)
}

/// `count` bytes; the file is known to be that long.
fn read_bytes(
    input: &mut impl Read,
    count: usize,
    path: &Path,
) -> Result<Vec<u8>, CheckpointError> {
    let mut bytes = vec![0; count];
    input
        .read_exact(&mut bytes)
        .map_err(|source| read_error(path, source))?;
    Ok(bytes)
}

fn truncated(path: &Path, expected: u64, found: u64) -> CheckpointError {
    CheckpointError::Truncated {
        path: path.into(),
        expected,
        found,
    }
}

fn inconsistent(path: &Path, problem: String) -> CheckpointError {
    CheckpointError::Inconsistent {
        path: path.into(),
        problem,
    }
}
