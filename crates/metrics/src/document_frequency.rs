//! In how many images an n-gram occurs: CIDEr's idea of which words say something.
//!
//! Here: counting over references, the file that keeps the counts of a large corpus, and weights. Not here: the
//! score (`cider.rs`).
//!
//! The file is JSON: `{"format": "neuraltalk document frequencies", "version": 1, "images": N, "counts": {"a dog": 12, …}}`.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::corpus::Corpus;
use crate::ngrams::{MAX_ORDER, Ngrams};

const FORMAT: &str = "neuraltalk document frequencies";

/// Below this many images, CIDEr says more about the choice of images than about the captions.
pub const SMALL_CORPUS: u64 = 100;

/// Counts of n-grams of orders 1 to 4, kept for scoring other captions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentFrequencies {
    format: String,
    version: u32,
    images: u64,
    /// N-gram, its words joined by blanks, to the number of images whose references have it.
    counts: HashMap<String, u64>,
}

/// Why a file of counts was refused.
#[derive(Debug, Error)]
pub enum FrequencyError {
    /// Not JSON, or not these keys; the message has line and column.
    #[error("not a file of document frequencies: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of another kind.
    #[error("`format` is {found:?} with version {version}, expected {FORMAT:?} with version 1")]
    Format {
        /// What `format` said.
        found: String,
        /// What `version` said.
        version: u32,
    },
    /// A count that no corpus can have.
    #[error("{ngram:?} occurs in {count} of {images} images")]
    Count {
        /// The n-gram.
        ngram: String,
        /// Its count.
        count: u64,
        /// N.
        images: u64,
    },
}

impl FrequencyError {
    /// What to try next.
    pub fn hint(&self) -> Option<String> {
        Some("make the file again from the references of a corpus".into())
    }
}

impl DocumentFrequencies {
    /// Counts over the references of a corpus.
    pub fn count(corpus: &Corpus) -> Self {
        let ngrams = Ngrams::new(corpus);
        let mut counts = HashMap::new();
        for order in 1..=MAX_ORDER {
            for (name, images) in (0..).zip(ngrams.images(order)) {
                // An n-gram of candidates only is in no document.
                if images > 0 {
                    let words = ngrams.words(order, name);
                    counts.insert(corpus.text(&words[..order]), u64::from(images));
                }
            }
        }
        Self {
            format: FORMAT.into(),
            version: 1,
            images: corpus.len() as u64,
            counts,
        }
    }

    /// N, the number of images that were counted.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// How many different n-grams there are.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether no n-gram was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// In how many images an n-gram (words joined by blanks) occurs.
    pub fn get(&self, ngram: &str) -> u64 {
        self.counts.get(ngram).copied().unwrap_or(0)
    }

    /// Reads a file that [`DocumentFrequencies::write`] wrote.
    ///
    /// # Errors
    /// If it is another kind of file or contradicts itself.
    pub fn read(file: impl BufRead) -> Result<Self, FrequencyError> {
        let read: Self = serde_json::from_reader(file)?;
        if read.format != FORMAT || read.version != 1 {
            return Err(FrequencyError::Format {
                found: read.format,
                version: read.version,
            });
        }
        let images = read.images;
        match read
            .counts
            .iter()
            .find(|(_, count)| !(1..=images).contains(*count))
        {
            Some((ngram, &count)) => Err(FrequencyError::Count {
                ngram: ngram.clone(),
                count,
                images,
            }),
            None => Ok(read),
        }
    }

    /// Writes the counts in the n-grams' alphabetical order.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&self, mut file: impl Write) -> std::io::Result<()> {
        let mut ngrams: Vec<_> = self.counts.iter().collect();
        ngrams.sort_unstable();
        write!(
            file,
            "{{\"format\":{FORMAT:?},\"version\":1,\"images\":{},\"counts\":{{",
            self.images
        )?;
        for (i, (ngram, count)) in ngrams.into_iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(file, "{comma}\n{}:{count}", serde_json::to_string(ngram)?)?;
        }
        writeln!(file, "\n}}}}")
    }
}

/// ln N - ln max(1, df) of each n-gram of a corpus, by order and name.
pub(crate) struct Weights([Vec<f64>; MAX_ORDER]);

impl Weights {
    /// Frequencies are those of the corpus's own references.
    pub(crate) fn of_references(corpus: &Corpus, ngrams: &Ngrams) -> Self {
        let images = (corpus.len() as f64).ln();
        // Few different counts exist, so their logarithms are looked up.
        let logs: Vec<f64> = (0..=corpus.len())
            .map(|df| images - (df.max(1) as f64).ln())
            .collect();
        Self(std::array::from_fn(|n| {
            ngrams.images(n + 1).map(|df| logs[df as usize]).collect()
        }))
    }

    /// Frequencies are those of another corpus.
    pub(crate) fn of(frequencies: &DocumentFrequencies, corpus: &Corpus, ngrams: &Ngrams) -> Self {
        let images = (frequencies.images as f64).ln();
        Self(std::array::from_fn(|n| {
            let weight = |name: u32| {
                let words = ngrams.words(n + 1, name);
                let df = frequencies.get(&corpus.text(&words[..=n])).max(1);
                images - (df as f64).ln()
            };
            let names = 0..ngrams.distinct(n + 1) as u32;
            names.into_par_iter().map(weight).collect()
        }))
    }

    pub(crate) fn get(&self, order: usize, name: u32) -> f64 {
        self.0[order - 1][name as usize]
    }
}
