//! Top-down attention over the regions of a picture (Anderson et al. 2018, section 3.2).
//!
//! ```text
//! values  = relu(regions · W_projection + b)    (I, R, P)        keys = values · W_key + b    (I, R, A)
//! picture = mean of the values                  (I, P)
//! h1 = LSTM(word, picture, h2 and h1 of the step before)         α = softmax(w · tanh(keys + h1 · W_query))
//! h2 = LSTM(Σ α value, h1, h2 of the step before)                p = softmax(h2 · W_output + b)
//! ```
//!
//! The paper's regions are detected objects; here they are the cells of an encoder's last map, projected with a ReLU.
//! Dropout: one mask on the words' vectors, one on the rows of h2 that go to the output layer. START is row 0 of the
//! embedding. Not here: the recurrence and the look at the regions (`tensor::ops::top_down`, `tensor::ops::attend`).

use std::sync::Arc;

use nn::dropout::Site;
use nn::{Bound, Dropout, Parameters};
use tensor::ops::{self, Regions, TopDownInputs};
use tensor::{Element, Tape, Tensor, Var};

use crate::AttentionConfig;
use crate::decoder::{Sentences, affine, embed, pick_rows};

/// Rows h2 (N, H) of every word position, packed like the batch's targets; `features` are (I, R, D).
pub(crate) fn hidden<T: Element>(
    config: &AttentionConfig,
    tape: &mut Tape<T>,
    parameters: &Bound<'_, T>,
    features: Var,
    batch: &Sentences<'_>,
    dropout: &Dropout<T>,
) -> Var {
    let device = tape.device().clone();
    let [images, regions, width] = tape.value(features).shape()[..] else {
        panic!("features of regions are (I, R, D)");
    };
    let linear = |tape: &mut Tape<T>, x, name: &str| {
        let [weight, bias] =
            ["weight", "bias"].map(|part| parameters.var(&format!("{name}.{part}")));
        ops::linear(tape, x, weight, bias)
    };
    let flat = ops::reshape(tape, features, &[images * regions, width]);
    let values = linear(tape, flat, "projection");
    let values = ops::relu(tape, values);
    let keys = linear(tape, values, "attention.key");
    let keys = ops::reshape(tape, keys, &[images, regions, config.attention]);
    let grid = ops::reshape(tape, values, &[images, regions, 1, config.projection]);
    let mean = ops::global_average_pool(tape, grid);
    let pictures = ops::matmul(tape, mean, parameters.var("attention_lstm.picture"));
    let values = ops::reshape(tape, values, &[images, regions, config.projection]);

    let words: Arc<[usize]> = batch.inputs.iter().map(|&w| w as usize).collect();
    let rows = words.len();
    let mut words = ops::gather(tape, parameters.var("embedding.weight"), words);
    if let Some(mask) = dropout.mask(&device, (rows, config.embedding), Site::Encoder(0), 0) {
        words = ops::dropout(tape, words, &mask);
    }
    let words = ops::matmul(tape, words, parameters.var("attention_lstm.word"));
    let inputs = TopDownInputs {
        words,
        pictures,
        keys,
        values,
        attention: parameters.var("attention_lstm.hidden"),
        attention_bias: parameters.var("attention_lstm.bias"),
        query: parameters.var("attention.query"),
        score: parameters.var("attention.score"),
        language: parameters.var("language_lstm.weight"),
        language_bias: parameters.var("language_lstm.bias"),
    };
    let mut hidden = ops::top_down(tape, inputs, batch.image_of.into(), batch.live.into());
    if let Some(mask) = dropout.mask(&device, (rows, config.hidden), Site::Decoder(0), 1) {
        hidden = ops::dropout(tape, hidden, &mask);
    }
    hidden
}

/// Both LSTMs' states of each partial sentence, and what it looks at.
#[derive(Debug, Clone)]
pub(crate) struct AttentionState<T: Element> {
    regions: Regions<T>,
    /// (I, 4H): what each picture adds to the attention LSTM's gates.
    pictures: Tensor<T>,
    /// (n) the picture of each row.
    image_of: Vec<usize>,
    /// [h2, h1] (n, 2H).
    states: Tensor<T>,
    /// c1, c2, (n, H) each.
    cells: [Tensor<T>; 2],
    /// h2 (n, H).
    pub(crate) hidden: Tensor<T>,
    /// α (n, R) of the word that comes next; none before the first step.
    pub(crate) weights: Option<Tensor<T>>,
}

