//! ROUGE-L: how much of a caption is, in order, in its references.
//!
//! Here: the score of an image as coco-caption computes it. Not here: other ROUGE variants.
//!
//! Lin 2004, "ROUGE". l = length of the longest common subsequence; P = max over references of l / |candidate|,
//! R = max over references of l / |reference|; F = (1 + β²) P R / (R + β² P) with β = 1.2. A corpus's score is the
//! mean of its images. As in coco-caption (`rouge.py`), the maxima of P and R may come from different references
//! and an empty caption is one empty word, which is why two empty captions score 1.

use rayon::prelude::*;

use crate::corpus::Corpus;

/// β, the weight of recall.
const BETA: f64 = 1.2;

/// The score of every image, in the corpus's order; 0 for an image without references.
pub fn rouge_l(corpus: &Corpus) -> Vec<f64> {
    let image = |row: &mut Vec<u32>, image| {
        let candidate = corpus.spaced_candidate(image);
        let (mut precision, mut recall) = (0.0_f64, 0.0_f64);
        for reference in corpus.spaced_references(image) {
            let common = f64::from(common_subsequence(candidate, reference, row));
            precision = precision.max(common / candidate.len() as f64);
            recall = recall.max(common / reference.len() as f64);
        }
        if precision == 0.0 {
            0.0
        } else {
            (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
        }
    };
    (0..corpus.len())
        .into_par_iter()
        .map_init(Vec::new, image)
        .collect()
}

/// Length of the longest common subsequence, in |a| · |b| steps and |b| memory.
fn common_subsequence(a: &[u32], b: &[u32], row: &mut Vec<u32>) -> u32 {
    row.clear();
    row.resize(b.len() + 1, 0);
    for word in a {
        let mut diagonal = 0;
        for (j, other) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if word == other {
                diagonal + 1
            } else {
                above.max(row[j])
            };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All subsequences of a, the longest that is one of b.
    fn by_enumeration(a: &[u32], b: &[u32]) -> u32 {
        let is_in_b = |subset: u32| {
            let mut rest = b.iter();
            (0..a.len())
                .filter(|i| subset >> i & 1 == 1)
                .all(|i| rest.any(|w| *w == a[i]))
        };
        (0..1u32 << a.len())
            .filter(|&s| is_in_b(s))
            .map(u32::count_ones)
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn longest_common_subsequence_is_that_of_enumeration() {
        let mut state = 7u32;
        let mut row = Vec::new();
        for _ in 0..500 {
            let mut words = |length: u32| {
                (0..length)
                    .map(|_| {
                        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                        state >> 24 & 3
                    })
                    .collect::<Vec<_>>()
            };
            let (a, b) = (words(8), words(6));
            let a = &a[..(a[0] as usize + 4)];
            assert_eq!(
                common_subsequence(a, &b, &mut row),
                by_enumeration(a, &b),
                "{a:?} {b:?}"
            );
        }
    }

    #[test]
    fn worked_out_by_hand() {
        let mut corpus = Corpus::new();
        corpus.push("1", "a b c d", &["a c e", "d"]);
        corpus.push("2", "", &["a"]);
        corpus.push("3", "", &[""]);
        corpus.push("4", "a", &[] as &[&str]);
        // a c of 4 and of 3 words; d is all of the second reference: P = 2/4, R = 1.
        let f = 2.44 * 0.5 / (1.0 + 1.44 * 0.5);
        let found = rouge_l(&corpus);
        assert!((found[0] - f).abs() < 1e-12, "{found:?}");
        assert_eq!(found[1..], [0.0, 1.0, 0.0]);
    }
}
