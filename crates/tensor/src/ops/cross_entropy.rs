//! Output layer, softmax and cross entropy over the vocabulary, fused.
//!
//! For a block of rows at a time: logits = h·W + b, log-sum-exp, the loss of each word, the
//! gradient of the logits, and both backward products while the block is still in cache. The
//! logits of a whole batch never exist at once. This is most of the arithmetic of a captioner
//! (2/3 of it at V = 8791), so the gradients are computed in the forward pass, for a loss that
//! is the weighted sum of the words' losses; the backward pass hands them out.
//!
//! The loss of a word is -ln(1e-20 + p), as in NeuralTalk (`generic_batch_generator.py`); its
//! gradient is that of -ln p, as there. With weights it serves as REINFORCE's loss too; with label smoothing ε the loss to
//! minimise is (1 - ε) times that plus ε times the mean of -ln p over all words (Szegedy et al. 2016, section 7).

use std::sync::Arc;

use rayon::prelude::*;

use super::elementwise::{add_rows, scale_assign};
use super::lstm::transposed;
use super::softmax::{exponentials, log_sum_exp};
use crate::simd::vectorized;
use crate::{Device, Element, Matrix, Tape, Tensor, Var, gemm, gpu};

/// Natural loss -ln(1e-20 + p) of every word, in the order of the rows.
#[derive(Debug)]
pub struct WordLosses(Place);

#[derive(Debug)]
enum Place {
    Host(Vec<f64>),
    /// (N, 2), of which the first is the word's.
    Gpu(cuda::Array<f32>),
}

impl WordLosses {
    /// The losses. Waits for a GPU, so ask when everything else is queued.
    pub fn into_vec(self) -> Vec<f64> {
        match self.0 {
            Place::Host(losses) => losses,
            Place::Gpu(losses) => {
                let losses = losses.to_vec();
                losses.chunks_exact(2).map(|loss| loss[0].into()).collect()
            }
        }
    }
}

/// Rows in one block. 128 to 612 were tried at V = 2538 and 8791 (docs/speed.md): fewer rows read
/// the weights' gradient more often, more rows leave the cache.
const BLOCK: usize = 416;

/// What the rows should say.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a, T> {
    /// (N) words.
    pub words: &'a [u32],
    /// (N) how much each row counts; may be negative.
    pub weights: &'a [T],
    /// ε, probability spread over all words; 0 to 1.
    pub smoothing: f64,
}

/// h (N, H), W (H, V), b (V), one target and one weight a row → Σ weight · smoothed loss, shape [1], and
/// the losses of the words themselves, without weight and smoothing.
///
/// # Panics
/// If the shapes don't fit or a target is outside the vocabulary.
pub fn output_cross_entropy<T: Element>(
    tape: &mut Tape<T>,
    (h, w, b): (Var, Var, Var),
    targets: Targets<'_, T>,
) -> (Var, WordLosses) {
    let device = tape.device().clone();
    let [hidden, weight, bias] = [h, w, b].map(|v| tape.value(v).clone());
    let layer = OutputLayer {
        hidden,
        weight,
        bias,
        device: device.clone(),
    };
    let wanted = tape.wanted(&[h, w, b]);
    let Found {
        total,
        words,
        gradients,
    } = device.install(|| layer.run(targets, wanted));
    let loss = tape.push(total, &[h, w, b], move |upstream, sums| {
        let factor = upstream.item();
        for (var, mut gradient) in [h, w, b].into_iter().zip(gradients) {
            if factor != T::ONE {
                scale_assign(&mut gradient, factor);
            }
            sums.add(var, gradient);
        }
    });
    (loss, words)
}

/// What one pass found.
struct Found<T: Element> {
    /// Σ weight · what is minimised, [1].
    total: Tensor<T>,
    words: WordLosses,
    /// Of hidden rows, weight and bias; empty if they are not wanted.
    gradients: Vec<Tensor<T>>,
}

/// Of one row.
#[derive(Debug, Clone, Copy, Default)]
struct Loss {
    /// -ln(1e-20 + p).
    word: f64,
    /// What is minimised.
    smoothed: f64,
}

struct OutputLayer<T: Element> {
    hidden: Tensor<T>,
    weight: Tensor<T>,
    bias: Tensor<T>,
    device: Device,
}

