//! Candidates and references from files, paired by image.
//!
//! Here: which kind a file is, pairing, problems, and captions to [`Corpus`]. Not here: the formats, each in its own
//! file; dataset folders for training (`data`).

mod coco;
mod error;
mod id;
mod json_lines;
mod plain;
mod problem;
mod result_struct;

use std::path::Path;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

pub use coco::{parse_annotations, parse_results};
pub use error::{InputError, ParseError};
pub use json_lines::parse_json_lines;
pub use plain::{parse_candidates, parse_references, reference_paths};
pub use problem::Problem;
pub use result_struct::parse_result_struct;

use crate::corpus::Corpus;
use crate::tokenizer;

/// Images of one file in its order, each with its captions as they were written.
///
/// An image that a file names twice is here once, with all its captions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captions {
    ids: Vec<String>,
    captions: Vec<Vec<String>>,
    index: HashMap<String, usize>,
}

impl Captions {
    /// Adds a caption to an image, new or not.
    pub fn push(&mut self, id: String, caption: String) {
        let image = self.image(id);
        self.captions[image].push(caption);
    }

    /// Adds an image, so that it is known even without captions.
    pub fn image(&mut self, id: String) -> usize {
        *self.index.entry(id).or_insert_with_key(|id| {
            self.ids.push(id.clone());
            self.captions.push(Vec::new());
            self.ids.len() - 1
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The captions of an image.
    pub fn get(&self, id: &str) -> Option<&[String]> {
        self.index
            .get(id)
            .map(|&image| self.captions[image].as_slice())
    }

    /// The same captions with the images in another file's order; what only this one has comes last.
    pub fn in_order_of(&self, other: &Self) -> Self {
        let mut ordered = Self::default();
        let known = other.iter().filter_map(|(id, _)| Some((id, self.get(id)?)));
        for (id, captions) in known.chain(self.iter()) {
            if !ordered.index.contains_key(id) {
                let image = ordered.image(id.to_owned());
                ordered.captions[image] = captions.to_vec();
            }
        }
        ordered
    }

    /// Images with their captions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.ids
            .iter()
            .map(String::as_str)
            .zip(self.captions.iter().map(Vec::as_slice))
    }
}

/// Candidates from a file of any kind; the references too, if it is a `result_struct.json` that has them.
///
/// # Errors
/// If the file can't be read or is of no known kind, with the place.
pub fn read_candidates(path: &Path) -> Result<(Captions, Option<Captions>), InputError> {
    let bytes = read(path)?;
    let parsed = match kind(&bytes) {
        Kind::Array => parse_results(&bytes).map(|candidates| (candidates, None)),
        Kind::Lines => parse_json_lines(&bytes).map(|candidates| (candidates, None)),
        Kind::Object => parse_result_struct(&bytes)
            .map(|(candidates, references)| (candidates, references.into())),
        Kind::Plain => parse_candidates(&bytes).map(|candidates| (candidates, None)),
    };
    parsed
        .map(|(candidates, references)| {
            (
                candidates,
                references.filter(|r| r.iter().any(|(_, c)| !c.is_empty())),
            )
        })
        .map_err(|error| error.in_file(path))
}

/// References from a file of any kind; plain text may be a name to which 0, 1 … is added (`reference0` …).
///
/// # Errors
/// If a file can't be read or is of no known kind, with the place.
pub fn read_references(path: &Path) -> Result<Captions, InputError> {
    let numbered = reference_paths(path);
    if !numbered.is_empty() {
        return read_plain_references(&numbered);
    }
    let bytes = read(path)?;
    let parsed = match kind(&bytes) {
        Kind::Array => parse_results(&bytes),
        Kind::Lines => parse_json_lines(&bytes),
        Kind::Plain => parse_references(&[&bytes]),
        Kind::Object => match parse_annotations(&bytes) {
            Err(ParseError::MissingKey { key: "annotations" }) => {
                parse_result_struct(&bytes).map(|both| both.1)
            }
            parsed => parsed,
        },
    };
    parsed.map_err(|error| error.in_file(path))
}

fn read_plain_references(paths: &[std::path::PathBuf]) -> Result<Captions, InputError> {
    let files = paths
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    parse_references(&files).map_err(|error| {
        let path = match &error {
            ParseError::NotUtf8 { file, .. } => &paths[*file],
            _ => &paths[0],
        };
        error.in_file(path)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, InputError> {
    std::fs::read(path).map_err(|source| InputError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

enum Kind {
    /// `[…]`: COCO results.
    Array,
    /// `{…}`: COCO annotations or `result_struct.json`.
    Object,
    /// An object on each line.
    Lines,
    Plain,
}

/// What a file looks like; a lone object on one line is JSON Lines unless it has the key of a document.
fn kind(bytes: &[u8]) -> Kind {
    let text = bytes.trim_ascii_start();
    match text.first() {
        Some(b'[') => Kind::Array,
        Some(b'{') => {
            let first = text.split(|&b| b == b'\n').next().unwrap_or(text);
            if json_lines::is_record(first) {
                Kind::Lines
            } else {
                Kind::Object
            }
        }
        _ => Kind::Plain,
    }
}

/// How captions become tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokenization {
    /// As coco-caption: Penn Treebank tokens, lower case, without punctuation.
    #[default]
    Ptb,
    /// Captions are tokens already, joined by white space.
    Whitespace,
}

impl Tokenization {
    /// Whether captions are tokens already.
    pub fn of(tokenized: bool) -> Self {
        match tokenized {
            true => Self::Whitespace,
            false => Self::Ptb,
        }
    }

    /// The captions as lines of tokens joined by blanks.
    pub fn tokens(self, captions: &[String]) -> Vec<String> {
        match self {
            Self::Ptb => tokenizer::captions(captions),
            Self::Whitespace => captions.to_vec(),
        }
    }
}

/// Candidates and references of the same images, ready to score.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs<'c> {
    images: Vec<(&'c str, &'c str, &'c [String])>,
    /// What was wrong; the images concerned are left out, but for empty captions.
    pub problems: Vec<Problem>,
}

/// Pairs candidates with references, in the candidates' order.
///
/// # Errors
/// With `strict`, if there is any problem.
pub fn pair<'c>(
    candidates: &'c Captions,
    references: &'c Captions,
    strict: bool,
) -> Result<Pairs<'c>, InputError> {
    let mut pairs = Pairs::default();
    for (id, captions) in candidates.iter() {
        let references = references.get(id);
        if let Some((candidate, references)) =
            problem::check(id, captions, references, &mut pairs.problems)
        {
            pairs.images.push((id, candidate, references));
        }
    }
    let missing = references
        .iter()
        .filter(|(id, _)| candidates.get(id).is_none());
    pairs
        .problems
        .extend(missing.map(|(id, _)| Problem::MissingCandidate { id: id.into() }));
    if strict && !pairs.problems.is_empty() {
        return Err(InputError::Problems {
            problems: pairs.problems,
        });
    }
    Ok(pairs)
}

impl<'c> Pairs<'c> {
    /// Images with candidate and references, in order.
    pub fn ids(&self) -> impl Iterator<Item = &'c str> {
        self.images.iter().map(|image| image.0)
    }

    /// Number of images with candidate and references.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether no image has both.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Tokens of every caption, made in parallel.
    pub fn corpus(&self, tokenization: Tokenization) -> Corpus {
        if tokenization == Tokenization::Ptb {
            return Corpus::tokenize(self.images.iter().copied());
        }
        let mut corpus = Corpus::new();
        for (id, candidate, references) in &self.images {
            corpus.push(*id, candidate, references);
        }
        corpus
    }
}
