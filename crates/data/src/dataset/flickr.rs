//! The original form of Flickr8k and Flickr30k: `name.jpg#0<tab>sentence` lines, and lists of file names for the splits.
//!
//! The lists lie beside the token file: `*.txt` whose name says train, val (dev) or test, one file name a line. Where
//! there are lists, pictures in none of them are left out (Flickr8k has 92 of these, one with a broken name); a listed
//! picture without sentences stays, for the check to report.
//!
//! Memory: at most 128 times the files' size. Source: the files `Flickr8k.token.txt`, `Flickr_8k.trainImages.txt`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::builder::Builder;
use super::{ImageRecord, SplitRule, split_in_name};
use crate::Split;
use crate::error::{DataError, Position, Source};

const FORMAT: &str = "Flickr tokens";

/// True where a file's name says that it holds sentences.
pub(super) fn is_token_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    name.ends_with(".token.txt") || name.ends_with(".token")
}

/// True where a file's name says that it lists a split's pictures.
pub(super) fn is_split_list(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "txt")
        && !is_token_file(path)
        && split_in_name(path).is_some()
}

/// Parses the token file `bytes` and the split lists.
pub(super) fn parse(
    bytes: &[u8],
    path: &Path,
    lists: &[(PathBuf, Vec<u8>)],
    rule: SplitRule,
) -> Result<Vec<ImageRecord>, DataError> {
    let mut builder = Builder::default();
    let mut splits: HashMap<&str, Split> = HashMap::new();
    let mut listed = Vec::new();
    for (path, bytes) in lists {
        let split = split_in_name(path).expect("only such files are lists");
        for (_, name) in lines(bytes, path)? {
            if splits.insert(name, split).is_none() {
                listed.push(name);
            }
        }
    }
    let source = Source {
        path,
        format: FORMAT,
    };
    for (number, line) in lines(bytes, path)? {
        let parts = line.split_once('\t');
        let parts = parts.and_then(|(key, raw)| Some((key.rsplit_once('#')?, raw)));
        let Some(((name, _), raw)) = parts else {
            let shown: String = line.chars().take(60).collect();
            let expected = "`name#number<tab>sentence`";
            return Err(source.malformed(Position::Line(number), expected, format!("`{shown}`")));
        };
        let split = splits.get(name);
        if split.is_none() && !lists.is_empty() {
            continue;
        }
        let index = builder.image(name);
        if let Some(&split) = split {
            builder.split(index, split);
        }
        builder.caption(index, raw.trim());
    }
    for name in listed {
        let index = builder.image(name);
        builder.split(index, splits[name]);
    }
    Ok(builder.finish(rule))
}

/// Lines that are not blank, with their numbers from 1.
fn lines<'a>(
    bytes: &'a [u8],
    path: &Path,
) -> Result<impl Iterator<Item = (u64, &'a str)>, DataError> {
    let text = super::text(bytes, path, FORMAT)?;
    Ok((1..)
        .zip(text.lines())
        .map(|(number, line)| (number, line.trim_end()))
        .filter(|(_, line)| !line.trim().is_empty()))
}
