//! Whether and how units are dropped in one forward pass.
//!
//! The mask itself is `tensor::ops::Mask`; here is where it comes from: nowhere at prediction
//! time, a seed and the step's number in training, or NeuralTalk's own draws in golden tests.

use tensor::ops::Mask;
use tensor::{Device, Element};

/// Source of the dropout masks of one forward pass.
#[derive(Clone)]
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
    /// nothing is dropped there.
    ///
    /// # Panics
    /// If given masks run out.
    pub fn mask(
        &self,
        device: &Device,
        shape: (usize, usize),
        site: Site,
        index: usize,
    ) -> Option<Mask<T>> {
        match self {
            Self::Off => None,
            Self::Given(masks) => Some(masks[index].clone()),
            &Self::Random {
                seed,
                step,
                encoder,
                decoder,
            } => {
                let (probability, number) = match site {
                    Site::Encoder(n) => (encoder, u64::from(n)),
                    Site::Decoder(n) => (decoder, 128 + u64::from(n)),
                };
                // Eight bits tell masks of one step apart; 2^56 steps are enough.
                let stream = step << 8 | number;
                (probability > 0.0).then(|| Mask::random(device, shape, probability, seed, stream))
            }
        }
    }
}
