//! The mean of several checkpoints, weight by weight.
//!
//! Checkpoints of one training, or of trainings that began with the same weights, lie in one valley; their mean often captions
//! better than each: stochastic weight averaging (Izmailov et al. 2018), and the mean of a model before and after it was trained
//! further (Wortsman et al. 2022). Encoders that learned with their decoders are averaged too; a checkpoint without one was trained
//! on stored features, and the others' mean stands for it.

use std::borrow::Cow;

use crate::{Checkpoint, EncoderPart};

impl Checkpoint {
    /// Replaces all weights by their mean over this checkpoint and `others`; scores and training state, which are not the
    /// mean's, go.
    ///
    /// # Errors
    /// What differs in the first of `others` that is no sibling: decoder, words, or the kind of encoder.
    pub fn average(&mut self, others: &[Self]) -> Result<(), String> {
        for (n, other) in others.iter().enumerate() {
            let differs = if other.decoder != self.decoder {
                "decoder"
            } else if other.words != self.words {
                "vocabulary"
            } else if differ(&self.encoder, &other.encoder) {
                "encoder"
            } else {
                continue;
            };
            return Err(format!("number {} has another {differs}", n + 2));
        }
        for (i, weight) in self.weights.iter_mut().enumerate() {
            let others: Vec<_> = others.iter().map(|o| o.weights[i].data.singles()).collect();
            mean(weight.data.singles_mut(), &others);
        }
        if let Some(encoder) = &mut self.encoder {
            let others: Vec<_> = others.iter().filter_map(|o| o.encoder.as_ref()).collect();
            for (name, values) in encoder.state.iter_mut() {
                let found = others.iter().map(|part| part.state.get(name));
                let found = found.map(|found| found.expect("compared").1.singles());
                let others: Vec<_> = found.collect();
                mean(values, &others);
            }
        }
        self.scores.clear();
        self.training = None;
        Ok(())
    }
}

/// Whether two encoders, where there are two, have other arrays or see pictures another way.
fn differ(one: &Option<EncoderPart>, other: &Option<EncoderPart>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.about != other.about || !one.state.alike(&other.state),
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// Replaces numbers by their mean with those of the others.
fn mean(values: &mut [f32], others: &[Cow<'_, [f32]>]) {
    let share = 1.0 / (others.len() + 1) as f64;
    for (j, x) in values.iter_mut().enumerate() {
        let rest = others.iter().map(|other| f64::from(other[j]));
        *x = ((f64::from(*x) + rest.sum::<f64>()) * share) as f32;
    }
}
