//! A whole packed sequence through one layer of long short-term memory.
//!
//! i, f, o = σ(x·W_input + h·W_hidden + b)    g = tanh(…)    c' = f ⊙ c + i ⊙ g
//! h' = o ⊙ tanh(c'), or h' = o ⊙ c' with NeuralTalk's `tanhC_version = 0`.
//!
//! Hochreiter & Schmidhuber 1997; gates packed i, f, o, g as in `lstm_generator.py` (PyTorch
//! packs i, f, g, o). Time-major and packed: the first `live[t]` sentences run at step t, so
//! no arithmetic is spent on padding. One product projects the inputs of all steps; one product
//! each gives the weights' gradients. Not here: the picture as first input (`models`).

use std::sync::Arc;

use super::elementwise::sum_rows;
use super::offsets;
use crate::parallel::{for_pieces, rows_per_piece};
use crate::simd::vectorized;
use crate::{Device, Element, Matrix, Tape, Tensor, Var, gemm, gpu};

/// The parameters of [`lstm`].
#[derive(Debug, Clone, Copy)]
pub struct LstmWeights {
    /// (E, 4H).
    pub input: Var,
    /// (H, 4H).
    pub hidden: Var,
    /// (4H).
    pub bias: Var,
}

/// x (N, E), packed by `live` → hidden rows (N, H) in the same order; the first state is 0.
///
/// # Panics
/// If the shapes don't fit or the live rows grow.
pub fn lstm<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    weights: LstmWeights,
    live: Arc<[usize]>,
    tanh_c: bool,
) -> Var {
    let device = tape.device().clone();
    let starts = offsets(&live);
    let input = tape.value(x).clone();
    let [w_input, w_hidden, bias] =
        [weights.input, weights.hidden, weights.bias].map(|w| tape.value(w).clone());
    let rows = input.rows_cols().0;
    let h4 = w_input.rows_cols().1;
    let h = h4 / 4;
    assert_eq!(rows, starts[live.len()], "packed rows");
    assert_eq!(w_hidden.shape(), [h, h4], "recurrent weights");
    assert_eq!(bias.shape(), [h4], "bias");
    let inputs = [x, weights.input, weights.hidden, weights.bias];
    if let Some(gpu) = device.gpu_for::<T>() {
        let all = [&w_input, &w_hidden, &bias];
        let pass = gpu::Lstm::forward(gpu, &input, all, live, starts, tanh_c);
        return tape.push(pass.hidden(), &inputs, move |gradient, gradients| {
            let wanted = inputs.map(|v| gradients.wants(v));
            let shapes = [input.shape(), w_input.shape(), w_hidden.shape(), &[h4]];
            let found = pass.backward(&gradient, &input, [&w_input, &w_hidden], wanted);
            for ((var, shape), gradient) in inputs.into_iter().zip(shapes).zip(found) {
                if let Some(gradient) = gradient {
                    gradients.add(var, Tensor::from_array(&device, shape, gradient));
                }
            }
        });
    }

    let mut gates = device.buffer(rows * h4);
    let mut cells = device.buffer(rows * h);
    let mut hidden = device.buffer(rows * h);
    device.install(|| {
        gemm(&device, &mut gates, input.matrix(), w_input.matrix(), false);
        for t in 0..live.len() {
            let (now, n) = (starts[t], live[t]);
            let before = if t == 0 { now } else { starts[t - 1] };
            let gates = &mut gates[now * h4..(now + n) * h4];
            let (past, hidden) = hidden.split_at_mut(now * h);
            let (past_cells, cells) = cells.split_at_mut(now * h);
            if t > 0 {
                let past = Matrix::new(&past[before * h..(before + n) * h], n, h);
                gemm(&device, gates, past, w_hidden.matrix(), true);
            }
            lstm_gates(
                gates,
                bias.data(),
                (t > 0).then(|| &past_cells[before * h..(before + n) * h]),
                &mut cells[..n * h],
                &mut hidden[..n * h],
                tanh_c,
            );
        }
    });
    let hidden = Tensor::new(&device, &[rows, h], hidden);
    let saved = Saved {
        live,
        starts,
        tanh_c,
        gates: Tensor::new(&device, &[rows, h4], gates),
        cells: Tensor::new(&device, &[rows, h], cells),
        hidden: hidden.clone(),
    };
    tape.push(hidden, &inputs, move |gradient, gradients| {
        let past = saved.past_hidden(&device);
        let first = past.as_ref().map_or(0, |_| saved.starts[1]);
        let d_gates = saved.gate_gradients(&device, &gradient, &w_hidden);
        if gradients.wants(weights.hidden) {
            let mut dw = device.zeros(h * h4);
            if let Some(past) = past {
                let later = Matrix::new(&d_gates.data()[first * h4..], rows - first, h4);
                let past = transposed(&device, &past, 0..rows - first);
                gemm(&device, &mut dw, past.matrix(), later, false);
            }
            gradients.add(weights.hidden, Tensor::new(&device, &[h, h4], dw));
        }
        if gradients.wants(weights.input) {
            let mut dw = device.buffer(w_input.len());
            let input = transposed(&device, &input, 0..rows);
            gemm(&device, &mut dw, input.matrix(), d_gates.matrix(), false);
            gradients.add(weights.input, Tensor::new(&device, w_input.shape(), dw));
        }
        if gradients.wants(weights.bias) {
            gradients.add(weights.bias, sum_rows(&d_gates));
        }
        if gradients.wants(x) {
            let mut dx = device.buffer(input.len());
            gemm(
                &device,
                &mut dx,
                d_gates.matrix(),
                w_input.matrix().t(),
                false,
            );
            gradients.add(x, Tensor::new(&device, input.shape(), dx));
        }
    })
}

