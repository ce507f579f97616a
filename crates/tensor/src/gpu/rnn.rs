//! A whole packed sequence through NeuralTalk's multimodal RNN: one product and one pointwise kernel a step, forward and
//! backward.

use std::sync::Arc;

use cuda::kernels;
use cuda::{Array, Gpu, Matrix};

use super::lstm::recurrent_gradient;
use super::{column_sums, matrix};
use crate::{Element, Tensor};

/// One pass over a packed sequence, kept for the way back.
pub(crate) struct Rnn<T: Element> {
    gpu: Arc<Gpu>,
    live: Arc<[usize]>,
    starts: Vec<usize>,
    feed_once: bool,
    h: usize,
    /// (N, H).
    factors: Option<Tensor<T>>,
    /// (N, H), dropped out, with bf16 where products use that.
    hidden: Tensor<T>,
}

impl<T: Element> Rnn<T> {
    /// picture (B, H), words (N, H), hidden weights (H, H), bias (H), factors (N, H) of dropout; shapes are checked by
    /// `ops::rnn`.
    pub(crate) fn forward(
        gpu: &Arc<Gpu>,
        [picture, words, recurrent, bias]: [&Tensor<T>; 4],
        live: Arc<[usize]>,
        starts: Vec<usize>,
        feed_once: bool,
        factors: Option<Tensor<T>>,
    ) -> Self {
        let (rows, h) = words.rows_cols();
        let mut states = words.array().duplicate();
        let mut half = gpu.half(rows, h);
        let stride = half.as_ref().map_or(0, |half| half.len() / rows.max(1));
        for (t, &n) in live.iter().enumerate() {
            let now = starts[t];
            let (past, states) = states.all_mut().split_at(now * h);
            let mut states = states.at(0..n * h);
            let halves = half.as_mut().map(|x| x.all_mut().split_at(now * stride));
            let (past_half, half) = halves.unzip();
            if t > 0 {
                let before = starts[t - 1];
                let past = past.read().at(before * h..(before + n) * h);
                let half = past_half.as_ref();
                let half = half.map(|x| x.read().at(before * stride..(before + n) * stride));
                let past = Matrix::new(past.with_half(half, h), n, h);
                gpu.multiply(&mut states, past, matrix(recurrent), true);
            }
            let fed = !feed_once || t == 0;
            let picture = fed.then(|| picture.array().at(0..n * h));
            let half = half.map(|x| x.at(0..n * stride));
            kernels::rnn_step(gpu, &mut states, bias.array().all(), picture, half);
        }
        let states = match &factors {
            Some(factors) => kernels::multiply(gpu, states.all(), factors.array().all()),
            None => states.with_half(half, h),
        };
        Self {
            gpu: gpu.clone(),
            live,
            starts,
            feed_once,
            h,
            factors,
            hidden: Tensor::from_array(words.device(), &[rows, h], states),
        }
    }

    /// Hidden rows (N, H).
    pub(crate) fn hidden(&self) -> Tensor<T> {
        self.hidden.clone()
    }

    /// Gradients of picture, words, hidden weights and bias; the last two as far as they are wanted.
    pub(crate) fn backward(
        &self,
        d_hidden: &Tensor<T>,
        recurrent: &Tensor<T>,
        wanted: [bool; 2],
    ) -> [Option<Array<f32>>; 4] {
        let (gpu, h) = (&self.gpu, self.h);
        let (d_picture, d_sum) = self.sum_gradients(d_hidden.array(), recurrent);
        let d_recurrent = || {
            let hidden = self.hidden.array();
            recurrent_gradient(gpu, (hidden, h), (&d_sum, h), &self.live, &self.starts)
        };
        let d_recurrent = wanted[0].then(d_recurrent);
        let d_bias = wanted[1].then(|| column_sums(gpu, &d_sum, h));
        [Some(d_picture), Some(d_sum), d_recurrent, d_bias]
    }

    /// (B, H) and (N, H): gradients of the pictures and of the sums inside the ReLU, last step to first.
    fn sum_gradients(
        &self,
        d_hidden: &Array<f32>,
        recurrent: &Tensor<T>,
    ) -> (Array<f32>, Array<f32>) {
        let (gpu, h) = (&self.gpu, self.h);
        let (rows, most) = (
            self.starts[self.live.len()],
            self.live.first().copied().unwrap_or(0),
        );
        let mut d_sum = match &self.factors {
            Some(factors) => kernels::multiply(gpu, d_hidden.all(), factors.array().all()),
            None => d_hidden.duplicate(),
        };
        let mut d_picture = gpu.zeros(most * h);
        let mut half = gpu.half(rows, h);
        let stride = half.as_ref().map_or(0, |half| half.len() / rows.max(1));
        for (t, &n) in self.live.iter().enumerate().rev() {
            let now = self.starts[t];
            let (mut past, d_sum) = d_sum.all_mut().split_at(now * h);
            let mut d_sum = d_sum.at(0..n * h);
            let mut half = half
                .as_mut()
                .map(|x| x.at_mut(now * stride..(now + n) * stride));
            let hidden = self.hidden.array().at(now * h..(now + n) * h);
            let fed = !self.feed_once || t == 0;
            let fed = fed.then(|| d_picture.at_mut(0..n * h));
            let written = half.as_mut().map(|x| x.again());
            kernels::rnn_step_backward(gpu, &mut d_sum, hidden, fed, written, h);
            if t > 0 {
                let before = self.starts[t - 1];
                let half = half.as_ref().map(|x| x.read());
                let d_sum = Matrix::new(d_sum.read().with_half(half, h), n, h);
                let mut past = past.again().at(before * h..(before + n) * h);
                gpu.multiply(&mut past, d_sum, matrix(recurrent).t(), true);
            }
        }
        (d_picture, d_sum.with_half(half, h))
    }
}
