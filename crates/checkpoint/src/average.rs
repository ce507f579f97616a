//! The mean of several checkpoints' decoders, weight by weight.
//!
//! Checkpoints of one training, or of trainings that began with the same weights, lie in one valley; their mean often captions
//! better than each: stochastic weight averaging (Izmailov et al. 2018), and the mean of a model before and after it was trained
//! further (Wortsman et al. 2022). Encoders are not averaged: the first checkpoint's stays.

use crate::Checkpoint;

impl Checkpoint {
    /// Replaces the decoder's weights by their mean over this checkpoint and `others`; scores and training state, which are not
    /// the mean's, go.
    ///
    /// # Errors
    /// What differs in the first of `others` that is no sibling: decoder, words, or the encoder's arrays.
    pub fn average(&mut self, others: &[Self]) -> Result<(), String> {
        for (n, other) in others.iter().enumerate() {
            let differs = if other.decoder != self.decoder {
                "decoder"
            } else if other.words != self.words {
                "vocabulary"
            } else if other.encoder.is_some() && other.encoder != self.encoder {
                "encoder"
            } else {
                continue;
            };
            return Err(format!("number {} has another {differs}", n + 2));
        }
        let share = 1.0 / (others.len() + 1) as f64;
        for (i, weight) in self.weights.iter_mut().enumerate() {
            for (j, x) in weight.data.iter_mut().enumerate() {
                let rest = others
                    .iter()
                    .map(|other| f64::from(other.weights[i].data[j]));
                *x = ((f64::from(*x) + rest.sum::<f64>()) * share) as f32;
            }
        }
        self.scores.clear();
        self.training = None;
        Ok(())
    }
}
