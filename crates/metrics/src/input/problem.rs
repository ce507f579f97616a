//! What can be wrong between a candidate file and a reference file.
//!
//! Here: the list of problems and the check of one image. Not here: damaged files (`error.rs`).

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One problem with one image.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// References without candidate: the image is not scored.
    #[error("image {id}: no candidate")]
    MissingCandidate {
        /// The image.
        id: String,
    },
    /// The candidate's image is not among the references: it is not scored.
    #[error("image {id}: the references don't have it")]
    UnknownImage {
        /// The image.
        id: String,
    },
    /// The references know the image but have no caption of it: it is not scored.
    #[error("image {id}: no reference caption")]
    NoReferences {
        /// The image.
        id: String,
    },
    /// More than one candidate: the first is scored.
    #[error("image {id}: {count} candidates, the first is scored")]
    DuplicateCandidate {
        /// The image.
        id: String,
        /// How many.
        count: usize,
    },
    /// A candidate of nothing but white space: scored as it is.
    #[error("image {id}: the candidate is empty")]
    EmptyCandidate {
        /// The image.
        id: String,
    },
    /// A reference of nothing but white space: used as it is.
    #[error("image {id}: reference {reference} is empty")]
    EmptyReference {
        /// The image.
        id: String,
        /// Which, from 1.
        reference: usize,
    },
}

impl Problem {
    /// Whether the image is not scored.
    pub fn leaves_out(&self) -> bool {
        match self {
            Self::MissingCandidate { .. }
            | Self::UnknownImage { .. }
            | Self::NoReferences { .. } => true,
            Self::DuplicateCandidate { .. }
            | Self::EmptyCandidate { .. }
            | Self::EmptyReference { .. } => false,
        }
    }
}

/// The candidate and the references to score, if there are both; adds what is wrong.
pub(super) fn check<'c>(
    id: &str,
    candidates: &'c [String],
    references: Option<&'c [String]>,
    problems: &mut Vec<Problem>,
) -> Option<(&'c str, &'c [String])> {
    let id = || id.to_owned();
    let Some(references) = references else {
        problems.push(Problem::UnknownImage { id: id() });
        return None;
    };
    if references.is_empty() {
        problems.push(Problem::NoReferences { id: id() });
    }
    let Some(candidate) = candidates.first() else {
        problems.push(Problem::MissingCandidate { id: id() });
        return None;
    };
    if candidates.len() > 1 {
        problems.push(Problem::DuplicateCandidate {
            id: id(),
            count: candidates.len(),
        });
    }
    if candidate.trim().is_empty() {
        problems.push(Problem::EmptyCandidate { id: id() });
    }
    let empty = references
        .iter()
        .enumerate()
        .filter(|(_, caption)| caption.trim().is_empty());
    problems.extend(empty.map(|(i, _)| Problem::EmptyReference {
        id: id(),
        reference: i + 1,
    }));
    (!references.is_empty()).then_some((candidate, references))
}
