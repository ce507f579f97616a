//! One word at a time for many sentences at once: the loop that greedy search and sampling share.
//!
//! Not here: which word is taken next (`greedy.rs`, `sample.rs`). A sentence that ended leaves
//! the batch, so that no arithmetic is spent on it.

use models::Decode;

use crate::rows::Rows;
use crate::{Caption, END, GenerateError, Limits};

/// Writes one sentence for each entry of `starts`, a row of `initial` each.
///
/// `choose(sentence, row)` picks the next word of sentence `sentence` from the log probabilities
/// `row` (V), or None if there is none.
pub(crate) fn follow<D: Decode>(
    decoder: &D,
    initial: &D::State,
    starts: &[usize],
    limits: &Limits,
    mut choose: impl FnMut(usize, &[f32]) -> Option<u32>,
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
        rows.step(&parents, &words)?;
        parents.clear();
        words.clear();
        let mut kept = 0;
        for row in 0..live.len() {
            let sentence = live[row];
            let caption = &mut captions[sentence];
            if !limits.constraints.is_empty() {
                rows.constrain(row, &caption.tokens, &limits.constraints);
            }
            let log_probs = rows.scores().row(row, starts[sentence])?;
            let Some(word) = choose(sentence, log_probs) else {
                return Err(rows.scores().no_word(starts[sentence]));
            };
            let log_prob = log_probs[word as usize].min(0.0);
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
