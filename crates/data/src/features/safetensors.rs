//! `.safetensors`: the tensor `feats`, or the only tensor, of shape (N, D), one row per picture, or (N, R, D), R regions.
//!
//! F32 is memory-mapped; F16, BF16 and F64 are converted. The header is read by the crate `safetensors`.
//!
//! Memory: twice the file's size (halves that become f32) and 16 times the header's length, which is a part of it.
//! Source: the format's page in the repository huggingface/safetensors.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::mapped::Mapped;
use super::number::Number;
use super::{Matrix, Storage};
use crate::error::{DataError, Position, Source};

/// True where the first bytes are a header's length (below 4 GiB) and its first brace.
pub(super) fn recognises(start: &[u8]) -> bool {
    start.len() > 8 && start[4..8] == [0; 4] && start[8] == b'{'
}

/// Reads the matrix of a file that is not empty.
pub(super) fn read(path: &Path) -> Result<Matrix, DataError> {
    let source = Source {
        path,
        format: "safetensors",
    };
    let file = Mapped::open(path)?;
    let bytes = file.bytes();
    let header = |e: safetensors::SafeTensorError| {
        let at = Position::Part("header".into());
        source.malformed(at, "a valid header", e.to_string())
    };
    let tensors = SafeTensors::deserialize(bytes).map_err(header)?;
    let mut names = tensors.names();
    names.sort_unstable();
    let name = match names[..] {
        [only] => only,
        _ if names.contains(&"feats") => "feats",
        _ => {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            return Err(super::no_feats(source, &names));
        }
    };
    let tensor = tensors.tensor(name).map_err(header)?;
    let at = || Position::Part(name.to_owned());
    let (regions, dimension) = match *tensor.shape() {
        [_, dimension] => (1, dimension),
        [_, regions, dimension] => (regions, dimension),
        _ => {
            let sizes: Vec<i64> = tensor.shape().iter().map(|&n| n as i64).collect();
            let expected = "a matrix (N, D) or regions (N, R, D)";
            return Err(source.unsupported(at(), expected, super::shape(&sizes)));
        }
    };
    let number = match tensor.dtype() {
        Dtype::F32 => Number::F32,
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F64 => Number::F64,
        other => {
            let expected = "numbers of type F32, F16, BF16 or F64";
            return Err(source.unsupported(at(), expected, format!("{other:?}")));
        }
    };
    let data = tensor.data();
    let offset = data.as_ptr().addr() - bytes.as_ptr().addr();
    let numbers = data.len() / number.size();
    let file = match number {
        Number::F32 => match file.rows(offset as u64, numbers) {
            Ok(rows) => {
                return Ok(Matrix {
                    dimension,
                    regions,
                    storage: Storage::Mapped(rows),
                });
            }
            Err(file) => file,
        },
        _ => file,
    };
    let data = &file.bytes()[offset..offset + numbers * number.size()];
    let mut rows = Vec::with_capacity(numbers);
    number.append(data, false, &mut rows);
    Ok(Matrix {
        dimension,
        regions,
        storage: Storage::Owned(rows),
    })
}
