//! Batch normalisation with frozen statistics: a scale and a shift a channel (Ioffe & Szegedy 2015).
//!
//! y = γ (x - mean) / √(variance + ε) + β. Fine-tuning on a few thousand pictures keeps the statistics of ImageNet: those
//! of a batch of 64 would be noise. For inference the scale is folded into the filters instead (`models`).

use super::sums::sum_parts;
use crate::parallel::{for_pieces, rows_per_piece};
use crate::simd::vectorized;
use crate::{Element, Tape, Tensor, Var};

/// What was measured while the network was trained first.
#[derive(Debug, Clone)]
pub struct Statistics<T: Element = f32> {
    /// (C).
    pub mean: Tensor<T>,
    /// (C).
    pub variance: Tensor<T>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl<T: Element> Statistics<T> {
    /// 1 / √(variance + ε), (C).
    pub fn inverse_deviation(&self) -> Vec<T> {
        let epsilon = T::of(self.epsilon);
        let variance = self.variance.data().iter();
        variance
            .map(|&v| T::ONE / (v + epsilon).square_root())
            .collect()
    }

    /// What a filter before the norm with γ and β (C) is scaled with, given [`Self::inverse_deviation`], and what is added
    /// then: γ / σ and β - mean γ / σ.
    pub(crate) fn slope_and_shift(
        &self,
        inverse: &[T],
        gamma: &Tensor<T>,
        beta: &Tensor<T>,
    ) -> (Vec<T>, Vec<T>) {
        let pairs = inverse.iter().zip(gamma.data());
        let slope: Vec<T> = pairs.map(|(&i, &g)| i * g).collect();
        let shifts = beta.data().iter().zip(self.mean.data().iter().zip(&slope));
        let shift = shifts.map(|(&b, (&mean, &s))| b - mean * s).collect();
        (slope, shift)
    }
}

/// x (..., C) with γ and β (C) → the same shape.
///
/// # Panics
/// If the channels differ.
pub fn batch_norm<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    (gamma, beta): (Var, Var),
    statistics: &Statistics<T>,
) -> Var {
    let input = tape.value(x).clone();
    let (weight, bias) = (tape.value(gamma).clone(), tape.value(beta).clone());
    let c = weight.len();
    assert_eq!(input.shape().last(), Some(&c), "channels");
    assert!(
        bias.len() == c && statistics.mean.len() == c && statistics.variance.len() == c,
        "one number a channel"
    );
    let mean = statistics.mean.clone();
    let inverse = statistics.inverse_deviation();
    let slope: Vec<T> = inverse
        .iter()
        .zip(weight.data())
        .map(|(&i, &w)| i * w)
        .collect();
    let device = tape.device().clone();
    let mut out = device.buffer(input.len());
    let piece = rows_per_piece(c) * c.max(1);
    device.install(|| {
        for_pieces(&mut out, piece, |at, out| {
            let rows = input.data()[at..at + out.len()].chunks_exact(c);
            for (row, out) in rows.zip(out.chunks_exact_mut(c)) {
                let (mean, slope, bias) = (&mean.data()[..c], &slope[..c], &bias.data()[..c]);
                vectorized(
                    #[inline(always)]
                    || {
                        for j in 0..c {
                            out[j] = (row[j] - mean[j]) * slope[j] + bias[j];
                        }
                    },
                );
            }
        });
    });
    let value = Tensor::new(&device, input.shape(), out);
    tape.push(value, &[x, gamma, beta], move |gradient, gradients| {
        let device = input.device().clone();
        let rows = input.len() / c.max(1);
        if gradients.wants(gamma) || gradients.wants(beta) {
            // Both in one pass: C sums of g (x - mean) / deviation, then C sums of g.
            let sums = sum_parts(&device, rows, 512, 2 * c, |rows, sums| {
                let (d_gamma, d_beta) = sums.split_at_mut(c);
                let (mean, inverse) = (&mean.data()[..c], &inverse[..c]);
                for row in rows {
                    let x = &input.data()[row * c..][..c];
                    let g = &gradient.data()[row * c..][..c];
                    vectorized(
                        #[inline(always)]
                        || {
                            for j in 0..c {
                                d_gamma[j] += g[j] * ((x[j] - mean[j]) * inverse[j]);
                                d_beta[j] += g[j];
                            }
                        },
                    );
                }
            });
            gradients.add(gamma, Tensor::new(&device, &[c], sums[..c].to_vec()));
            gradients.add(beta, Tensor::new(&device, &[c], sums[c..].to_vec()));
        }
        if gradients.wants(x) {
            let mut dx = gradient;
            for_pieces(dx.data_mut(), piece, |_, piece| {
                for row in piece.chunks_exact_mut(c) {
                    vectorized(
                        #[inline(always)]
                        || row.iter_mut().zip(&slope).for_each(|(d, &s)| *d *= s),
                    );
                }
            });
            gradients.add(x, dx);
        }
    })
}
