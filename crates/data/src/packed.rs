//! Sentences of different lengths without padding: time-major, only the live ones at each step.
//!
//! For a sentence w1 .. wL, steps t = 0 ..= L read START, w1 .. wL and predict w1 .. wL, END. The sentences stand
//! longest first, so that those alive at step t are the first `live[t]` rows. Three sentences of 3, 2 and 0 words:
//!
//! ```text
//!               t = 0      t = 1    t = 2    t = 3
//! a b c         START→a    a→b      b→c      c→END
//! d e           START→d    d→e      e→END
//! (empty)       START→END
//! live          3          2        2        1
//! packed rows   0 1 2      3 4      5 6      7
//! inputs        S S S      a d      b e      c
//! targets       a d END    b e      c END    END
//! ```
//!
//! Source: the idea is PyTorch's `pack_padded_sequence`. Not here: what is computed on the rows (`tensor`, `models`).

use crate::vocabulary::Vocabulary;

/// Packing tables of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed {
    /// (T) sentences alive at each step, never growing, never 0; T is the longest sentence and one.
    pub live: Vec<usize>,
    /// Word read at each packed row.
    pub inputs: Vec<u32>,
    /// Word to be predicted at each packed row.
    pub targets: Vec<u32>,
}

impl Packed {
    /// Packs sentences that stand longest first.
    ///
    /// # Panics
    /// Where they do not.
    pub fn new<S: AsRef<[u32]>>(sentences: &[S]) -> Self {
        assert!(
            sentences.is_sorted_by(|a, b| b.as_ref().len() <= a.as_ref().len()),
            "sentences must stand longest first"
        );
        let longest = sentences.first().map_or(0, |s| s.as_ref().len());
        let rows = sentences.iter().map(|s| s.as_ref().len() + 1).sum();
        let mut packed = Self {
            live: Vec::with_capacity(longest + 1),
            inputs: Vec::with_capacity(rows),
            targets: Vec::with_capacity(rows),
        };
        let mut live = sentences.len();
        for t in 0..=longest {
            while 0 < live && sentences[live - 1].as_ref().len() < t {
                live -= 1;
            }
            if live == 0 {
                break; // no sentences at all
            }
            packed.live.push(live);
            for sentence in sentences[..live].iter().map(AsRef::as_ref) {
                let input = match t {
                    0 => Vocabulary::START,
                    _ => sentence[t - 1],
                };
                packed.inputs.push(input);
                let target = sentence.get(t).copied().unwrap_or(Vocabulary::END);
                packed.targets.push(target);
            }
        }
        packed
    }

    /// The same with rows that say nothing (START→END), so that the rows of every step are a multiple of `rows` (or all
    /// sentences) and the steps one of `steps`; and where each row of this one is in it. Batches of like sentences then have one
    /// shape, for a device that does fastest what it has done before.
    ///
    /// # Panics
    /// If a multiple of 0 is asked for.
    pub fn rounded(&self, rows: usize, steps: usize) -> (Self, Vec<usize>) {
        let Some(&all) = self.live.first() else {
            return Default::default();
        };
        let mut rounded = Self::default();
        let mut places = Vec::with_capacity(self.rows());
        let mut from = 0;
        for t in 0..self.steps().next_multiple_of(steps) {
            let live = self.live.get(t).copied().unwrap_or(0);
            let wide = live.max(1).next_multiple_of(rows).min(all);
            let first = rounded.inputs.len();
            places.extend(first..first + live);
            rounded.live.push(wide);
            for (to, words, nothing) in [
                (&mut rounded.inputs, &self.inputs, Vocabulary::START),
                (&mut rounded.targets, &self.targets, Vocabulary::END),
            ] {
                to.extend(&words[from..from + live]);
                to.resize(first + wide, nothing);
            }
            from += live;
        }
        (rounded, places)
    }

    /// Packed rows: all words with END.
    pub fn rows(&self) -> usize {
        self.inputs.len()
    }

    /// T, steps.
    pub fn steps(&self) -> usize {
        self.live.len()
    }

    /// First packed row of each step.
    pub fn offsets(&self) -> Vec<usize> {
        let before = |sum: &mut usize, &live: &usize| {
            let offset = *sum;
            *sum += live;
            Some(offset)
        };
        self.live.iter().scan(0, before).collect()
    }

