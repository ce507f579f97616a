//! One training step: cost and gradients of a batch, then the update.
//!
//! Here: the two halves, so that the loop can look at the cost before the weights move, in f32 for
//! training and f64 for checks. Not here: which batch, the learning rate, divergence (`run.rs`).
//!
//! Source: `RNNGenCost` and `Solver.step` of NeuralTalk. cost = (Σ -ln(1e-20 + p) + 0.5 regc Σ w²) / B;
//! gradients likewise, then clipped, then the solver.

use data::Batch;
use models::{Decoder, Objective, Sentences};
use nn::{Clip, Dropout, Optimizer, OptimizerConfig};
use tensor::{Element, Tape, Tensor, update};

/// A decoder that learns.
#[derive(Debug, Clone)]
pub struct Trainer<T: Element = f32> {
    /// The decoder.
    pub decoder: Decoder<T>,
    /// Its optimizer, with the running averages.
    pub optimizer: Optimizer<T>,
    /// Limits on the gradient.
    pub clip: Clip,
    /// Weight of 0.5 Σ w² in the cost.
    pub regc: f64,
    /// Label smoothing.
    pub smoothing: f64,
}

/// Cost of a batch before the update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Mean over the sentences of -ln p, or of advantage · -ln p.
    pub loss: f64,
    /// L2 penalty, over the number of sentences too.
    pub regularization: f64,
    /// Perplexity of the batch, base 2, over all words with END.
    pub ppl2: f64,
}

impl Cost {
    /// What is minimised.
    pub fn total(&self) -> f64 {
        self.loss + self.regularization
    }
}

/// The pictures of a batch as the decoder reads them.
#[derive(Debug)]
pub(crate) struct Pictures<T: Element = f32> {
    /// (I, R, D), or (I, D).
    pub(crate) features: Tensor<T>,
    /// Whether whoever made the features learns from their gradient.
    pub(crate) learning: bool,
}

impl<T: Element> Pictures<T> {
    /// The same with the features in the shape that the decoder reads.
    pub(crate) fn shaped(self, batch: &Batch, decoder: &Decoder<T>) -> Self {
        Self {
            features: self.features.reshape(&shape(batch, decoder)),
            ..self
        }
    }
}

/// Cost of a batch with its gradients.
#[derive(Debug)]
pub struct Pass<T: Element = f32> {
    /// The cost.
    pub cost: Cost,
    /// Gradient of the sum of losses with respect to the batch's features, if it was asked for.
    pub features: Option<Tensor<T>>,
    gradients: Vec<Tensor<T>>,
    /// B.
    pub(crate) sentences: usize,
}

impl<T: Element> Trainer<T> {
    /// A trainer whose running averages are 0, without label smoothing.
    pub fn new(decoder: Decoder<T>, config: OptimizerConfig, clip: Clip, regc: f64) -> Self {
        let optimizer = Optimizer::new(config, decoder.parameters());
        Self {
            decoder,
            optimizer,
            clip,
            regc,
            smoothing: 0.0,
        }
    }

    /// Cost and gradients of a batch at the present weights.
    ///
    /// # Panics
    /// If the batch is empty or its features have another width than the decoder's.
    pub fn pass(&self, batch: &Batch, dropout: &Dropout<T>) -> Pass<T> {
        self.pass_on(batch, stored(batch, &self.decoder), None, dropout)
    }

    /// As [`Trainer::pass`], with `pictures` for the batch's features; each packed word's loss times its weight where there are
    /// weights.
    ///
    /// # Panics
    /// As there, or if there is not one weight a packed word.
    pub(crate) fn pass_on(
        &self,
        batch: &Batch,
        pictures: Pictures<T>,
        weights: Option<&[T]>,
        dropout: &Dropout<T>,
    ) -> Pass<T> {
        let sentences = batch.sentences.len();
        assert!(sentences > 0, "a batch has sentences");
        let device = self.decoder.device();
        let packed = batch.packed();
        let count = packed.rows();
        let rounded = match device.gpu() {
            Some(_) => Rounded::new(&packed, weights),
            None => None,
        };
        let (packed, row_weights) = match &rounded {
            Some(rounded) => (&rounded.packed, Some(&rounded.weights[..])),
            None => (&packed, weights),
        };
        let objective = Objective {
            weights: row_weights,
            smoothing: self.smoothing,
        };
        let (words, gradients, to_features) = device.install(|| {
            let mut tape = Tape::new(device);
            let bound = self.decoder.parameters().bind(&mut tape);
            let features = match pictures.learning {
                true => tape.parameter(pictures.features),
                false => tape.constant(pictures.features),
            };
            let sentences = borrow(batch, packed);
            let decoder = &self.decoder;
            let (loss, words) =
                decoder.loss_on(&mut tape, &bound, features, &sentences, objective, dropout);
            let mut found = tape.backward(loss);
            let of_features = pictures.learning.then(|| found.take(features)).flatten();
            (words, bound.gradients(&mut found), of_features)
        });
        // On a GPU everything is queued by now; only here the step waits for it.
        let penalty = if self.regc == 0.0 {
            0.0
        } else {
            let weights = self.decoder.parameters().iter();
            let weights = weights.filter(|p| p.regularized).map(|p| &p.value);
            0.5 * self.regc * update::squared_sum(weights)
        };
        let mut words = words.into_vec();
        if let Some(Rounded { places, .. }) = &rounded {
            words = places.iter().map(|&place| words[place]).collect();
        }
        let total: f64 = words.iter().sum();
        let size = sentences as f64;
        let loss = match weights {
            None => total,
            Some(weights) => {
                let words = words.iter().zip(weights);
                words.map(|(loss, weight)| loss * weight.to_f64()).sum()
            }
        };
        Pass {
            cost: Cost {
                loss: loss / size,
                regularization: penalty / size,
                ppl2: ppl2(total, count),
            },
            features: to_features,
            gradients,
            sentences,
        }
    }

