//! COCO's caption annotations: `{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}`.
//!
//! One or several files (`captions_train2017.json`, `captions_val2017.json`) make a dataset. A file whose name says
//! train, val or test gives its pictures that split; else the rule for pictures without a split decides.
//! Pictures are numbered in the order of the files.
//!
//! Memory: at most 128 times the file's size. Source: the page "Data format" of cocodataset.org.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::builder::Builder;
use super::{ImageRecord, SplitRule, split_in_name};
use crate::error::{DataError, Position, Source};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    images: Vec<Image<'a>>,
    #[serde(borrow)]
    annotations: Vec<Annotation<'a>>,
}

#[derive(Deserialize)]
struct Image<'a> {
    id: u64,
    #[serde(borrow)]
    file_name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    image_id: u64,
    #[serde(borrow)]
    caption: Cow<'a, str>,
}

/// Parses the files, given with their bytes.
pub(super) fn parse(
    files: &[(PathBuf, Vec<u8>)],
    rule: SplitRule,
) -> Result<Vec<ImageRecord>, DataError> {
    let mut builder = Builder::default();
    for (path, bytes) in files {
        add(&mut builder, bytes, path)?;
    }
    Ok(builder.finish(rule))
}

fn add(builder: &mut Builder, bytes: &[u8], path: &Path) -> Result<(), DataError> {
    let source = Source {
        path,
        format: "COCO captions",
    };
    let file: File = serde_json::from_slice(bytes).map_err(|e| source.json(&e))?;
    let split = split_in_name(path);
    let mut by_id = HashMap::with_capacity(file.images.len());
    for image in &file.images {
        let index = builder.new_image(&image.file_name);
        by_id.insert(image.id, index);
        if let Some(split) = split {
            builder.split(index, split);
        }
    }
    for (number, annotation) in file.annotations.iter().enumerate() {
        let Some(&index) = by_id.get(&annotation.image_id) else {
            let at = Position::Part(format!("annotations[{number}]"));
            let found = format!("image_id {}", annotation.image_id);
            return Err(source.malformed(at, "the id of one of the images", found));
        };
        builder.caption(index, &annotation.caption);
    }
    Ok(())
}
