//! Search over a sentence decoder: from a picture's state to captions.
//!
//! Here: greedy and beam search as NeuralTalk does them, sampling, constraints on words. Many
//! pictures and all their partial sentences travel through the decoder together.
//! Not here: how a decoder computes (`models`), words as text (`data::Vocabulary`), scores
//! against references (`metrics`).
//!
//! The one thing that a search needs from a model is [`models::Decode`]. START and END are both
//! index 0: on the way in and on the way out.

mod beam;
mod caption;
mod constraints;
mod error;
mod follow;
mod greedy;
mod limits;
mod paths;
mod rows;
mod sample;
mod top_k;

pub use beam::{BeamOptions, beam};
pub use caption::Caption;
pub use constraints::Constraints;
pub use error::GenerateError;
pub use greedy::greedy;
pub use limits::Limits;
pub use sample::{SampleOptions, sample};

/// The word that ends a sentence when it is predicted and starts it when it is fed in.
pub const END: u32 = 0;
