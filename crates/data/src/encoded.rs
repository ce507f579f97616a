//! Sentences of chosen splits as word indices, picture by picture.
//!
//! Here: [`Encoded`], made once before training, from which samplers pick and batches are built.
//! Not here: the choice (`sampler.rs`), packing (`packed.rs`).

use crate::dataset::{Dataset, Split};
use crate::vocabulary::Vocabulary;

/// A picture's sentences without START and END.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedImage {
    /// Column of the picture in the feature file.
    pub imgid: u32,
    /// Word indices; words outside the vocabulary are left out, so a sentence may be empty. It still predicts END.
    pub sentences: Vec<Vec<u32>>,
}

/// Pictures of some splits, in the dataset's order, also those without sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// One entry for each picture.
    pub images: Vec<EncodedImage>,
}

impl Encoded {
    /// Encodes the sentences of `splits`.
    pub fn new(dataset: &Dataset, vocabulary: &Vocabulary, splits: &[Split]) -> Self {
        let chosen = dataset
            .images
            .iter()
            .filter(|image| splits.contains(&image.split));
        let encode = |image: &crate::ImageRecord| EncodedImage {
            imgid: image.imgid,
            sentences: image
                .captions
                .iter()
                .map(|caption| vocabulary.encode(&caption.tokens))
                .collect(),
        };
        Self {
            images: chosen.map(encode).collect(),
        }
    }

    /// Sentences of each picture, as a sampler needs them.
    pub fn sentence_counts(&self) -> Vec<usize> {
        self.images.iter().map(|i| i.sentences.len()).collect()
    }

    /// All sentences.
    pub fn sentences(&self) -> usize {
        self.images.iter().map(|i| i.sentences.len()).sum()
    }

    /// All words, END of each sentence included: what perplexity divides by.
    pub fn words_with_end(&self) -> usize {
        let sentences = self.images.iter().flat_map(|image| &image.sentences);
        sentences.map(|sentence| sentence.len() + 1).sum()
    }
}
