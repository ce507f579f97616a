//! Search over a sentence decoder, and the facade from pictures to captions.
//!
//! Here: greedy and beam search as NeuralTalk does them, consensus, sampling, constraints on words, ensembles; and [`Captioner`], which
//! puts picture decoding, encoder, decoder and search behind one call. Many
//! pictures and all their partial sentences travel through the decoder together.
//! Not here: how a decoder computes (`models`), scores against references (`metrics`).
//!
//! The one thing that a search needs from a model is [`models::Decode`]. START and END are both
//! index 0: on the way in and on the way out.

mod beam;
mod caption;
mod captioner;
mod consensus;
mod constraints;
mod ensemble;
mod error;
mod follow;
mod greedy;
mod limits;
mod paths;
mod required;
mod rows;
mod sample;
mod top_k;

pub use beam::{BeamOptions, beam};
pub use caption::Caption;
pub use captioner::{
    Attention, BLOCK, CaptionError, Captioner, Options, Sampling, Sentence, Source,
};
pub use constraints::Constraints;
pub use ensemble::Ensemble;
pub use error::GenerateError;
pub use greedy::greedy;
pub use limits::Limits;
pub use sample::{SampleOptions, sample};

/// The word that ends a sentence when it is predicted and starts it when it is fed in.
pub const END: u32 = 0;
