//! Self-critical training: sentences that the model samples are weighed by how good they are.
//!
//! ```text
//! for each picture: n sentences from the present weights -> reward of each against the picture's training sentences
//! reward = 10 CIDEr-D + bleu-reward-weight · mean of the sentence's BLEU-1 to BLEU-4
//! advantage = reward - mean reward of the picture's other samples         loss = Σ advantage · -ln p(word) / sentences
//! ```
//!
//! Rennie, Marcheret, Mroueh, Ross & Goel 2017; instead of the greedy caption the other samples are the baseline (Kool, van
//! Hoof & Welling 2019; Luo 2020), which costs no search of its own and is as unbiased. Document frequencies are those of
//! the training sentences. As in ruotianluo/self-critical.pytorch the END of a sentence counts as a word of references and
//! samples: without it models learn to stop at "with a"; and BLEU may be part of the reward (there BLEU-4 alone, which is 0
//! for most single sentences).
//!
//! Here: samples, rewards, weights. Not here: the formulas of the scores (`metrics`), the draws (`generate::sample`), gradient
//! and update (`step.rs`), where the pictures' features come from.

use std::collections::HashMap;
use std::time::Instant;

use data::{Batch, Dataset, Split, Vocabulary};
use generate::{Caption, Limits, SampleOptions};
use metrics::Consensus;
use models::Decoder;
use nn::Dropout;
use tensor::Tensor;

use crate::event::Sampled;
use crate::job::Job;
use crate::step::{Pass, Pictures, Trainer};
use crate::{Options, TrainError, clock};

/// Keeps the draws' random numbers apart from those of the first weights and of dropout.
const SAMPLE_SEED: u64 = 0x7361_6d70_6c65_7321;
/// Partial sentences that go through the decoder at once; bounds the memory, (rows, V) f32, and changes no result.
const MAX_ROWS: usize = 1024;

/// The training sentences as rewards need them.
#[derive(Debug)]
pub(crate) struct Critic {
    consensus: Consensus,
    /// n.
    samples: usize,
    bleu_weight: f64,
    seed: u64,
}

/// Sentences that the model wrote about a batch's pictures.
#[derive(Debug)]
pub(crate) struct Samples {
    /// For every sentence the row of its picture.
    image_of: Vec<usize>,
    captions: Vec<Caption>,
    /// Of each.
    pub(crate) rewards: Vec<f64>,
    /// Reward less the mean of the picture's other samples.
    advantages: Vec<f64>,
    /// n.
    each: usize,
    sampling_seconds: f64,
    reward_seconds: f64,
}

impl Critic {
    /// Counts the sentences of the training pictures, in the order of [`data::Encoded`].
    pub(crate) fn new(dataset: &Dataset, vocabulary: &Vocabulary, options: &Options) -> Self {
        // Words outside the vocabulary are part of the references: no sample has them, and leaving them out would make
        // n-grams that nobody wrote.
        let mut others = HashMap::new();
        let mut id = |word: &String| {
            vocabulary.id(word).unwrap_or_else(|| {
                let next = (vocabulary.len() + others.len()) as u32;
                *others.entry(word.clone()).or_insert(next)
            })
        };
        let mut references = |image: &data::ImageRecord| -> Vec<Vec<u32>> {
            let sentence = |caption: &data::Caption| {
                let words = caption.tokens.iter().map(&mut id);
                words.chain([Vocabulary::END]).collect()
            };
            image.captions.iter().map(sentence).collect()
        };
        let images: Vec<_> = dataset
            .of_split(Split::Train)
            .map(&mut references)
            .collect();
        Self {
            consensus: Consensus::new(images),
            samples: options.samples,
            bleu_weight: options.bleu_reward_weight,
            seed: options.seed,
        }
    }

    /// Of each sentence about a training picture, given as (picture, sentences); END is a word.
    fn rewards(&self, sentences: &[(usize, Vec<Vec<u32>>)]) -> Vec<Vec<f64>> {
        let mut rewards = self.consensus.score(sentences);
        if self.bleu_weight != 0.0 {
            let counts = self.consensus.bleu_counts(sentences);
            for (reward, counts) in rewards.iter_mut().flatten().zip(counts.iter().flatten()) {
                let bleu = counts.coco();
                *reward += self.bleu_weight * bleu.iter().sum::<f64>() / bleu.len() as f64;
            }
        }
        rewards
    }

