//! MATLAB files of version 7.3, which are HDF5 files behind a block of 512 bytes, and plain HDF5 files: `feats`.
//!
//! MATLAB's (D, N), column after column, is (N, D), row after row, in HDF5's terms: one row a picture.
//! HDF5 itself is read by the crate `hdf5-reader` (no C library; bounds on what a file may make it allocate).
//!
//! Memory: the f32 matrix and one block of rows. A file whose matrix is more than 1,100 times its own size is refused:
//! deflate shrinks at most 1,032 times, so more can only be a lie or an empty (unwritten) matrix.
//! Source: MathWorks, "MAT-File Versions"; The HDF Group, "HDF5 File Format Specification 3.0".

use std::error::Error as _;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use hdf5_reader::error::Error;
use hdf5_reader::{
    Dataset, Datatype, FileStorage, H5Type, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem,
};

use super::{Matrix, Storage};
use crate::error::{DataError, Position, Source};

/// The first bytes of the HDF5 part.
pub(super) const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Largest ratio of a matrix to its file.
const MAX_RATIO: u64 = 1100;
/// Rows are read in blocks of about this many bytes.
const BLOCK: u64 = 4 << 20;
/// Largest chunk that is inflated at a time; HDF5 writers make chunks of about a megabyte.
const MAX_CHUNK: u64 = 256 << 20;

/// Reads `feats` of an open file.
pub(super) fn read(file: File, path: &Path) -> Result<Matrix, DataError> {
    let source = Source {
        path,
        format: "MAT v7.3 (HDF5)",
    };
    let length = file.metadata().map_err(DataError::io(path))?.len();
    let limit = length.saturating_mul(MAX_RATIO);
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let options = OpenOptions {
        max_chunk_bytes: bytes(limit.min(MAX_CHUNK)),
        max_read_bytes: bytes(limit),
        max_object_header_bytes: bytes(length),
        // One chunk is all that neighbouring blocks of rows can share.
        chunk_cache_slots: 4,
        ..OpenOptions::default()
    };
    let storage = FileStorage::from_file(file).map_err(|e| error(source, e))?;
    let file = Hdf5File::from_storage_with_options(Arc::new(storage), options)
        .map_err(|e| error(source, e))?;
    let root = file.root_group().map_err(|e| error(source, e))?;
    let (_, names) = root.member_names().map_err(|e| error(source, e))?;
    if !names.iter().any(|name| name == "feats") {
        return Err(super::no_feats(source, &names));
    }
    let feats = root.dataset("feats").map_err(|e| error(source, e))?;
    matrix(&feats, limit, source)
}

fn matrix(feats: &Dataset, limit: u64, source: Source) -> Result<Matrix, DataError> {
    let at = || Position::Part("feats".into());
    let wanted = "a real matrix of f32 or f64, (N, D) in HDF5's order";
    let &[count, dimension] = feats.shape() else {
        let sizes: Vec<i64> = feats.shape().iter().map(|&n| n as i64).collect();
        return Err(source.unsupported(at(), wanted, super::shape(&sizes)));
    };
    let size: u64 = match feats.dtype() {
        Datatype::FloatingPoint { size: 4, .. } => 4,
        Datatype::FloatingPoint { size: 8, .. } => 8,
        other => return Err(source.unsupported(at(), wanted, kind(other))),
    };
    let row_bytes = dimension.checked_mul(size);
    let total = row_bytes.and_then(|row| row.checked_mul(count));
    let (Some(row_bytes), Some(_)) = (row_bytes, total.filter(|&total| total <= limit)) else {
        let expected = format!("at most {MAX_RATIO} times the file's size");
        let found = format!("{count} x {dimension} numbers of {size} bytes");
        return Err(source.malformed(at(), expected, found));
    };
    let chunk_rows = match feats.chunks() {
        Some(chunks) => chunks.first().copied().unwrap_or(1).max(1),
        None => 1,
    };
    // Whole chunks, so that none is inflated twice.
    let rows_per_block = (BLOCK / row_bytes.max(1))
        .max(1)
        .next_multiple_of(u64::from(chunk_rows));
    let mut rows: Vec<f32> = Vec::new();
    let mut start = 0;
    while start < count {
        let end = start.saturating_add(rows_per_block).min(count);
        if size == 4 {
            rows.extend(block::<f32>(feats, start, end, source)?);
        } else {
            rows.extend(block::<f64>(feats, start, end, source)?.map(|x| x as f32));
        }
        if start == 0 {
            // The first block was real, so the rest is believed, up to a bound.
            let left = (count - end).saturating_mul(dimension) as usize;
            rows.reserve_exact(left.min(rows.len().saturating_mul(64)));
        }
        start = end;
    }
    Ok(Matrix {
        dimension: dimension as usize,
        regions: 1,
        storage: Storage::Owned(rows),
    })
}

/// Rows start..end of the dataset.
fn block<T: H5Type>(
    feats: &Dataset,
    start: u64,
    end: u64,
    source: Source,
) -> Result<impl Iterator<Item = T>, DataError> {
    let mut slice = SliceInfo::all(2);
    slice.selections[0] = SliceInfoElem::Slice {
        start,
        end,
        step: 1,
    };
    let block = feats
        .read_slice::<T>(&slice)
        .map_err(|e| error(source, e))?;
    Ok(block.into_iter())
}

/// What else a dataset may hold, in words.
fn kind(datatype: &Datatype) -> String {
    match datatype {
        Datatype::FixedPoint { size, .. } => format!("integers of {size} bytes"),
        Datatype::FloatingPoint { size, .. } => format!("floats of {size} bytes"),
        Datatype::Compound { .. } => "a compound (complex numbers?)".into(),
        Datatype::String { .. } => "text".into(),
        _ => "another type".into(),
    }
}

/// The library's error as one of ours: a failing disk stays an I/O error, everything else is the file's fault.
fn error(source: Source, error: Error) -> DataError {
    if let Some(io) = io_error(&error) {
        return DataError::io(source.path)(std::io::Error::new(io.kind(), io.to_string()));
    }
    let mut found = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !found.contains(&text) {
            found += &format!(": {text}");
        }
        cause = inner.source();
    }
    let at = Position::Part("feats or its index".into());
    source.malformed(at, "a readable HDF5 structure", found)
}

fn io_error(error: &Error) -> Option<&std::io::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            let broken = matches!(
                io.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
            );
            // A broken deflate stream comes as an I/O error of kind `Other` or so, without a code of the system.
            return (!broken && io.raw_os_error().is_some()).then_some(io);
        }
        cause = inner.source();
    }
    None
}