    /// Moves the weights; returns the gradient's norm where the norm is clipped.
    pub fn update(&mut self, pass: &Pass<T>, learning_rate: f64) -> Option<f64> {
        self.optimizer.step(
            self.decoder.parameters_mut(),
            &pass.gradients,
            learning_rate,
            1.0 / pass.sentences as f64,
            self.regc,
            self.clip,
        )
    }
}

/// Adds pictures that no sentence is about, for the same reason as [`Rounded`]: of a hundred sentences drawn at random now two,
/// now three are about the same picture.
pub(crate) fn round_pictures(batch: &mut Batch) {
    if let (Some(part), Some(&first)) = (part(batch.sentences.len()), batch.pictures.first()) {
        let count = batch.pictures.len().next_multiple_of(part);
        batch.pictures.resize(count, first);
    }
}

/// Steps are a multiple of this, rows of a step and pictures one of the sentences over this.
const PARTS: usize = 4;
/// Batches of more sentences than this keep a GPU busy as they are.
const MOST_ROUNDED: usize = 256;

/// What rows and pictures of so many sentences are to be a multiple of; none where rounding isn't worth it.
fn part(sentences: usize) -> Option<usize> {
    (1..=MOST_ROUNDED)
        .contains(&sentences)
        .then(|| sentences.div_ceil(PARTS))
}

/// A batch for a GPU, which replays steps of a shape that it has seen (`cuda`): shapes of like batches are made the same by rows
/// that count nothing. Their losses weigh 0, and so do all gradients that go through them.
struct Rounded<T> {
    packed: data::Packed,
    /// How much each row counts.
    weights: Vec<T>,
    /// Where the batch's rows are.
    places: Vec<usize>,
}

impl<T: Element> Rounded<T> {
    /// None where rounding isn't worth it; `weights` are those of the batch's rows, 1 if there are none.
    fn new(packed: &data::Packed, weights: Option<&[T]>) -> Option<Self> {
        let rows = part(packed.live.first().copied().unwrap_or(0))?;
        let (packed, places) = packed.rounded(rows, PARTS);
        let mut all = vec![T::ZERO; packed.rows()];
        for (n, &place) in places.iter().enumerate() {
            all[place] = weights.map_or(T::ONE, |weights| weights[n]);
        }
        Some(Self {
            packed,
            weights: all,
            places,
        })
    }
}

/// A batch as the models take it.
pub(crate) fn borrow<'a>(batch: &'a Batch, packed: &'a data::Packed) -> Sentences<'a> {
    Sentences {
        image_of: &batch.image_of,
        live: &packed.live,
        inputs: &packed.inputs,
        targets: &packed.targets,
    }
}

/// The features of a batch: (I, R, D), or (I, D).
pub(crate) fn features<T: Element>(batch: &Batch, decoder: &Decoder<T>) -> Tensor<T> {
    Tensor::from_values(decoder.device(), &shape(batch, decoder), &batch.features)
}

fn shape<T: Element>(batch: &Batch, decoder: &Decoder<T>) -> Vec<usize> {
    let (images, r, d) = (batch.images(), batch.regions, batch.dimension);
    match decoder.config().reads_regions() {
        true => vec![images, r, d],
        false => vec![images, d],
    }
}

/// The pictures of a batch of stored features.
pub(crate) fn stored<T: Element>(batch: &Batch, decoder: &Decoder<T>) -> Pictures<T> {
    Pictures {
        features: features(batch, decoder),
        learning: false,
    }
}

/// 2 to the mean of -log2 p, from Σ -ln p.
pub(crate) fn ppl2(total: f64, words: usize) -> f64 {
    (total / std::f64::consts::LN_2 / words as f64).exp2()
}
