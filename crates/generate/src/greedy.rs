//! Greedy search: always the likeliest word.
//!
//! NeuralTalk, `imagernn/lstm_generator.py` and `rnn_generator.py`, `predict` with
//! `beam_size = 1`: equal words by the smaller index, at most 20 words, END included in the
//! log probability.

use models::Decode;
use tensor::step::Choice;

use crate::follow::{Next, follow};
use crate::rows::Row;
use crate::top_k::{Scored, TopK};
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
    let mut likeliest = Likeliest::default();
    let mut captions = Vec::with_capacity(pictures);
    let starts: Vec<usize> = (0..pictures).collect();
    for starts in starts.chunks(limits.pictures_at_once(1)) {
        let found = follow(decoder, initial, starts, limits, &mut likeliest)?;
        captions.extend(found.into_iter().map(|caption| vec![caption]));
    }
    Ok(captions)
}

#[derive(Default)]
struct Likeliest(TopK);

impl Next for Likeliest {
    fn choice(&mut self, _live: &[usize]) -> Option<Choice<'_>> {
        Some(Choice::Likeliest(1))
    }

    fn word(&mut self, _at: usize, row: Row<'_>) -> Option<Scored> {
        self.0.of(row, 1, f32::NEG_INFINITY).first().copied()
    }
}
