//! NeuralTalk's `dataset.json`, the form of Flickr8k, Flickr30k and MSCOCO on Karpathy's pages.
//!
//! `{"images": [{"filename", "filepath"?, "imgid", "split", "sentences": [{"tokens", "raw", "sentid"}]}]}`.
//! Other fields (`sentids`, `cocoid`, a sentence's `imgid`) are skipped. Any number of sentences per picture.
//!
//! Memory: at most 64 times the file's size, most of it for sentences without words.
//! Source: NeuralTalk `imagernn/data_provider.py`.

use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::{Caption, ImageRecord, RefusedRecord, Split};
use crate::error::{DataError, Source};

/// In messages.
pub(super) const FORMAT: &str = "NeuralTalk dataset";

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
}

#[derive(Deserialize)]
struct Image {
    filename: String,
    /// MSCOCO's pictures lie in `train2014` and `val2014`.
    #[serde(default)]
    filepath: String,
    imgid: u32,
    #[serde(deserialize_with = "split")]
    split: Split,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    tokens: Vec<String>,
    #[serde(default)]
    raw: String,
    sentid: u32,
}

fn split<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Split, D::Error> {
    let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    name.parse().map_err(serde::de::Error::custom)
}

/// Parses the bytes of a `dataset.json`; `path` is for messages.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Vec<ImageRecord>, DataError> {
    let source = Source {
        path,
        format: FORMAT,
    };
    let file: File = serde_json::from_slice(bytes).map_err(|e| source.json(&e))?;
    Ok(file.images.into_iter().map(record).collect())
}

/// As [`parse`], but records that hold what they mustn't are left out, each with why. Takes several times the memory.
pub(super) fn parse_each(
    bytes: &[u8],
    path: &Path,
) -> Result<(Vec<ImageRecord>, Vec<RefusedRecord>), DataError> {
    #[derive(Deserialize)]
    struct Raw {
        images: Vec<serde_json::Value>,
    }
    let source = Source {
        path,
        format: FORMAT,
    };
    let file: Raw = serde_json::from_slice(bytes).map_err(|e| source.json(&e))?;
    let (mut images, mut refused) = (Vec::new(), Vec::new());
    for (n, value) in file.images.into_iter().enumerate() {
        match serde_json::from_value(value) {
            Ok(image) => images.push(record(image)),
            Err(error) => refused.push(RefusedRecord {
                record: n,
                reason: error.to_string(),
            }),
        }
    }
    Ok((images, refused))
}

fn record(image: Image) -> ImageRecord {
    let path = if image.filepath.is_empty() {
        image.filename
    } else {
        format!(
            "{}/{}",
            image.filepath.trim_end_matches('/'),
            image.filename
        )
    };
    let captions = image.sentences.into_iter().map(|sentence| Caption {
        sentid: sentence.sentid,
        raw: sentence.raw,
        tokens: sentence.tokens,
    });
    ImageRecord {
        imgid: image.imgid,
        path,
        split: image.split,
        captions: captions.collect(),
    }
}
