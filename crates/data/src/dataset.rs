//! A dataset: pictures, their sentences and their splits, whatever form they are stored in.
//!
//! Here: the types every reader fills, and [`Dataset::open`], which recognises the form.
//! Not here: the forms themselves (one file each below), features (`features.rs`), problems in the data (`check.rs`).

mod builder;
mod coco;
mod flickr;
mod form;
mod neuraltalk;
mod neuraltalk2;
mod split_rule;
mod table;
mod tokens;

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::split_rule::SplitRule;
pub use self::tokens::tokenize;
use crate::error::{DataError, Position, Source};

/// Which part of a dataset a picture belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Weights are learnt from these.
    Train,
    /// Checkpoints are chosen by these.
    Val,
    /// Figures are reported on these.
    Test,
    /// MSCOCO's rest of the validation pictures; counted as training pictures on request.
    Restval,
}

impl Split {
    /// All splits, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Train, Self::Val, Self::Test, Self::Restval];

    /// The name in `dataset.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
            Self::Restval => "restval",
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Split {
    type Err = String;

    /// Accepts the names in use: `train`, `val` (also `valid`, `validation`, `dev`), `test`, `restval`.
    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Ok(Self::Train),
            "val" | "valid" | "validation" | "dev" => Ok(Self::Val),
            "test" | "testing" => Ok(Self::Test),
            "restval" => Ok(Self::Restval),
            _ => Err(format!(
                "`{name}` is no split: expected train, val, test or restval"
            )),
        }
    }
}

/// One sentence about a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caption {
    /// Number of the sentence, distinct within the dataset.
    pub sentid: u32,
    /// The sentence as it was written; empty where only tokens are stored.
    pub raw: String,
    /// Its words in lower case, without START and END.
    pub tokens: Vec<String>,
}

/// One picture with its sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Column (row) of the picture in the feature file.
    pub imgid: u32,
    /// File name relative to the picture folder.
    pub path: String,
    /// Which part of the dataset it belongs to.
    pub split: Split,
    /// Any number of sentences, also none.
    pub captions: Vec<Caption>,
}

/// A record that could not be read; the others could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its place in the file, from 0.
    pub record: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Pictures and sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// The folder's name, or the file's without its ending.
    pub name: String,
    /// All pictures, in the order of the file.
    pub images: Vec<ImageRecord>,
}

impl Dataset {
    /// Reads a dataset from a folder or a file, recognising its form; [`SplitRule::default`] where it has no splits.
    ///
    /// # Errors
    /// Nothing recognisable there, or the file is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::open_with(path, SplitRule::default())
    }

    /// As [`open`](Self::open), but of NeuralTalk's `dataset.json` the records that hold what they mustn't are left out and listed.
    ///
    /// # Errors
    /// As [`open`](Self::open), where it isn't single records that are wrong.
    pub fn open_each(path: impl AsRef<Path>) -> Result<(Self, Vec<RefusedRecord>), DataError> {
        let path = path.as_ref();
        let error = match Self::open(path) {
            Ok(dataset) => return Ok((dataset, Vec::new())),
            Err(error) => error,
        };
        let file = match &error {
            DataError::Malformed { path, format, .. } if *format == neuraltalk::FORMAT => path,
            _ => return Err(error),
        };
        let bytes = std::fs::read(file).map_err(DataError::io(file))?;
        match neuraltalk::parse_each(&bytes, file) {
            Ok((images, refused)) if !refused.is_empty() => {
                let name = name(path);
                Ok((Self { name, images }, refused))
            }
            _ => Err(error),
        }
    }

    /// Reads a dataset; `rule` gives splits to pictures of a form that has none.
    ///
    /// # Errors
    /// Nothing recognisable there, or the file is malformed.
    pub fn open_with(path: impl AsRef<Path>, rule: SplitRule) -> Result<Self, DataError> {
        let path = path.as_ref();
        Ok(Self {
            name: name(path),
            images: form::read(path, rule)?,
        })
    }

    /// Parses the bytes of one file; the ending of `path` tells the form, and `path` stands in messages.
    /// A Flickr token file is parsed without lists of splits.
    ///
    /// # Errors
    /// The bytes have none of the known forms.
    pub fn parse(bytes: Vec<u8>, path: &Path, rule: SplitRule) -> Result<Self, DataError> {
        Ok(Self {
            name: name(path),
            images: form::parse(bytes, path, &[], rule)?,
        })
    }

    /// True where a file's name alone says that it holds a dataset; other forms are told by what is in them.
    pub fn is_told_by_name(path: &Path) -> bool {
        form::is_told_by_name(path)
    }

    /// Sentences of one split, with the picture each belongs to.
    pub fn captions(&self, split: Split) -> impl Iterator<Item = (&ImageRecord, &Caption)> {
        self.of_split(split)
            .flat_map(|image| image.captions.iter().map(move |caption| (image, caption)))
    }

    /// Columns that a feature file needs: the largest imgid and 1.
    pub fn columns(&self) -> usize {
        let last = self.images.iter().map(|image| image.imgid).max();
        last.map_or(0, |last| last as usize + 1)
    }

    /// Pictures of one split.
    pub fn of_split(&self, split: Split) -> impl Iterator<Item = &ImageRecord> {
        self.images.iter().filter(move |image| image.split == split)
    }

    /// Counts `restval` as `train`, as training on MSCOCO does on request.
    pub fn restval_as_train(&mut self) {
        for image in &mut self.images {
            if image.split == Split::Restval {
                image.split = Split::Train;
            }
        }
    }
}

/// The folder's name: of the folder itself, or of the one that a `dataset.json` lies in; else the file's without ending.
fn name(path: &Path) -> String {
    let is_dataset_json = path.file_name().is_some_and(|name| name == "dataset.json");
    let named = match path.parent() {
        Some(folder) if is_dataset_json && folder.file_name().is_some() => folder.file_name(),
        _ if path.is_dir() => path.file_name(),
        _ => path.file_stem(),
    };
    match named {
        Some(name) => name.to_string_lossy().into_owned(),
        // `.` and `..` have no name of their own.
        None => match std::fs::canonicalize(path) {
            Ok(full) => full
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            Err(_) => "dataset".into(), // reading it will say why
        },
    }
}

/// The split that a file's name speaks of: `captions_val2017.json`, `Flickr_8k.devImages.txt`.
fn split_in_name(path: &Path) -> Option<Split> {
    let name = path.file_stem()?.to_string_lossy().to_ascii_lowercase();
    let words = [
        ("train", Split::Train),
        ("val", Split::Val),
        ("dev", Split::Val),
        ("test", Split::Test),
    ];
    // Not within another word: `latest.txt` is no list of test pictures.
    let starts = |word: &str| {
        let mut places = name.match_indices(word);
        places.any(|(at, _)| !name[..at].ends_with(char::is_alphabetic))
    };
    let found = words.iter().find(|(word, _)| starts(word));
    found.map(|&(_, split)| split)
}

/// A split that may be missing or null.
fn split_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Split>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    name.map(|name| name.parse().map_err(serde::de::Error::custom))
        .transpose()
}

/// Text of a file that must be UTF-8.
fn text<'a>(bytes: &'a [u8], path: &Path, format: &'static str) -> Result<&'a str, DataError> {
    std::str::from_utf8(bytes).map_err(|e| {
        let source = Source { path, format };
        let at = Position::Byte(e.valid_up_to() as u64);
        let found = format!("byte {:#04x}", bytes[e.valid_up_to()]);
        source.malformed(at, "UTF-8 text", found)
    })
}
