//! Perplexity, base 2: how many words a model hesitates between.
//!
//! Here: NeuralTalk's `ppl2` from log probabilities. Not here: the model that gives them.
//!
//! ppl2 = 2^(-Σ log2 p / words), over all words of a split with their END tokens, never a mean over batches.

use serde::{Deserialize, Serialize};

/// NeuralTalk adds this to a probability before it takes the logarithm.
pub const SMALLEST_PROBABILITY: f64 = 1e-20;

/// A running sum over words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    bits: f64,
    words: u64,
}

impl Perplexity {
    /// Adds one word that the model gave this probability.
    pub fn add_probability(&mut self, probability: f64) {
        self.bits -= (SMALLEST_PROBABILITY + probability).log2();
        self.words += 1;
    }

    /// Adds a sentence: the sum of its words' natural log probabilities and how many they are.
    pub fn add_log_prob(&mut self, log_prob: f64, words: u64) {
        self.bits -= log_prob / std::f64::consts::LN_2;
        self.words += words;
    }

    /// Adds what another part of the split summed up.
    pub fn merge(&mut self, other: &Self) {
        self.bits += other.bits;
        self.words += other.words;
    }

    /// Number of words so far.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// The perplexity; `None` before the first word.
    pub fn value(&self) -> Option<f64> {
        (self.words > 0).then(|| (self.bits / self.words as f64).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fair_choice_among_eight_is_eight() {
        let mut whole = Perplexity::default();
        assert_eq!((whole.value(), whole.words()), (None, 0));
        whole.add_probability(0.125);
        whole.add_log_prob(3.0 * 0.125f64.ln(), 3);
        assert!((whole.value().expect("words") - 8.0).abs() < 1e-12);
        let mut certain = Perplexity::default();
        certain.add_log_prob(0.0, 4);
        certain.merge(&whole);
        assert_eq!(certain.words(), 8);
        assert!((certain.value().expect("words") - 8f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn an_impossible_word_costs_67_bits() {
        let mut perplexity = Perplexity::default();
        perplexity.add_probability(0.0);
        assert!((perplexity.value().expect("a word") / 1e20 - 1.0).abs() < 1e-12);
    }
}
