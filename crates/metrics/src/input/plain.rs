//! Plain text: one caption a line, as NeuralTalk writes `output` and `reference0` to `reference4`.
//!
//! Here: candidates and references whose line numbers, from 1, are the images' ids. Not here: the Perl script's
//! reading of the same files, with its quirks (`multi_bleu.rs`).

use std::path::{Path, PathBuf};

use super::{Captions, ParseError};

/// One candidate a line.
///
/// # Errors
/// If it is not UTF-8.
pub fn parse_candidates(bytes: &[u8]) -> Result<Captions, ParseError> {
    parse_references(&[bytes])
}

/// Line i of each file is a reference of image i; an empty line of a file behind the first is no reference.
///
/// NeuralTalk leaves such lines where an image has fewer sentences than others.
///
/// # Errors
/// If a file is not UTF-8.
pub fn parse_references<F: AsRef<[u8]>>(files: &[F]) -> Result<Captions, ParseError> {
    let mut captions = Captions::default();
    for (file, bytes) in files.iter().enumerate() {
        let bytes = bytes.as_ref();
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let byte = error.valid_up_to();
            ParseError::NotUtf8 {
                file,
                line: 1 + bytes[..byte].iter().filter(|&&b| b == b'\n').count(),
                byte,
            }
        })?;
        for (i, line) in text.lines().enumerate() {
            if file == 0 || !line.trim().is_empty() {
                captions.push((i + 1).to_string(), line.to_owned());
            }
        }
    }
    Ok(captions)
}

/// `name0`, `name1` … as far as they exist, unless `name` itself is a file.
pub fn reference_paths(stem: &Path) -> Vec<PathBuf> {
    if stem.is_file() {
        return Vec::new();
    }
    let numbered = |n: usize| {
        let mut name = stem.as_os_str().to_owned();
        name.push(n.to_string());
        PathBuf::from(name)
    };
    (0..)
        .map(numbered)
        .take_while(|path| path.is_file())
        .collect()
}
