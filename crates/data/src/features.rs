//! Stored picture features: one vector of D numbers per picture, or R of them (its regions), held in f32.
//!
//! Here: [`Features`] and the recognition of the file's form. Not here: the forms (one file each below).
//!
//! MATLAB files hold `feats` (D, N), one column per picture; `.npy` and `.safetensors` hold (N, D), one row per
//! picture, or (N, R, D). All give contiguous vectors without a transposition, because MATLAB stores column after column.
//! The picture's `imgid` is the column or row.

mod mapped;
mod mat4;
mod mat5;
mod mat73;
mod npy;
mod number;
mod safetensors;
mod stream;
mod write;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
pub use write::WrittenForm;

use std::path::Path;

use crate::error::{DataError, Position, Source};

/// Feature vectors of N pictures: R of width D each.
#[derive(Debug)]
pub struct Features {
    name: String,
    dimension: usize,
    regions: usize,
    count: usize,
    storage: Storage,
    /// Row of each picture, where rows aren't numbered by `imgid`.
    rows: Option<HashMap<u32, usize>>,
}

/// Where the numbers lie.
#[derive(Debug)]
enum Storage {
    /// In memory, N rows of D.
    Owned(Vec<f32>),
    /// In the file.
    Mapped(mapped::MappedRows),
}

/// Bytes that are needed to recognise every form: MATLAB 7.3 has its signature behind 512.
const START: usize = 520;

/// Forms of feature files.
enum Form {
    Npy,
    Hdf5,
    Mat5,
    Safetensors,
    Mat4,
}

/// The form of a file, by its first bytes; its name does not matter.
fn form(start: &[u8]) -> Option<Form> {
    let version = start.get(124..128);
    if start.starts_with(npy::MAGIC) {
        Some(Form::Npy)
    } else if start.starts_with(mat73::SIGNATURE)
        || start.get(512..520) == Some(mat73::SIGNATURE)
        || version == Some(&[0, 2, b'I', b'M'])
    {
        Some(Form::Hdf5)
    } else if safetensors::recognises(start) {
        Some(Form::Safetensors)
    } else if mat4::recognises(start) {
        Some(Form::Mat4)
    } else if start.starts_with(b"MATLAB 5")
        || matches!(version, Some([0, 1, b'I', b'M'] | [1, 0, b'M', b'I']))
    {
        Some(Form::Mat5)
    } else {
        None
    }
}

fn unknown(path: &Path, start: &[u8]) -> DataError {
    let source = Source {
        path,
        format: "features",
    };
    let found = match start {
        [] => "an empty file".to_owned(),
        _ => format!("{:02x?}", &start[..start.len().min(8)]),
    };
    source.unsupported(
        Position::Byte(0),
        "the first bytes of a MAT, npy or safetensors file",
        found,
    )
}

/// What a reader of a form hands back.
struct Matrix {
    /// D.
    dimension: usize,
    /// R.
    regions: usize,
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
        let mut start = Vec::with_capacity(START);
        Read::by_ref(&mut file)
            .take(START as u64)
            .read_to_end(&mut start)
            .map_err(DataError::io(path))?;
        let matrix = match form(&start) {
            Some(Form::Npy) => npy::read(file, path)?,
            Some(Form::Hdf5) => mat73::read(file, path)?,
            Some(Form::Mat5) => mat5::read(file, path, &start)?,
            Some(Form::Safetensors) => safetensors::read(path)?,
            Some(Form::Mat4) => mat4::read(file, path)?,
            None => return Err(unknown(path, &start)),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::new(name.into_owned(), path, matrix)
    }

    fn new(name: String, path: &Path, matrix: Matrix) -> Result<Self, DataError> {
        let Matrix {
            dimension,
            regions,
            storage,
        } = matrix;
        let numbers = match &storage {
            Storage::Owned(rows) => rows.len(),
            Storage::Mapped(rows) => rows.len(),
        };
        if dimension == 0 || regions == 0 || numbers == 0 {
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
            regions,
            count: numbers / (regions * dimension),
            storage,
            rows: None,
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
            regions: 1,
            count: rows.len() / dimension,
            storage: Storage::Owned(rows),
            rows: None,
        }
    }

    /// Features from memory of some pictures only: `rows` is (N, R, D) for the N pictures `imgids`.
    ///
    /// # Panics
    /// Where the numbers aren't as many.
    pub fn of_pictures(
        name: impl Into<String>,
        [regions, dimension]: [usize; 2],
        imgids: &[u32],
        rows: Vec<f32>,
    ) -> Self {
        let expected = imgids.len() * regions * dimension;
        assert_eq!(rows.len(), expected, "numbers of {} pictures", imgids.len());
        let row = |(row, &imgid): (usize, &u32)| (imgid, row);
        Self {
            name: name.into(),
            dimension,
            regions,
            count: imgids.len(),
            storage: Storage::Owned(rows),
            rows: Some(imgids.iter().enumerate().map(row).collect()),
        }
    }

    /// D, numbers per region, or per picture where there are none.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// R, regions of a picture; 1 for one vector a picture.
    pub fn regions(&self) -> usize {
        self.regions
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

    /// (R, D) the vectors of one picture, or `None` where the file has no column for it.
    pub fn row(&self, imgid: u32) -> Option<&[f32]> {
        let row = match &self.rows {
            Some(rows) => *rows.get(&imgid)?,
            None => imgid as usize,
        };
        if self.count <= row {
            return None;
        }
        let width = self.regions * self.dimension;
        let range = row * width..(row + 1) * width;
        match &self.storage {
            Storage::Owned(rows) => rows.get(range),
            Storage::Mapped(rows) => Some(rows.get(range.start, width)),
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
        _ => {
            let name = |name: &String| match name.as_str() {
                "" => "(unnamed)".to_owned(),
                name => name.to_owned(),
            };
            let shown: Vec<String> = others.iter().take(SHOWN).map(name).collect();
            shown.join(", ")
        }
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