/// Before the first word: regions (I, R, D) → one row a picture.
pub(crate) fn start<T: Element>(
    config: &AttentionConfig,
    parameters: &Parameters<T>,
    features: &Tensor<T>,
) -> AttentionState<T> {
    let device = features.device();
    let [images, regions, width] = features.shape()[..] else {
        panic!(
            "features of regions are (I, R, D), not {:?}",
            features.shape()
        );
    };
    let (h, p) = (config.hidden, config.projection);
    let linear = |x: &Tensor<T>, name: &str| {
        let [weight, bias] =
            ["weight", "bias"].map(|part| parameters.value(&format!("{name}.{part}")));
        affine(x, weight, bias)
    };
    let flat = features.clone().reshape(&[images * regions, width]);
    let mut values = linear(&flat, "projection");
    values
        .data_mut()
        .iter_mut()
        .for_each(|x| *x = x.larger(T::ZERO));
    let keys = linear(&values, "attention.key").reshape(&[images, regions, config.attention]);
    let share = T::ONE / T::of(regions as f64);
    let mut mean = vec![T::ZERO; images * p];
    for (mean, values) in mean
        .chunks_exact_mut(p)
        .zip(values.data().chunks_exact(regions * p))
    {
        for value in values.chunks_exact(p) {
            mean.iter_mut()
                .zip(value)
                .for_each(|(m, &v)| *m += v * share);
        }
    }
    let mut pictures = vec![T::ZERO; images * 4 * h];
    let mean = Tensor::new(device, &[images, p], mean);
    let weight = parameters.value("attention_lstm.picture");
    tensor::gemm(device, &mut pictures, mean.matrix(), weight.matrix(), false);
    let zeros = |width| Tensor::zeros(device, &[images, width]);
    AttentionState {
        regions: Regions {
            keys,
            values: values.reshape(&[images, regions, p]),
        },
        pictures: Tensor::new(device, &[images, 4 * h], pictures),
        image_of: (0..images).collect(),
        states: zeros(2 * h),
        cells: [zeros(h), zeros(h)],
        hidden: zeros(h),
        weights: None,
    }
}

/// Row r continues row `parents[r]` with `words[r]`.
pub(crate) fn step<T: Element>(
    config: &AttentionConfig,
    parameters: &Parameters<T>,
    past: &AttentionState<T>,
    parents: &[usize],
    words: &[u32],
) -> AttentionState<T> {
    let x = embed(parameters.value("embedding.weight"), words);
    let device = x.device();
    let [_, r, a, p] = past.regions.sizes();
    let (n, h) = (parents.len(), config.hidden);
    let image_of: Vec<usize> = parents.iter().map(|&row| past.image_of[row]).collect();
    let gemm = |out: &mut [T], x: &Tensor<T>, name: &str| {
        tensor::gemm(
            device,
            out,
            x.matrix(),
            parameters.value(name).matrix(),
            true,
        );
    };
    let cell = |gates: &mut [T], which: usize, name: &str| {
        let before = pick_rows(&past.cells[which], parents);
        let (mut cells, mut hidden) = (vec![T::ZERO; n * h], vec![T::ZERO; n * h]);
        let bias = parameters.value(name).data();
        ops::lstm_gates(gates, bias, Some(&before), &mut cells, &mut hidden, true);
        (
            Tensor::new(device, &[n, h], cells),
            Tensor::new(device, &[n, h], hidden),
        )
    };

    let mut gates = pick_rows(&past.pictures, &image_of);
    let states = Tensor::new(device, &[n, 2 * h], pick_rows(&past.states, parents));
    gemm(&mut gates, &x, "attention_lstm.word");
    gemm(&mut gates, &states, "attention_lstm.hidden");
    let (c1, h1) = cell(&mut gates, 0, "attention_lstm.bias");

    let mut queries = vec![T::ZERO; n * a];
    gemm(&mut queries, &h1, "attention.query");
    let (mut weights, mut contexts) = (vec![T::ZERO; n * r], vec![T::ZERO; n * p]);
    let score = parameters.value("attention.score").data();
    ops::attend(
        &past.regions,
        score,
        &queries,
        &image_of,
        &mut weights,
        &mut contexts,
    );

    let mut reads = Vec::with_capacity(n * (p + 2 * h));
    for (row, context) in contexts.chunks_exact(p).enumerate() {
        reads.extend_from_slice(context);
        reads.extend_from_slice(&h1.data()[row * h..(row + 1) * h]);
        reads.extend_from_slice(&states.data()[row * 2 * h..][..h]);
    }
    let reads = Tensor::new(device, &[n, p + 2 * h], reads);
    gates.fill(T::ZERO);
    gemm(&mut gates, &reads, "language_lstm.weight");
    let (c2, h2) = cell(&mut gates, 1, "language_lstm.bias");

    let both = h2.data().chunks_exact(h).zip(h1.data().chunks_exact(h));
    let states = both
        .flat_map(|(h2, h1)| h2.iter().chain(h1).copied())
        .collect();
    AttentionState {
        regions: past.regions.clone(),
        pictures: past.pictures.clone(),
        image_of,
        states: Tensor::new(device, &[n, 2 * h], states),
        cells: [c1, c2],
        hidden: h2,
        weights: Some(Tensor::new(device, &[n, r], weights)),
    }
}
