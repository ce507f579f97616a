//! What a checkpoint holds.
//!
//! Here: the contents and the check that they fit together. Not here: bytes on disk
//! (`save.rs`, `load.rs`, `metadata.rs`).
//!
//! A checkpoint needs no second file: weights, vocabulary, what the features were and how the
//! model was trained travel together.

use std::collections::BTreeMap;

use models::DecoderConfig;
use serde::{Deserialize, Serialize};
use tensor::Numbers;

use crate::EncoderPart;

/// An array with a name: row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedArray {
    /// Its key in the file, e.g. `output.weight`.
    pub name: String,
    /// Rows first.
    pub shape: Vec<usize>,
    /// As many values as the product of `shape`.
    pub data: Numbers,
}

/// Which picture features the decoder was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeaturesInfo {
    /// What made them, e.g. `vgg16-fc7` or the feature file's name.
    pub name: String,
    /// D, numbers for one picture.
    pub dimension: usize,
}

/// What is needed, besides the weights, to go on with training as if it had never stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingState {
    /// The optimizer's arrays (momentum, caches, averages), named by the optimizer.
    pub arrays: Vec<NamedArray>,
    /// Random state, counters, loss history. Every f64 and u64 in it comes back bit for bit.
    pub json: serde_json::Value,
}

/// A trained (or half trained) captioner.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Which decoder, with its sizes; says which weights there must be.
    pub decoder: DecoderConfig,
    /// V words in index order; `words[0]` is END (`.`) as a prediction and START as an input.
    pub words: Vec<String>,
    /// How often each word occurred in the training captions, where that is known.
    pub word_counts: Option<Vec<u64>>,
    /// The picture features that the decoder expects.
    pub features: FeaturesInfo,
    /// Name of the dataset, e.g. `flickr8k`.
    pub dataset: String,
    /// Training parameters under NeuralTalk's key names (`learning_rate`, `batch_size`, ...).
    pub params: serde_json::Map<String, serde_json::Value>,
    /// Steps taken.
    pub iteration: u64,
    /// Passes over the training captions, with its fraction.
    pub epoch: f64,
    /// Scores by name, e.g. `val_ppl2`.
    pub scores: BTreeMap<String, f64>,
    /// The decoder's parameters, in the order of [`DecoderConfig::parameters`].
    pub weights: Vec<NamedArray>,
    /// The encoder that makes those features of pictures, where the file holds it.
    pub encoder: Option<EncoderPart>,
    /// Present where training can be resumed from this file.
    pub training: Option<TrainingState>,
}

impl Checkpoint {
    /// The weight of this name.
    pub fn weight(&self, name: &str) -> Option<&NamedArray> {
        self.weights.iter().find(|array| array.name == name)
    }

    /// The first thing that does not fit together, as a sentence; `None` if all does.
    pub(crate) fn inconsistency(&self) -> Option<String> {
        if let Some(problem) = size_problem(&self.decoder) {
            return Some(format!("the decoder {problem}"));
        }
        let parameters = self.decoder.parameters();
        if self.weights.len() != parameters.len() {
            return Some(format!(
                "{} weights, the decoder has {} parameters",
                self.weights.len(),
                parameters.len()
            ));
        }
        for (array, (name, shape)) in self.weights.iter().zip(&parameters) {
            if array.name != *name || array.shape != *shape {
                return Some(format!(
                    "weight `{}` is {:?} where the decoder has `{name}` {shape:?}",
                    array.name, array.shape
                ));
            }
        }
        let state = self.training.iter().flat_map(|training| &training.arrays);
        for array in self.weights.iter().chain(state) {
            if elements(&array.shape) != Some(array.data.len()) {
                return Some(format!(
                    "array `{}` of shape {:?} holds {} values",
                    array.name,
                    array.shape,
                    array.data.len()
                ));
            }
        }
        if let Some(problem) = self.description_inconsistency() {
            return Some(problem);
        }
        let encoder = self.encoder.as_ref()?;
        let network = encoder.about.config.network();
        if let Err(error) = network.check(&encoder.state) {
            return Some(format!("the encoder's {error}"));
        }
        // A classifier, which a file of weights may have besides: nobody would read it here.
        let (arrays, needed) = (encoder.state.iter().count(), network.state_shapes().len());
        (arrays != needed).then(|| format!("{arrays} arrays of an encoder that has {needed}"))
    }

    /// As [`Self::inconsistency`], for everything but the arrays.
    pub(crate) fn description_inconsistency(&self) -> Option<String> {
        let vocabulary = self.decoder.vocabulary();
        if self.words.len() != vocabulary {
            return Some(format!(
                "{} words, the decoder has a vocabulary of {vocabulary}",
                self.words.len()
            ));
        }
        if let Some(counts) = &self.word_counts
            && counts.len() != self.words.len()
        {
            return Some(format!(
                "{} word counts for {} words",
                counts.len(),
                self.words.len()
            ));
        }
        if self.features.dimension != self.decoder.feature() {
            return Some(format!(
                "features of dimension {}, the decoder expects {}",
                self.features.dimension,
                self.decoder.feature()
            ));
        }
        if let Some(encoder) = &self.encoder {
            let about = &encoder.about;
            if let Some(problem) = about.problem() {
                return Some(format!("the encoder {problem}"));
            }
            let widths = about.widths().expect("`problem` computed them");
            let (what, width) = match self.decoder.reads_regions() {
                true => ("regions", widths.region),
                false => ("vectors", widths.pooled),
            };
            if width != self.decoder.feature() {
                return Some(format!(
                    "the encoder makes {what} of {width} numbers, the decoder expects {}",
                    self.decoder.feature()
                ));
            }
        }
        if !self.epoch.is_finite() || self.epoch < 0.0 {
            return Some(format!("epoch {}", self.epoch));
        }
        None
    }
}

/// Largest D, E, H or V that is believed: far beyond any model, far below an overflow of 4H,
/// which `DecoderConfig::parameters` computes.
const MAX_SIZE: usize = 1 << 28;

/// What is wrong with a decoder's sizes by themselves.
pub(crate) fn size_problem(decoder: &DecoderConfig) -> Option<String> {
    let sizes = match decoder {
        DecoderConfig::Lstm(c) => [c.feature, c.embedding, c.hidden, c.vocabulary],
        DecoderConfig::Rnn(c) => [c.feature, c.embedding, c.hidden, c.vocabulary],
        DecoderConfig::Attention(c) => {
            let own = [c.projection, c.attention];
            if !own.iter().all(|size| (1..=MAX_SIZE).contains(size)) {
                return Some(format!(
                    "has sizes (P, A) = {own:?}, each must be 1 to {MAX_SIZE}"
                ));
            }
            [c.feature, c.embedding, c.hidden, c.vocabulary]
        }
    };
    let believable = |size| (1..=MAX_SIZE).contains(size);
    match sizes.iter().all(believable) {
        true => None,
        false => Some(format!(
            "has sizes (D, E, H, V) = {sizes:?}, each must be 1 to {MAX_SIZE}"
        )),
    }
}

/// Product of the sizes, unless it overflows.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))
}
