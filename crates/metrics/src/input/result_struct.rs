//! NeuralTalk's `result_struct.json`: predictions with the references beside them.
//!
//! Here: `{"imgblobs": [{"img_path": …, "imgid": …, "references": [{"text": …}], "candidate": {"text": …}}]}`.
//! Not here: its parameters; writing it (`report`). Source: `eval_sentence_predictions.py`, `predict_on_images.py`.

use serde::Deserialize;

use super::id::Id;
use super::{Captions, ParseError};

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct ImageBlob {
    img_path: Option<String>,
    imgid: Option<Id>,
    #[serde(default)]
    references: Vec<Text>,
    candidate: Option<Text>,
}

#[derive(Deserialize)]
struct Document {
    imgblobs: Option<Vec<ImageBlob>>,
}

/// Candidates and references; an image's id is its `imgid`, else its path.
///
/// # Errors
/// If it is anything else, with line and column, or an image has neither id nor path.
pub fn parse_result_struct(bytes: &[u8]) -> Result<(Captions, Captions), ParseError> {
    let document: Document = serde_json::from_slice(bytes)?;
    let blobs = document
        .imgblobs
        .ok_or(ParseError::MissingKey { key: "imgblobs" })?;
    let (mut candidates, mut references) = (Captions::default(), Captions::default());
    for (i, blob) in blobs.into_iter().enumerate() {
        let incomplete = ParseError::Incomplete {
            record: i + 1,
            expected: "`imgid` or `img_path`",
        };
        let id = blob
            .imgid
            .map(|id| id.0)
            .or(blob.img_path)
            .ok_or(incomplete)?;
        candidates.image(id.clone());
        if let Some(candidate) = blob.candidate {
            candidates.push(id.clone(), candidate.text);
        }
        references.image(id.clone());
        for reference in blob.references {
            references.push(id.clone(), reference.text);
        }
    }
    Ok((candidates, references))
}
