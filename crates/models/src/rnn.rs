//! The RNN decoder of NeuralTalk (`rnn_generator.py`; Karpathy & Fei-Fei 2015).
//!
//! h_t = relu(picture + word_t·W_xh + b_xh + h_(t-1)·W_hh + b_hh), the picture at every step or,
//! with `feed_once`, at the first; `relu_encoders` clips the picture and the projected words at 0.
//! Dropout masks in the original's order: words, picture, hidden. Not here: the recurrence and
//! the quirk of its dropout (`tensor::ops::rnn`).

use std::sync::Arc;

use nn::dropout::Site;
use nn::{Bound, Dropout, Parameters};
use tensor::ops::{self, RnnInputs};
use tensor::{Element, Tape, Tensor, Var, step};

use crate::RnnConfig;
use crate::decoder::{Sentences, embed};

/// Hidden rows (N, H) of every word position, packed like the batch's targets.
pub(crate) fn hidden<T: Element>(
    config: &RnnConfig,
    tape: &mut Tape<T>,
    parameters: &Bound<'_, T>,
    features: Var,
    batch: &Sentences<'_>,
    dropout: &Dropout<T>,
) -> Var {
    let device = tape.device().clone();
    let (sentences, rows) = (batch.image_of.len(), batch.inputs.len());
    let pictures = ops::linear(
        tape,
        features,
        parameters.var("projection.weight"),
        parameters.var("projection.bias"),
    );
    let mut picture = ops::gather(tape, pictures, batch.image_of.into());
    let words: Arc<[usize]> = batch.inputs.iter().map(|&w| w as usize).collect();
    let mut words = ops::gather(tape, parameters.var("embedding.weight"), words);

    if let Some(mask) = dropout.mask(&device, (rows, config.embedding), Site::Encoder(0), 0) {
        words = ops::dropout(tape, words, &mask);
    }
    if let Some(mask) = dropout.mask(&device, (sentences, config.hidden), Site::Encoder(1), 1) {
        picture = ops::dropout(tape, picture, &mask);
    }
    let mut words = ops::linear(
        tape,
        words,
        parameters.var("rnn.input.weight"),
        parameters.var("rnn.input.bias"),
    );
    if config.relu_encoders {
        words = ops::relu(tape, words);
        picture = ops::relu(tape, picture);
    }
    let mask = dropout.mask(&device, (rows, config.hidden), Site::Decoder(0), 2);
    let inputs = RnnInputs {
        picture,
        words,
        hidden: parameters.var("rnn.hidden.weight"),
        bias: parameters.var("rnn.hidden.bias"),
    };
    ops::rnn(
        tape,
        inputs,
        batch.live.into(),
        config.feed_once,
        mask.as_ref(),
    )
}

/// The hidden state and the picture (if it is still to be fed), (N, H) each.
#[derive(Debug, Clone)]
pub(crate) struct RnnState<T: Element> {
    pub(crate) hidden: Tensor<T>,
    picture: Option<Tensor<T>>,
}

/// Before the first word: features (I, D) → a state of zeros and the projected pictures.
pub(crate) fn start<T: Element>(
    config: &RnnConfig,
    parameters: &Parameters<T>,
    features: &Tensor<T>,
) -> RnnState<T> {
    let mut picture = step::affine(
        features,
        parameters.value("projection.weight"),
        parameters.value("projection.bias"),
    );
    if config.relu_encoders {
        picture = step::relu(picture);
    }
    RnnState {
        hidden: Tensor::zeros(features.device(), picture.shape()),
        picture: Some(picture),
    }
}

/// Row r continues row `parents[r]` with `words[r]`.
pub(crate) fn step<T: Element>(
    config: &RnnConfig,
    parameters: &Parameters<T>,
    state: &RnnState<T>,
    parents: &[usize],
    words: &[u32],
) -> RnnState<T> {
    let x = embed(parameters.value("embedding.weight"), words);
    let mut sums = step::affine(
        &x,
        parameters.value("rnn.input.weight"),
        parameters.value("rnn.input.bias"),
    );
    if config.relu_encoders {
        sums = step::relu(sums);
    }
    let past = step::rows(&state.hidden, parents);
    step::add_product(&mut sums, &past, parameters.value("rnn.hidden.weight"));
    step::add(&mut sums, parameters.value("rnn.hidden.bias"));
    let picture = state.picture.as_ref().map(|p| step::rows(p, parents));
    if let Some(picture) = &picture {
        step::add(&mut sums, picture);
    }
    RnnState {
        hidden: step::relu(sums),
        picture: picture.filter(|_| !config.feed_once),
    }
}
