//! One word at a time for many sentences at once: the loop that greedy search and sampling share.
//!
//! Not here: which word is taken next (`greedy.rs`, `sample.rs`). A sentence that ended leaves
//! the batch, so that no arithmetic is spent on it.

use models::Decode;
use tensor::step::Choice;

use crate::rows::{Row, Rows};
use crate::top_k::Scored;
use crate::{Caption, END, GenerateError, Limits};

/// How the next words are taken.
pub(crate) trait Next {
    /// Before a step of the sentences `live`, a row each: what a device may choose for them, if that is enough.
    fn choice(&mut self, live: &[usize]) -> Option<Choice<'_>>;

    /// The next word of the sentence that has place `at` in `live`, with its log probability; None if no word may follow.
    fn word(&mut self, at: usize, row: Row<'_>) -> Option<Scored>;
}

/// Writes one sentence for each entry of `starts`, a row of `initial` each.
pub(crate) fn follow<D: Decode>(
    decoder: &D,
    initial: &D::State,
    starts: &[usize],
    limits: &Limits,
    next: &mut impl Next,
) -> Result<Vec<Caption>, GenerateError> {
    let empty = Caption {
        tokens: vec![],
        finished: false,
        log_prob: 0.0,
        word_log_probs: vec![],
    };
    let mut captions = vec![empty; starts.len()];
    let mut rows = Rows::new(decoder, initial);
    // Sentences that go on, with the row of the state that each continues and its last word.
    let mut live: Vec<usize> = (0..starts.len()).collect();
    let mut parents = starts.to_vec();
    let mut words = vec![END; starts.len()];
    for _ in 0..limits.max_steps {
        if live.is_empty() {
            break;
        }
        let choice = next.choice(&live);
        let choice = choice.filter(|_| limits.constraints.is_empty());
        rows.step(&parents, &words, choice)?;
        parents.clear();
        words.clear();
        let mut kept = 0;
        for row in 0..live.len() {
            let sentence = live[row];
            let caption = &mut captions[sentence];
            if !limits.constraints.is_empty() {
                rows.constrain(row, &caption.tokens, &limits.constraints);
            }
            let scores = rows.scores().row(row, starts[sentence])?;
            let Some((word, log_prob)) = next.word(row, scores) else {
                return Err(rows.scores().no_word(starts[sentence]));
            };
            caption.log_prob += f64::from(log_prob);
            caption.word_log_probs.push(log_prob);
            if word == END {
                caption.finished = true;
            } else {
                caption.tokens.push(word);
                parents.push(row);
                words.push(word);
                live[kept] = sentence;
                kept += 1;
            }
        }
        live.truncate(kept);
    }
    Ok(captions)
}
