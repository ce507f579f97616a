//! Stored picture features: one vector of D numbers per picture, held in f32.
//!
//! Here: [`Features`] and the recognition of the file's form. Not here: the forms (one file each below).
//!
//! MATLAB files hold `feats` (D, N), one column per picture; `.npy` and `.safetensors` hold (N, D), one row per
//! picture. Both give contiguous vectors without a transposition, because MATLAB stores column after column.
//! The picture's `imgid` is the column or row.

mod mat5;
mod number;
mod stream;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{DataError, Position, Source};

/// Feature vectors of N pictures, each of width D.
#[derive(Debug)]
pub struct Features {
    name: String,
    dimension: usize,
    count: usize,
    storage: Storage,
}

/// Where the numbers lie.
#[derive(Debug)]
enum Storage {
    /// In memory, N rows of D.
    Owned(Vec<f32>),
}

/// What a reader of a form hands back.
struct Matrix {
    dimension: usize,
    storage: Storage,
}

impl Features {
    /// Reads a feature file; its first bytes tell which form it has.
    ///
    /// # Errors
    /// The file cannot be read, has none of the known forms, is malformed, or holds no such matrix.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(DataError::io(path))?;
        let mut start = Vec::with_capacity(128);
        Read::by_ref(&mut file)
            .take(128)
            .read_to_end(&mut start)
            .map_err(DataError::io(path))?;
        let matrix = mat5::read(file, path, &start)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::new(name.into_owned(), path, matrix)
    }

    fn new(name: String, path: &Path, matrix: Matrix) -> Result<Self, DataError> {
        let Matrix { dimension, storage } = matrix;
        let numbers = match &storage {
            Storage::Owned(rows) => rows.len(),
        };
        if dimension == 0 || numbers == 0 {
            let source = Source {
                path,
                format: "features",
            };
            let found = format!("{numbers} numbers in vectors of width {dimension}");
            return Err(source.unsupported(
                Position::Part("feats".into()),
                "at least one picture and one number for each",
                found,
            ));
        }
        Ok(Self {
            name,
            dimension,
            count: numbers / dimension,
            storage,
        })
    }

    /// Features from memory: `rows` is (N, D), row after row.
    ///
    /// # Panics
    /// Where `rows` is no whole number of rows, or `dimension` is 0.
    pub fn from_rows(name: impl Into<String>, dimension: usize, rows: Vec<f32>) -> Self {
        assert!(
            rows.len().is_multiple_of(dimension),
            "{} numbers are no rows of {dimension}",
            rows.len()
        );
        Self {
            name: name.into(),
            dimension,
            count: rows.len() / dimension,
            storage: Storage::Owned(rows),
        }
    }

    /// D, numbers per picture.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// N, pictures.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True without a picture.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The file's name, which checkpoints keep.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// (D) the vector of one picture, or `None` where the file has no column for it.
    pub fn row(&self, imgid: u32) -> Option<&[f32]> {
        let row = imgid as usize;
        if self.count <= row {
            return None;
        }
        let range = row * self.dimension..(row + 1) * self.dimension;
        match &self.storage {
            Storage::Owned(rows) => rows.get(range),
        }
    }
}

/// D and N of a matrix; more dimensions are accepted as long as they are 1.
fn two_dimensions(dimensions: &[i64]) -> Option<(usize, usize)> {
    match dimensions {
        [d, n, rest @ ..] if rest.iter().all(|&size| size == 1) => {
            Some((usize::try_from(*d).ok()?, usize::try_from(*n).ok()?))
        }
        _ => None,
    }
}

/// `4096 x 8000`, for messages.
fn shape(dimensions: &[i64]) -> String {
    let sizes: Vec<String> = dimensions.iter().map(i64::to_string).collect();
    format!("one of shape {}", sizes.join(" x "))
}

/// The file was read to its end without meeting `feats`.
fn no_feats(source: Source, others: &[String]) -> DataError {
    /// More names than this help nobody.
    const SHOWN: usize = 20;
    let mut found = match others {
        [] => "no variables".to_owned(),
        _ => others[..others.len().min(SHOWN)].join(", "),
    };
    if SHOWN < others.len() {
        found += &format!(" and {} more", others.len() - SHOWN);
    }
    source.unsupported(
        Position::Part("feats".into()),
        "a variable of this name",
        found,
    )
}
