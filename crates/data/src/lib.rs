//! From disk to batch: datasets, vocabulary, stored features, packed batches.
//!
//! Here: readers of caption datasets and of stored picture features, the vocabulary, batches and their order,
//! and the check of a dataset before training. Not here: models, scores, downloads.
//!
//! Memory: every reader states by which multiple of the file's size its memory is bounded; the tests hold it to that.

pub mod dataset;
pub mod error;
pub mod features;
pub mod vocabulary;

pub use dataset::{Caption, Dataset, ImageRecord, Split};
pub use error::{DataError, Position};
pub use features::Features;
pub use vocabulary::{Vocabulary, VocabularyError};
