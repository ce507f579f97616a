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
use tensor::{Element, Tape, Tensor, Var, step};

use crate::AttentionConfig;
use crate::decoder::{Sentences, embed};

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
        step::affine(x, weight, bias)
    };
    let flat = features.clone().reshape(&[images * regions, width]);
    let values = step::relu(linear(&flat, "projection"));
    let keys = linear(&values, "attention.key").reshape(&[images, regions, config.attention]);
    let values = values.reshape(&[images, regions, p]);
    let mean = step::region_means(&values);
    let zeros = |width| Tensor::zeros(device, &[images, width]);
    AttentionState {
        pictures: step::product(&mean, parameters.value("attention_lstm.picture")),
        regions: Regions { keys, values },
        image_of: (0..images).collect(),
        states: zeros(2 * h),
        cells: [zeros(h), zeros(h)],
        hidden: zeros(h),
        weights: None,
    }
}

/// Row r continues row `parents[r]` with `words[r]`.
pub(crate) fn step<T: Element>(
    parameters: &Parameters<T>,
    past: &AttentionState<T>,
    parents: &[usize],
    words: &[u32],
) -> AttentionState<T> {
    let image_of: Vec<usize> = parents.iter().map(|&row| past.image_of[row]).collect();
    let cell = |gates: Tensor<T>, which: usize, name: &str| {
        let before = step::rows(&past.cells[which], parents);
        step::lstm_cell(gates, parameters.value(name), Some(&before), true)
    };

    let mut gates = step::rows(&past.pictures, &image_of);
    let x = embed(parameters.value("embedding.weight"), words);
    let states = step::rows(&past.states, parents);
    for (x, name) in [
        (&x, "attention_lstm.word"),
        (&states, "attention_lstm.hidden"),
    ] {
        step::add_product(&mut gates, x, parameters.value(name));
    }
    let [c1, h1] = cell(gates, 0, "attention_lstm.bias");

    let queries = step::product(&h1, parameters.value("attention.query"));
    let score = parameters.value("attention.score");
    let [weights, contexts] = step::attend(&past.regions, score, &queries, &image_of);

    let before = step::rows(&past.hidden, parents);
    let reads = step::beside(&[&contexts, &h1, &before]);
    let gates = step::product(&reads, parameters.value("language_lstm.weight"));
    let [c2, h2] = cell(gates, 1, "language_lstm.bias");
    AttentionState {
        regions: past.regions.clone(),
        pictures: past.pictures.clone(),
        image_of,
        states: step::beside(&[&h2, &h1]),
        cells: [c1, c2],
        hidden: h2,
        weights: Some(weights),
    }
}
