//! NeuralTalk2's list: `[{"file_path": "a.jpg", "captions": ["...", ...], "split"?: "val", "id"?: 17}]`.
//!
//! Pictures are numbered in the order of the list, as `prepro.py` writes them to its HDF5 file; `id` is skipped.
//! Memory: at most 128 times the file's size. Source: `prepro.py` of neuraltalk2.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;

use super::builder::Builder;
use super::{ImageRecord, SplitRule, split_option};
use crate::Split;
use crate::error::{DataError, Source};

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(borrow)]
    file_path: Cow<'a, str>,
    #[serde(borrow)]
    captions: Vec<Text<'a>>,
    #[serde(default, deserialize_with = "split_option")]
    split: Option<Split>,
}

/// Borrowed from the file where it has no escapes; a `Vec<Cow<str>>` would always copy.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Parses the bytes of the list.
pub(super) fn parse(
    bytes: &[u8],
    path: &Path,
    rule: SplitRule,
) -> Result<Vec<ImageRecord>, DataError> {
    let source = Source {
        path,
        format: "NeuralTalk2 dataset",
    };
    let list: Vec<Image> = serde_json::from_slice(bytes).map_err(|e| source.json(&e))?;
    let mut builder = Builder::default();
    for image in list {
        let index = builder.new_image(&image.file_path);
        if let Some(split) = image.split {
            builder.split(index, split);
        }
        for Text(caption) in image.captions {
            builder.caption(index, &caption);
        }
    }
    Ok(builder.finish(rule))
}
