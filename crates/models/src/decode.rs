//! What a search needs to know of a decoder: where a sentence starts and what may come next.
//!
//! Not here: the search itself (`generate`), how a decoder computes (`lstm.rs`, `rnn.rs`).

use tensor::step::Choice;

/// A decoder as `generate` sees it, for many partial sentences at once.
///
/// A *row* is one partial sentence. Rows of different pictures and beams travel together, so
/// that every step is one matrix product.
pub trait Decode {
    /// What the decoder remembers of each row.
    type State;

    /// V, the number of words that [`Decode::step`] scores.
    fn vocabulary(&self) -> usize;

    /// Row r of the next state continues row `parents[r]` of `state` with word `words[r]`
    /// (START = 0 for the first word). A parent may be continued any number of times, or never.
    ///
    /// Writes natural log probabilities ln(1e-20 + p) of the next word to `log_probs`,
    /// row-major (rows, V), resized as needed; returns the next state.
    ///
    /// # Panics
    /// If `parents` and `words` differ in length or point outside the state or the vocabulary.
    fn step(
        &self,
        state: &Self::State,
        parents: &[usize],
        words: &[u32],
        log_probs: &mut Vec<f32>,
    ) -> Self::State;

    /// [`Decode::step`] where the decoder's device chooses the next words itself, so that only those are copied from it: for every row
    /// the words that `choice` takes, with their log probabilities, go to `chosen` ([`tensor::step::choose`]). None, and nothing was
    /// done, where it can't: then it is for [`Decode::step`].
    ///
    /// # Panics
    /// As [`Decode::step`].
    fn step_and_choose(
        &self,
        _state: &Self::State,
        _parents: &[usize],
        _words: &[u32],
        _choice: Choice<'_>,
        _chosen: &mut Vec<(u32, f32)>,
    ) -> Option<Self::State> {
        None
    }

    /// Where each row of `state` looked when its next word was scored: weights (rows, R) of the picture's regions in
    /// reading order; none if the decoder has no attention.
    fn attention<'s>(&self, _state: &'s Self::State) -> Option<&'s [f32]> {
        None
    }
}