impl<T: Element> OutputLayer<T> {
    fn run(&self, targets: Targets<'_, T>, wanted: bool) -> Found<T> {
        let Targets {
            words,
            weights,
            smoothing,
        } = targets;
        let (rows, h) = self.hidden.rows_cols();
        let v = self.weight.rows_cols().1;
        assert_eq!(self.weight.shape(), [h, v], "output weights");
        assert_eq!(self.bias.shape(), [v], "output bias");
        assert!(
            words.len() == rows && weights.len() == rows,
            "one target and weight a row"
        );
        assert!(
            words.iter().all(|&t| (t as usize) < v),
            "a target outside the vocabulary of {v}"
        );
        let device = &self.device;
        if let Some(gpu) = device.gpu_for::<T>() {
            return self.run_on(gpu, targets, wanted);
        }
        let mut losses = vec![Loss::default(); rows];
        let mut logits = device.buffer(BLOCK.min(rows) * v);
        let mut dh = device.buffer(if wanted { rows * h } else { 0 });
        let mut dw = device.buffer(if wanted { h * v } else { 0 });
        let mut db = device.zeros(if wanted { v } else { 0 });
        if wanted && rows == 0 {
            dw.fill(T::ZERO);
        }
        for from in (0..rows).step_by(BLOCK) {
            let to = rows.min(from + BLOCK);
            let n = to - from;
            let block = Matrix::new(&self.hidden.data()[from * h..to * h], n, h);
            let logits = &mut logits[..n * v];
            gemm(device, logits, block, self.weight.matrix(), false);
            logits
                .par_chunks_exact_mut(v)
                .zip(&mut losses[from..to])
                .zip(&words[from..to])
                .zip(&weights[from..to])
                .for_each(|(((row, loss), &target), &weight)| {
                    *loss = self.row(row, target as usize, weight, smoothing, wanted);
                });
            if wanted {
                let d_logits = Matrix::new(logits, n, v);
                gemm(
                    device,
                    &mut dh[from * h..to * h],
                    d_logits,
                    self.weight.matrix().t(),
                    false,
                );
                let block = transposed(device, &self.hidden, from..to);
                gemm(device, &mut dw, block.matrix(), d_logits, from > 0);
                add_rows(&mut db, logits);
            }
        }
        device.recycle(logits);
        let gradients = if wanted {
            vec![
                Tensor::new(device, &[rows, h], dh),
                Tensor::new(device, &[h, v], dw),
                Tensor::new(device, &[v], db),
            ]
        } else {
            Vec::new()
        };
        let minimised = losses.iter().zip(weights);
        let total: f64 = minimised
            .map(|(loss, weight)| loss.smoothed * weight.to_f64())
            .sum();
        Found {
            total: Tensor::new(device, &[1], vec![T::of(total)]),
            words: WordLosses(Place::Host(losses.iter().map(|loss| loss.word).collect())),
            gradients,
        }
    }

    fn run_on(&self, gpu: &Arc<cuda::Gpu>, targets: Targets<'_, T>, wanted: bool) -> Found<T> {
        let layer = gpu::OutputLayer {
            hidden: &self.hidden,
            weight: &self.weight,
            bias: &self.bias,
        };
        let (words, weights) = (targets.words, targets.weights);
        let found = layer.run(gpu, words, weights, targets.smoothing, wanted);
        let shapes = [&self.hidden, &self.weight, &self.bias].map(Tensor::shape);
        let tensors = found.gradients.into_iter().flatten().zip(shapes);
        Found {
            total: Tensor::from_array(&self.device, &[1], found.total),
            words: WordLosses(Place::Gpu(found.losses)),
            gradients: tensors
                .map(|(gradient, shape)| Tensor::from_array(&self.device, shape, gradient))
                .collect(),
        }
    }

    /// One row of logits (without bias) to its loss; the row becomes its gradient if wanted.
    fn row(&self, row: &mut [T], target: usize, weight: T, smoothing: f64, wanted: bool) -> Loss {
        let bias = self.bias.data();
        vectorized(
            #[inline(always)]
            || row.iter_mut().zip(bias).for_each(|(x, &b)| *x += b),
        );
        let shifted = row[target];
        let mean = match smoothing > 0.0 {
            true => row.iter().map(|x| x.to_f64()).sum::<f64>() / row.len() as f64,
            false => 0.0,
        };
        let log_sum = if wanted {
            let (top, total) = exponentials(row);
            let factor = weight / total;
            let spread = weight * T::of(smoothing / row.len() as f64);
            vectorized(
                #[inline(always)]
                || row.iter_mut().for_each(|x| *x = *x * factor - spread),
            );
            row[target] -= weight * T::of(1.0 - smoothing);
            top + total.logarithm()
        } else {
            log_sum_exp(row)
        };
        let word = -(1e-20 + (shifted - log_sum).to_f64().exp()).ln();
        let smoothed = match smoothing > 0.0 {
            true => (1.0 - smoothing) * word + smoothing * (log_sum.to_f64() - mean),
            false => word,
        };
        Loss { word, smoothed }
    }
}
