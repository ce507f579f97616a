//! Greedy search: always the likeliest word.
//!
//! NeuralTalk, `imagernn/lstm_generator.py` and `rnn_generator.py`, `predict` with
//! `beam_size = 1`: equal words by the smaller index, at most 20 words, END included in the
//! log probability.

use models::Decode;

use crate::follow::follow;
use crate::top_k::TopK;
use crate::{Caption, GenerateError, Limits};

/// One caption for each of the first `pictures` rows of `initial`, as a list of one so that it
/// has the form of [`crate::beam`] and [`crate::sample`].
///
/// # Errors
/// Impossible options, a decoder that returns no log probabilities, or constraints that leave
/// no word.
pub fn greedy<D: Decode>(
    decoder: &D,
    initial: &D::State,
    pictures: usize,
    limits: &Limits,
) -> Result<Vec<Vec<Caption>>, GenerateError> {
    limits.check(decoder.vocabulary())?;
    limits.constraints.refuse_required("greedy search")?;
    let mut top = TopK::default();
    let mut captions = Vec::with_capacity(pictures);
    let starts: Vec<usize> = (0..pictures).collect();
    for starts in starts.chunks(limits.pictures_at_once(1)) {
        let likeliest = |_, row: &[f32]| {
            top.select(row, 1, f32::NEG_INFINITY)
                .first()
                .map(|&(word, _)| word)
        };
        let found = follow(decoder, initial, starts, limits, likeliest)?;
        captions.extend(found.into_iter().map(|caption| vec![caption]));
    }
    Ok(captions)
}
