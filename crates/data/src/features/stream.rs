//! Bytes that arrive one after the other, with their offset for messages.
//!
//! Here: exact reads that name the place where a file is cut short or its compression is broken, and the reading of
//! many numbers with memory that grows only with what really arrived.
//! Not here: what the bytes mean.

use std::io::{ErrorKind, Read};

use super::number::Number;
use crate::error::{DataError, Position, Source};

/// Bytes converted at a time: small enough for the cache, large enough for few calls.
const BLOCK: usize = 64 * 1024;

/// A reader that knows where it is.
pub(super) struct Stream<'a> {
    inner: &'a mut dyn Read,
    source: Source<'a>,
    offset: u64,
    /// File offset of the compressed part, where the bytes come out of one.
    part: Option<u64>,
}

impl<'a> Stream<'a> {
    /// Bytes of the file itself; `offset` is where `inner` stands.
    pub fn plain(inner: &'a mut dyn Read, source: Source<'a>, offset: u64) -> Self {
        Self {
            inner,
            source,
            offset,
            part: None,
        }
    }

    /// Bytes inflated from the part of the file at `part`.
    pub fn inflated(inner: &'a mut dyn Read, source: Source<'a>, part: u64) -> Self {
        Self {
            inner,
            source,
            offset: 0,
            part: Some(part),
        }
    }

    /// Where the next byte comes from.
    pub fn position(&self) -> Position {
        let offset = self.offset;
        match self.part {
            Some(part) => Position::Inflated { part, offset },
            None => Position::Byte(offset),
        }
    }

    /// A malformed-file error at the next byte.
    pub fn malformed(&self, expected: impl Into<String>, found: impl Into<String>) -> DataError {
        self.source.malformed(self.position(), expected, found)
    }

    /// A file-cannot-be-used error at the next byte.
    pub fn unsupported(&self, expected: impl Into<String>, found: impl Into<String>) -> DataError {
        self.source.unsupported(self.position(), expected, found)
    }

    /// Fills `bytes` or says how many are missing of what.
    pub fn read(&mut self, bytes: &mut [u8], what: &str) -> Result<(), DataError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.inner.read(&mut bytes[filled..]) {
                Ok(0) => {
                    let expected = format!("{} bytes of {what}", bytes.len());
                    return Err(self.malformed(expected, format!("the end after {filled}")));
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // The decompressor's way to say that its input is broken or cut short.
                Err(e) if broken(e.kind()) => {
                    return Err(self.malformed(what, format!("broken data ({e})")));
                }
                Err(e) => return Err(DataError::io(self.source.path)(e)),
            }
        }
        self.offset += filled as u64;
        Ok(())
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], DataError> {
        let mut bytes = [0; N];
        self.read(&mut bytes, what)?;
        Ok(bytes)
    }

    /// Passes over `count` bytes.
    pub fn skip(&mut self, count: usize, what: &str) -> Result<(), DataError> {
        let mut block = [0; 64];
        let mut left = count;
        while left > 0 {
            let n = left.min(block.len());
            self.read(&mut block[..n], what)?;
            left -= n;
        }
        Ok(())
    }

    /// Reads `count` numbers.
    ///
    /// Memory: room for `trusted` numbers is made at once; beyond that it at most doubles what has arrived, so a
    /// header that promises too much costs nothing.
    pub fn numbers(
        &mut self,
        number: Number,
        big_endian: bool,
        count: usize,
        trusted: usize,
    ) -> Result<Vec<f32>, DataError> {
        let mut out: Vec<f32> = Vec::new();
        out.reserve_exact(count.min(trusted));
        let mut block = vec![0; BLOCK.min(count.saturating_mul(number.size()))];
        while out.len() < count {
            let n = (count - out.len()).min(BLOCK / number.size());
            let bytes = &mut block[..n * number.size()];
            self.read(bytes, "numbers")?;
            if out.capacity() - out.len() < n {
                // Exactly: a last doubling beyond `count` would be wasted.
                out.reserve_exact((count - out.len()).min(out.len().max(n)));
            }
            number.append(bytes, big_endian, &mut out);
        }
        Ok(out)
    }
}

fn broken(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData
    )
}
