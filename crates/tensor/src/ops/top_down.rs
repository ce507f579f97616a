//! A whole packed sequence through top-down attention: two layers of LSTM with a look at the picture between them.
//!
//! ```text
//! attention LSTM   reads word_t + picture and [h2, h1] of step t - 1      gives h1
//! attention        query = h1 · W_query, over the regions of the picture  gives context
//! language LSTM    reads [context, h1, h2 of step t - 1]                  gives h2
//! ```
//!
//! Anderson et al. 2018, section 3.2; gates packed i, f, o, g and h = o ⊙ tanh(c) as in `lstm.rs`. Time-major and packed:
//! the first `live[t]` sentences run at step t. All that doesn't depend on the step before is a product over all steps
//! outside (words, picture, keys, values); here are one product each for the two LSTMs and the query per step, and one product
//! a weight for the gradients. Not here: projections and embedding (`models::attention`).

use std::sync::Arc;

use super::attention::{RegionGradients, Regions, attend, attend_backward};
use super::elementwise::sum_rows;
use super::lstm::{gates_backward, lstm_gates, stack_past, transposed};
use super::offsets;
use crate::{Device, Element, Matrix, Tape, Tensor, Var, gemm, gpu};

/// What [`top_down`] reads.
#[derive(Debug, Clone, Copy)]
pub struct TopDownInputs {
    /// (N, 4H): what words add to the attention LSTM's gates, packed.
    pub words: Var,
    /// (I, 4H): what pictures add, at every step.
    pub pictures: Var,
    /// (I, R, A).
    pub keys: Var,
    /// (I, R, P).
    pub values: Var,
    /// Attention LSTM: (2H, 4H), rows of h2, then of h1; both of the step before.
    pub attention: Var,
    /// (4H).
    pub attention_bias: Var,
    /// (H, A): from h1.
    pub query: Var,
    /// (A).
    pub score: Var,
    /// Language LSTM: (P + 2H, 4H), rows of the context, of h1, of h2 of the step before.
    pub language: Var,
    /// (4H).
    pub language_bias: Var,
}

impl From<[Var; 10]> for TopDownInputs {
    /// From all of them, in the order of the fields.
    fn from(all: [Var; 10]) -> Self {
        let [
            words,
            pictures,
            keys,
            values,
            attention,
            attention_bias,
            query,
            score,
            language,
            language_bias,
        ] = all;
        Self {
            words,
            pictures,
            keys,
            values,
            attention,
            attention_bias,
            query,
            score,
            language,
            language_bias,
        }
    }
}

impl TopDownInputs {
    /// All, in the order of their gradients.
    fn all(self) -> [Var; 10] {
        [
            self.words,
            self.pictures,
            self.keys,
            self.values,
            self.attention,
            self.attention_bias,
            self.query,
            self.score,
            self.language,
            self.language_bias,
        ]
    }
}

/// Hidden rows h2 (N, H) in packed order. Sentence s is about picture `image_of[s]`; all first states are 0.
///
/// # Panics
/// If the shapes don't fit, the live rows grow or a picture is not there.
pub fn top_down<T: Element>(
    tape: &mut Tape<T>,
    inputs: TopDownInputs,
    image_of: Arc<[usize]>,
    live: Arc<[usize]>,
) -> Var {
    let device = tape.device().clone();
    let value = |var: Var| tape.value(var).clone();
    let regions = Regions {
        keys: value(inputs.keys),
        values: value(inputs.values),
    };
    let pass = Pass {
        sizes: Sizes::of(&regions, tape.value(inputs.query)),
        starts: offsets(&live),
        image_of,
        live,
        regions,
        attention: value(inputs.attention),
        attention_bias: value(inputs.attention_bias),
        query: value(inputs.query),
        score: value(inputs.score),
        language: value(inputs.language),
        language_bias: value(inputs.language_bias),
        device: device.clone(),
    };
    let (words, pictures) = (value(inputs.words), value(inputs.pictures));
    pass.check(&words, &pictures);
    if let Some(gpu) = device.gpu_for::<T>() {
        return pass.run_on(gpu, tape, inputs, &words, &pictures);
    }
    let saved = device.install(|| pass.forward(&words, &pictures));
    let hidden = Tensor::new(&device, &[pass.rows(), pass.sizes.h], saved.hidden());
    let all = inputs.all();
    tape.push(hidden, &all, move |gradient, gradients| {
        for (var, gradient) in all.into_iter().zip(pass.backward(&saved, &gradient)) {
            gradients.add(var, gradient);
        }
    })
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) images: usize,
    pub(crate) r: usize,
    pub(crate) a: usize,
    pub(crate) p: usize,
    pub(crate) h: usize,
}

