//! Toy decoders: log probabilities that depend on the picture and on every word before.
//!
//! The state of a row is the picture and its words, so that a wrong parent or a wrong row shows.

use std::cell::RefCell;

use models::Decode;

/// A decoder whose rows are computed from (picture, words so far) by `scores`.
pub struct Toy<F: Fn(u64, &[u32]) -> Vec<f32>> {
    pub vocabulary: usize,
    pub scores: F,
    /// Rows of every step that was made.
    pub rows: RefCell<Vec<usize>>,
}

/// The picture of a row and its words, START left out.
pub type Row = (u64, Vec<u32>);

/// A state with one row for each picture.
pub fn pictures(keys: &[u64]) -> Vec<(Row, bool)> {
    keys.iter().map(|&key| ((key, vec![]), false)).collect()
}

impl<F: Fn(u64, &[u32]) -> Vec<f32>> Toy<F> {
    pub fn new(vocabulary: usize, scores: F) -> Self {
        Self {
            vocabulary,
            scores,
            rows: RefCell::default(),
        }
    }
}

impl<F: Fn(u64, &[u32]) -> Vec<f32>> Decode for Toy<F> {
    /// Rows, each with a mark that it got START.
    type State = Vec<(Row, bool)>;

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn step(
        &self,
        state: &Self::State,
        parents: &[usize],
        words: &[u32],
        log_probs: &mut Vec<f32>,
    ) -> Self::State {
        assert_eq!(parents.len(), words.len());
        self.rows.borrow_mut().push(parents.len());
        log_probs.clear();
        let continued = parents.iter().zip(words).map(|(&parent, &word)| {
            let ((picture, mut sentence), started) = state[parent].clone();
            assert_eq!(word == 0, !started, "START is the first word and no other");
            if started {
                sentence.push(word);
            }
            log_probs.extend((self.scores)(picture, &sentence));
            ((picture, sentence), true)
        });
        continued.collect()
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014): a number for each (seed, words).
pub fn mix(seed: u64, words: &[u32]) -> u64 {
    words.iter().fold(scramble(seed), |hash, &word| {
        scramble(hash ^ u64::from(word))
    })
}

fn scramble(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Random log probabilities (V): logits within ±`spread`, END's raised by `end`. With `levels`
/// the log probabilities are multiples of 1/4, so that sums are exact and many tie.
pub fn random_scores(
    seed: u64,
    vocabulary: usize,
    spread: f64,
    end: f64,
    levels: bool,
) -> impl Fn(u64, &[u32]) -> Vec<f32> {
    move |picture, words| {
        let row = mix(seed ^ (picture << 20), words);
        let logit = |word: usize| {
            let unit = mix(row, &[word as u32]) as f64 / u64::MAX as f64;
            spread * (2.0 * unit - 1.0) + if word == 0 { end } else { 0.0 }
        };
        let logits: Vec<f64> = (0..vocabulary).map(logit).collect();
        let sum: f64 = logits.iter().map(|l| l.exp()).sum();
        let log_prob = |l: &f64| {
            let exact = (1e-20 + l.exp() / sum).ln();
            if levels {
                (exact * 4.0).floor() / 4.0
            } else {
                exact
            }
        };
        logits.iter().map(|l| log_prob(l) as f32).collect()
    }
}
