//! A picture in any of the forms in which programs have one, and from there to the numbers that encoders take.
//!
//! Not here: formats and resizing (`data::picture`).

use std::path::{Path, PathBuf};

use data::picture::{DecodeLimits, Picture, PictureError, Preprocessing, decode, open};

/// Where a picture comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Pixels that are decoded already.
    Picture(&'a Picture),
    /// The bytes of a file.
    Bytes(&'a [u8]),
    /// A file.
    File(&'a Path),
}

impl<'a> From<&'a Picture> for Source<'a> {
    fn from(picture: &'a Picture) -> Self {
        Self::Picture(picture)
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Source<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Path> for Source<'a> {
    fn from(path: &'a Path) -> Self {
        Self::File(path)
    }
}

impl<'a> From<&'a PathBuf> for Source<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::File(path)
    }
}

/// What the encoders want of one picture.
pub(super) struct Prepared {
    /// Planes (3, S, S) for each encoder.
    pub(super) planes: Vec<Vec<f32>>,
    /// A number that the pixels determine, so that a picture draws the same captions wherever it stands.
    pub(super) key: u64,
}

impl Source<'_> {
    /// Its pixels.
    ///
    /// # Errors
    /// What keeps it from being decoded.
    pub fn decode(&self, limits: &DecodeLimits) -> Result<Picture, PictureError> {
        match self {
            Self::Picture(picture) => Ok((*picture).clone()),
            Self::Bytes(bytes) => decode(bytes, limits),
            Self::File(path) => open(path, limits),
        }
    }

    /// Decodes and resizes for every encoder.
    pub(super) fn prepare(
        &self,
        limits: &DecodeLimits,
        wanted: &[&Preprocessing],
    ) -> Result<Prepared, PictureError> {
        let decoded;
        let picture = match self {
            Self::Picture(picture) => {
                check(picture)?;
                picture
            }
            _ => {
                decoded = self.decode(limits)?;
                &decoded
            }
        };
        let planes: Vec<Vec<f32>> = wanted.iter().map(|p| p.apply(picture)).collect();
        let numbers = planes.iter().flatten();
        let key = numbers.fold(FNV_OFFSET, |key, x| {
            (key ^ u64::from(x.to_bits())).wrapping_mul(FNV_PRIME)
        });
        Ok(Prepared { planes, key })
    }
}

/// FNV-1a (Fowler, Noll & Vo 1991), over whole numbers instead of bytes.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// Pixels from a caller may be of any size.
fn check(picture: &Picture) -> Result<(), PictureError> {
    let (width, height, found) = (picture.width, picture.height, picture.rgb.len());
    let pixels = width.checked_mul(height).filter(|&pixels| pixels > 0);
    match pixels.and_then(|pixels| pixels.checked_mul(3)) {
        Some(bytes) if bytes == found => Ok(()),
        _ => Err(PictureError::Malformed(format!(
            "{found} bytes for {width} x {height} pixels of 3 bytes"
        ))),
    }
}
