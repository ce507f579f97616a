//! The LSTM decoder of NeuralTalk (`lstm_generator.py`; Vinyals et al. 2015 in all but details).
//!
//! Step 0 reads the projected picture, and its prediction is thrown away; step 1 reads START,
//! step t the word t - 1. Dropout: one mask on all input rows (picture and words), one on all
//! hidden rows, outside the recurrence. Not here: the cell (`tensor::ops::lstm`).

use std::sync::Arc;

use nn::dropout::Site;
use nn::{Bound, Dropout, Parameters};
use tensor::ops::{self, LstmWeights};
use tensor::{Element, Tape, Tensor, Var, step};

use crate::LstmConfig;
use crate::decoder::{Sentences, embed};

/// Hidden rows (N, H) of every word position, packed like the batch's targets.
pub(crate) fn hidden<T: Element>(
    config: &LstmConfig,
    tape: &mut Tape<T>,
    parameters: &Bound<'_, T>,
    features: Var,
    batch: &Sentences<'_>,
    dropout: &Dropout<T>,
) -> Var {
    let device = tape.device().clone();
    let pictures = ops::linear(
        tape,
        features,
        parameters.var("projection.weight"),
        parameters.var("projection.bias"),
    );
    let pictures = ops::gather(tape, pictures, batch.image_of.into());
    let words: Arc<[usize]> = batch.inputs.iter().map(|&w| w as usize).collect();
    let words = ops::gather(tape, parameters.var("embedding.weight"), words);
    let mut x = ops::concat_rows(tape, pictures, words);

    let sentences = batch.image_of.len();
    let rows = sentences + batch.inputs.len();
    if let Some(mask) = dropout.mask(&device, (rows, config.embedding), Site::Encoder(0), 0) {
        x = ops::dropout(tape, x, &mask);
    }
    let live: Arc<[usize]> = std::iter::once(sentences)
        .chain(batch.live.iter().copied())
        .collect();
    let weights = LstmWeights {
        input: parameters.var("lstm.input"),
        hidden: parameters.var("lstm.hidden"),
        bias: parameters.var("lstm.bias"),
    };
    let mut hidden = ops::lstm(tape, x, weights, live, config.tanh_c);
    if let Some(mask) = dropout.mask(&device, (rows, config.hidden), Site::Decoder(0), 1) {
        hidden = ops::dropout(tape, hidden, &mask);
    }
    ops::slice_rows(tape, hidden, sentences..rows)
}

/// Hidden and cell state, (N, H) each.
#[derive(Debug, Clone)]
pub(crate) struct LstmState<T: Element> {
    pub(crate) hidden: Tensor<T>,
    cells: Tensor<T>,
}

/// The state after the picture: features (I, D) → (I, H).
pub(crate) fn start<T: Element>(
    config: &LstmConfig,
    parameters: &Parameters<T>,
    features: &Tensor<T>,
) -> LstmState<T> {
    let x = step::affine(
        features,
        parameters.value("projection.weight"),
        parameters.value("projection.bias"),
    );
    cell(config, parameters, &x, None)
}

/// Row r continues row `parents[r]` with `words[r]`.
pub(crate) fn step<T: Element>(
    config: &LstmConfig,
    parameters: &Parameters<T>,
    state: &LstmState<T>,
    parents: &[usize],
    words: &[u32],
) -> LstmState<T> {
    let x = embed(parameters.value("embedding.weight"), words);
    let past = LstmState {
        hidden: step::rows(&state.hidden, parents),
        cells: step::rows(&state.cells, parents),
    };
    cell(config, parameters, &x, Some(&past))
}

fn cell<T: Element>(
    config: &LstmConfig,
    parameters: &Parameters<T>,
    x: &Tensor<T>,
    past: Option<&LstmState<T>>,
) -> LstmState<T> {
    let mut gates = step::product(x, parameters.value("lstm.input"));
    if let Some(past) = past {
        step::add_product(&mut gates, &past.hidden, parameters.value("lstm.hidden"));
    }
    let bias = parameters.value("lstm.bias");
    let past = past.map(|past| &past.cells);
    let [cells, hidden] = step::lstm_cell(gates, bias, past, config.tanh_c);
    LstmState { hidden, cells }
}