/// One step's gates, cells and hidden rows, fused in one pass.
///
/// `gates` (n, 4H) come in as pre-activations without bias and go out activated; `past` cells
/// are (n, H), or none at the first step; `cells` and `hidden` (n, H) are written.
pub fn lstm_gates<T: Element>(
    gates: &mut [T],
    bias: &[T],
    past: Option<&[T]>,
    cells: &mut [T],
    hidden: &mut [T],
    tanh_c: bool,
) {
    use rayon::prelude::*;
    let h = bias.len() / 4;
    let rows = rows_per_piece(4 * h);
    gates
        .par_chunks_mut(rows * 4 * h)
        .zip(cells.par_chunks_mut(rows * h))
        .zip(hidden.par_chunks_mut(rows * h))
        .enumerate()
        .for_each(|(piece, ((gates, cells), hidden))| {
            for (r, ((gates, cells), hidden)) in gates
                .chunks_exact_mut(4 * h)
                .zip(cells.chunks_exact_mut(h))
                .zip(hidden.chunks_exact_mut(h))
                .enumerate()
            {
                let at = (piece * rows + r) * h;
                let past = past.map(|p| &p[at..at + h]);
                row_forward(gates, bias, past, cells, hidden, tanh_c);
            }
        });
}

fn row_forward<T: Element>(
    gates: &mut [T],
    bias: &[T],
    past: Option<&[T]>,
    cells: &mut [T],
    hidden: &mut [T],
    tanh_c: bool,
) {
    vectorized(
        #[inline(always)]
        || {
            let h = cells.len();
            let (sigmoids, candidates) = gates.split_at_mut(3 * h);
            let (sigmoid_bias, candidate_bias) = bias.split_at(3 * h);
            for (a, &b) in sigmoids.iter_mut().zip(sigmoid_bias) {
                *a = (*a + b).logistic();
            }
            for (a, &b) in candidates.iter_mut().zip(candidate_bias) {
                *a = (*a + b).hyperbolic_tangent();
            }
            let (i, rest) = sigmoids.split_at(h);
            let (f, o) = rest.split_at(h);
            for (((c, &i), &g), j) in cells.iter_mut().zip(i).zip(&*candidates).zip(0..) {
                *c = i * g + past.map_or(T::ZERO, |p| f[j] * p[j]);
            }
            for ((y, &o), &c) in hidden.iter_mut().zip(o).zip(&*cells) {
                *y = o * if tanh_c { c.hyperbolic_tangent() } else { c };
            }
        },
    );
}

