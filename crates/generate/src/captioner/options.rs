//! What a user can ask of captions, in words; and the same as numbers that the search takes.
//!
//! Here: options, their defaults, the words' indices. Not here: what the search makes of them (`beam.rs`, `sample.rs`).

use data::picture::DecodeLimits;
use data::{Vocabulary, tokenize};

use super::CaptionError;
use crate::{BeamOptions, Constraints, Limits, SampleOptions};

/// How captions are searched for. `Options::default()` is one caption a picture by a beam of 3.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Partial sentences kept for each picture; 1 is greedy search.
    pub beam_size: usize,
    /// Captions for each picture, best first: at most the beam size, or how many are drawn.
    pub n_best: usize,
    /// Draw words instead of searching for the likeliest.
    pub sampling: Option<Sampling>,
    /// Most words of a caption, its end counted.
    pub max_words: usize,
    /// Fewest words of a caption.
    pub min_words: usize,
    /// Captions are ranked by log probability / words^`length_penalty`: 0 as NeuralTalk; the larger, the longer they are.
    pub length_penalty: f64,
    /// The caption that agrees most with the others that the beam found comes first, instead of the likeliest. Not with
    /// sampling.
    pub consensus: bool,
    /// How every caption begins.
    pub start_with: String,
    /// Words or phrases that every caption has: the search guarantees them. Not with sampling.
    pub require: Vec<String>,
    /// Words that no caption has. Those that the model doesn't know need no forbidding.
    pub forbid: Vec<String>,
    /// No run of so many words occurs twice; 0 allows all.
    pub no_repeat_ngram: usize,
    /// Limits of decoding.
    pub decode: DecodeLimits,
    /// Whether captions tell where the model looked, if it has attention.
    pub attention: bool,
}

/// How words are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Words are drawn with p^(1 / temperature), normalised: 1 is the model, towards 0 greedy.
    pub temperature: f64,
    /// Draw from this many likeliest words only.
    pub top_k: Option<usize>,
    /// Draw from the fewest likeliest words that have this probability together.
    pub top_p: Option<f64>,
    /// The same seed and picture give the same captions, alone or among others.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            beam_size: 3,
            n_best: 1,
            sampling: None,
            max_words: Limits::default().max_steps,
            min_words: 0,
            length_penalty: 0.0,
            consensus: false,
            start_with: String::new(),
            require: Vec::new(),
            forbid: Vec::new(),
            no_repeat_ngram: 0,
            decode: DecodeLimits::default(),
            attention: false,
        }
    }
}

/// The search that options ask for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Search {
    Beam(BeamOptions),
    Sample(SampleOptions),
}

impl Options {
    /// With words as the indices of `vocabulary`.
    pub(super) fn search(&self, vocabulary: &Vocabulary) -> Result<Search, CaptionError> {
        let forbidden = self
            .forbid
            .iter()
            .filter_map(|word| known(vocabulary, word));
        let words = |option, text: &str| phrase(vocabulary, option, text);
        let required = self.require.iter();
        let required = required.map(|text| words("a required word", text));
        let limits = Limits {
            max_steps: self.max_words,
            constraints: Constraints {
                start: words("of the beginning", &self.start_with)?,
                required: required.collect::<Result<_, _>>()?,
                min_length: self.min_words,
                forbidden: forbidden.collect(),
                no_repeat_ngram: self.no_repeat_ngram,
            },
            ..Limits::default()
        };
        Ok(match self.sampling {
            None => Search::Beam(BeamOptions {
                beam_size: self.beam_size,
                n_best: self.n_best,
                length_penalty: self.length_penalty,
                consensus: self.consensus,
                limits,
            }),
            Some(sampling) => Search::Sample(SampleOptions {
                samples: self.n_best,
                seed: sampling.seed,
                temperature: sampling.temperature,
                top_k: sampling.top_k,
                top_p: sampling.top_p,
                limits,
            }),
        })
    }
}

/// The words of a text, each of which must be known. Texts are cut as the vocabulary's were.
fn phrase(
    vocabulary: &Vocabulary,
    option: &'static str,
    text: &str,
) -> Result<Vec<u32>, CaptionError> {
    let known = text.split_whitespace().map(|word| known(vocabulary, word));
    if let Some(ids) = known.collect() {
        return Ok(ids);
    }
    let id = |word: String| match vocabulary.id(&word) {
        Some(id) => Ok(id),
        None => Err(CaptionError::UnknownWord { option, word }),
    };
    tokenize(text).into_iter().map(id).collect()
}

/// A word as it is, or else in lower case, as most vocabularies have their words.
fn known(vocabulary: &Vocabulary, word: &str) -> Option<u32> {
    vocabulary
        .id(word)
        .or_else(|| vocabulary.id(&word.to_lowercase()))
}
