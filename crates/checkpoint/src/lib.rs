//! One self-contained file per model, written atomically, and readers of other people's files.
//!
//! Here: what a checkpoint holds ([`Checkpoint`]), how it is saved and loaded as one
//! `safetensors` file ([`save`], [`load`]), what can be said about one without running it
//! ([`inspect`]), encoders from weight files ([`load_encoder`]), and data-only readers of foreign formats ([`legacy`]). Not here: building a
//! model from the weights (`models`), deciding when to save (`train`).
//!
//! Memory: [`load`] needs at most [`MEMORY_FACTOR`] times the file's size, whatever the file
//! claims about itself; the readers in [`legacy`] state their own constants.

mod any;
mod average;
mod checkpoint;
mod encoder;
mod encoder_part;
mod error;
mod inspect;
pub mod legacy;
mod load;
mod metadata;
mod replace;
mod save;

pub use any::{FileKind, load_any};
pub use checkpoint::{Checkpoint, FeaturesInfo, NamedArray, TrainingState};
pub use encoder::{load_encoder, load_state, save_encoder};
pub use encoder_part::{EncoderAbout, EncoderPart, Widths, published_preprocessing};
pub use error::CheckpointError;
pub use inspect::{ArrayDescription, Description, EncoderDescription, inspect};
pub use load::{MEMORY_FACTOR, load, load_from};
pub use metadata::FORMAT_VERSION;
pub use replace::{Disk, LocalDisk, replace};
pub use save::{Precision, save, save_as, save_to, write_as, write_to};
