//! BLEU-1 to BLEU-4 of a corpus and of each image.
//!
//! Here: counts, coco-caption's score and the standard one. Not here: NeuralTalk's Perl script (`multi_bleu.rs`).
//!
//! Papineni et al. 2002. p_n = clipped matches / n-grams of the candidates, summed over the corpus;
//! BLEU-N = BP · (p_1 · … · p_N)^(1/N); BP = exp(1 - r/c) for c < r, else 1, where r sums for each image the
//! reference length closest to the candidate's (the shorter of two equally close).
//!
//! coco-caption (`bleu_scorer.py`, option `closest`) adds 1e-15 to every match count and candidate length and
//! 1e-9 to every n-gram count and reference length, so that no division fails; the same here, term by term.

use std::ops::{Add, AddAssign};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::corpus::Corpus;
use crate::ngrams::{MAX_ORDER, Ngrams, counts};

/// coco-caption's constants against division by zero.
const TINY: f64 = 1e-15;
const SMALL: f64 = 1e-9;

/// What BLEU needs to know of an image, or of a corpus as the sum of its images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BleuCounts {
    /// Clipped matches of the candidate's n-grams, orders 1 to 4.
    pub matches: [u64; MAX_ORDER],
    /// N-grams of the candidate.
    pub ngrams: [u64; MAX_ORDER],
    /// Words of the candidate.
    pub candidate_length: u64,
    /// Words of the reference whose length is closest.
    pub reference_length: u64,
}

impl BleuCounts {
    /// BLEU-1 to BLEU-4 as coco-caption computes them.
    pub fn coco(&self) -> [f64; MAX_ORDER] {
        let ratio = (self.candidate_length as f64 + TINY) / (self.reference_length as f64 + SMALL);
        let penalty = if ratio < 1.0 {
            (1.0 - 1.0 / ratio).exp()
        } else {
            1.0
        };
        let mut product = 1.0;
        std::array::from_fn(|n| {
            product *= (self.matches[n] as f64 + TINY) / (self.ngrams[n] as f64 + SMALL);
            product.powf(1.0 / (n + 1) as f64) * penalty
        })
    }

    /// BLEU-1 to BLEU-4 by the paper's formula; 0 where an order has no match.
    pub fn standard(&self) -> [f64; MAX_ORDER] {
        let (c, r) = (self.candidate_length as f64, self.reference_length as f64);
        let penalty = if c < r { (1.0 - r / c).exp() } else { 1.0 };
        let mut logs = 0.0;
        std::array::from_fn(|n| {
            logs += (self.matches[n] as f64 / self.ngrams[n] as f64).ln();
            if self.matches[n] == 0 || logs == f64::NEG_INFINITY {
                0.0
            } else {
                (logs / (n + 1) as f64).exp() * penalty
            }
        })
    }
}

impl BleuCounts {
    /// Of a candidate of `length` words, nothing counted yet.
    pub(crate) fn of_lengths(length: usize, references: impl Iterator<Item = usize>) -> Self {
        let closest = references.min_by_key(|&r| (r.abs_diff(length), r));
        Self {
            candidate_length: length as u64,
            reference_length: closest.unwrap_or(0) as u64,
            ..Self::default()
        }
    }

    /// Counts the candidate's n-grams of this order; all names are sorted.
    pub(crate) fn count<'n>(
        &mut self,
        order: usize,
        candidate: &[u32],
        references: impl Iterator<Item = &'n [u32]>,
        clipped: &mut Clipped,
    ) {
        self.ngrams[order - 1] = candidate.len() as u64;
        self.matches[order - 1] = matches(candidate, references, clipped);
    }
}

impl AddAssign for BleuCounts {
    fn add_assign(&mut self, other: Self) {
        for n in 0..MAX_ORDER {
            self.matches[n] += other.matches[n];
            self.ngrams[n] += other.ngrams[n];
        }
        self.candidate_length += other.candidate_length;
        self.reference_length += other.reference_length;
    }
}

impl Add for BleuCounts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl std::iter::Sum for BleuCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Self::add)
    }
}

/// Counts of every image, in the corpus's order.
///
/// An image without references counts reference length 0 and no matches.
pub fn bleu_counts(corpus: &Corpus) -> Vec<BleuCounts> {
    counts_of(corpus, &Ngrams::new(corpus))
}

pub(crate) fn counts_of(corpus: &Corpus, ngrams: &Ngrams) -> Vec<BleuCounts> {
    (0..corpus.len())
        .into_par_iter()
        .map_init(Vec::new, |clipped, i| image(corpus, ngrams, i, clipped))
        .collect()
}

fn image(corpus: &Corpus, ngrams: &Ngrams, image: usize, clipped: &mut Clipped) -> BleuCounts {
    let lengths = corpus.references(image).map(<[u32]>::len);
    let mut counts = BleuCounts::of_lengths(corpus.candidate(image).len(), lengths);
    for order in 1..=MAX_ORDER {
        let (candidate, references) = (
            ngrams.candidate(image, order),
            ngrams.references(image, order),
        );
        counts.count(order, candidate, references, clipped);
    }
    counts
}

/// A candidate's n-grams: name, how often it occurs, and how often that is matched.
pub(crate) type Clipped = Vec<(u32, u32, u32)>;

