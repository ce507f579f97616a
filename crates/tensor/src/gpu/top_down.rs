//! A whole packed sequence through top-down attention; the steps of `ops::top_down`, whose shapes and names these are.
//!
//! What the CPU copies from row to row is written where it is read next: h1 and the contexts straight into the language LSTM's
//! inputs (N, P + 2H), h2 into the states (N, 2H).

use std::sync::Arc;

use cuda::kernels::{self, AttendBackwardRegions, AttendBackwardRows, AttendSizes, GatesBackward};
use cuda::{Array, Gpu, Matrix};

use super::lstm::recurrent_gradient;
use super::{column_sums, indices, matrix, product};
use crate::ops::top_down::{Pass, Sizes};
use crate::{Element, Tensor};

/// One pass, kept for the way back.
pub(crate) struct TopDown<T: Element> {
    gpu: Arc<Gpu>,
    inputs: Pass<T>,
    sizes: AttendSizes,
    h: usize,
    image_of: Array<u32>,
    /// (N, 4H), activated; (N, H); of the attention LSTM, then of the language LSTM.
    gates: [Array<f32>; 2],
    cells: [Array<f32>; 2],
    /// (N, A).
    queries: Array<f32>,
    /// α (N, R).
    weights: Array<f32>,
    /// [context, h1, h2 of the step before] (N, P + 2H).
    reads: Array<f32>,
    /// [h2, h1] (N, 2H).
    states: Array<f32>,
}

impl<T: Element> TopDown<T> {
    /// `words` (N, 4H), `pictures` (I, 4H).
    pub(crate) fn forward(
        gpu: &Arc<Gpu>,
        inputs: Pass<T>,
        words: &Tensor<T>,
        pictures: &Tensor<T>,
    ) -> Self {
        let Sizes { images, r, a, p, h } = inputs.sizes;
        let sizes = AttendSizes { images, r, a, p };
        let (rows, wide, h4) = (inputs.rows(), p + 2 * h, 4 * h);
        let mut pass = Self {
            gpu: gpu.clone(),
            image_of: indices(gpu, &inputs.image_of),
            gates: [words.array().duplicate(), gpu.array(rows * h4)],
            cells: [(); 2].map(|()| gpu.array(rows * h)),
            queries: gpu.array(rows * a),
            weights: gpu.array(rows * r),
            // The first step's h2 of the step before is 0.
            reads: gpu.zeros(rows * wide),
            states: gpu.array(rows * 2 * h),
            inputs,
            sizes,
            h,
        };
        let shown = kernels::gather(gpu, pictures.array().all(), pass.image_of.all(), h4);
        for t in 0..pass.inputs.live.len() {
            pass.step(t, &shown);
        }
        pass
    }

    /// Step t; `shown` (S, 4H) is what each sentence's picture adds to the attention LSTM's gates.
    fn step(&mut self, t: usize, shown: &Array<f32>) {
        let (gpu, h, h4) = (&self.gpu, self.h, 4 * self.h);
        let AttendSizes { r, a, p, .. } = self.sizes;
        let wide = p + 2 * h;
        let (now, n) = (self.inputs.starts[t], self.inputs.live[t]);
        let before = if t == 0 { 0 } else { self.inputs.starts[t - 1] };
        let [mut first, mut second] = self
            .gates
            .each_mut()
            .map(|gates| gates.at_mut(now * h4..(now + n) * h4));
        let [(past1, cells1), (past2, cells2)] = self
            .cells
            .each_mut()
            .map(|cells| cells.all_mut().split_at(now * h));
        let [past1, past2] = [&past1, &past2]
            .map(|cells| (t > 0).then(|| cells.read().at(before * h..(before + n) * h)));
        let [mut cells1, mut cells2] = [cells1, cells2].map(|cells| cells.at(0..n * h));

        // The attention LSTM; h1 goes where the language LSTM reads it.
        kernels::add_assign(gpu, &mut first, shown.at(0..n * h4));
        if t > 0 {
            let past = self.states.at(before * 2 * h..(before + n) * 2 * h);
            let past = Matrix::new(past, n, 2 * h);
            gpu.multiply(&mut first, past, matrix(&self.inputs.attention), true);
        }
        let bias = self.inputs.attention_bias.array().all();
        let mut h1 = self.reads.at_mut(now * wide + p..(now + n) * wide);
        let h1 = (&mut h1, wide);
        kernels::lstm_gates(gpu, &mut first, bias, past1, &mut cells1, h1, None, true);

        // The look at the picture.
        let h1 = self.reads.at(now * wide + p..(now + n) * wide);
        let mut queries = self.queries.at_mut(now * a..(now + n) * a);
        let rows = Matrix::columns(h1, n, h, wide);
        gpu.multiply(&mut queries, rows, matrix(&self.inputs.query), false);
        let mut contexts = self.reads.at_mut(now * wide..(now + n) * wide);
        kernels::attend(
            gpu,
            self.sizes,
            (
                self.inputs.regions.keys.array().all(),
                self.inputs.regions.values.array().all(),
            ),
            self.inputs.score.array().all(),
            queries.read(),
            self.image_of.at(0..n),
            &mut self.weights.at_mut(now * r..(now + n) * r),
            (&mut contexts, wide),
        );

        // The language LSTM.
        if t > 0 {
            let h2 = self.states.at(before * 2 * h..(before + n) * 2 * h);
            let mut to = self.reads.at_mut(now * wide + p + h..(now + n) * wide);
            kernels::copy_block(gpu, (h2, 2 * h), (&mut to, wide), (n, h), false);
        }
        let reads = Matrix::new(self.reads.at(now * wide..(now + n) * wide), n, wide);
        gpu.multiply(&mut second, reads, matrix(&self.inputs.language), false);
        let bias = self.inputs.language_bias.array().all();
        let mut h2 = self.states.at_mut(now * 2 * h..(now + n) * 2 * h);
        let h2 = (&mut h2, 2 * h);
        kernels::lstm_gates(gpu, &mut second, bias, past2, &mut cells2, h2, None, true);
        let h1 = self.reads.at(now * wide + p..(now + n) * wide);
        let mut to = self.states.at_mut(now * 2 * h + h..(now + n) * 2 * h);
        kernels::copy_block(gpu, (h1, wide), (&mut to, 2 * h), (n, h), false);
    }

