//! Which sentences make up which batch.
//!
//! A sampler is a pure function of its seed and the number of the iteration: a run that was stopped goes on with the
//! very batches it would have had, and nothing but those two numbers is kept for it.
//! Here: shuffled epochs of sentences or of pictures, and NeuralTalk's draws with replacement.
//! Not here: the batch's contents (`batch.rs`).
//!
//! Source: `sampleImageSentencePair` in NeuralTalk's `data_provider.py`; Fisher & Yates' shuffle (Knuth, TAOCP 2, 3.4.2 P);
//! Lemire 2019 for integers without bias; ChaCha (8 rounds) seeded with seed and mode, one stream per epoch or iteration.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// How batches are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sampling", rename_all = "kebab-case")]
pub enum Sampling {
    /// Every epoch takes all sentences in a new order; those beyond the last full batch wait for another epoch.
    Sentences {
        /// Sentences in a batch.
        batch_size: usize,
    },
    /// Every epoch takes all pictures in a new order, each with all its sentences.
    Pictures {
        /// Pictures in a batch.
        pictures: usize,
    },
    /// As NeuralTalk: a random picture, then one of its sentences, with replacement.
    Neuraltalk {
        /// Sentences in a batch.
        batch_size: usize,
    },
}

impl Sampling {
    /// Keeps the modes' random streams apart.
    fn tag(self) -> u64 {
        match self {
            Self::Sentences { .. } => 1,
            Self::Pictures { .. } => 2,
            Self::Neuraltalk { .. } => 3,
        }
    }
}

/// Why there is nothing to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SamplerError {
    /// No picture has a sentence.
    #[error("none of {images} pictures has a sentence")]
    NoSentences {
        /// Pictures without sentences.
        images: usize,
    },
    /// A batch of nothing.
    #[error("a batch must have at least one sentence or picture")]
    EmptyBatch,
}

impl SamplerError {
    /// What to try next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSentences { .. } => Some(
                "is the split empty? `neuraltalk check-data` shows what each split holds".into(),
            ),
            Self::EmptyBatch => Some("set the batch size to 1 or more".into()),
        }
    }
}

/// Draws batches.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    seed: u64,
    /// (image, number of its sentences) of those that have any.
    images: Vec<(usize, usize)>,
    sentences: usize,
    /// The order of the epoch that was asked for last, only to save time.
    order: Option<(u64, Vec<(usize, usize)>)>,
}

impl Sampler {
    /// A sampler over pictures with `sentence_counts` sentences each; pictures without any are passed over.
    ///
    /// # Errors
    /// No sentences at all, or batches of size 0.
    pub fn new(
        sentence_counts: &[usize],
        sampling: Sampling,
        seed: u64,
    ) -> Result<Self, SamplerError> {
        let size = match sampling {
            Sampling::Sentences { batch_size } | Sampling::Neuraltalk { batch_size } => batch_size,
            Sampling::Pictures { pictures } => pictures,
        };
        if size == 0 {
            return Err(SamplerError::EmptyBatch);
        }
        let counts = sentence_counts.iter().copied().enumerate();
        let images: Vec<_> = counts.filter(|&(_, count)| 0 < count).collect();
        if images.is_empty() {
            return Err(SamplerError::NoSentences {
                images: sentence_counts.len(),
            });
        }
        Ok(Self {
            sampling,
            seed,
            sentences: sentence_counts.iter().sum(),
            images,
            order: None,
        })
    }

    /// Iterations of an epoch: sentences (or pictures) divided by the batch's size, rounded down as NeuralTalk does,
    /// but at least 1 (where NeuralTalk would not train at all); that one batch then holds all there is.
    pub fn batches_per_epoch(&self) -> u64 {
        let batches = match self.sampling {
            Sampling::Sentences { batch_size } | Sampling::Neuraltalk { batch_size } => {
                self.sentences / batch_size
            }
            Sampling::Pictures { pictures } => self.images.len() / pictures,
        };
        batches.max(1) as u64
    }

