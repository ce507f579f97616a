//! Sentence decoders, one file each, built from `nn`.

mod config;
mod decode;

pub use config::{DecoderConfig, LstmConfig, RnnConfig};
pub use decode::Decode;
