//! The sentence that agrees most with all that a search found, instead of the likeliest: minimum Bayes risk.
//!
//! A search gives its sentences probabilities p. People would write one of them, with about these chances; the sentence
//! that they would like best on average is the one with the greatest Σ p^(1/T) similarity. Source: Kumar & Byrne 2004
//! (minimum Bayes risk); the similarity is CIDEr-D's (Vedantam, Zitnick & Parikh 2015) with the same weight for all
//! n-grams, because a model has no document frequencies. Not here: the search (`beam.rs`).

use std::collections::BTreeMap;

use crate::Caption;

/// T: the probabilities of a search are too sure of its first sentence. Chosen on the validation split of Flickr8k.
const TEMPERATURE: f64 = 2.0;
/// Longest n-gram that is compared.
const MAX_ORDER: usize = 4;
/// σ of the Gaussian length penalty, in words.
const SIGMA: f64 = 6.0;

/// The same captions, those that agree most with the others first; ties stay in order.
pub(crate) fn by_consensus(captions: Vec<Caption>) -> Vec<Caption> {
    let most = captions.iter().map(|c| c.log_prob);
    let most = most.fold(f64::NEG_INFINITY, f64::max);
    let counts: Vec<Counts> = captions.iter().map(|c| Counts::of(&c.tokens)).collect();
    let chance = |caption: &Caption| ((caption.log_prob - most) / TEMPERATURE).exp();
    let gain = |one: &Counts| -> f64 {
        let others = captions.iter().zip(&counts);
        others
            .map(|(c, other)| chance(c) * one.similarity(other))
            .sum()
    };
    let gains: Vec<f64> = counts.iter().map(gain).collect();
    let mut ranked: Vec<(f64, Caption)> = gains.into_iter().zip(captions).collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranked.into_iter().map(|(_, caption)| caption).collect()
}

/// How often each n-gram of one order occurs.
type Grams<'a> = BTreeMap<&'a [u32], f64>;

/// How often each n-gram occurs in a sentence.
struct Counts<'a> {
    length: usize,
    orders: [Grams<'a>; MAX_ORDER],
}

impl<'a> Counts<'a> {
    fn of(words: &'a [u32]) -> Self {
        let order = |n| {
            let mut counts = BTreeMap::new();
            words
                .windows(n + 1)
                .for_each(|w| *counts.entry(w).or_insert(0.0) += 1.0);
            counts
        };
        Self {
            length: words.len(),
            orders: std::array::from_fn(order),
        }
    }

    /// From 0 to 1: the mean over the orders of the cosine of the counts, those of `self` clipped to those of `other`, times
    /// the penalty of another length.
    fn similarity(&self, other: &Self) -> f64 {
        let norm = |counts: &Grams<'_>| counts.values().map(|c| c * c).sum::<f64>();
        let cosine = |(ours, theirs): (&Grams<'_>, &Grams<'_>)| {
            let shared = ours.iter().filter_map(|(gram, count)| {
                let theirs = theirs.get(gram)?;
                Some(count.min(*theirs) * theirs)
            });
            let shared: f64 = shared.sum();
            match shared == 0.0 {
                true => 0.0,
                false => shared / (norm(ours) * norm(theirs)).sqrt(),
            }
        };
        let cosines: f64 = self.orders.iter().zip(&other.orders).map(cosine).sum();
        let longer = self.length.abs_diff(other.length) as f64;
        let penalty = (-longer * longer / (2.0 * SIGMA * SIGMA)).exp();
        cosines / MAX_ORDER as f64 * penalty
    }
}