/// What the backward pass needs of the forward pass.
struct Saved<T: Element> {
    live: Arc<[usize]>,
    starts: Vec<usize>,
    tanh_c: bool,
    gates: Tensor<T>,
    cells: Tensor<T>,
    hidden: Tensor<T>,
}

impl<T: Element> Saved<T> {
    /// The hidden row before every row of steps 1.., stacked; none if there is one step only.
    fn past_hidden(&self, device: &Device) -> Option<Tensor<T>> {
        stack_past(device, &self.hidden, &self.live, &self.starts)
    }

    /// Gradients (N, 4H) of the gates' pre-activations, last step to first.
    fn gate_gradients(
        &self,
        device: &Device,
        d_hidden: &Tensor<T>,
        w_hidden: &Tensor<T>,
    ) -> Tensor<T> {
        let (rows, h) = self.hidden.rows_cols();
        let h4 = 4 * h;
        let most = self.live.first().copied().unwrap_or(0);
        let mut d_gates = device.buffer(rows * h4);
        // Carried back from step t + 1: gradient of h (product) and of c.
        let mut d_past_hidden = device.zeros(most * h);
        let mut d_past_cells = device.zeros(most * h);
        let turned = transposed(device, w_hidden, 0..h);
        for t in (0..self.live.len()).rev() {
            let (now, n) = (self.starts[t], self.live[t]);
            let step = now * h4..(now + n) * h4;
            let states = now * h..(now + n) * h;
            let past = (t > 0).then(|| {
                let before = self.starts[t - 1] * h;
                &self.cells.data()[before..before + n * h]
            });
            gates_backward(
                h,
                (
                    &self.gates.data()[step.clone()],
                    &self.cells.data()[states.clone()],
                    past,
                ),
                (&d_hidden.data()[states], &d_past_hidden[..n * h]),
                &mut d_past_cells[..n * h],
                &mut d_gates[step.clone()],
                self.tanh_c,
            );
            if t > 0 {
                let d_gates = Matrix::new(&d_gates[step], n, h4);
                gemm(
                    device,
                    &mut d_past_hidden[..n * h],
                    d_gates,
                    turned.matrix(),
                    false,
                );
            }
        }
        device.recycle(d_past_hidden);
        device.recycle(d_past_cells);
        Tensor::new(device, &[rows, h4], d_gates)
    }
}

/// The backward pass of [`lstm_gates`] for one step of n rows of H cells: `d_gates` (n, 4H) is written, `d_cells` (n, H) comes
/// in as the gradient from the next step and goes out as that for the step before. The gradient of a hidden row is the sum
/// of the two given, from above and from the next step.
pub(super) fn gates_backward<T: Element>(
    h: usize,
    (gates, cells, past): (&[T], &[T], Option<&[T]>),
    (d_above, d_next): (&[T], &[T]),
    d_cells: &mut [T],
    d_gates: &mut [T],
    tanh_c: bool,
) {
    use rayon::prelude::*;
    let rows = rows_per_piece(4 * h);
    d_gates
        .par_chunks_mut(rows * 4 * h)
        .zip(d_cells.par_chunks_mut(rows * h))
        .enumerate()
        .for_each(|(piece, (d_gates, d_cells))| {
            for (r, (d_gates, d_cells)) in d_gates
                .chunks_exact_mut(4 * h)
                .zip(d_cells.chunks_exact_mut(h))
                .enumerate()
            {
                let row = piece * rows + r;
                let at = row * h..(row + 1) * h;
                row_backward(
                    &gates[row * 4 * h..(row + 1) * 4 * h],
                    &cells[at.clone()],
                    past.map(|p| &p[at.clone()]),
                    (&d_above[at.clone()], &d_next[at]),
                    d_cells,
                    d_gates,
                    tanh_c,
                );
            }
        });
}

