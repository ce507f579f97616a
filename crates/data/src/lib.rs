//! From disk to batch: datasets, vocabulary, stored features, packed batches.
//!
//! Here: readers of caption datasets and of stored picture features, the vocabulary, batches and their order,
//! and the check of a dataset before training. Not here: models, scores, downloads.
//!
//! Memory: every reader states by which multiple of the file's size its memory is bounded; the tests hold it to that.

pub mod batch;
pub mod check;
pub mod dataset;
pub mod encoded;
pub mod error;
pub mod features;
pub mod packed;
pub mod picture;
pub mod sampler;
pub mod vocabulary;

pub use batch::{Batch, MissingFeature};
pub use dataset::{Caption, Dataset, ImageRecord, RefusedRecord, Split, SplitRule, tokenize};
pub use encoded::{Encoded, EncodedImage};
pub use error::{DataError, Position};
pub use features::Features;
pub use packed::Packed;
pub use sampler::{Sampler, SamplerError, Sampling};
pub use vocabulary::{Vocabulary, VocabularyError};
