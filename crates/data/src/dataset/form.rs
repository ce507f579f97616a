//! Which form a folder or a file has.
//!
//! A folder is looked through in this order: `dataset.json`; a Flickr token file; COCO's `captions_*.json`, also in
//! `annotations/`; one `*.jsonl`; one `*.csv`; `captions.txt` (CSV); one other `*.json`.
//! A `.json` file's form is told by its content: a list is NeuralTalk2's; an object with `annotations` COCO's;
//! else NeuralTalk's. Not here: the forms.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{ImageRecord, SplitRule, coco, flickr, neuraltalk, neuraltalk2, table};
use crate::error::{DataError, Source};

/// Reads the dataset at `path`, a folder or a file.
pub(super) fn read(path: &Path, rule: SplitRule) -> Result<Vec<ImageRecord>, DataError> {
    let metadata = std::fs::metadata(path).map_err(DataError::io(path))?;
    if metadata.is_dir() {
        read_folder(path, rule)
    } else {
        read_file(path, rule)
    }
}

fn read_folder(folder: &Path, rule: SplitRule) -> Result<Vec<ImageRecord>, DataError> {
    let files = files(folder)?;
    if let Some(file) = files.iter().find(|file| named(file, "dataset.json")) {
        return read_file(file, rule);
    }
    let matching = |test: &dyn Fn(&Path) -> bool| -> Vec<PathBuf> {
        files.iter().filter(|file| test(file)).cloned().collect()
    };
    // Flickr8k comes with a second one, of lemmas.
    let tokens = matching(&|file| flickr::is_token_file(file) && !named_like(file, "lemma"));
    if let Some(file) = only(folder, tokens, "token files")? {
        return read_file(&file, rule);
    }
    let mut captions = matching(&is_coco);
    let annotations = folder.join("annotations");
    if annotations.is_dir() {
        let inside = self::files(&annotations)?;
        captions.extend(inside.into_iter().filter(|file| is_coco(file)));
    }
    if !captions.is_empty() {
        return coco::parse(&with_bytes(captions)?, rule);
    }
    for ending in ["jsonl", "csv"] {
        let tables = matching(&|file| has_ending(file, ending));
        if let Some(file) = only(folder, tables, &format!("{ending} files"))? {
            return read_file(&file, rule);
        }
    }
    if let Some(file) = files.iter().find(|file| named(file, "captions.txt")) {
        return read_file(file, rule);
    }
    let others = matching(&|file| has_ending(file, "json"));
    match only(folder, others, "json files")? {
        Some(file) => read_file(&file, rule),
        None => Err(DataError::NoDataset {
            path: folder.to_owned(),
            found: format!("{} files, none of a known form", files.len()),
        }),
    }
}

fn read_file(path: &Path, rule: SplitRule) -> Result<Vec<ImageRecord>, DataError> {
    let bytes = std::fs::read(path).map_err(DataError::io(path))?;
    let lists = if flickr::is_token_file(path) {
        let folder = path.parent().filter(|parent| *parent != Path::new(""));
        let mut beside = files(folder.unwrap_or(Path::new(".")))?;
        beside.retain(|file| flickr::is_split_list(file));
        with_bytes(beside)?
    } else {
        Vec::new()
    };
    parse(bytes, path, &lists, rule)
}

/// True where a file's name alone says that it is a dataset: CSV, and Flickr's tokens, which are plain lines otherwise.
pub(super) fn is_told_by_name(path: &Path) -> bool {
    flickr::is_token_file(path) || has_ending(path, "csv")
}

/// Parses one file, whose form its ending tells; `lists` are the split lists of a Flickr token file.
pub(super) fn parse(
    bytes: Vec<u8>,
    path: &Path,
    lists: &[(PathBuf, Vec<u8>)],
    rule: SplitRule,
) -> Result<Vec<ImageRecord>, DataError> {
    if flickr::is_token_file(path) {
        flickr::parse(&bytes, path, lists, rule)
    } else if has_ending(path, "csv") || has_ending(path, "txt") {
        table::parse_csv(&bytes, path, rule)
    } else if has_ending(path, "jsonl") || has_ending(path, "ndjson") {
        table::parse_jsonl(&bytes, path, rule)
    } else if has_ending(path, "json") {
        parse_json(bytes, path, rule)
    } else {
        Err(DataError::NoDataset {
            path: path.to_owned(),
            found: "a file with another ending than .json, .jsonl, .csv, .txt or .token".into(),
        })
    }
}

/// Tells the three JSON forms apart and parses.
fn parse_json(bytes: Vec<u8>, path: &Path, rule: SplitRule) -> Result<Vec<ImageRecord>, DataError> {
    /// Only whether there are annotations; everything else is passed over without being kept.
    #[derive(Deserialize)]
    struct Probe {
        annotations: Option<IgnoredAny>,
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return neuraltalk2::parse(&bytes, path, rule);
    }
    let source = Source {
        path,
        format: "JSON dataset",
    };
    let probe: Probe = serde_json::from_slice(&bytes).map_err(|e| source.json(&e))?;
    match probe.annotations {
        Some(_) => coco::parse(&[(path.to_owned(), bytes)], rule),
        None => neuraltalk::parse(&bytes, path),
    }
}

/// Files of a folder, sorted by name, without hidden ones.
fn files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn with_bytes(paths: Vec<PathBuf>) -> Result<Vec<(PathBuf, Vec<u8>)>, DataError> {
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).map_err(DataError::io(&path))?;
        Ok((path, bytes))
    };
    paths.into_iter().map(read).collect()
}

/// The only file of a kind; two are an error, because choosing one would be a guess.
fn only(folder: &Path, mut found: Vec<PathBuf>, what: &str) -> Result<Option<PathBuf>, DataError> {
    if 1 < found.len() {
        let names: Vec<_> = found
            .iter()
            .take(5)
            .map(|file| file.file_name().unwrap_or_default().to_string_lossy())
            .collect();
        return Err(DataError::NoDataset {
            path: folder.to_owned(),
            found: format!(
                "{} {what} ({}), name the one that is meant",
                found.len(),
                names.join(", ")
            ),
        });
    }
    Ok(found.pop())
}

fn named(file: &Path, name: &str) -> bool {
    file.file_name() == Some(OsStr::new(name))
}

fn named_like(file: &Path, part: &str) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.contains(part)
}

fn has_ending(file: &Path, ending: &str) -> bool {
    file.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(ending))
}

fn is_coco(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("captions_") && has_ending(file, "json")
}
