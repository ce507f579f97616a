//! Tables: CSV with a header line, and JSON Lines. Columns `image`, `caption` and, where wanted, `split`.
//!
//! Each line is one sentence; lines of the same picture are grouped. An empty caption names a picture without adding a
//! sentence. The split of a picture is the last one stated for it. Other columns are skipped. CSV's column names may also be
//! `image_name`, `file_name`, `filename`, `file_path` and `comment`, `sentence`, `text`, in any case.
//!
//! Memory: at most 256 times the file's size (a line of four bytes makes a picture, a sentence and a word).
//! Source: RFC 4180; jsonlines.org.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;

use super::builder::Builder;
use super::{ImageRecord, SplitRule, split_option};
use crate::Split;
use crate::error::{DataError, Position, Source};

const IMAGE: [&str; 5] = ["image", "image_name", "file_name", "filename", "file_path"];
const CAPTION: [&str; 4] = ["caption", "comment", "sentence", "text"];

/// Parses CSV; fields may be quoted.
pub(super) fn parse_csv(
    bytes: &[u8],
    path: &Path,
    rule: SplitRule,
) -> Result<Vec<ImageRecord>, DataError> {
    let source = Source {
        path,
        format: "CSV captions",
    };
    // Spreadsheets put a byte order mark first, which would become part of a column's name.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true) // a missing field is reported with its name, below
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let header = reader.headers().map_err(|e| csv_error(source, &e))?.clone();
    let column = |names: &[&str]| {
        let known = |title: &str| names.iter().any(|name| title.eq_ignore_ascii_case(name));
        header.iter().position(known)
    };
    let (Some(image), Some(caption)) = (column(&IMAGE), column(&CAPTION)) else {
        let found = header.iter().take(10).collect::<Vec<_>>().join(", ");
        let expected = "a header line with the columns image and caption";
        return Err(source.malformed(Position::Line(1), expected, format!("`{found}`")));
    };
    let split = column(&["split"]);
    let mut builder = Builder::default();
    let mut row = csv::StringRecord::new();
    while reader
        .read_record(&mut row)
        .map_err(|e| csv_error(source, &e))?
    {
        let at = || Position::Line(row.position().map_or(0, csv::Position::line));
        let field = |column: usize, name: &str| {
            row.get(column).ok_or_else(|| {
                let expected = format!("{} fields with {name} among them", header.len());
                source.malformed(at(), expected, format!("{} fields", row.len()))
            })
        };
        let split = match split {
            Some(column) => match field(column, "split")? {
                "" => None,
                name => Some(name.parse().map_err(|_| {
                    source.malformed(at(), "train, val, test or restval", format!("`{name}`"))
                })?),
            },
            None => None,
        };
        add(
            &mut builder,
            field(image, "image")?,
            field(caption, "caption")?,
            split,
        )
        .map_err(|(expected, found)| source.malformed(at(), expected, found))?;
    }
    Ok(builder.finish(rule))
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    image: Cow<'a, str>,
    #[serde(borrow)]
    caption: Cow<'a, str>,
    #[serde(default, deserialize_with = "split_option")]
    split: Option<Split>,
}

/// Parses JSON Lines: one object a line, blank lines skipped.
pub(super) fn parse_jsonl(
    bytes: &[u8],
    path: &Path,
    rule: SplitRule,
) -> Result<Vec<ImageRecord>, DataError> {
    let source = Source {
        path,
        format: "JSON Lines captions",
    };
    let text = super::text(bytes, path, source.format)?;
    let mut builder = Builder::default();
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let at = |column| Position::LineColumn(number, column);
        let line: Line = serde_json::from_str(text).map_err(|e| {
            let message = e.to_string();
            let found = message.split(" at line ").next().unwrap_or(&message);
            source.malformed(at(e.column()), "an object with image and caption", found)
        })?;
        add(&mut builder, &line.image, &line.caption, line.split)
            .map_err(|(expected, found)| source.malformed(at(1), expected, found))?;
    }
    Ok(builder.finish(rule))
}

/// Adds a row; the error is (expected, found).
fn add(
    builder: &mut Builder,
    image: &str,
    caption: &str,
    split: Option<Split>,
) -> Result<(), (&'static str, &'static str)> {
    if image.is_empty() {
        return Err(("the name of a picture", "an empty field"));
    }
    let index = builder.image(image);
    if let Some(split) = split {
        builder.split(index, split);
    }
    if !caption.trim().is_empty() {
        builder.caption(index, caption.trim());
    }
    Ok(())
}

fn csv_error(source: Source, error: &csv::Error) -> DataError {
    let at = match error.position() {
        Some(position) => Position::Line(position.line()),
        None => Position::Line(1),
    };
    source.malformed(at, "rows of UTF-8 text", error.to_string())
}
