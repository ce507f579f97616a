//! How varied a system's captions are: what `score --diversity` prints.
//!
//! Here: which captions go into which measure. Not here: the measures (`metrics::diversity`, `metrics::self_cider`).

use std::path::Path;

use data::Split;
use metrics::Corpus;
use metrics::diversity::{Diversity, diversity};
use metrics::document_frequency::DocumentFrequencies;
use metrics::input::{Captions, Pairs, Tokenization};
use metrics::self_cider::self_cider;
use serde::Serialize;

use crate::references::References;

/// Variety of one candidate file.
#[derive(Serialize)]
pub(crate) struct Variety {
    /// Of the captions that are scored, one a picture.
    #[serde(flatten)]
    pub(crate) captions: Diversity,
    /// Mean over the pictures with more than one caption; none if there is no such picture.
    pub(crate) self_cider: Option<f64>,
    /// How many pictures those are.
    pub(crate) several: usize,
}

/// Training captions from a dataset (its training split) or a caption file, as tokens.
pub(crate) fn training(path: &Path, tokenization: Tokenization) -> anyhow::Result<Vec<String>> {
    let captions = References::read(path)?.all(&[Split::Train], tokenization);
    let captions: Vec<String> = captions.iter().flat_map(|image| image.1.to_vec()).collect();
    Ok(tokenization.tokens(&captions))
}

impl Variety {
    /// Of the candidates of `pairs`, whose tokens are `corpus`'s.
    pub(crate) fn of(
        candidates: &Captions,
        pairs: &Pairs<'_>,
        corpus: &Corpus,
        tokenization: Tokenization,
        training: Option<&[String]>,
        frequencies: &DocumentFrequencies,
    ) -> Self {
        let scored: Vec<String> = (0..corpus.len())
            .map(|image| corpus.text(corpus.candidate(image)))
            .collect();
        let lists: Vec<Vec<String>> = pairs
            .ids()
            .filter_map(|id| candidates.get(id))
            .filter(|captions| captions.len() > 1)
            .map(|captions| tokenization.tokens(captions))
            .collect();
        let each: Vec<f64> = self_cider(&lists, frequencies)
            .into_iter()
            .flatten()
            .collect();
        Self {
            captions: diversity(&scored, training),
            self_cider: (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64),
            several: each.len(),
        }
    }
}
