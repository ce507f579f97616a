//! JSON Lines: one object a line.
//!
//! Here: `{"image_id": …, "caption": "…"}`; also `image`, `id` or `file` for the id, and lists as `captions` or
//! `references`; what `neuraltalk caption --json` writes. Not here: other keys, which are ignored.

use serde::Deserialize;

use super::id::Id;
use super::{Captions, ParseError};

#[derive(Deserialize)]
struct Record {
    #[serde(alias = "image", alias = "id", alias = "file")]
    image_id: Option<Id>,
    caption: Option<String>,
    #[serde(alias = "references")]
    captions: Option<Vec<Text>>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a caption: text, or an object with text as `caption`"
)]
enum Text {
    Plain(String),
    /// One of an n-best list, best first; the record's own `caption` is the first of them again.
    Ranked {
        caption: String,
    },
}

/// Captions of a JSON Lines file; an image may have many lines.
///
/// # Errors
/// If a line is no such object, with its number. Empty lines are skipped.
pub fn parse_json_lines(bytes: &[u8]) -> Result<Captions, ParseError> {
    let mut captions = Captions::default();
    for (i, line) in bytes.split(|&b| b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record: Record = serde_json::from_slice(line).map_err(|source| ParseError::Line {
            line: i + 1,
            source,
        })?;
        let incomplete = |expected| ParseError::Incomplete {
            record: i + 1,
            expected,
        };
        let id = record
            .image_id
            .ok_or_else(|| incomplete("`image_id`, `image`, `id` or `file`"))?;
        if record.caption.is_none() && record.captions.is_none() {
            return Err(incomplete("`caption`, `captions` or `references`"));
        }
        captions.image(id.0.clone());
        let list = record.captions.unwrap_or_default();
        let ranked = matches!(list.first(), Some(Text::Ranked { .. }));
        for caption in record.caption.into_iter().filter(|_| !ranked) {
            captions.push(id.0.clone(), caption);
        }
        for Text::Plain(caption) | Text::Ranked { caption } in list {
            captions.push(id.0.clone(), caption);
        }
    }
    Ok(captions)
}

/// Whether a file's first line is a record, not the beginning of a document.
pub(super) fn is_record(line: &[u8]) -> bool {
    let record = serde_json::from_slice::<Record>(line);
    record.is_ok_and(|r| r.image_id.is_some() && (r.caption.is_some() || r.captions.is_some()))
}

#[cfg(test)]
mod tests {
    use super::is_record;

    #[test]
    fn a_record_has_an_image_and_captions() {
        for record in [
            r#"{"image_id": 1, "caption": "a"}"#,
            r#"{"image_id": "x", "captions": ["a", "b"]}"#,
        ] {
            assert!(is_record(record.as_bytes()), "{record}");
        }
        for other in [
            r#"{"image_id": 1}"#,
            r#"{"caption": "a"}"#,
            r#"{"captions": ["a"]}"#,
            r#"{"images": []}"#,
            "{",
        ] {
            assert!(!is_record(other.as_bytes()), "{other}");
        }
    }
}