    /// Cost and gradients of samples about the pictures of `batch`, `seen`, whose row r is training picture `pictures[r]`.
    ///
    /// # Errors
    /// As [`Critic::sample`].
    pub(crate) fn pass(
        &self,
        trainer: &Trainer,
        batch: Batch,
        seen: Pictures,
        pictures: &[usize],
        iteration: u64,
        dropout: &Dropout,
    ) -> Result<(Pass, Samples), TrainError> {
        let samples = self.sample(&trainer.decoder, &seen.features, pictures, iteration)?;
        let (batch, weights) = samples.batch(batch);
        let pass = trainer.pass_on(&batch, seen, Some(&weights), dropout);
        Ok((pass, samples))
    }

    /// Samples for each row of `features` ((I, D), or (I, R, D) with attention) by the decoder as it is, nothing dropped;
    /// row r is training picture `pictures[r]`. The draws are a function of seed, iteration and row.
    ///
    /// # Errors
    /// A decoder whose numbers are no probabilities.
    pub(crate) fn sample(
        &self,
        decoder: &Decoder,
        features: &Tensor,
        pictures: &[usize],
        iteration: u64,
    ) -> Result<Samples, TrainError> {
        let n = self.samples;
        let options = SampleOptions {
            samples: n,
            limits: Limits {
                max_rows: MAX_ROWS,
                ..Limits::default()
            },
            ..SampleOptions::new(self.seed ^ SAMPLE_SEED)
        };
        let keys: Vec<u64> = (0..pictures.len() as u64)
            .map(|row| iteration << 32 | row)
            .collect();
        decoder.device().install(|| {
            let start = Instant::now();
            let state = decoder.start(features);
            let drawn = generate::sample(decoder, &state, &keys, &options)
                .map_err(|e| TrainError::Flags(e.to_string()))?;
            let sentence = |caption: &Caption| {
                let end = caption.finished.then_some(Vocabulary::END);
                caption.tokens.iter().copied().chain(end).collect()
            };
            let sentences: Vec<(usize, Vec<Vec<u32>>)> = pictures
                .iter()
                .zip(&drawn)
                .map(|(&picture, captions)| (picture, captions.iter().map(sentence).collect()))
                .collect();
            let sampling_seconds = clock::seconds_since(start);
            let start = Instant::now();
            let rewards = self.rewards(&sentences);
            Ok(Samples {
                sampling_seconds,
                reward_seconds: clock::seconds_since(start),
                image_of: (0..pictures.len())
                    .flat_map(|row| std::iter::repeat_n(row, n))
                    .collect(),
                advantages: rewards.iter().flat_map(|r| advantages(r)).collect(),
                rewards: rewards.concat(),
                captions: drawn.into_iter().flatten().collect(),
                each: n,
            })
        })
    }
}

impl Samples {
    /// As an event shows them; `first` is the first picture.
    pub(crate) fn shown(&self, job: &Job, first: usize) -> Sampled {
        let captions = self.captions.iter().zip(&self.rewards).take(self.each);
        Sampled {
            reward: self.rewards.iter().sum::<f64>() / self.rewards.len() as f64,
            imgid: job.train.images[first].imgid,
            captions: captions
                .map(|(caption, &reward)| (job.vocabulary.decode(&caption.tokens), reward))
                .collect(),
            sampling_seconds: self.sampling_seconds,
            reward_seconds: self.reward_seconds,
        }
    }

    /// The samples as a batch about the pictures of `pictures`, and the weight of every packed word: the advantage of its
    /// sentence; 0 for the END of a sentence that was cut off before it.
    pub(crate) fn batch(&self, pictures: Batch) -> (Batch, Vec<f32>) {
        let mut order: Vec<usize> = (0..self.captions.len()).collect();
        let length = |&sample: &usize| self.captions[sample].tokens.len();
        order.sort_by_key(|sample| std::cmp::Reverse(length(sample))); // stable
        let sentence = |&sample: &usize| self.captions[sample].tokens.clone();
        let batch = Batch {
            image_of: order.iter().map(|&sample| self.image_of[sample]).collect(),
            sentences: order.iter().map(sentence).collect(),
            pick_of: order,
            ..pictures
        };
        let mut weights = Vec::new();
        for (t, &live) in batch.packed().live.iter().enumerate() {
            weights.extend(batch.pick_of[..live].iter().map(|sample| {
                let cut_off = t == length(sample) && !self.captions[*sample].finished;
                match cut_off {
                    true => 0.0,
                    false => self.advantages[*sample] as f32,
                }
            }));
        }
        (batch, weights)
    }
}

/// Each reward less the mean of the others. They sum to 0.
fn advantages(rewards: &[f64]) -> Vec<f64> {
    let (sum, others) = (rewards.iter().sum::<f64>(), rewards.len() as f64 - 1.0);
    rewards.iter().map(|r| r - (sum - r) / others).collect()
}

#[cfg(test)]
mod tests;