impl Sizes {
    fn of<T: Element>(regions: &Regions<T>, query: &Tensor<T>) -> Self {
        let [images, r, a, p] = regions.sizes();
        let h = query.rows_cols().0;
        Self { images, r, a, p, h }
    }
}

/// What [`top_down`] reads but for words and pictures, as tensors, and what is packed how.
pub(crate) struct Pass<T: Element> {
    pub(crate) sizes: Sizes,
    pub(crate) image_of: Arc<[usize]>,
    pub(crate) live: Arc<[usize]>,
    pub(crate) starts: Vec<usize>,
    pub(crate) regions: Regions<T>,
    pub(crate) attention: Tensor<T>,
    pub(crate) attention_bias: Tensor<T>,
    pub(crate) query: Tensor<T>,
    pub(crate) score: Tensor<T>,
    pub(crate) language: Tensor<T>,
    pub(crate) language_bias: Tensor<T>,
    pub(crate) device: Device,
}

/// What the backward pass needs of the forward pass, all packed.
struct Saved<T: Element> {
    /// Activated gates (N, 4H) and cells (N, H) of the two LSTMs.
    gates: [Vec<T>; 2],
    cells: [Vec<T>; 2],
    /// (N, A).
    queries: Vec<T>,
    /// α (N, R).
    weights: Vec<T>,
    /// [context, h1, h2 of the step before] (N, P + 2H).
    reads: Tensor<T>,
    /// [h2, h1] (N, 2H).
    states: Tensor<T>,
}

impl<T: Element> Saved<T> {
    /// h2 (N, H).
    fn hidden(&self) -> Vec<T> {
        let (_, width) = self.states.rows_cols();
        let rows = self.states.data().chunks_exact(width);
        rows.flat_map(|row| row[..width / 2].iter().copied())
            .collect()
    }
}

impl<T: Element> Pass<T> {
    pub(crate) fn rows(&self) -> usize {
        self.starts[self.live.len()]
    }

    fn check(&self, words: &Tensor<T>, pictures: &Tensor<T>) {
        let Sizes {
            images, a, p, h, ..
        } = self.sizes;
        assert_eq!(words.shape(), [self.rows(), 4 * h], "words");
        assert_eq!(pictures.shape(), [images, 4 * h], "pictures");
        assert_eq!(self.attention.shape(), [2 * h, 4 * h], "attention LSTM");
        assert_eq!(self.language.shape(), [p + 2 * h, 4 * h], "language LSTM");
        assert_eq!(self.query.shape(), [h, a], "query");
        assert_eq!(self.score.shape(), [a], "score");
        for bias in [&self.attention_bias, &self.language_bias] {
            assert_eq!(bias.shape(), [4 * h], "bias");
        }
        let sentences = self.live.first().copied().unwrap_or(0);
        assert_eq!(self.image_of.len(), sentences, "one picture a sentence");
        assert!(
            self.image_of.iter().all(|&i| i < images),
            "a picture that is not there"
        );
    }

    fn run_on(
        self,
        gpu: &Arc<cuda::Gpu>,
        tape: &mut Tape<T>,
        inputs: TopDownInputs,
        words: &Tensor<T>,
        pictures: &Tensor<T>,
    ) -> Var {
        let shape = [self.rows(), self.sizes.h];
        let device = self.device.clone();
        let pass = gpu::TopDown::forward(gpu, self, words, pictures);
        let all = inputs.all();
        let shapes = all.map(|var| tape.value(var).shape().to_vec());
        let hidden = Tensor::from_array(&device, &shape, pass.hidden());
        tape.push(hidden, &all, move |gradient, gradients| {
            let found = pass.backward(&gradient);
            for ((var, shape), gradient) in all.into_iter().zip(&shapes).zip(found) {
                gradients.add(var, Tensor::from_array(&device, shape, gradient));
            }
        })
    }

