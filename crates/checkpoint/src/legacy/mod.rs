//! Data-only readers of other people's checkpoints, and a writer of NeuralTalk's.
//!
//! Here: pickles ([`Pickle`]), and what NeuralTalk puts in them ([`NeuralTalkCheckpoint`],
//! [`export_neuraltalk`]), PyTorch's state dicts ([`read_torch`]), Caffe's networks ([`read_caffe`]). Not here: our own format (`load.rs`, `save.rs`).
//!
//! None of these readers has an operation that calls something, so there is nothing to attack:
//! what is not data is refused with its name and its position.

mod caffe;
mod caffe_message;
mod caffe_network;
mod escapes;
mod export;
mod graph;
mod machine;
mod neuraltalk;
mod numpy;
mod params;
mod pickle;
mod pickle_error;
mod pickle_writer;
mod torch;
mod torch_file;

pub use caffe::{CAFFE_MEMORY_FACTOR, read_caffe};
pub use export::export_neuraltalk;
pub use neuraltalk::{
    NEURALTALK_MEMORY_FACTOR, NamedArray64, NeuralTalkCheckpoint, read_neuraltalk,
};
pub use numpy::{Array, Dtype, NumberKind};
pub use pickle::{Integer, Items, Kind, PICKLE_MEMORY_FACTOR, Pickle, Value};
pub use pickle_error::{PickleError, PickleProblem};
pub(crate) use torch_file::is_torch;
pub use torch_file::read_torch;
