//! A file in memory without reading it: the operating system brings in the pages that are touched.
//!
//! Here: f32 rows inside a mapped file. Not here: which file has such rows (`npy.rs`, `safetensors.rs`).
//!
//! The mapping itself is `mmap-io`'s, whose interface is safe. What no interface can prevent: a process that
//! cuts the file short while it is mapped kills this one. Replace feature files by renaming, not by overwriting.

use std::path::Path;

use mmap_io::{MemoryMappedFile, MmapIoError};

use crate::error::DataError;

/// A read-only mapped file.
#[derive(Debug)]
pub(super) struct Mapped {
    file: MemoryMappedFile,
    length: u64,
}

/// f32 numbers of a mapped file, checked once to lie within it and on 4-byte borders.
#[derive(Debug)]
pub(super) struct MappedRows {
    file: Mapped,
    offset: u64,
    numbers: usize,
}

impl Mapped {
    /// Maps a file that is not empty.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = MemoryMappedFile::open_ro(path).map_err(|e| {
            let source = match e {
                MmapIoError::Io(source) => source,
                other => std::io::Error::other(other.to_string()),
            };
            DataError::io(path)(source)
        })?;
        let length = file.len();
        Ok(Self { file, length })
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        self.slice(0, self.length)
    }

    fn slice(&self, offset: u64, length: u64) -> &[u8] {
        self.file
            .as_slice_bytes(offset, length)
            .expect("ranges are checked when the file is opened")
    }

    /// The file as rows of f32, if its bytes can be used as they are; else the file again.
    pub fn rows(self, offset: u64, numbers: usize) -> Result<MappedRows, Self> {
        let end = (numbers as u64)
            .checked_mul(4)
            .and_then(|bytes| bytes.checked_add(offset));
        let inside = end.is_some_and(|end| end <= self.length);
        let usable = cfg!(target_endian = "little")
            && inside
            && bytemuck::try_cast_slice::<u8, f32>(self.slice(offset, numbers as u64 * 4)).is_ok();
        if !usable {
            return Err(self);
        }
        Ok(MappedRows {
            file: self,
            offset,
            numbers,
        })
    }
}

impl MappedRows {
    /// Number of f32.
    pub fn len(&self) -> usize {
        self.numbers
    }

    /// Numbers start..start + count, which must be there.
    pub fn get(&self, start: usize, count: usize) -> &[f32] {
        assert!(
            start + count <= self.numbers,
            "row beyond the mapped matrix"
        );
        let bytes = self
            .file
            .slice(self.offset + start as u64 * 4, count as u64 * 4);
        bytemuck::cast_slice(bytes)
    }
}
