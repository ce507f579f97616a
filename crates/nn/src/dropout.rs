//! Whether and how units are dropped in one forward pass.
//!
//! The mask itself is `tensor::ops::Mask`; here is where it comes from: nowhere at prediction
//! time, a seed and the step's number in training, or NeuralTalk's own draws in golden tests.

use tensor::ops::Mask;
use tensor::{Device, Element};

/// Source of the dropout masks of one forward pass.
#[derive(Debug, Clone)]
pub enum Dropout<T: Element = f32> {
    /// Nothing is dropped.
    Off,
    /// Masks that are a function of (seed, step, which mask).
    Random {
        /// The run's seed.
        seed: u64,
        /// Number of the training step.
        step: u64,
        /// Drop probability of the inputs.
        encoder: f64,
        /// Drop probability of the hidden rows.
        decoder: f64,
    },
    /// As `Random`, but the mask of a word is a function of its picture and its position too: all sentences about a picture
    /// are read, and can be written word by word, by the same thinned network.
    ByPicture {
        /// The run's seed.
        seed: u64,
        /// Number of the training step.
        step: u64,
        /// Drop probability of the inputs.
        encoder: f64,
        /// Drop probability of the hidden rows.
        decoder: f64,
    },
    /// Masks from outside, in the order in which the model asks.
    Given(Vec<Mask<T>>),
}

/// Which of a model's masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Of the inputs; the number tells several apart.
    Encoder(u8),
    /// Of the hidden rows.
    Decoder(u8),
}

impl<T: Element> Dropout<T> {
    /// The mask of (rows, cols) at `site`, the `index`-th that this pass asks for; none if
    /// nothing is dropped there. `places` are [`place`]s, one a row; only [`Dropout::ByPicture`] asks for them.
    ///
    /// # Panics
    /// If given masks run out.
    pub fn mask(
        &self,
        device: &Device,
        (rows, cols): (usize, usize),
        places: impl FnOnce() -> Vec<u64>,
        site: Site,
        index: usize,
    ) -> Option<Mask<T>> {
        match *self {
            Self::Off => None,
            Self::Given(ref masks) => Some(masks[index].clone()),
            Self::Random {
                seed,
                step,
                encoder,
                decoder,
            } => {
                let probability = site.probability(encoder, decoder);
                let stream = site.stream(step);
                (probability > 0.0)
                    .then(|| Mask::random(device, (rows, cols), probability, seed, stream))
            }
            Self::ByPicture {
                seed,
                step,
                encoder,
                decoder,
            } => {
                let probability = site.probability(encoder, decoder);
                let stream = site.stream(step);
                (probability > 0.0)
                    .then(|| Mask::of_rows(device, &places(), cols, probability, seed, stream))
            }
        }
    }
}

impl Site {
    fn probability(self, encoder: f64, decoder: f64) -> f64 {
        match self {
            Self::Encoder(_) => encoder,
            Self::Decoder(_) => decoder,
        }
    }

    /// Eight bits tell masks of one step apart; 2^56 steps are enough.
    fn stream(self, step: u64) -> u64 {
        let number = match self {
            Self::Encoder(n) => u64::from(n),
            Self::Decoder(n) => 128 + u64::from(n),
        };
        step << 8 | number
    }
}

/// Names the `position`-th input of a sentence about `picture`: 0 is the picture itself, 1 the first word that is read.
pub fn place(picture: usize, position: usize) -> u64 {
    (position as u64) << 32 | picture as u64
}
