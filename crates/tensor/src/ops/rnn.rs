//! A whole packed sequence through NeuralTalk's multimodal recurrence (`rnn_generator.py`).
//!
//! h_t = relu(picture + word_t + h_(t-1)·W_hidden + b), the picture at every step or, with
//! `feed_once`, at the first only. Packed and time-major as in `lstm.rs`.
//!
//! Its dropout is a quirk that is kept because the original's gradients contain it: the mask
//! multiplies all hidden rows *after* the recurrence, and the backward pass then uses the
//! masked rows both for the ReLU's gate and for the gradient of W_hidden. With a mask the result
//! is therefore not the gradient of the loss; without one it is.

use std::sync::Arc;

use super::dropout::Mask;
use super::elementwise::sum_rows;
use super::lstm::{stack_past, transposed};
use super::offsets;
use crate::{Element, Matrix, Tape, Tensor, Var, gemm, gpu};

/// What goes into [`rnn`].
#[derive(Debug, Clone, Copy)]
pub struct RnnInputs {
    /// (B, H), the projected picture of each sentence.
    pub picture: Var,
    /// (N, H), the projected words, packed.
    pub words: Var,
    /// (H, H).
    pub hidden: Var,
    /// (H).
    pub bias: Var,
}

/// Hidden rows (N, H), packed by `live`, multiplied with `mask` if there is one.
///
/// # Panics
/// If the shapes don't fit or the live rows grow.
pub fn rnn<T: Element>(
    tape: &mut Tape<T>,
    inputs: RnnInputs,
    live: Arc<[usize]>,
    feed_once: bool,
    mask: Option<&Mask<T>>,
) -> Var {
    let device = tape.device().clone();
    let starts = offsets(&live);
    let [picture, words, w_hidden, bias] =
        [inputs.picture, inputs.words, inputs.hidden, inputs.bias].map(|v| tape.value(v).clone());
    let (rows, h) = words.rows_cols();
    assert_eq!(rows, starts[live.len()], "packed rows");
    assert_eq!(w_hidden.shape(), [h, h], "recurrent weights");
    let most = live.first().copied().unwrap_or(0);
    assert_eq!(picture.shape(), [most, h], "pictures");
    let factors = mask.map(|m| m.factors().clone());
    if let Some(factors) = &factors {
        assert_eq!(factors.shape(), words.shape(), "dropout mask");
    }
    let all = [inputs.picture, inputs.words, inputs.hidden, inputs.bias];
    if let Some(gpu) = device.gpu_for::<T>() {
        let values = [&picture, &words, &w_hidden, &bias];
        let pass = gpu::Rnn::forward(gpu, values, live, starts, feed_once, factors);
        return tape.push(pass.hidden(), &all, move |gradient, gradients| {
            let wanted = [inputs.hidden, inputs.bias].map(|v| gradients.wants(v));
            let shapes: [&[usize]; 4] = [&[most, h], &[rows, h], &[h, h], &[h]];
            let found = pass.backward(&gradient, &w_hidden, wanted);
            for ((var, shape), gradient) in all.into_iter().zip(shapes).zip(found) {
                if let Some(gradient) = gradient {
                    gradients.add(var, Tensor::from_array(&device, shape, gradient));
                }
            }
        });
    }

    let mut states = words.clone();
    device.install(|| {
        let states = states.data_mut();
        for t in 0..live.len() {
            let (now, n) = (starts[t], live[t]);
            let (past, current) = states.split_at_mut(now * h);
            let current = &mut current[..n * h];
            if t > 0 {
                let from = starts[t - 1] * h;
                let past = Matrix::new(&past[from..from + n * h], n, h);
                gemm(&device, current, past, w_hidden.matrix(), true);
            }
            let fed = !feed_once || t == 0;
            for (row, picture) in current
                .chunks_exact_mut(h)
                .zip(picture.data().chunks_exact(h))
            {
                for ((x, &b), &p) in row.iter_mut().zip(bias.data()).zip(picture) {
                    let sum = *x + b + if fed { p } else { T::ZERO };
                    *x = if sum < T::ZERO { T::ZERO } else { sum };
                }
            }
        }
    });
    if let Some(factors) = &factors {
        multiply(states.data_mut(), factors.data());
    }
    let hidden = states.clone();
    tape.push(states, &all, move |mut gradient, gradients| {
        if let Some(factors) = &factors {
            multiply(gradient.data_mut(), factors.data());
        }
        // Becomes the gradient of the sum inside the ReLU, step by step from the last.
        let mut d_sum = gradient;
        let mut d_picture = device.zeros(most * h);
        let turned = transposed(&device, &w_hidden, 0..w_hidden.rows_cols().0);
        let values = d_sum.data_mut();
        for t in (0..live.len()).rev() {
            let (now, n) = (starts[t], live[t]);
            let (past, current) = values.split_at_mut(now * h);
            let current = &mut current[..n * h];
            for (d, &y) in current.iter_mut().zip(&hidden.data()[now * h..]) {
                if y <= T::ZERO {
                    *d = T::ZERO;
                }
            }
            if !feed_once || t == 0 {
                add_into(&mut d_picture[..n * h], current);
            }
            if t > 0 {
                let from = starts[t - 1] * h;
                let d = Matrix::new(current, n, h);
                gemm(
                    &device,
                    &mut past[from..from + n * h],
                    d,
                    turned.matrix(),
                    true,
                );
            }
        }
        if gradients.wants(inputs.hidden) {
            let mut dw = device.zeros(h * h);
            if let Some(past) = stack_past(&device, &hidden, &live, &starts) {
                let later = Matrix::new(&d_sum.data()[most * h..], rows - most, h);
                gemm(&device, &mut dw, past.matrix().t(), later, false);
            }
            gradients.add(inputs.hidden, Tensor::new(&device, &[h, h], dw));
        }
        if gradients.wants(inputs.bias) {
            gradients.add(inputs.bias, sum_rows(&d_sum));
        }
        gradients.add(inputs.picture, Tensor::new(&device, &[most, h], d_picture));
        gradients.add(inputs.words, d_sum);
    })
}

fn multiply<T: Element>(x: &mut [T], factors: &[T]) {
    x.iter_mut().zip(factors).for_each(|(x, &f)| *x *= f);
}

fn add_into<T: Element>(sum: &mut [T], x: &[T]) {
    sum.iter_mut().zip(x).for_each(|(s, &x)| *s += x);
}