    /// The batch of an iteration, counted from 0 over all epochs, as pairs of (image, sentence of that image).
    ///
    /// Takes `&mut self` to remember an epoch's order; the result does not depend on what was asked before.
    pub fn batch_at(&mut self, iteration: u64) -> Vec<(usize, usize)> {
        let per_epoch = self.batches_per_epoch();
        let (epoch, position) = (iteration / per_epoch, (iteration % per_epoch) as usize);
        match self.sampling {
            Sampling::Sentences { batch_size } => {
                let order = self.order(epoch);
                batch(order, position, batch_size).to_vec()
            }
            Sampling::Pictures { pictures } => {
                let order = self.order(epoch);
                let images = batch(order, position, pictures).iter();
                images
                    .flat_map(|&(image, count)| (0..count).map(move |caption| (image, caption)))
                    .collect()
            }
            Sampling::Neuraltalk { batch_size } => {
                let mut random = self.random(iteration);
                let mut draw = || {
                    let (image, count) = self.images[below(&mut random, self.images.len())];
                    (image, below(&mut random, count))
                };
                (0..batch_size).map(|_| draw()).collect()
            }
        }
    }

    /// Everything that an epoch goes through: sentences as (image, sentence), or pictures as (image, sentences).
    fn order(&mut self, epoch: u64) -> &[(usize, usize)] {
        let known = matches!(&self.order, Some((of, _)) if *of == epoch);
        if !known {
            let mut order = match self.sampling {
                Sampling::Pictures { .. } => self.images.clone(),
                _ => self
                    .images
                    .iter()
                    .flat_map(|&(image, count)| (0..count).map(move |caption| (image, caption)))
                    .collect(),
            };
            let mut random = self.random(epoch);
            for last in (1..order.len()).rev() {
                order.swap(last, below(&mut random, last + 1));
            }
            self.order = Some((epoch, order));
        }
        self.order.as_ref().map_or(&[], |(_, order)| order)
    }

    fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.sampling.tag().to_le_bytes());
        let mut random = ChaCha8Rng::from_seed(key);
        random.set_stream(stream);
        random
    }
}

fn batch(order: &[(usize, usize)], position: usize, size: usize) -> &[(usize, usize)] {
    let end = ((position + 1) * size).min(order.len());
    &order[position * size..end]
}