    /// Sums a value of each packed row over each sentence, in the batch's order: perplexities and rewards of sentences.
    ///
    /// # Panics
    /// Where `values` has another length than there are rows.
    pub fn sum_by_sentence(&self, values: &[f64]) -> Vec<f64> {
        assert_eq!(values.len(), self.rows(), "one value for each packed row");
        let mut sums = vec![0.0; self.live.first().copied().unwrap_or(0)];
        let mut values = values.iter();
        for &live in &self.live {
            for (sum, value) in sums[..live].iter_mut().zip(&mut values) {
                *sum += value;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_drawing_above() {
        let packed = Packed::new(&[vec![11, 12, 13], vec![21, 22], vec![]]);
        assert_eq!(packed.live, [3, 2, 2, 1]);
        assert_eq!(packed.inputs, [0, 0, 0, 11, 21, 12, 22, 13]);
        assert_eq!(packed.targets, [11, 21, 0, 12, 22, 13, 0, 0]);
        assert_eq!(packed.offsets(), [0, 3, 5, 7]);
        let ones = [1.0; 8];
        assert_eq!(packed.sum_by_sentence(&ones), [4.0, 3.0, 1.0]);
    }

    #[test]
    fn nothing_packs_to_nothing() {
        assert_eq!(Packed::new::<Vec<u32>>(&[]), Packed::default());
        assert_eq!(Packed::default().rounded(4, 4), Default::default());
    }

    #[test]
    fn the_drawing_above_rounded() {
        let packed = Packed::new(&[vec![11, 12, 13], vec![21, 22], vec![]]);
        let (rounded, places) = packed.rounded(2, 3);
        assert_eq!(rounded.live, [3, 2, 2, 2, 2, 2]);
        assert_eq!(rounded.inputs, [0, 0, 0, 11, 21, 12, 22, 13, 0, 0, 0, 0, 0]);
        assert_eq!(
            rounded.targets,
            [11, 21, 0, 12, 22, 13, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(places, [0, 1, 2, 3, 4, 5, 6, 7]);
        let (rounded, places) = packed.rounded(3, 4);
        assert_eq!(rounded.live, [3; 4]);
        assert_eq!(places, [0, 1, 2, 3, 4, 6, 7, 9]);
        assert_eq!(packed.rounded(1, 1), (packed, (0..8).collect()));
    }

    #[test]
    #[should_panic(expected = "longest first")]
    fn unsorted_sentences_are_a_broken_promise() {
        Packed::new(&[vec![1], vec![1, 2]]);
    }

    proptest! {
        /// Every row is where it is said to be, what is added says nothing, and nothing is left to add.
        #[test]
        fn rounding_keeps_every_row(
            mut sentences in prop::collection::vec(prop::collection::vec(1u32..50, 0..9), 1..9),
            rows in 1usize..5,
            steps in 1usize..5,
        ) {
            sentences.sort_by_key(|s| std::cmp::Reverse(s.len()));
            let packed = Packed::new(&sentences);
            let (rounded, places) = packed.rounded(rows, steps);
            let all = sentences.len();
            prop_assert!(rounded.live.is_sorted_by(|a, b| b <= a) && rounded.live[0] == all);
            prop_assert!(rounded.steps() % steps == 0 && rounded.steps() < packed.steps() + steps);
            prop_assert!(rounded.live.iter().all(|&live| live % rows == 0 || live == all));
            prop_assert_eq!(rounded.rows(), rounded.live.iter().sum::<usize>());
            prop_assert_eq!(rounded.targets.len(), rounded.rows());
            for (t, (&live, &from)) in packed.live.iter().zip(&packed.offsets()).enumerate() {
                prop_assert!(rounded.live[t] < live + rows);
                for row in 0..live {
                    let place = places[from + row];
                    prop_assert_eq!(place, rounded.offsets()[t] + row);
                    prop_assert_eq!(rounded.inputs[place], packed.inputs[from + row]);
                    prop_assert_eq!(rounded.targets[place], packed.targets[from + row]);
                }
            }
            let added = (0..rounded.rows()).filter(|row| !places.contains(row));
            for row in added {
                prop_assert_eq!((rounded.inputs[row], rounded.targets[row]), (0, 0));
            }
        }

        /// The oracle: each sentence by itself, as NeuralTalk trains.
        #[test]
        fn every_sentence_is_found_again(mut sentences in prop::collection::vec(prop::collection::vec(1u32..50, 0..9), 0..9)) {
            sentences.sort_by_key(|s| std::cmp::Reverse(s.len()));
            let packed = Packed::new(&sentences);
            prop_assert!(packed.live.is_sorted_by(|a, b| b <= a));
            prop_assert_eq!(packed.rows(), sentences.iter().map(|s| s.len() + 1).sum::<usize>());
            let offsets = packed.offsets();
            let rows: Vec<f64> = (0..packed.rows()).map(|row| row as f64).collect();
            let sums = packed.sum_by_sentence(&rows);
            for (i, sentence) in sentences.iter().enumerate() {
                let mut input = vec![0];
                input.extend(sentence);
                let mut target = sentence.clone();
                target.push(0);
                let mut sum = 0.0;
                for t in 0..=sentence.len() {
                    prop_assert!(i < packed.live[t]);
                    prop_assert_eq!(packed.inputs[offsets[t] + i], input[t]);
                    prop_assert_eq!(packed.targets[offsets[t] + i], target[t]);
                    sum += (offsets[t] + i) as f64;
                }
                prop_assert_eq!(sums[i], sum);
                prop_assert!(packed.live.get(sentence.len() + 1).is_none_or(|&live| live <= i));
            }
        }
    }
}