    fn forward(&self, words: &Tensor<T>, pictures: &Tensor<T>) -> Saved<T> {
        let Sizes { r, a, p, h, .. } = self.sizes;
        let (device, rows, wide) = (&self.device, self.rows(), p + 2 * h);
        let mut first = device.buffer(rows * 4 * h);
        first.copy_from_slice(words.data());
        let mut second = device.buffer(rows * 4 * h);
        let [mut cells1, mut cells2] = [(); 2].map(|()| device.buffer(rows * h));
        let mut queries = device.buffer(rows * a);
        let mut weights = device.buffer(rows * r);
        let mut reads = device.buffer(rows * wide);
        let mut states = device.buffer(rows * 2 * h);
        let most = self.live.first().copied().unwrap_or(0);
        let mut hidden = device.buffer(most * h);
        let mut contexts = device.buffer(most * p);
        for t in 0..self.live.len() {
            let (now, n) = (self.starts[t], self.live[t]);
            let before = if t == 0 { 0 } else { self.starts[t - 1] };
            let (past_states, states) = states.split_at_mut(now * 2 * h);
            let past_states = &past_states[before * 2 * h..];
            let (past1, cells1) = cells1.split_at_mut(now * h);
            let (past2, cells2) = cells2.split_at_mut(now * h);
            let past = |cells: &'_ [T]| (t > 0).then(|| cells[before * h..][..n * h].to_vec());

            // The attention LSTM.
            let gates = &mut first[now * 4 * h..(now + n) * 4 * h];
            for (row, &image) in gates.chunks_exact_mut(4 * h).zip(&*self.image_of) {
                let picture = &pictures.data()[image * 4 * h..(image + 1) * 4 * h];
                row.iter_mut().zip(picture).for_each(|(g, &x)| *g += x);
            }
            if t > 0 {
                let past = Matrix::new(&past_states[..n * 2 * h], n, 2 * h);
                gemm(device, gates, past, self.attention.matrix(), true);
            }
            let bias = self.attention_bias.data();
            let h1 = &mut hidden[..n * h];
            lstm_gates(
                gates,
                bias,
                past(past1).as_deref(),
                &mut cells1[..n * h],
                h1,
                true,
            );

            // The look at the picture.
            let queries = &mut queries[now * a..(now + n) * a];
            gemm(
                device,
                queries,
                Matrix::new(h1, n, h),
                self.query.matrix(),
                false,
            );
            let contexts = &mut contexts[..n * p];
            let weights = &mut weights[now * r..(now + n) * r];
            attend(
                &self.regions,
                self.score.data(),
                queries,
                &self.image_of[..n],
                weights,
                contexts,
            );

            // The language LSTM.
            let reads = &mut reads[now * wide..(now + n) * wide];
            for (i, row) in reads.chunks_exact_mut(wide).enumerate() {
                row[..p].copy_from_slice(&contexts[i * p..(i + 1) * p]);
                row[p..p + h].copy_from_slice(&h1[i * h..(i + 1) * h]);
                match t {
                    0 => row[p + h..].fill(T::ZERO),
                    _ => row[p + h..].copy_from_slice(&past_states[i * 2 * h..][..h]),
                }
            }
            let gates = &mut second[now * 4 * h..(now + n) * 4 * h];
            gemm(
                device,
                gates,
                Matrix::new(reads, n, wide),
                self.language.matrix(),
                false,
            );
            let bias = self.language_bias.data();
            let h2 = &mut hidden[..n * h];
            lstm_gates(
                gates,
                bias,
                past(past2).as_deref(),
                &mut cells2[..n * h],
                h2,
                true,
            );
            for (i, row) in states[..n * 2 * h].chunks_exact_mut(2 * h).enumerate() {
                row[..h].copy_from_slice(&h2[i * h..(i + 1) * h]);
                row[h..].copy_from_slice(&reads[i * wide + p..][..h]);
            }
        }
        device.recycle(hidden);
        device.recycle(contexts);
        Saved {
            gates: [first, second],
            cells: [cells1, cells2],
            queries,
            weights,
            reads: Tensor::new(device, &[rows, wide], reads),
            states: Tensor::new(device, &[rows, 2 * h], states),
        }
    }

