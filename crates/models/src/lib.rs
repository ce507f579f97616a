//! Picture encoders and sentence decoders, one file each, built from `nn`.
//!
//! [`Decoder`] holds a configuration and parameters; [`Decoder::loss`] trains it on a packed
//! batch of sentences, [`Decoder::start`] and [`Decode::step`] write sentences with it. [`encoder`] turns pixels into
//! the features that they read.

mod attention;
mod config;
mod decode;
mod decoder;
pub mod encoder;
mod lstm;
mod rnn;

pub use config::{AttentionConfig, DecoderConfig, LstmConfig, RnnConfig};
pub use decode::Decode;
pub use decoder::{Decoder, Objective, ParameterError, Sentences, StepLoss};

/// What a decoder remembers of each partial sentence.
pub use decoder::State;
