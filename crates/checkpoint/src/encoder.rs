//! Encoders from other people's weight files: `.safetensors`, PyTorch's `.pth` and Caffe's `.caffemodel`.
//!
//! Here: which format a file has and which encoder its tensors are. Not here: PyTorch's format (`legacy`), Caffe's
//! (`legacy`), the layers (`models::encoder`).

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use models::encoder::{Encoder, EncoderConfig, StateDict};
use safetensors::tensor::{Dtype, TensorView};
use tensor::Device;

use crate::error::read_error;
use crate::legacy::{is_torch, read_torch};
use crate::load::{read_header, read_stored};
use crate::{CheckpointError, EncoderPart, FileKind, LocalDisk, replace};

/// Loads an encoder of a known family; which one, its tensors' names and shapes tell.
///
/// # Errors
/// The file can't be read or is of another format; the tensor that is missing, of another shape or no part of the
/// encoder.
pub fn load_encoder(
    path: &Path,
    device: &Device,
) -> Result<(EncoderConfig, Encoder), CheckpointError> {
    let part = EncoderPart::load(path)?;
    let wrong = |source| CheckpointError::Encoder {
        path: path.into(),
        source,
    };
    let encoder = part.build(device).map_err(wrong)?;
    Ok((part.about.config, encoder))
}

/// Whether a file is one of Caffe's, by its ending: its first bytes say nothing.
pub(crate) fn is_caffe(path: &Path) -> bool {
    let ending = path.extension();
    ending.is_some_and(|e| e.eq_ignore_ascii_case("caffemodel"))
}

/// Writes an encoder as a weight file of its family: what [`load_encoder`] reads, and PyTorch through `safetensors`.
///
/// # Errors
/// The disk refuses.
pub fn save_encoder(encoder: &Encoder, path: &Path) -> Result<(), CheckpointError> {
    let state = encoder.state();
    let arrays: Vec<(&str, &[usize], Vec<u8>)> = state
        .iter()
        .map(|(name, shape, values)| {
            let bytes = values
                .singles()
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect();
            (name, shape, bytes)
        })
        .collect();
    let views = arrays.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
        (*name, view.expect("four bytes a number"))
    });
    let bytes = safetensors::serialize(views, None).map_err(std::io::Error::other);
    bytes
        .and_then(|bytes| replace(&mut LocalDisk, path, |out| out.write_all(&bytes)))
        .map_err(|source| CheckpointError::Write {
            path: path.into(),
            source,
        })
}

/// Reads all tensors of floating-point numbers of a `.safetensors` or PyTorch file.
///
/// # Errors
/// The file can't be read, is cut off or malformed, or is of another format.
pub fn load_state(path: &Path) -> Result<StateDict, CheckpointError> {
    let fail = |source| read_error(path, source);
    let mut file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    let mut start = Vec::new();
    (&mut file).take(16).read_to_end(&mut start).map_err(fail)?;
    file.rewind().map_err(fail)?;
    if is_torch(&start) {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fail)?;
        return read_torch(&bytes, path);
    }
    let found = FileKind::sniff(&start);
    // What is shorter is cut off, whatever it was.
    if 9 <= start.len() && found != FileKind::Safetensors {
        return Err(CheckpointError::UnknownFormat {
            path: path.into(),
            found,
            start,
        });
    }
    state_from(BufReader::new(file), length, path)
}

/// The tensors of a `.safetensors` file of `length` bytes.
fn state_from(
    mut input: impl Read,
    length: u64,
    path: &Path,
) -> Result<StateDict, CheckpointError> {
    let (header, header_bytes) = read_header(&mut input, length, path)?;
    let expected = header_bytes + header.data_len() as u64;
    if length != expected {
        let (path, found) = (path.into(), length);
        return Err(match length < expected {
            true => CheckpointError::Truncated {
                path,
                expected,
                found,
            },
            false => CheckpointError::TrailingBytes {
                path,
                expected,
                found,
            },
        });
    }
    let mut state = StateDict::default();
    for name in header.offset_keys() {
        let info = header.info(&name).expect("offset_keys gives its own names");
        let Some(values) = read_stored(&mut input, info, path)? else {
            // Counters, which no encoder needs.
            let (from, to) = info.data_offsets;
            let mut counters = (&mut input).take((to - from) as u64);
            let skipped = std::io::copy(&mut counters, &mut std::io::sink());
            skipped.map_err(|source| read_error(path, source))?;
            continue;
        };
        state.insert(name, info.shape.clone(), values);
    }
    Ok(state)
}