    /// Gradients in the order of `TopDownInputs`.
    fn backward(&self, saved: &Saved<T>, d_hidden: &Tensor<T>) -> [Tensor<T>; 10] {
        let Sizes { images, r, a, p, h } = self.sizes;
        let (device, rows, wide, h4) = (&self.device, self.rows(), p + 2 * h, 4 * h);
        let most = self.live.first().copied().unwrap_or(0);
        let mut rows_of = vec![Vec::new(); images];
        for (row, &image) in self.image_of.iter().enumerate() {
            rows_of[image].push(row);
        }
        let mut d_gates1 = device.buffer(rows * h4);
        let mut d_gates2 = device.buffer(rows * h4);
        let mut d_queries = device.buffer(rows * a);
        let mut sums = RegionGradients {
            keys: device.zeros(images * r * a),
            values: device.zeros(images * r * p),
            score: device.zeros(images * a),
        };
        // Carried back from step t + 1; rows that end at step t have zeros.
        let [mut d_h1, mut d_h2, mut d_cells1, mut d_cells2] =
            [(); 4].map(|()| device.zeros(most * h));
        let none = vec![T::ZERO; most * h];
        let mut d_reads = device.buffer(most * wide);
        let mut d_contexts = device.buffer(most * p);
        let mut d_states = device.buffer(most * 2 * h);
        let language = transposed(device, &self.language, 0..wide);
        let attention = transposed(device, &self.attention, 0..2 * h);
        for t in (0..self.live.len()).rev() {
            let (now, n) = (self.starts[t], self.live[t]);
            let (wide4, narrow) = (now * h4..(now + n) * h4, now * h..(now + n) * h);
            let past = |which: usize| {
                let cells: &[T] = &saved.cells[which];
                (t > 0).then(|| &cells[self.starts[t - 1] * h..][..n * h])
            };
            let gates2 = &mut d_gates2[wide4.clone()];
            gates_backward(
                h,
                (
                    &saved.gates[1][wide4.clone()],
                    &saved.cells[1][narrow.clone()],
                    past(1),
                ),
                (&d_hidden.data()[narrow.clone()], &d_h2[..n * h]),
                &mut d_cells2[..n * h],
                gates2,
                true,
            );
            let d_reads = &mut d_reads[..n * wide];
            gemm(
                device,
                d_reads,
                Matrix::new(gates2, n, h4),
                language.matrix(),
                false,
            );
            for (i, row) in d_reads.chunks_exact(wide).enumerate() {
                d_contexts[i * p..(i + 1) * p].copy_from_slice(&row[..p]);
                let d_h1 = &mut d_h1[i * h..(i + 1) * h];
                d_h1.iter_mut()
                    .zip(&row[p..p + h])
                    .for_each(|(d, &x)| *d += x);
            }
            let queries = now * a..(now + n) * a;
            attend_backward(
                &self.regions,
                self.score.data(),
                &rows_of,
                (
                    &saved.queries[queries.clone()],
                    &saved.weights[now * r..],
                    &d_contexts,
                ),
                &mut sums,
                &mut d_queries[queries.clone()],
            );
            let d_query = Matrix::new(&d_queries[queries], n, a);
            gemm(
                device,
                &mut d_h1[..n * h],
                d_query,
                self.query.matrix().t(),
                true,
            );
            let gates1 = &mut d_gates1[wide4.clone()];
            gates_backward(
                h,
                (&saved.gates[0][wide4], &saved.cells[0][narrow], past(0)),
                (&d_h1[..n * h], &none[..n * h]),
                &mut d_cells1[..n * h],
                gates1,
                true,
            );
            if t > 0 {
                let d_states = &mut d_states[..n * 2 * h];
                gemm(
                    device,
                    d_states,
                    Matrix::new(gates1, n, h4),
                    attention.matrix(),
                    false,
                );
                for (i, row) in d_states.chunks_exact(2 * h).enumerate() {
                    let read = &d_reads[i * wide + p + h..(i + 1) * wide];
                    let d_h2 = &mut d_h2[i * h..(i + 1) * h];
                    for ((d, &x), &y) in d_h2.iter_mut().zip(&row[..h]).zip(read) {
                        *d = x + y;
                    }
                    d_h1[i * h..(i + 1) * h].copy_from_slice(&row[h..]);
                }
            }
        }
        let d_gates1 = Tensor::new(device, &[rows, h4], d_gates1);
        let d_gates2 = Tensor::new(device, &[rows, h4], d_gates2);
        let d_queries = Tensor::new(device, &[rows, a], d_queries);
        for buffer in [
            d_h1, d_h2, d_cells1, d_cells2, d_reads, d_contexts, d_states,
        ] {
            device.recycle(buffer);
        }
        let mut score = device.zeros(a);
        for of_picture in sums.score.chunks_exact(a) {
            score.iter_mut().zip(of_picture).for_each(|(s, &x)| *s += x);
        }
        [
            d_gates1.clone(),
            self.picture_gradient(&d_gates1),
            Tensor::new(device, &[images, r, a], sums.keys),
            Tensor::new(device, &[images, r, p], sums.values),
            self.attention_gradient(saved, &d_gates1),
            sum_rows(&d_gates1),
            self.query_gradient(saved, &d_queries),
            Tensor::new(device, &[a], score),
            product(device, &saved.reads, &d_gates2),
            sum_rows(&d_gates2),
        ]
    }