/// Candidate n-grams, each at most as often as in the reference that has most of it; all names are sorted.
fn matches<'n>(
    candidate: &[u32],
    references: impl Iterator<Item = &'n [u32]>,
    clipped: &mut Clipped,
) -> u64 {
    clipped.clear();
    clipped.extend(counts(candidate).map(|(name, times)| (name, times, 0)));
    for reference in references {
        let mut found = counts(reference).peekable();
        for (name, times, matched) in clipped.iter_mut() {
            while found.next_if(|f| f.0 < *name).is_some() {}
            if let Some(f) = found.next_if(|f| f.0 == *name) {
                *matched = (*matched).max(f.1.min(*times));
            }
        }
    }
    clipped.iter().map(|c| u64::from(c.2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coco_constants_keep_empty_captions_finite() {
        let empty = BleuCounts {
            reference_length: 3,
            ..BleuCounts::default()
        };
        assert!(
            empty.coco().iter().all(|b| (0.0..1e-3).contains(b)),
            "{:?}",
            empty.coco()
        );
        let all = BleuCounts {
            matches: [4, 3, 2, 1],
            ngrams: [4, 3, 2, 1],
            candidate_length: 4,
            reference_length: 4,
        };
        // (4 + 1e-15) / (4 + 1e-9): a perfect caption is a little below 1.
        assert!(
            all.coco().iter().all(|b| (1.0 - 1e-9..1.0).contains(b)),
            "{:?}",
            all.coco()
        );
        assert_eq!(
            all + empty,
            BleuCounts {
                reference_length: 7,
                ..all
            }
        );
    }

    fn close(found: [f64; 4], want: [f64; 4]) {
        let near = |(f, w): (f64, f64)| f == w || ((f - w) / w).abs() < 1e-10;
        assert!(
            found.into_iter().zip(want).all(near),
            "{found:?}, expected {want:?}"
        );
    }

    #[test]
    fn worked_out_by_hand() {
        let short = BleuCounts {
            matches: [3, 1, 0, 0],
            ngrams: [3, 2, 1, 0],
            candidate_length: 3,
            reference_length: 4,
        };
        // bleu_scorer.py's constants, to the digit: e = 1e-9 below the line, 1e-15 above it.
        let penalty = (1.0 - (4.0 + 1e-9) / 3.0_f64).exp();
        let p = [
            3.0 / (3.0 + 1e-9),
            1.0 / (2.0 + 1e-9),
            1e-15 / (1.0 + 1e-9),
            1e-6,
        ];
        let product = |n: usize| p[..n].iter().product::<f64>().powf(1.0 / n as f64) * penalty;
        close(short.coco(), [1, 2, 3, 4].map(product));
        let penalty = (-1.0 / 3.0_f64).exp();
        close(
            short.standard(),
            [penalty, 0.5_f64.sqrt() * penalty, 0.0, 0.0],
        );
        // Longer than its reference: no bonus and no penalty.
        let long = BleuCounts {
            matches: [2, 1, 0, 0],
            ngrams: [5, 4, 3, 2],
            candidate_length: 5,
            reference_length: 2,
        };
        assert_eq!(long.standard()[..2], [0.4, (0.1_f64.ln() / 2.0).exp()]);
        close(
            BleuCounts {
                reference_length: 0,
                ..long
            }
            .coco(),
            [1, 2, 3, 4].map(|n: usize| {
                let p = [
                    2.0 / (5.0 + 1e-9),
                    1.0 / (4.0 + 1e-9),
                    1e-15 / (3.0 + 1e-9),
                    1e-15 / (2.0 + 1e-9),
                ];
                p[..n].iter().product::<f64>().powf(1.0 / n as f64)
            }),
        );
        // Nothing at all: the constants make the lengths' ratio 1e-6.
        assert_eq!(BleuCounts::default().coco(), [0.0; 4]);
        assert_eq!(BleuCounts::default().standard(), [0.0; 4]);
    }

    #[test]
    fn sums_are_term_by_term() {
        let one = BleuCounts {
            matches: [5, 4, 3, 2],
            ngrams: [7, 6, 5, 4],
            candidate_length: 7,
            reference_length: 9,
        };
        let two = BleuCounts {
            matches: [10, 8, 6, 4],
            ngrams: [14, 12, 10, 8],
            candidate_length: 14,
            reference_length: 18,
        };
        assert_eq!([one, one].into_iter().sum::<BleuCounts>(), two);
    }

    #[test]
    fn the_closest_reference_is_the_shorter_of_two() {
        let mut corpus = Corpus::new();
        corpus.push("1", "a b c", &["a b", "a b c d", "x y z w v"]);
        corpus.push("2", "a a a b", &["a c a", "b a"]);
        let counts = bleu_counts(&corpus);
        assert_eq!(counts.len(), 2);
        assert_eq!(
            (counts[0].candidate_length, counts[0].reference_length),
            (3, 2)
        );
        assert_eq!(
            (counts[0].matches, counts[0].ngrams),
            ([3, 2, 1, 0], [3, 2, 1, 0])
        );
        // Two of three a, as in the first reference, and b; no bigram.
        assert_eq!(
            (counts[1].reference_length, counts[1].matches),
            (3, [3, 0, 0, 0])
        );
    }
}
