//! A dataset: pictures, their sentences and their splits, whatever form they are stored in.
//!
//! Here: the types every reader fills, and [`Dataset::open`], which recognises the form.
//! Not here: the forms themselves (one file each below), features (`features.rs`), problems in the data (`check.rs`).

mod neuraltalk;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::DataError;

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

/// Pictures and sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// The folder's name, or the file's without its ending.
    pub name: String,
    /// All pictures, in the order of the file.
    pub images: Vec<ImageRecord>,
}

impl Dataset {
    /// Reads a dataset from a folder or a file, recognising its form.
    ///
    /// # Errors
    /// Nothing recognisable there, or the file is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let file = if path.is_dir() {
            path.join("dataset.json")
        } else {
            path.to_owned()
        };
        let bytes = std::fs::read(&file).map_err(DataError::io(&file))?;
        let images = neuraltalk::parse(&bytes, &file)?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self { name, images })
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
