//! Self-CIDEr: how different the captions are that a system offers for one image.
//!
//! Here: the score of n-best lists. Not here: variety over a whole corpus (`diversity.rs`).
//!
//! Wang & Chan 2019, "Describing like humans". K_ij = plain CIDEr of caption i with caption j as its only reference,
//! between 0 and 1; λ = eigenvalues of K for an image's m captions; r = √λ_max / Σ √λ_i; diversity = -log_m r. It is 1
//! for captions without a common weighted n-gram and 0 for m times the same caption. Document frequencies come
//! from the images' references, as for CIDEr.

// Rows and columns of small matrices are named by their indices, as in the formulas.
#![allow(clippy::needless_range_loop)]

use crate::cider::{Variant, cider};
use crate::corpus::Corpus;
use crate::document_frequency::{DocumentFrequencies, Weights};
use crate::ngrams::Ngrams;

/// Diversity of each image's captions (lines of tokens joined by blanks); `None` for fewer than two captions.
///
/// Captions whose n-grams all weigh nothing add nothing; if all of an image's are such, its diversity is 0.
pub fn self_cider<C: AsRef<str>>(
    images: &[Vec<C>],
    frequencies: &DocumentFrequencies,
) -> Vec<Option<f64>> {
    let mut pairs = Corpus::new();
    for captions in images {
        for (i, one) in captions.iter().enumerate() {
            for other in &captions[i..] {
                pairs.push("", one.as_ref(), &[other.as_ref()]);
            }
        }
    }
    let ngrams = Ngrams::new(&pairs);
    let weights = Weights::of(frequencies, &pairs, &ngrams);
    let mut similarities = cider(&pairs, &ngrams, &weights, Variant::Plain).into_iter();
    let diversity = |captions: &Vec<C>| {
        let m = captions.len();
        let mut kernel = vec![vec![0.0; m]; m];
        for i in 0..m {
            for j in i..m {
                kernel[i][j] = similarities.next().expect("one similarity a pair");
                kernel[j][i] = kernel[i][j];
            }
        }
        (m > 1).then(|| diversity(kernel))
    };
    images.iter().map(diversity).collect()
}

/// -log_m of the largest root's share, for a kernel of m captions.
fn diversity(kernel: Vec<Vec<f64>>) -> f64 {
    let m = kernel.len() as f64;
    let roots: Vec<f64> = eigenvalues(kernel)
        .iter()
        .map(|l| l.max(0.0).sqrt())
        .collect();
    let largest = roots.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return 0.0;
    }
    // `max`: a rounding error must not make it negative.
    (-(largest / roots.iter().sum::<f64>()).ln() / m.ln()).max(0.0)
}

/// Eigenvalues of a symmetric matrix by Jacobi's rotations (Golub & Van Loan, section 8.5); n-best lists are short.
fn eigenvalues(mut a: Vec<Vec<f64>>) -> Vec<f64> {
    let n = a.len();
    // Convergence is quadratic: ten sweeps are far more than any list needs.
    for _ in 0..30 {
        let off: f64 = (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| a[i][j] * a[i][j])
            .sum();
        if off < 1e-30 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, p, q);
            }
        }
    }
    (0..n).map(|i| a[i][i]).collect()
}

/// Makes element (p, q) zero.
fn rotate(a: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for row in a.iter_mut() {
        let (x, y) = (row[p], row[q]);
        (row[p], row[q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..a.len() {
        let (x, y) = (a[p][k], a[q][k]);
        (a[p][k], a[q][k]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_of_known_matrices() {
        let sorted = |a: Vec<Vec<f64>>| {
            let mut values = eigenvalues(a);
            values.sort_by(f64::total_cmp);
            values
        };
        let close = |found: Vec<f64>, want: &[f64]| {
            assert_eq!(found.len(), want.len());
            found
                .iter()
                .zip(want)
                .for_each(|(f, w)| assert!((f - w).abs() < 1e-12, "{f} {w}"));
        };
        close(sorted(vec![vec![2.0, 1.0], vec![1.0, 2.0]]), &[1.0, 3.0]);
        close(sorted(vec![vec![1.0; 3]; 3]), &[0.0, 0.0, 3.0]);
        // Second differences: 2 - 2 cos(k π / 5).
        let tridiagonal = |i: usize, j: usize| {
            if i == j {
                2.0
            } else if i.abs_diff(j) == 1 {
                -1.0
            } else {
                0.0
            }
        };
        let a = (0..4)
            .map(|i| (0..4).map(|j| tridiagonal(i, j)).collect())
            .collect();
        let want: Vec<f64> = (1..5)
            .map(|k| 2.0 - 2.0 * (f64::from(k) * std::f64::consts::PI / 5.0).cos())
            .collect();
        close(sorted(a), &want);
    }

    #[test]
    fn the_same_caption_is_not_diverse_and_strangers_are() {
        let mut corpus = Corpus::new();
        for (id, reference) in [
            "a dog runs",
            "the cat sits",
            "one bird flies",
            "two men walk",
        ]
        .into_iter()
        .enumerate()
        {
            corpus.push(id.to_string(), "", &[reference]);
        }
        let frequencies = DocumentFrequencies::count(&corpus);
        let images = [
            vec!["a dog runs"; 3],
            vec!["a dog runs", "the cat sits", "one bird flies"],
            vec!["a dog runs", "a dog runs", "the cat sits"],
            vec!["a dog runs"],
            vec![],
        ];
        let found = self_cider(&images, &frequencies);
        assert!(found[0].expect("three captions") < 1e-6, "{found:?}");
        assert!((found[1].expect("three captions") - 1.0).abs() < 1e-12);
        // Kernel 3/4 · [[1, 1, 0], [1, 1, 0], [0, 0, 1]] (no 4-gram in three words): eigenvalues in proportion 2, 1, 0.
        let between = -(2f64.sqrt() / (2f64.sqrt() + 1.0)).ln() / 3f64.ln();
        assert!(
            (found[2].expect("three captions") - between).abs() < 1e-7,
            "{found:?}"
        );
        assert_eq!((found[3], found[4]), (None, None));
        assert_eq!(self_cider(&[vec!["", ""]], &frequencies), [Some(0.0)]);
    }
}
