//! Several decoders that write one sentence together: their probabilities are averaged word by word.
//!
//! ln p = ln(1/n Σᵢ pᵢ). The mean of probabilities rather than of their logarithms: one member that finds a word
//! impossible can't forbid it. Not here: whether the members know the same words (`captioner`).

use models::Decode;
use rayon::prelude::*;
use tensor::step::Choice;

/// Numbers of a task when rows are averaged; small enough for all threads, large enough to be worth it.
const TASK: usize = 4096;

/// Decoders of one vocabulary, seen as one.
pub struct Ensemble<'a, D>(Vec<&'a D>);

impl<'a, D: Decode> Ensemble<'a, D> {
    /// Of at least one member.
    ///
    /// # Panics
    /// Without members, or if they have different numbers of words.
    pub fn new(members: Vec<&'a D>) -> Self {
        let vocabulary = members.first().expect("at least one member").vocabulary();
        let same = members.iter().all(|d| d.vocabulary() == vocabulary);
        assert!(same, "members of an ensemble have one vocabulary");
        Self(members)
    }
}

impl<D: Decode> Decode for Ensemble<'_, D> {
    /// One state a member.
    type State = Vec<D::State>;

    fn vocabulary(&self) -> usize {
        self.0[0].vocabulary()
    }

    fn step(
        &self,
        state: &Self::State,
        parents: &[usize],
        words: &[u32],
        log_probs: &mut Vec<f32>,
    ) -> Self::State {
        let mut members = self.0.iter().zip(state);
        let (first, of_first) = members.next().expect("one state a member");
        let mut next = vec![first.step(of_first, parents, words, log_probs)];
        if self.0.len() == 1 {
            return next;
        }
        let exp = |values: &mut [f32]| values.iter_mut().for_each(|x| *x = x.exp());
        log_probs.par_chunks_mut(TASK).for_each(exp);
        let mut other = Vec::new();
        for (member, state) in members {
            next.push(member.step(state, parents, words, &mut other));
            let sums = log_probs.par_chunks_mut(TASK);
            sums.zip(other.par_chunks(TASK)).for_each(|(sums, values)| {
                sums.iter_mut().zip(values).for_each(|(s, x)| *s += x.exp());
            });
        }
        let share = 1.0 / self.0.len() as f32;
        let ln = |values: &mut [f32]| values.iter_mut().for_each(|x| *x = (*x * share).ln());
        log_probs.par_chunks_mut(TASK).for_each(ln);
        next
    }

    /// The mean of several needs all their words; one alone chooses as it does without company.
    fn step_and_choose(
        &self,
        state: &Self::State,
        parents: &[usize],
        words: &[u32],
        choice: Choice<'_>,
        chosen: &mut Vec<(u32, f32)>,
    ) -> Option<Self::State> {
        let [only] = self.0[..] else { return None };
        let next = only.step_and_choose(&state[0], parents, words, choice, chosen)?;
        Some(vec![next])
    }
}
