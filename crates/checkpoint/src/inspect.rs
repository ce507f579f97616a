//! What is in a checkpoint, as plain numbers and words that can be printed or turned into JSON.
//!
//! Here: the description. Not here: laying it out for a terminal (`cli`).

use std::collections::BTreeMap;

use models::DecoderConfig;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Checkpoint, EncoderAbout, FeaturesInfo, NamedArray};

/// How many words of the vocabulary are shown.
const FIRST_WORDS: usize = 10;

/// A description of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Generator, sizes, switches.
    pub decoder: DecoderConfig,
    /// V.
    pub vocabulary_size: usize,
    /// The first words in index order.
    pub first_words: Vec<String>,
    /// Which features it expects.
    pub features: FeaturesInfo,
    /// Name of the dataset it was trained on.
    pub dataset: String,
    /// Steps taken.
    pub iteration: u64,
    /// Passes over the training captions.
    pub epoch: f64,
    /// Scores by name.
    pub scores: BTreeMap<String, f64>,
    /// Numbers in all weights together.
    pub parameter_count: usize,
    /// One entry for each weight.
    pub parameters: Vec<ArrayDescription>,
    /// The encoder inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderDescription>,
    /// Training parameters.
    pub params: Map<String, Value>,
    /// Whether training can be resumed from it.
    pub resumable: bool,
    /// One entry for each of the optimizer's arrays.
    pub optimizer: Vec<ArrayDescription>,
}

/// The encoder of a checkpoint that can caption photographs by itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EncoderDescription {
    /// Family, and how pictures are prepared.
    #[serde(flatten)]
    pub about: EncoderAbout,
    /// Numbers in all its arrays together, statistics included.
    pub number_count: usize,
}

/// Shape and statistics of one array; the statistics are over its finite values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArrayDescription {
    /// Its name.
    pub name: String,
    /// Its shape, rows first.
    pub shape: Vec<usize>,
    /// Mean.
    pub mean: f64,
    /// Standard deviation (of the population).
    pub std: f64,
    /// Smallest value.
    pub min: f32,
    /// Largest value.
    pub max: f32,
    /// Values that are infinite or not a number; a healthy model has none.
    pub non_finite: usize,
}

/// Describes a checkpoint.
pub fn inspect(checkpoint: &Checkpoint) -> Description {
    let state = checkpoint.training.iter().flat_map(|state| &state.arrays);
    Description {
        decoder: checkpoint.decoder.clone(),
        vocabulary_size: checkpoint.words.len(),
        first_words: checkpoint.words.iter().take(FIRST_WORDS).cloned().collect(),
        features: checkpoint.features.clone(),
        dataset: checkpoint.dataset.clone(),
        iteration: checkpoint.iteration,
        epoch: checkpoint.epoch,
        scores: checkpoint.scores.clone(),
        parameter_count: checkpoint.weights.iter().map(|w| w.data.len()).sum(),
        parameters: checkpoint.weights.iter().map(describe).collect(),
        encoder: checkpoint.encoder.as_ref().map(|part| EncoderDescription {
            about: part.about.clone(),
            number_count: part.state.iter().map(|(.., values)| values.len()).sum(),
        }),
        params: checkpoint.params.clone(),
        resumable: checkpoint.training.is_some(),
        optimizer: state.map(describe).collect(),
    }
}

fn describe(array: &NamedArray) -> ArrayDescription {
    let values = array.data.singles();
    let finite = || values.iter().copied().filter(|x| x.is_finite());
    let count = finite().count();
    // Two passes: the one-pass formula cancels where the mean is large.
    let over = |sum: f64| if count == 0 { 0.0 } else { sum / count as f64 };
    let mean = over(finite().map(f64::from).sum());
    let variance = over(finite().map(|x| (f64::from(x) - mean).powi(2)).sum());
    ArrayDescription {
        name: array.name.clone(),
        shape: array.shape.clone(),
        mean,
        std: variance.sqrt(),
        min: finite().reduce(f32::min).unwrap_or(0.0),
        max: finite().reduce(f32::max).unwrap_or(0.0),
        non_finite: values.len() - count,
    }
}