    /// h2 (N, H).
    pub(crate) fn hidden(&self) -> Array<f32> {
        let (rows, h) = (self.inputs.rows(), self.h);
        let mut hidden = self.gpu.array(rows * h);
        let (from, mut to) = ((self.states.all(), 2 * h), hidden.all_mut());
        kernels::copy_block(&self.gpu, from, (&mut to, h), (rows, h), false);
        hidden
    }

    /// Gradients in the order of `ops::TopDownInputs`.
    pub(crate) fn backward(&self, d_hidden: &Tensor<T>) -> [Array<f32>; 10] {
        let (gpu, h, rows) = (&self.gpu, self.h, self.inputs.rows());
        let AttendSizes { images, r, a, p } = self.sizes;
        let (wide, h4) = (p + 2 * h, 4 * h);
        let mut back = Back::new(self, d_hidden.array());
        for t in (0..self.inputs.live.len()).rev() {
            back.step(self, t);
        }
        let [d_gates1, d_gates2] = back.d_gates;
        let gates = |d: &Array<f32>| d.for_products(h4).len();
        assert_eq!((gates(&d_gates1), gates(&d_gates2)), (rows * h4, rows * h4));
        let (live, starts) = (&self.inputs.live, &self.inputs.starts);
        let (states, gates1) = ((&self.states, 2 * h), (&d_gates1, h4));
        let attention = recurrent_gradient(gpu, states, gates1, live, starts);
        // Which picture every packed row looks at.
        let of_rows: Vec<usize> = self
            .inputs
            .live
            .iter()
            .flat_map(|&n| self.inputs.image_of[..n].iter().copied())
            .collect();
        let pictures = kernels::scatter_add(gpu, d_gates1.all(), &of_rows, (images, h4));
        let h1 = Matrix::columns(
            self.reads.at(p.min(rows * wide)..rows * wide),
            rows,
            h,
            wide,
        );
        let d_queries = Matrix::new(back.d_queries.all(), rows, a);
        let query = product(gpu, h, a, h1.t(), d_queries);
        let reads = Matrix::new(self.reads.all(), rows, wide);
        let d_second = Matrix::new(d_gates2.for_products(h4), rows, h4);
        let language = product(gpu, wide, h4, reads.t(), d_second);
        let biases = [&d_gates1, &d_gates2].map(|d| column_sums(gpu, d, h4));
        let [attention_bias, language_bias] = biases;
        let score = column_sums(gpu, &back.d_score_rows, a);
        assert_eq!(back.d_values.len(), images * r * p, "values' gradient");
        [
            d_gates1,
            pictures,
            back.d_keys,
            back.d_values,
            attention,
            attention_bias,
            query,
            score,
            language,
            language_bias,
        ]
    }
}

/// Gradients on the way back.
struct Back<'a> {
    d_hidden: &'a Array<f32>,
    rows: Array<u32>,
    starts: Array<u32>,
    d_gates: [Array<f32>; 2],
    d_queries: Array<f32>,
    d_score_rows: Array<f32>,
    d_keys: Array<f32>,
    d_values: Array<f32>,
    /// Carried back from step t + 1, (S, H) each; rows that end at step t have zeros.
    d_h1: Array<f32>,
    d_h2: Array<f32>,
    d_cells: [Array<f32>; 2],
    /// Of the present step.
    d_reads: Array<f32>,
    d_states: Array<f32>,
    d_scores: Array<f32>,
}

