//! A whole packed sequence through an LSTM: one product and one pointwise kernel a step, forward and backward.

use std::sync::Arc;

use cuda::kernels::{self, GatesBackward};
use cuda::{Array, Gpu, Matrix};

use super::{column_sums, matrix, product};
use crate::{Element, Tensor};

/// One pass over a packed sequence, kept for the way back.
pub(crate) struct Lstm<T: Element> {
    gpu: Arc<Gpu>,
    live: Arc<[usize]>,
    starts: Vec<usize>,
    tanh_c: bool,
    h: usize,
    /// (N, 4H), activated.
    gates: Array<f32>,
    /// (N, H).
    cells: Array<f32>,
    /// (N, H), with bf16 where products use that.
    hidden: Tensor<T>,
}

/// Gradients that are wanted, in the order x, input weights, hidden weights, bias.
pub(crate) type Wanted = [bool; 4];

impl<T: Element> Lstm<T> {
    /// x (N, E), weights (E, 4H) and (H, 4H), bias (4H); shapes are checked by `ops::lstm`.
    pub(crate) fn forward(
        gpu: &Arc<Gpu>,
        x: &Tensor<T>,
        [input, recurrent, bias]: [&Tensor<T>; 3],
        live: Arc<[usize]>,
        starts: Vec<usize>,
        tanh_c: bool,
    ) -> Self {
        let (rows, h) = (x.rows_cols().0, recurrent.rows_cols().0);
        let h4 = 4 * h;
        let mut gates = product(gpu, rows, h4, matrix(x), matrix(input));
        let (mut cells, mut hidden) = (gpu.array(rows * h), gpu.array(rows * h));
        let mut half = gpu.half(rows, h);
        let stride = half.as_ref().map_or(0, |half| half.len() / rows.max(1));
        for (t, &n) in live.iter().enumerate() {
            let now = starts[t];
            let mut gates = gates.at_mut(now * h4..(now + n) * h4);
            let (past_hidden, hidden) = hidden.all_mut().split_at(now * h);
            let (past_cells, cells) = cells.all_mut().split_at(now * h);
            let halves = half.as_mut().map(|x| x.all_mut().split_at(now * stride));
            let (past_half, half) = halves.unzip();
            let past = (t > 0).then(|| starts[t - 1]);
            if let Some(before) = past {
                let rows = past_hidden.read().at(before * h..(before + n) * h);
                let half = past_half.as_ref();
                let half = half.map(|x| x.read().at(before * stride..(before + n) * stride));
                let rows = Matrix::new(rows.with_half(half, h), n, h);
                gpu.multiply(&mut gates, rows, matrix(recurrent), true);
            }
            let past = past.map(|before| past_cells.read().at(before * h..(before + n) * h));
            let mut hidden = hidden.at(0..n * h);
            let mut cells = cells.at(0..n * h);
            let half = half.map(|x| x.at(0..n * stride));
            let bias = bias.array().all();
            let hidden = (&mut hidden, h);
            kernels::lstm_gates(
                gpu, &mut gates, bias, past, &mut cells, hidden, half, tanh_c,
            );
        }
        Self {
            gpu: gpu.clone(),
            live,
            starts,
            tanh_c,
            h,
            gates,
            cells,
            hidden: Tensor::from_array(x.device(), &[rows, h], hidden.with_half(half, h)),
        }
    }

    /// Hidden rows (N, H).
    pub(crate) fn hidden(&self) -> Tensor<T> {
        self.hidden.clone()
    }

    /// Gradients of x, input weights, hidden weights and bias, as far as they are wanted.
    pub(crate) fn backward(
        &self,
        d_hidden: &Tensor<T>,
        x: &Tensor<T>,
        [input, recurrent]: [&Tensor<T>; 2],
        wanted: Wanted,
    ) -> [Option<Array<f32>>; 4] {
        let (gpu, h, h4) = (&self.gpu, self.h, 4 * self.h);
        let (rows, e) = x.rows_cols();
        let d_gates = self.gate_gradients(d_hidden.array(), recurrent);
        let all = || Matrix::new(d_gates.for_products(h4), rows, h4);
        let d_recurrent = || {
            let hidden = self.hidden.array();
            recurrent_gradient(gpu, (hidden, h), (&d_gates, h4), &self.live, &self.starts)
        };
        [
            wanted[0].then(|| product(gpu, rows, e, all(), matrix(input).t())),
            wanted[1].then(|| product(gpu, e, h4, matrix(x).t(), all())),
            wanted[2].then(d_recurrent),
            wanted[3].then(|| column_sums(gpu, &d_gates, h4)),
        ]
    }

