//! Words and phrases that a sentence must have, as a finite automaton over sentences.
//!
//! A state is which phrases were said, and the longest end of the sentence that begins a phrase not said yet. The search
//! keeps a beam for each state, so that sentences with the phrase don't compete with likelier ones without it, and gives up
//! a sentence when fewer words are left than its state still needs. Constrained beam search (Anderson, Fernando, Johnson &
//! Gould 2017; here with phrases and a bound on length); Hokamp & Liu 2017 and Post & Vilar 2018 share beams among states
//! instead. Not here: the beams (`beam.rs`).

use std::collections::HashMap;

use crate::GenerateError;

/// Most phrases of one search: there are up to 2^phrases states for each place in a phrase.
const MOST_PHRASES: usize = 6;
/// Most words of all phrases together.
const MOST_WORDS: usize = 32;

/// Place of a state among [`Required::states`]; 0 is before the first word.
pub(crate) type StateId = usize;

/// The automaton; without phrases it has one state, which is accepted.
#[derive(Debug)]
pub(crate) struct Required {
    /// The distinct words of all phrases, sorted: every other word acts like every other.
    words: Vec<u32>,
    states: Vec<State>,
}

#[derive(Debug)]
struct State {
    /// Where each of `words` leads.
    by_word: Vec<StateId>,
    /// Where any other word leads.
    by_other: StateId,
    /// Fewest words until all phrases are said.
    missing: usize,
}

/// What a state stands for.
type Said = (u32, Vec<u32>);

impl Required {
    /// Phrases as lists of word indices.
    pub fn new(phrases: &[Vec<u32>]) -> Self {
        let mut words: Vec<u32> = phrases.concat();
        words.sort_unstable();
        words.dedup();
        let (mut said, mut places) = (vec![(0, Vec::new())], HashMap::new());
        places.insert(said[0].clone(), 0);
        let mut states: Vec<State> = Vec::new();
        // New states are found while those before are worked through.
        while let Some(from) = said.get(states.len()).cloned() {
            let mut place = |to: Said| {
                *places.entry(to).or_insert_with_key(|to| {
                    said.push(to.clone());
                    said.len() - 1
                })
            };
            let by_word = words.iter().map(|&w| place(follow(phrases, &from, w)));
            let by_word = by_word.collect();
            let by_other = place((from.0, Vec::new()));
            states.push(State {
                by_word,
                by_other,
                missing: usize::MAX,
            });
        }
        let all = (1 << phrases.len()) - 1;
        for (state, (mask, _)) in states.iter_mut().zip(&said) {
            state.missing = if *mask == all { 0 } else { usize::MAX };
        }
        // Shortest ways to the end, by relaxing until nothing changes: as many rounds as the longest of them.
        while (0..states.len()).fold(false, |changed, at| {
            let next = states[at].by_word.iter().map(|&to| states[to].missing);
            let through = next.min().unwrap_or(usize::MAX).saturating_add(1);
            let shorter = through < states[at].missing;
            states[at].missing = states[at].missing.min(through);
            changed | shorter
        }) {}
        Self { words, states }
    }

    /// Refuses what no search could do.
    pub fn check(phrases: &[Vec<u32>]) -> Result<(), GenerateError> {
        let words: usize = phrases.iter().map(Vec::len).sum();
        if phrases.iter().any(Vec::is_empty) {
            return Err(GenerateError::option("a required phrase", "empty", "words"));
        }
        if MOST_PHRASES < phrases.len() {
            let must_be = format!("at most {MOST_PHRASES}");
            return Err(GenerateError::option(
                "the number of required phrases",
                phrases.len(),
                must_be,
            ));
        }
        if MOST_WORDS < words {
            let must_be = format!("at most {MOST_WORDS}");
            return Err(GenerateError::option(
                "the number of required words",
                words,
                must_be,
            ));
        }
        Ok(())
    }

    /// The state after one more word.
    pub fn after(&self, state: StateId, word: u32) -> StateId {
        match self.words.binary_search(&word) {
            Ok(at) => self.states[state].by_word[at],
            Err(_) => self.states[state].by_other,
        }
    }

    /// The state after several words from the beginning.
    pub fn after_all(&self, words: &[u32]) -> StateId {
        words.iter().fold(0, |state, &word| self.after(state, word))
    }

    /// Fewest words until all phrases are said; 0 if they are.
    pub fn missing(&self, state: StateId) -> usize {
        self.states[state].missing
    }

    /// Words that don't act like every other.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// How many beams a picture may have.
    pub fn beams(&self) -> usize {
        self.states.len()
    }
}

/// What is said after one more word.
fn follow(phrases: &[Vec<u32>], (mask, end): &Said, word: u32) -> Said {
    // The kept end is the longest that begins an open phrase, so every open phrase that the word completes is seen.
    let mut end = end.clone();
    end.push(word);
    let mut mask = *mask;
    for (i, phrase) in phrases.iter().enumerate() {
        if end.ends_with(phrase) {
            mask |= 1 << i;
        }
    }
    let open = |i: &usize| mask & (1 << i) == 0;
    let begins = |end: &[u32]| {
        let mut open = (0..phrases.len()).filter(open);
        open.any(|i| end.len() < phrases[i].len() && phrases[i].starts_with(end))
    };
    while !end.is_empty() && !begins(&end) {
        end.remove(0);
    }
    (mask, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_that_share_words_are_said_together() {
        let required = Required::new(&[vec![1, 2], vec![2], vec![2, 1]]);
        assert_eq!(required.missing(0), 3);
        let state = required.after_all(&[1, 2]);
        assert_eq!(required.missing(state), 1, "2 1 has begun already");
        assert_eq!(required.missing(required.after(state, 1)), 0);
        assert_eq!(required.missing(required.after(state, 9)), 2);
        let none = Required::new(&[]);
        assert_eq!((none.beams(), none.missing(0), none.after(0, 3)), (1, 0, 0));
    }

    #[test]
    fn a_phrase_that_repeats_itself_is_found() {
        let required = Required::new(&[vec![1, 1, 2]]);
        for (sentence, missing) in [
            (&[1, 1, 1][..], 1),
            (&[1, 1, 1, 2], 0),
            (&[1, 2, 1], 2),
            (&[1, 1, 3], 3),
            (&[1, 1, 2, 1], 0),
        ] {
            let state = required.after_all(sentence);
            assert_eq!(required.missing(state), missing, "{sentence:?}");
        }
    }

    #[test]
    fn twice_the_same_phrase_is_one() {
        let required = Required::new(&[vec![4], vec![4]]);
        assert_eq!(required.missing(required.after(0, 4)), 0);
    }
}
