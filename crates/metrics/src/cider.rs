//! CIDEr: consensus of a caption with its references, by tf-idf weighted n-grams.
//!
//! Here: coco-caption's CIDEr and the paper's plain one. Not here: document frequencies (`document_frequency.rs`).
//!
//! Vedantam, Zitnick & Parikh 2015. Each n-gram weighs g = tf · (ln N - ln max(1, df)): tf its count in the
//! caption, df the number of images whose references have it, N the number of images.
//!
//! - What coco-caption calls **CIDEr** (`cider_scorer.py`) is the paper's CIDEr-D without stemming: for each order
//!   Σ min(g_c, g_r) · g_r / (‖g_c‖ ‖g_r‖) · exp(-(l_c - l_r)² / (2 · 6²)), mean over orders 1 to 4 and references,
//!   times 10. l counts bigrams, so captions of no and of one word are equally long.
//! - [`Variant::Plain`] is the paper's equation 3, without stemming: the mean cosine of the vectors, from 0 to 1.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::corpus::Corpus;
use crate::document_frequency::Weights;
use crate::ngrams::{MAX_ORDER, Ngrams, counts};

/// σ of the Gaussian length penalty, in words.
const SIGMA: f64 = 6.0;

/// Which of the two scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Variant {
    /// CIDEr-D times 10, the score that papers and coco-caption call CIDEr.
    Coco,
    /// The paper's plain CIDEr: no clipping, no length penalty, no factor.
    Plain,
}

/// The score of every image, in the corpus's order; 0 for an image without references.
pub(crate) fn cider(
    corpus: &Corpus,
    ngrams: &Ngrams,
    weights: &Weights,
    variant: Variant,
) -> Vec<f64> {
    let image = |(candidate, reference): &mut (Vector, Vector), image: usize| {
        let references = corpus.references(image).len();
        let mut sum = 0.0;
        for order in 1..=MAX_ORDER {
            candidate.set(ngrams.candidate(image, order), order, weights);
            for (names, words) in ngrams
                .references(image, order)
                .zip(corpus.references(image))
            {
                reference.set(names, order, weights);
                let lengths = (corpus.candidate(image).len(), words.len());
                sum += similarity(candidate, reference, lengths, variant);
            }
        }
        let mean = sum / MAX_ORDER as f64 / references.max(1) as f64;
        if variant == Variant::Coco {
            10.0 * mean
        } else {
            mean
        }
    };
    (0..corpus.len())
        .into_par_iter()
        .map_init(Default::default, image)
        .collect()
}

/// One order's n-grams of a caption.
#[derive(Default)]
struct Vector {
    counts: Vec<(u32, u32)>,
    /// Weight of each of `counts`.
    weights: Vec<f64>,
    norm: f64,
}

impl Vector {
    /// From an order's sorted names.
    fn set(&mut self, names: &[u32], order: usize, weights: &Weights) {
        self.counts.clear();
        self.counts.extend(counts(names));
        self.weights.clear();
        self.weights.extend(
            self.counts
                .iter()
                .map(|&(name, times)| f64::from(times) * weights.get(order, name)),
        );
        self.norm = self.weights.iter().map(|w| w * w).sum::<f64>().sqrt();
    }
}

fn similarity(
    candidate: &Vector,
    reference: &Vector,
    lengths: (usize, usize),
    variant: Variant,
) -> f64 {
    let mut product = 0.0;
    let mut found = reference.counts.iter().zip(&reference.weights).peekable();
    for (&(name, _), &weight) in candidate.counts.iter().zip(&candidate.weights) {
        while found.next_if(|f| f.0.0 < name).is_some() {}
        if let Some((_, &other)) = found.next_if(|f| f.0.0 == name) {
            product += other
                * if variant == Variant::Coco {
                    weight.min(other)
                } else {
                    weight
                };
        }
    }
    if candidate.norm != 0.0 && reference.norm != 0.0 {
        product /= candidate.norm * reference.norm;
    }
    if variant == Variant::Plain {
        return product;
    }
    let bigrams = |words: usize| words.saturating_sub(1) as f64;
    let difference = bigrams(lengths.0) - bigrams(lengths.1);
    product * (-(difference * difference) / (2.0 * SIGMA * SIGMA)).exp()
}
