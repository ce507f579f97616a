//! COCO's caption files: results and annotations.
//!
//! Here: `[{"image_id": 1, "caption": "…"}]` and `{"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "…"}]}`.
//! Not here: COCO's other tasks; pictures. Format: cocodataset.org, as pycocotools reads it.

use serde::Deserialize;

use super::id::Id;
use super::{Captions, ParseError};

#[derive(Deserialize)]
struct Caption {
    image_id: Id,
    caption: String,
}

#[derive(Deserialize)]
struct Image {
    id: Id,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    images: Vec<Image>,
    annotations: Option<Vec<Caption>>,
}

/// A results file: a list of captions.
///
/// # Errors
/// If it is anything else, with line and column.
pub fn parse_results(bytes: &[u8]) -> Result<Captions, ParseError> {
    let list: Vec<Caption> = serde_json::from_slice(bytes)?;
    Ok(collect(Captions::default(), list))
}

/// An annotations file: images in its order, those without captions too.
///
/// # Errors
/// If it is anything else, with line and column.
pub fn parse_annotations(bytes: &[u8]) -> Result<Captions, ParseError> {
    let document: Document = serde_json::from_slice(bytes)?;
    let annotations = document
        .annotations
        .ok_or(ParseError::MissingKey { key: "annotations" })?;
    let mut captions = Captions::default();
    for image in document.images {
        captions.image(image.id.0);
    }
    Ok(collect(captions, annotations))
}

fn collect(mut captions: Captions, list: Vec<Caption>) -> Captions {
    for Caption { image_id, caption } in list {
        captions.push(image_id.0, caption);
    }
    captions
}
