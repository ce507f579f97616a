//! Sentence decoders, one file each, built from `nn`.
//!
//! [`Decoder`] holds a configuration and parameters; [`Decoder::loss`] trains it on a packed
//! batch of sentences, [`Decoder::start`] and [`Decode::step`] write sentences with it.

mod config;
mod decode;
mod decoder;
mod lstm;
mod rnn;

pub use config::{DecoderConfig, LstmConfig, RnnConfig};
pub use decode::Decode;
pub use decoder::{Decoder, ParameterError, Sentences, StepLoss};

/// What a decoder remembers of each partial sentence.
pub use decoder::State;