    /// (N, 4H): gradients of the gates' pre-activations, last step to first.
    fn gate_gradients(&self, d_hidden: &Array<f32>, recurrent: &Tensor<T>) -> Array<f32> {
        let (gpu, h, h4) = (&self.gpu, self.h, 4 * self.h);
        let rows = self.starts[self.live.len()];
        let most = self.live.first().copied().unwrap_or(0);
        let mut d_gates = gpu.array(rows * h4);
        let mut half = gpu.half(rows, h4);
        let stride = half.as_ref().map_or(0, |half| half.len() / rows.max(1));
        // Carried back from step t + 1; rows that end at step t have zeros.
        let (mut d_past_hidden, mut d_cells) = (gpu.zeros(most * h), gpu.zeros(most * h));
        for (t, &n) in self.live.iter().enumerate().rev() {
            let now = self.starts[t];
            let past = (t > 0).then(|| self.starts[t - 1]);
            let step = GatesBackward {
                gates: self.gates.at(now * h4..(now + n) * h4),
                cells: self.cells.at(now * h..(now + n) * h),
                past: past.map(|before| self.cells.at(before * h..(before + n) * h)),
                above: d_hidden.at(now * h..(now + n) * h),
                stride: h,
                next: Some(d_past_hidden.at(0..n * h)),
                tanh_c: self.tanh_c,
            };
            let mut d_gates = d_gates.at_mut(now * h4..(now + n) * h4);
            let mut d_half = half
                .as_mut()
                .map(|x| x.at_mut(now * stride..(now + n) * stride));
            let mut d_cells = d_cells.at_mut(0..n * h);
            let half = d_half.as_mut().map(|x| x.again());
            kernels::lstm_gates_backward(gpu, step, &mut d_cells, &mut d_gates, half, h);
            if t > 0 {
                let half = d_half.as_ref().map(|x| x.read());
                let d_gates = Matrix::new(d_gates.read().with_half(half, h4), n, h4);
                let mut d_past = d_past_hidden.at_mut(0..n * h);
                gpu.multiply(&mut d_past, d_gates, matrix(recurrent).t(), false);
            }
        }
        d_gates.with_half(half, h4)
    }
}

/// (H, W): gradient of recurrent weights, from `hidden` rows (N, H) and the gradients `d` (N, W) of what the products with them
/// went into.
pub(super) fn recurrent_gradient(
    gpu: &Arc<Gpu>,
    (hidden, h): (&Array<f32>, usize),
    (d, width): (&Array<f32>, usize),
    live: &[usize],
    starts: &[usize],
) -> Array<f32> {
    let (first, rows) = (live.first().copied().unwrap_or(0), starts[live.len()]);
    if rows == first {
        return gpu.zeros(h * width);
    }
    // The hidden row before every row of the steps from the second on, stacked.
    let past = stack_past(gpu, hidden, h, rows - first, live, starts);
    let past = Matrix::new(past.for_products(h), rows - first, h);
    let later = d.for_products(width).at(first * width..rows * width);
    product(
        gpu,
        h,
        width,
        past.t(),
        Matrix::new(later, rows - first, width),
    )
}

/// Row r of step t - 1 of `states` (N, width) for every row r of the steps from the second on, `count` in all.
fn stack_past(
    gpu: &Arc<Gpu>,
    states: &Array<f32>,
    width: usize,
    count: usize,
    live: &[usize],
    starts: &[usize],
) -> Array<f32> {
    let mut past = gpu.array(count * width);
    let first = live.first().copied().unwrap_or(0);
    for t in 1..live.len() {
        let (to, from, len) = (starts[t] - first, starts[t - 1], live[t] * width);
        let mut to = past.at_mut(to * width..to * width + len);
        gpu.copy(&mut to, states.at(from * width..from * width + len));
    }
    past
}
