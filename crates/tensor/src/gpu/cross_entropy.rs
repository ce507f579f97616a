//! Output layer, softmax and cross entropy: three products and one kernel a block of rows.
//!
//! A block is as large as memory reasonably allows, where the CPU's is as large as a cache: products are fastest on many rows.

use std::sync::Arc;

use cuda::{Array, Gpu, Matrix, kernels};

use super::matrix;
use crate::{Element, Tensor};

/// Numbers of one block of logits at most: 512 MiB.
const BLOCK: usize = 1 << 27;

/// The output layer of a decoder: hidden rows (N, H), weight (H, V), bias (V).
pub(crate) struct OutputLayer<'a, T: Element> {
    pub(crate) hidden: &'a Tensor<T>,
    pub(crate) weight: &'a Tensor<T>,
    pub(crate) bias: &'a Tensor<T>,
}

/// What one pass found; nothing waits for it.
pub(crate) struct Found {
    /// (N, 2), of every row: the loss of the word, and what is minimised.
    pub(crate) losses: Array<f32>,
    /// Σ weight · what is minimised, one number.
    pub(crate) total: Array<f32>,
    /// Of hidden rows, weight and bias, where they are wanted.
    pub(crate) gradients: Option<[Array<f32>; 3]>,
}

impl<T: Element> OutputLayer<'_, T> {
    /// Losses, and with `wanted` gradients. Shapes and words are checked by `ops::output_cross_entropy`.
    pub(crate) fn run(
        &self,
        gpu: &Arc<Gpu>,
        words: &[u32],
        weights: &[T],
        smoothing: f64,
        wanted: bool,
    ) -> Found {
        let (rows, h) = self.hidden.rows_cols();
        let v = self.weight.rows_cols().1;
        let words = gpu.array_of(words);
        let weights = gpu.array_of(T::singles(weights).expect("f32 on a GPU"));
        let mut losses = gpu.array(2 * rows);
        let mut gradients = wanted.then(|| match rows {
            0 => [gpu.array(0), gpu.zeros(h * v), gpu.zeros(v)],
            _ => [rows * h, h * v, v].map(|len| gpu.array(len)),
        });
        let block = (BLOCK / v.max(1)).clamp(1, rows.max(1));
        for from in (0..rows).step_by(block) {
            let to = rows.min(from + block);
            let n = to - from;
            let hidden = self.hidden.array().for_products(h);
            let hidden = Matrix::new(hidden.at(from * h..to * h), n, h);
            let mut logits = gpu.array(n * v);
            gpu.multiply(&mut logits.all_mut(), hidden, matrix(self.weight), false);
            let mut half = if wanted { gpu.half(n, v) } else { None };
            kernels::cross_entropy(
                gpu,
                &mut logits.all_mut(),
                self.bias.array().all(),
                (words.at(from..to), weights.at(from..to)),
                smoothing as f32,
                &mut losses.at_mut(2 * from..2 * to),
                half.as_mut().map(|x| x.all_mut()),
                wanted,
            );
            let Some([dh, dw, db]) = &mut gradients else {
                continue;
            };
            let d_logits = logits.with_half(half, v);
            kernels::sum_rows(gpu, d_logits.all(), &mut db.all_mut(), from > 0);
            let d_logits = Matrix::new(d_logits.for_products(v), n, v);
            let mut dh = dh.at_mut(from * h..to * h);
            gpu.multiply(&mut dh, d_logits, matrix(self.weight).t(), false);
            gpu.multiply(&mut dw.all_mut(), hidden.t(), d_logits, from > 0);
        }
        Found {
            total: kernels::total_loss(gpu, losses.all(), weights.all()),
            losses,
            gradients,
        }
    }
}

/// h · W + b to ln(1e-20 + softmax), (N, V).
pub(crate) fn log_probabilities<T: Element>(
    gpu: &Arc<Gpu>,
    hidden: &Tensor<T>,
    weight: &Tensor<T>,
    bias: &Tensor<T>,
) -> Array<f32> {
    let (rows, v) = (hidden.rows_cols().0, weight.rows_cols().1);
    let mut logits = super::product(gpu, rows, v, matrix(hidden), matrix(weight));
    kernels::log_probabilities(gpu, &mut logits.all_mut(), bias.array().all());
    logits
}
