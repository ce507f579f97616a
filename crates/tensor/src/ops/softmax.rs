//! Log-softmax: for the search over sentences, and as the oracle of the fused output layer.

use std::sync::Arc;

use rayon::prelude::*;

use crate::gemm::gemm_with;
use crate::simd::vectorized;
use crate::{Element, Tape, Tensor, Var, gpu};

/// ln softmax over every row of x (N, V).
pub fn log_softmax<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let mut value = tape.value(x).clone();
    let (_, width) = value.rows_cols();
    log_softmax_rows(value.data_mut(), width);
    let y = value.clone();
    tape.push(value, &[x], move |gradient, gradients| {
        let mut dx = gradient.clone();
        for (g, y) in dx
            .data_mut()
            .chunks_exact_mut(width)
            .zip(y.data().chunks_exact(width))
        {
            let total: T = g.iter().copied().sum();
            for (g, &y) in g.iter_mut().zip(y) {
                *g -= y.exponential() * total;
            }
        }
        gradients.add(x, dx);
    })
}

/// The output layer of a decoder: h (N, H) · W (H, V) + b (V) to ln(1e-20 + softmax), which is
/// written to `out` (N, V). The 1e-20 is NeuralTalk's (`lstm_generator.py`, `predict`).
///
/// # Panics
/// If the shapes don't fit.
pub fn log_probabilities<T: Element>(
    hidden: &Tensor<T>,
    weight: &Tensor<T>,
    bias: &Tensor<T>,
    out: &mut [T],
) {
    let device = hidden.device();
    if let Some(gpu) = device.gpu_for::<T>() {
        let found = gpu::log_probabilities(gpu, hidden, weight, bias).to_vec();
        out.copy_from_slice(&T::from_singles(found).expect("f32 on a GPU"));
        return;
    }
    let bias = bias.data();
    gemm_with(device, out, hidden.matrix(), weight, false);
    // Where p is above this, 1e-20 is lost in rounding.
    let (near, floor) = (T::of(-30.0), 1e-20);
    device.install(|| {
        out.par_chunks_exact_mut(bias.len()).for_each(|row| {
            vectorized(
                #[inline(always)]
                || row.iter_mut().zip(bias).for_each(|(x, &b)| *x += b),
            );
            let log_sum = log_sum_exp(row);
            vectorized(
                #[inline(always)]
                || row.iter_mut().for_each(|x| *x -= log_sum),
            );
            for block in row.chunks_mut(LANES) {
                if block.iter().fold(false, |any, &x| any | (x < near)) {
                    for x in block.iter_mut().filter(|x| **x < near) {
                        *x = T::of((floor + x.to_f64().exp()).ln());
                    }
                }
            }
        });
    });
}

/// In place: logits to natural log probabilities, row by row.
fn log_softmax_rows<T: Element>(logits: &mut [T], width: usize) {
    for row in logits.chunks_exact_mut(width) {
        let log_sum = log_sum_exp(row);
        row.iter_mut().for_each(|x| *x -= log_sum);
    }
}

/// Elements summed side by side: independent of the processor's vector width.
const LANES: usize = 32;

/// The largest element; NaN if there is one in the first place of a lane.
pub(super) fn maximum<T: Element>(row: &[T]) -> T {
    vectorized(
        #[inline(always)]
        || {
            let mut lanes = [row[0]; LANES];
            for chunk in row.chunks(LANES) {
                for (lane, &x) in lanes.iter_mut().zip(chunk) {
                    *lane = lane.larger(x);
                }
            }
            lanes.into_iter().fold(row[0], T::larger)
        },
    )
}

/// ln Σ e^x, without overflow.
pub(super) fn log_sum_exp<T: Element>(row: &[T]) -> T {
    let top = maximum(row);
    let total: T = vectorized(
        #[inline(always)]
        || {
            let mut lanes = [T::ZERO; LANES];
            for chunk in row.chunks(LANES) {
                for (lane, &x) in lanes.iter_mut().zip(chunk) {
                    *lane += (x - top).exponential();
                }
            }
            lanes.into_iter().sum()
        },
    );
    top + total.logarithm()
}

/// In place: x to e^(x - top); returns top and the sum of the exponentials.
pub(super) fn exponentials<T: Element>(row: &mut [T]) -> (T, T) {
    let top = maximum(row);
    let total = vectorized(
        #[inline(always)]
        || {
            let mut lanes = [T::ZERO; LANES];
            for chunk in row.chunks_mut(LANES) {
                for (lane, x) in lanes.iter_mut().zip(chunk) {
                    *x = (*x - top).exponential();
                    *lane += *x;
                }
            }
            lanes.into_iter().sum()
        },
    );
    (top, total)
}

/// Element `indices[n]` of row n of x (N, V) → (N).
pub fn pick<T: Element>(tape: &mut Tape<T>, x: Var, indices: Arc<[usize]>) -> Var {
    let source = tape.value(x);
    let (rows, width) = source.rows_cols();
    let device = tape.device().clone();
    let picked = indices
        .iter()
        .enumerate()
        .map(|(n, &i)| source.data()[n * width + i])
        .collect();
    let value = Tensor::new(&device, &[rows], picked);
    tape.push(value, &[x], move |gradient, gradients| {
        let mut all = device.zeros(rows * width);
        for (n, (&i, &g)) in indices.iter().zip(gradient.data()).enumerate() {
            all[n * width + i] = g;
        }
        gradients.add(x, Tensor::new(&device, &[rows, width], all));
    })
}