impl<'a> Back<'a> {
    fn new<T: Element>(pass: &TopDown<T>, d_hidden: &'a Array<f32>) -> Self {
        let (gpu, h, rows) = (&pass.gpu, pass.h, pass.inputs.rows());
        let AttendSizes { images, r, a, p } = pass.sizes;
        let most = pass.inputs.image_of.len();
        let (order, starts) = kernels::grouped(&pass.inputs.image_of, images);
        Self {
            d_hidden,
            rows: gpu.array_of(&order),
            starts: gpu.array_of(&starts),
            d_gates: [(); 2].map(|()| gpu.array(rows * 4 * h)),
            d_queries: gpu.array(rows * a),
            d_score_rows: gpu.array(rows * a),
            d_keys: gpu.zeros(images * r * a),
            d_values: gpu.zeros(images * r * p),
            d_h1: gpu.zeros(most * h),
            d_h2: gpu.zeros(most * h),
            d_cells: [(); 2].map(|()| gpu.zeros(most * h)),
            d_reads: gpu.array(most * (p + 2 * h)),
            d_states: gpu.array(most * 2 * h),
            d_scores: gpu.array(most * r),
        }
    }

    fn step<T: Element>(&mut self, pass: &TopDown<T>, t: usize) {
        let (gpu, h, h4, inputs) = (&pass.gpu, pass.h, 4 * pass.h, &pass.inputs);
        let AttendSizes { r, a, p, .. } = pass.sizes;
        let wide = p + 2 * h;
        let (now, n) = (inputs.starts[t], inputs.live[t]);
        let gates = |which: usize| GatesBackward {
            gates: pass.gates[which].at(now * h4..(now + n) * h4),
            cells: pass.cells[which].at(now * h..(now + n) * h),
            past: (t > 0).then(|| {
                let before = inputs.starts[t - 1];
                pass.cells[which].at(before * h..(before + n) * h)
            }),
            above: self.d_hidden.at(now * h..(now + n) * h),
            stride: h,
            next: None,
            tanh_c: true,
        };
        let [cells1, cells2] = &mut self.d_cells;
        let [first, second] = &mut self.d_gates;
        let mut first = first.at_mut(now * h4..(now + n) * h4);
        let mut second = second.at_mut(now * h4..(now + n) * h4);

        // The language LSTM.
        let x = GatesBackward {
            next: Some(self.d_h2.at(0..n * h)),
            ..gates(1)
        };
        let d_cells = &mut cells2.at_mut(0..n * h);
        kernels::lstm_gates_backward(gpu, x, d_cells, &mut second, None, h);
        let d_second = Matrix::new(second.read(), n, h4);
        let mut d_reads = self.d_reads.at_mut(0..n * wide);
        gpu.multiply(&mut d_reads, d_second, matrix(&inputs.language).t(), false);
        let d_reads = d_reads.read();
        let part = |from: usize| d_reads.at(from..n * wide);
        let mut d_h1 = self.d_h1.at_mut(0..n * h);
        kernels::copy_block(gpu, (part(p), wide), (&mut d_h1, h), (n, h), true);

        // The look at the picture.
        let (keys, score) = (
            inputs.regions.keys.array().all(),
            inputs.score.array().all(),
        );
        let queries = pass.queries.at(now * a..(now + n) * a);
        let weights = pass.weights.at(now * r..(now + n) * r);
        let mut d_scores = self.d_scores.at_mut(0..n * r);
        let mut d_queries = self.d_queries.at_mut(now * a..(now + n) * a);
        let x = AttendBackwardRows {
            keys,
            values: inputs.regions.values.array().all(),
            score,
            queries,
            image_of: pass.image_of.at(0..n),
            weights,
            d_contexts: d_reads,
            stride: wide,
        };
        let shares = &mut self.d_score_rows.at_mut(now * a..(now + n) * a);
        kernels::attend_backward_rows(gpu, pass.sizes, x, &mut d_scores, &mut d_queries, shares);
        let x = AttendBackwardRegions {
            keys,
            score,
            queries,
            rows: self.rows.all(),
            starts: self.starts.all(),
            weights,
            d_contexts: d_reads,
            stride: wide,
            d_scores: d_scores.read(),
        };
        let (d_keys, d_values) = (&mut self.d_keys.all_mut(), &mut self.d_values.all_mut());
        kernels::attend_backward_regions(gpu, pass.sizes, x, d_keys, d_values, n);
        let d_query = Matrix::new(d_queries.read(), n, a);
        gpu.multiply(&mut d_h1, d_query, matrix(&inputs.query).t(), true);

        // The attention LSTM.
        let x = GatesBackward {
            above: d_h1.read(),
            ..gates(0)
        };
        let d_cells = &mut cells1.at_mut(0..n * h);
        kernels::lstm_gates_backward(gpu, x, d_cells, &mut first, None, h);
        if t > 0 {
            let d_first = Matrix::new(first.read(), n, h4);
            let mut d_states = self.d_states.at_mut(0..n * 2 * h);
            gpu.multiply(&mut d_states, d_first, matrix(&inputs.attention).t(), false);
            let d_states = d_states.read();
            let mut d_h2 = self.d_h2.at_mut(0..n * h);
            kernels::copy_block(gpu, (d_states, 2 * h), (&mut d_h2, h), (n, h), false);
            kernels::copy_block(gpu, (part(p + h), wide), (&mut d_h2, h), (n, h), true);
            let of_h1 = (d_states.at(h..n * 2 * h), 2 * h);
            kernels::copy_block(gpu, of_h1, (&mut d_h1, h), (n, h), false);
        }
    }
}
