//! What Python calls: the tokenizer and the scores, on lists of text.
//!
//! Here: conversion and errors. Not here: dictionaries and pycocoevalcap's names (`neuraltalk/__init__.py`), metrics.

use std::path::PathBuf;

use metrics::meteor::{Loading, Meteor, MeteorError};
use metrics::{Corpus, Metric, Options};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

/// The native half of the package `neuraltalk`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{score, tokenize};
}

/// Captions as coco-caption's scorers see them when they are the lines of one file.
#[pyfunction]
fn tokenize(py: Python<'_>, captions: Vec<String>) -> Vec<String> {
    py.detach(|| metrics::tokenizer::captions(&captions))
}

/// A score's name, its value for the corpus and for each image.
type Column = (String, f64, Vec<f64>);

/// Scores tokens joined by blanks: (columns, warnings).
#[pyfunction]
fn score(
    py: Python<'_>,
    candidates: Vec<String>,
    references: Vec<Vec<String>>,
    names: Vec<String>,
    meteor_data: Option<PathBuf>,
) -> PyResult<(Vec<Column>, Vec<String>)> {
    if candidates.len() != references.len() {
        let message = format!(
            "{} candidates, but references of {} images",
            candidates.len(),
            references.len()
        );
        return Err(PyValueError::new_err(message));
    }
    let metrics: Vec<Metric> = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()
        .map_err(PyValueError::new_err)?;
    py.detach(|| {
        let mut corpus = Corpus::new();
        for (i, (candidate, references)) in candidates.iter().zip(&references).enumerate() {
            corpus.push(i.to_string(), candidate, references);
        }
        let captions = || {
            candidates
                .iter()
                .chain(references.iter().flatten())
                .map(String::as_str)
        };
        let meteor = if metrics.contains(&Metric::Meteor) {
            Some(load(meteor_data, captions())?)
        } else {
            None
        };
        let scores = metrics::score(
            &corpus,
            &Options {
                metrics,
                meteor: meteor.as_ref(),
                ..Options::default()
            },
        );
        let columns = scores
            .scores
            .into_iter()
            .map(|score| (score.name, score.corpus, score.images))
            .collect();
        Ok((columns, scores.warnings))
    })
}

fn load<'c>(data: Option<PathBuf>, captions: impl Iterator<Item = &'c str>) -> PyResult<Meteor> {
    let error = |error: MeteorError| {
        let hint = error
            .hint()
            .map_or(String::new(), |hint| format!(" ({hint})"));
        PyOSError::new_err(format!("{error}{hint}"))
    };
    Loading::start(data.as_deref())
        .and_then(|loading| loading.finish_for(captions))
        .map_err(error)
}
