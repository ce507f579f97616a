//! Perplexity of a split.
//!
//! Source: `eval_split` of NeuralTalk's `driver.py`: 2^(Σ -log2(1e-20 + p) / words), END counted,
//! over the whole split at once and never averaged over batches. Not here: captions (`captions.rs`).

use data::{Batch, Encoded, Features, MissingFeature};
use models::{Decoder, Objective};
use nn::Dropout;
use tensor::Element;

use crate::step::{borrow, features, ppl2};

/// What a split's sentences cost under a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Perplexity {
    /// Perplexity, base 2.
    pub ppl2: f64,
    /// Σ -ln(1e-20 + p) over all words.
    pub total: f64,
    /// Words, END of each sentence included.
    pub words: usize,
    /// Sentences.
    pub sentences: usize,
}

/// Perplexity of the sentences of the first `max_images` pictures (all if `None`), in batches of
/// `batch_size` sentences; nothing is dropped. NaN where there is no sentence.
///
/// # Errors
/// A picture has no vector.
///
/// # Panics
/// If `batch_size` is 0, or the features have another width than the decoder's.
pub fn perplexity<T: Element>(
    decoder: &Decoder<T>,
    encoded: &Encoded,
    stored: &Features,
    batch_size: usize,
    max_images: Option<usize>,
) -> Result<Perplexity, MissingFeature> {
    let images = max_images.unwrap_or(usize::MAX).min(encoded.images.len());
    let picks: Vec<(usize, usize)> = encoded.images[..images]
        .iter()
        .enumerate()
        .flat_map(|(image, one)| (0..one.sentences.len()).map(move |sentence| (image, sentence)))
        .collect();
    let (mut total, mut words) = (0.0, 0);
    for picks in picks.chunks(batch_size) {
        let batch = Batch::new(encoded, stored, picks)?;
        let packed = batch.packed();
        let sentences = borrow(&batch, &packed);
        let features = features(&batch, decoder);
        let found = decoder.loss(
            &features,
            &sentences,
            Objective::default(),
            &Dropout::Off,
            false,
        );
        total += found.total;
        words += packed.rows();
    }
    Ok(Perplexity {
        ppl2: ppl2(total, words),
        total,
        words,
        sentences: picks.len(),
    })
}