/// A number below `n`, all equally likely. Our own ten lines, because a library may change its method between versions,
/// and with it every run.
fn below(random: &mut ChaCha8Rng, n: usize) -> usize {
    let n = n as u64;
    loop {
        let product = u128::from(random.next_u64()) * u128::from(n);
        // The 2^64 mod n lowest fractions would make some numbers likelier.
        if n.wrapping_neg() % n <= product as u64 {
            return (product >> 64) as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const COUNTS: [usize; 6] = [5, 0, 3, 1, 5, 2];

    fn sampler(sampling: Sampling, seed: u64) -> Sampler {
        Sampler::new(&COUNTS, sampling, seed).expect("there are sentences")
    }

    #[test]
    fn an_epoch_of_sentences_takes_none_twice() {
        let mut s = sampler(Sampling::Sentences { batch_size: 3 }, 7);
        assert_eq!(s.batches_per_epoch(), 5); // 16 / 3
        let mut orders = HashSet::new();
        for epoch in 0..20 {
            let picks: Vec<_> = (0..5).flat_map(|i| s.batch_at(epoch * 5 + i)).collect();
            let distinct: HashSet<_> = picks.iter().copied().collect();
            assert_eq!((picks.len(), distinct.len()), (15, 15));
            assert!(
                picks
                    .iter()
                    .all(|&(image, caption)| caption < COUNTS[image])
            );
            assert!(orders.insert(picks), "epoch {epoch} repeats another");
        }
    }

    #[test]
    fn an_epoch_of_pictures_takes_all_their_sentences() {
        let mut s = sampler(Sampling::Pictures { pictures: 2 }, 7);
        assert_eq!(s.batches_per_epoch(), 2); // 5 with sentences / 2
        for iteration in 0..20 {
            let picks = s.batch_at(iteration);
            let images: HashSet<_> = picks.iter().map(|&(image, _)| image).collect();
            assert_eq!(images.len(), 2);
            let all: usize = images.iter().map(|&image| COUNTS[image]).sum();
            assert_eq!(picks.iter().collect::<HashSet<_>>().len(), all);
        }
    }

    #[test]
    fn neuraltalk_draws_pictures_evenly_then_their_sentences() {
        let mut s = sampler(Sampling::Neuraltalk { batch_size: 100 }, 7);
        assert_eq!(s.batches_per_epoch(), 1);
        let picks: Vec<_> = (0..500).flat_map(|i| s.batch_at(i)).collect();
        for (image, &count) in COUNTS.iter().enumerate() {
            for caption in 0..count {
                let times = picks
                    .iter()
                    .filter(|&&pick| pick == (image, caption))
                    .count();
                let want = 50_000.0 / 5.0 / count as f64;
                let off = (times as f64 - want).abs() / want.sqrt();
                assert!(off < 5.0, "({image}, {caption}): {times}, expected {want}");
            }
        }
    }

    #[test]
    fn a_batch_depends_on_seed_and_iteration_alone() {
        let modes = [
            Sampling::Sentences { batch_size: 3 },
            Sampling::Pictures { pictures: 2 },
            Sampling::Neuraltalk { batch_size: 4 },
        ];
        for mode in modes {
            let mut straight = sampler(mode, 1);
            let want: Vec<_> = (0..40).map(|i| straight.batch_at(i)).collect();
            for i in (0..40).rev() {
                assert_eq!(
                    sampler(mode, 1).batch_at(i),
                    want[i as usize],
                    "{mode:?}, fresh"
                );
                assert_eq!(
                    straight.batch_at(i),
                    want[i as usize],
                    "{mode:?}, backwards"
                );
            }
            let mut other = sampler(mode, 2);
            assert_ne!((0..40).map(|i| other.batch_at(i)).collect::<Vec<_>>(), want);
        }
    }

    /// Golden: `python3 tests/golden/sampler.py`, which has a ChaCha of its own. A change here breaks the resumption of
    /// runs that exist.
    #[test]
    fn the_order_is_frozen() {
        let mut s = sampler(Sampling::Sentences { batch_size: 4 }, 42);
        assert_eq!(s.batch_at(0), [(5, 1), (0, 3), (2, 0), (0, 4)]);
        assert_eq!(s.batch_at(9), [(0, 2), (4, 2), (4, 4), (2, 2)]); // epoch 2, batch 1
        let mut s = sampler(Sampling::Pictures { pictures: 2 }, 42);
        assert_eq!(s.batch_at(2), [(3, 0), (2, 0), (2, 1), (2, 2)]); // epoch 1, batch 0
        let mut s = sampler(Sampling::Neuraltalk { batch_size: 4 }, 42);
        assert_eq!(s.batch_at(3), [(3, 0), (0, 2), (0, 4), (3, 0)]);
    }

    #[test]
    fn a_batch_larger_than_the_data_holds_all_of_it() {
        let mut s = sampler(Sampling::Sentences { batch_size: 100 }, 0);
        assert_eq!(s.batches_per_epoch(), 1);
        assert_eq!(s.batch_at(0).len(), 16);
        assert_ne!(s.batch_at(0), s.batch_at(1));
        let mut s = sampler(Sampling::Pictures { pictures: 100 }, 0);
        assert_eq!(s.batch_at(5).len(), 16);
    }

    #[test]
    fn nothing_to_sample_is_an_error() {
        let mode = Sampling::Sentences { batch_size: 1 };
        let error = Sampler::new(&[0, 0], mode, 0).unwrap_err();
        assert_eq!(error.to_string(), "none of 2 pictures has a sentence");
        let mode = Sampling::Pictures { pictures: 0 };
        assert_eq!(
            Sampler::new(&[1], mode, 0).unwrap_err(),
            SamplerError::EmptyBatch
        );
    }

    #[test]
    fn numbers_below_three_are_equally_likely() {
        let mut random = ChaCha8Rng::from_seed([1; 32]);
        let mut seen = [0u32; 3];
        for _ in 0..30_000 {
            seen[below(&mut random, 3)] += 1;
        }
        assert!(seen.iter().all(|n| n.abs_diff(10_000) < 500), "{seen:?}");
    }
}