/// `d_cells` comes in as the gradient from the next step and goes out as that for the step before.
fn row_backward<T: Element>(
    gates: &[T],
    cells: &[T],
    past: Option<&[T]>,
    (d_above, d_next): (&[T], &[T]),
    d_cells: &mut [T],
    d_gates: &mut [T],
    tanh_c: bool,
) {
    vectorized(
        #[inline(always)]
        || {
            let h = cells.len();
            let (i, rest) = gates.split_at(h);
            let (f, rest) = rest.split_at(h);
            let (o, g) = rest.split_at(h);
            let (di, rest) = d_gates.split_at_mut(h);
            let (df, rest) = rest.split_at_mut(h);
            let (d_o, dg) = rest.split_at_mut(h);
            // Equal lengths, stated once, so that the loop below needs no bounds checks.
            let (o, g, f) = (&o[..h], &g[..h], &f[..h]);
            let (d_above, d_next) = (&d_above[..h], &d_next[..h]);
            let (di, df, d_o, dg) = (&mut di[..h], &mut df[..h], &mut d_o[..h], &mut dg[..h]);
            let d_cells = &mut d_cells[..h];
            for j in 0..h {
                let dh = d_above[j] + d_next[j];
                let c = cells[j];
                let (shown, slope) = if tanh_c {
                    let y = c.hyperbolic_tangent();
                    (y, T::ONE - y * y)
                } else {
                    (c, T::ONE)
                };
                let dc = d_cells[j] + dh * o[j] * slope;
                d_o[j] = dh * shown * o[j] * (T::ONE - o[j]);
                di[j] = dc * g[j] * i[j] * (T::ONE - i[j]);
                dg[j] = dc * i[j] * (T::ONE - g[j] * g[j]);
                df[j] = dc * f[j] * (T::ONE - f[j]);
                d_cells[j] = dc * f[j];
            }
            match past {
                Some(past) => df.iter_mut().zip(past).for_each(|(d, &c)| *d *= c),
                None => df.fill(T::ZERO),
            }
        },
    );
}

/// Row r of step t - 1 for every row r of the steps t >= 1, stacked in order.
pub(super) fn stack_past<T: Element>(
    device: &Device,
    states: &Tensor<T>,
    live: &[usize],
    starts: &[usize],
) -> Option<Tensor<T>> {
    let (rows, h) = states.rows_cols();
    let first = *live.first()?;
    let mut past = device.buffer((rows - first) * h);
    for t in 1..live.len() {
        let to = (starts[t] - first) * h;
        let from = starts[t - 1] * h;
        past[to..to + live[t] * h].copy_from_slice(&states.data()[from..from + live[t] * h]);
    }
    Some(Tensor::new(device, &[rows - first, h], past))
}

/// A transposed copy of some rows (R of them, of C numbers) → (C, R). A product runs at full speed
/// only if the rows of its left side, or the columns of its right side, lie along the memory.
pub(super) fn transposed<T: Element>(
    device: &Device,
    x: &Tensor<T>,
    rows: std::ops::Range<usize>,
) -> Tensor<T> {
    let cols = x.rows_cols().1;
    let count = rows.len();
    let x = &x.data()[rows.start * cols..rows.end * cols];
    let mut turned = device.buffer(count * cols);
    // Blocks of 16 x 16 keep both sides in cache.
    const BLOCK: usize = 16;
    for_pieces(&mut turned, BLOCK * count.max(1), |at, out| {
        let first = at / count.max(1);
        for from in (0..count).step_by(BLOCK) {
            for (j, line) in out.chunks_exact_mut(count.max(1)).enumerate() {
                let to = count.min(from + BLOCK);
                for (r, y) in line[from..to].iter_mut().enumerate() {
                    *y = x[(from + r) * cols + first + j];
                }
            }
        }
    });
    Tensor::new(device, &[cols, count], turned)
}