    /// (I, 4H): each picture's rows of all steps, summed in order.
    fn picture_gradient(&self, d_gates: &Tensor<T>) -> Tensor<T> {
        let h4 = 4 * self.sizes.h;
        let mut sums = self.device.zeros(self.sizes.images * h4);
        for (t, &n) in self.live.iter().enumerate() {
            let rows = d_gates.data()[self.starts[t] * h4..].chunks_exact(h4);
            for (row, &image) in rows.zip(&self.image_of[..n]) {
                let sum = &mut sums[image * h4..(image + 1) * h4];
                sum.iter_mut().zip(row).for_each(|(s, &x)| *s += x);
            }
        }
        Tensor::new(&self.device, &[self.sizes.images, h4], sums)
    }

    /// (2H, 4H): states of the steps before times gates.
    fn attention_gradient(&self, saved: &Saved<T>, d_gates: &Tensor<T>) -> Tensor<T> {
        let (rows, h) = (self.rows(), self.sizes.h);
        let past = stack_past(&self.device, &saved.states, &self.live, &self.starts);
        let Some(past) = past.filter(|past| past.shape()[0] > 0) else {
            return Tensor::zeros(&self.device, &[2 * h, 4 * h]);
        };
        let first = rows - past.shape()[0];
        let past = transposed(&self.device, &past, 0..rows - first);
        let later = Matrix::new(&d_gates.data()[first * 4 * h..], rows - first, 4 * h);
        let mut dw = self.device.buffer(8 * h * h);
        gemm(&self.device, &mut dw, past.matrix(), later, false);
        Tensor::new(&self.device, &[2 * h, 4 * h], dw)
    }

    /// (H, A): h1 times the queries' gradient.
    fn query_gradient(&self, saved: &Saved<T>, d_queries: &Tensor<T>) -> Tensor<T> {
        let h = self.sizes.h;
        let mut h1 = self.device.buffer(self.rows() * h);
        let states = saved.states.data().chunks_exact(2 * h);
        for (row, state) in h1.chunks_exact_mut(h).zip(states) {
            row.copy_from_slice(&state[h..]);
        }
        let h1 = Tensor::new(&self.device, &[self.rows(), h], h1);
        product(&self.device, &h1, d_queries)
    }
}

/// xᵀ · y.
fn product<T: Element>(device: &Device, x: &Tensor<T>, y: &Tensor<T>) -> Tensor<T> {
    let (rows, k) = x.rows_cols();
    let m = y.rows_cols().1;
    let mut out = device.buffer(k * m);
    let turned = transposed(device, x, 0..rows);
    gemm(device, &mut out, turned.matrix(), y.matrix(), false);
    Tensor::new(device, &[k, m], out)
}
