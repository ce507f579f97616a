//! CIDEr-D and BLEU of many candidates against references that are counted once: the rewards of self-critical training.
//!
//! Here: [`Consensus`], the references of a corpus as named n-grams with their weights. Not here: scores of a corpus
//! (`cider.rs` and `bleu.rs`, the oracles of the tests), words as text: a caller numbers them.
//!
//! Vedantam, Zitnick & Parikh 2015, as coco-caption computes it (`cider_scorer.py`): see `cider.rs` for the formula, and
//! `bleu.rs` for BLEU's.
//! An n-gram is named by the pair (its first words' name, its last word), as in `ngrams.rs`. Memory: 16 bytes a word of
//! the references and about 30 a distinct n-gram.

use hashbrown::HashMap;
use rayon::prelude::*;

use crate::bleu::{self, BleuCounts};
use crate::ngrams::MAX_ORDER;

/// σ of the Gaussian length penalty, in words.
const SIGMA: f64 = 6.0;

/// The references of N images, and in how many images each n-gram occurs.
#[derive(Clone, Debug)]
pub struct Consensus {
    orders: [Order; MAX_ORDER],
    /// Reference s has the words before place `ends[s]`, from where the one before it ends.
    ends: Vec<usize>,
    /// References of image i are those before `image_ends[i]`.
    image_ends: Vec<usize>,
    /// ln N, the weight of n-grams that no reference has.
    unseen: f64,
}

/// One order's n-grams.
#[derive(Clone, Debug, Default)]
struct Order {
    /// Name behind (name one order below, last word); unused for order 1, where words name themselves.
    pairs: HashMap<(u32, u32), u32>,
    /// Names in place: those of a reference stand where its words start, sorted.
    names: Vec<u32>,
    /// ln N - ln max(1, df) by name.
    weights: Vec<f64>,
}

/// A sentence's n-grams of one order.
#[derive(Default)]
struct Vector {
    /// Name and tf-idf weight, by name.
    weights: Vec<(u32, f64)>,
    norm: f64,
}

/// What scoring one image needs, kept from image to image.
#[derive(Default)]
struct Scratch {
    references: Vec<Vector>,
    candidate: Vector,
    named: Named,
    clipped: bleu::Clipped,
}

/// A candidate's n-grams.
#[derive(Default)]
struct Named {
    /// Names, sorted, by order.
    orders: [Vec<u32>; MAX_ORDER],
    /// Names in place, of the order that is being named.
    places: Vec<u32>,
    /// N-grams of that order that no reference has.
    fresh: Vec<(u32, u32)>,
}

impl Consensus {
    /// Counts the references of each image, words as numbers. An image may have none.
    pub fn new<S: AsRef<[u32]>>(images: impl IntoIterator<Item = Vec<S>>) -> Self {
        let mut orders: [Order; MAX_ORDER] = Default::default();
        let (mut ends, mut image_ends) = (Vec::new(), Vec::new());
        for image in images {
            for sentence in image {
                orders[0].names.extend_from_slice(sentence.as_ref());
                ends.push(orders[0].names.len());
            }
            image_ends.push(ends.len());
        }
        let words = orders[0].names.clone();
        for order in 2..=MAX_ORDER {
            let [shorter, longer] = &mut orders[order - 2..order] else {
                unreachable!("two orders");
            };
            longer.names.clone_from(&shorter.names);
            for sentence in 0..ends.len() {
                for place in places(&ends, sentence, order) {
                    let pair = (longer.names[place], words[place + order - 1]);
                    let next = longer.pairs.len() as u32;
                    longer.names[place] = *longer.pairs.entry(pair).or_insert(next);
                }
            }
        }
        let images = (image_ends.len() as f64).ln();
        let mut all = Self {
            orders,
            ends,
            image_ends,
            unseen: images,
        };
        for order in 1..=MAX_ORDER {
            let counts = all.document_frequencies(order);
            let weights = counts.iter().map(|&df| images - f64::from(df.max(1)).ln());
            all.orders[order - 1].weights = weights.collect();
            for sentence in 0..all.ends.len() {
                let range = places(&all.ends, sentence, order);
                all.orders[order - 1].names[range].sort_unstable();
            }
        }
        all
    }

    /// N, the number of images.
    pub fn images(&self) -> usize {
        self.image_ends.len()
    }

    /// CIDEr-D times 10 of each candidate for its image, given as (image, candidates), in order; 0 for an image without
    /// references. Computed in parallel; the same numbers for any number of threads.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn score<S: AsRef<[u32]> + Sync>(&self, candidates: &[(usize, Vec<S>)]) -> Vec<Vec<f64>> {
        each_image(candidates, |scratch, image, candidates| {
            self.cider(scratch, image, candidates)
        })
    }

    /// What BLEU needs to know of each candidate, as [`Consensus::score`] takes them.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn bleu_counts<S: AsRef<[u32]> + Sync>(
        &self,
        candidates: &[(usize, Vec<S>)],
    ) -> Vec<Vec<BleuCounts>> {
        each_image(candidates, |scratch, image, candidates| {
            let counts = |c: &S| self.bleu(scratch, image, c.as_ref());
            candidates.iter().map(counts).collect()
        })
    }

    fn bleu(&self, scratch: &mut Scratch, image: usize, words: &[u32]) -> BleuCounts {
        let Scratch { named, clipped, .. } = scratch;
        named.set(self, words);
        let sentences = self.sentences(image);
        let lengths = sentences.clone().map(|s| places(&self.ends, s, 1).len());
        let mut counts = BleuCounts::of_lengths(words.len(), lengths);
        for order in 1..=MAX_ORDER {
            let names = &self.orders[order - 1].names;
            let references = sentences.clone();
            let references = references.map(|s| &names[places(&self.ends, s, order)]);
            counts.count(order, &named.orders[order - 1], references, clipped);
        }
        counts
    }

    fn cider<S: AsRef<[u32]>>(
        &self,
        scratch: &mut Scratch,
        image: usize,
        candidates: &[S],
    ) -> Vec<f64> {
        let sentences = self.sentences(image);
        let count = sentences.len();
        let mut scores = vec![0.0; candidates.len()];
        if count == 0 {
            return scores;
        }
        let vectors = count * MAX_ORDER;
        scratch.references.resize_with(vectors, Vector::default);
        for order in 1..=MAX_ORDER {
            for (i, sentence) in sentences.clone().enumerate() {
                let names = &self.orders[order - 1].names[places(&self.ends, sentence, order)];
                scratch.references[(order - 1) * count + i]
                    .set(names, |name| self.weight(order, name));
            }
        }
        for (score, candidate) in scores.iter_mut().zip(candidates) {
            let words = candidate.as_ref();
            scratch.named.set(self, words);
            let mut sum = 0.0;
            for order in 1..=MAX_ORDER {
                let names = &scratch.named.orders[order - 1];
                scratch
                    .candidate
                    .set(names, |name| self.weight(order, name));
                for (i, sentence) in sentences.clone().enumerate() {
                    let reference = &scratch.references[(order - 1) * count + i];
                    let difference =
                        bigrams(words.len()) - bigrams(places(&self.ends, sentence, 1).len());
                    let penalty = (-(difference * difference) / (2.0 * SIGMA * SIGMA)).exp();
                    sum += scratch.candidate.clipped_cosine(reference) * penalty;
                }
            }
            *score = 10.0 * sum / (MAX_ORDER * count) as f64;
        }
        scores
    }

    fn weight(&self, order: usize, name: u32) -> f64 {
        let weights = &self.orders[order - 1].weights;
        weights.get(name as usize).copied().unwrap_or(self.unseen)
    }

    fn sentences(&self, image: usize) -> std::ops::Range<usize> {
        let start = if image == 0 {
            0
        } else {
            self.image_ends[image - 1]
        };
        start..self.image_ends[image]
    }

    /// Number of images whose references have each n-gram, by name.
    fn document_frequencies(&self, order: usize) -> Vec<u32> {
        let names = &self.orders[order - 1].names;
        let distinct = names.iter().max().map_or(0, |&name| name as usize + 1);
        let (mut counts, mut counted) = (vec![0; distinct], vec![0; distinct]);
        for image in 0..self.images() {
            for sentence in self.sentences(image) {
                for &name in &names[places(&self.ends, sentence, order)] {
                    let name = name as usize;
                    if std::mem::replace(&mut counted[name], image + 1) != image + 1 {
                        counts[name] += 1;
                    }
                }
            }
        }
        counts
    }
}

/// `score` of every image's candidates, in parallel.
fn each_image<S: Sync, T: Send>(
    candidates: &[(usize, Vec<S>)],
    score: impl Fn(&mut Scratch, usize, &[S]) -> Vec<T> + Sync,
) -> Vec<Vec<T>> {
    candidates
        .par_iter()
        .map_init(Scratch::default, |scratch, (image, candidates)| {
            score(scratch, *image, candidates)
        })
        .collect()
}

/// Where the n-grams of a sentence start.
fn places(ends: &[usize], sentence: usize, order: usize) -> std::ops::Range<usize> {
    let start = if sentence == 0 { 0 } else { ends[sentence - 1] };
    start..(ends[sentence] + 1).saturating_sub(order).max(start)
}

/// coco-caption's length of a sentence.
fn bigrams(words: usize) -> f64 {
    words.saturating_sub(1) as f64
}

impl Named {
    /// Names the n-grams of `words`. What no reference has gets a name of its own, so that a candidate that repeats it is
    /// not longer than it is.
    fn set(&mut self, references: &Consensus, words: &[u32]) {
        self.places.clear();
        self.places.extend_from_slice(words);
        for (order, sorted) in (1..).zip(&mut self.orders) {
            if order > 1 {
                self.places
                    .truncate((words.len() + 1).saturating_sub(order));
                self.fresh.clear();
                let known = &references.orders[order - 1].pairs;
                let lasts = words.get(order - 1..).unwrap_or(&[]);
                for (name, &last) in self.places.iter_mut().zip(lasts) {
                    let pair = (*name, last);
                    *name = known.get(&pair).copied().unwrap_or_else(|| {
                        // A sentence has few words: a search beats a table.
                        let at = self.fresh.iter().position(|&old| old == pair);
                        let at = at.unwrap_or_else(|| {
                            self.fresh.push(pair);
                            self.fresh.len() - 1
                        });
                        (known.len() + at) as u32
                    });
                }
            }
            sorted.clone_from(&self.places);
            sorted.sort_unstable();
        }
    }
}

impl Vector {
    /// `names` are sorted.
    fn set(&mut self, names: &[u32], weight: impl Fn(u32) -> f64) {
        self.weights.clear();
        for run in names.chunk_by(|a, b| a == b) {
            self.weights
                .push((run[0], run.len() as f64 * weight(run[0])));
        }
        self.norm = self.weights.iter().map(|w| w.1 * w.1).sum::<f64>().sqrt();
    }

    /// Σ min(g_c, g_r) g_r / (‖g_c‖ ‖g_r‖).
    fn clipped_cosine(&self, reference: &Self) -> f64 {
        let mut product = 0.0;
        let mut found = reference.weights.iter().peekable();
        for &(name, weight) in &self.weights {
            while found.next_if(|f| f.0 < name).is_some() {}
            if let Some(&(_, other)) = found.next_if(|f| f.0 == name) {
                product += weight.min(other) * other;
            }
        }
        match self.norm != 0.0 && reference.norm != 0.0 {
            true => product / (self.norm * reference.norm),
            false => product,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document_frequency::DocumentFrequencies;
    use crate::{Corpus, Metric, Options, score};

    fn text(words: &[u32]) -> String {
        let words: Vec<String> = words.iter().map(|w| format!("w{w}")).collect();
        words.join(" ")
    }

    /// The oracle: `metrics::score` and `bleu_counts` on text, one corpus for each candidate of an image.
    fn oracle(
        references: &[Vec<Vec<u32>>],
        candidates: &[(usize, Vec<Vec<u32>>)],
    ) -> Vec<(f64, BleuCounts)> {
        let lines =
            |image: usize| -> Vec<String> { references[image].iter().map(|s| text(s)).collect() };
        let mut all = Corpus::new();
        for image in 0..references.len() {
            all.push(image.to_string(), "", &lines(image));
        }
        let frequencies = DocumentFrequencies::count(&all);
        let one = |image: usize, candidate: &Vec<u32>| {
            let mut corpus = Corpus::new();
            corpus.push("1", &text(candidate), &lines(image));
            let options = Options {
                metrics: vec![Metric::Cider],
                document_frequencies: Some(&frequencies),
                ..Options::default()
            };
            let cider = score(&corpus, &options).scores[0].images[0];
            (cider, bleu::bleu_counts(&corpus)[0])
        };
        let image = |(image, candidates): &(usize, Vec<Vec<u32>>)| -> Vec<_> {
            candidates.iter().map(|c| one(*image, c)).collect()
        };
        candidates.iter().flat_map(image).collect()
    }

    fn sentence() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(0u32..7, 0..12)
    }

    proptest! {
        /// Few words, so that n-grams are shared, repeated and clipped; word 7 and above in no reference.
        #[test]
        fn every_candidate_scores_as_metrics_says(
            references in prop::collection::vec(prop::collection::vec(sentence(), 0..4), 1..6),
            candidates in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(
                prop::collection::vec(0u32..9, 0..12), 0..4)), 0..5),
        ) {
            let candidates: Vec<_> = candidates
                .into_iter()
                .map(|(image, sentences)| (image.index(references.len()), sentences))
                .collect();
            let consensus = Consensus::new(references.clone());
            let (got, bleu) = (consensus.score(&candidates), consensus.bleu_counts(&candidates));
            let want = oracle(&references, &candidates);
            prop_assert_eq!((got.len(), bleu.len()), (candidates.len(), candidates.len()));
            let (got, bleu) = (got.concat(), bleu.concat());
            prop_assert_eq!((got.len(), bleu.len()), (want.len(), want.len()));
            for ((got, bleu), want) in got.iter().zip(&bleu).zip(&want) {
                prop_assert!((got - want.0).abs() < 1e-9, "{} for {}", got, want.0);
                prop_assert_eq!(bleu, &want.1);
            }
        }
    }

    #[test]
    fn a_reference_of_its_own_scores_ten_and_nonsense_nothing() {
        let references = vec![
            vec![vec![1, 2, 3, 4, 5]],
            vec![vec![6, 7, 8, 9]],
            vec![vec![1, 7]],
        ];
        let consensus = Consensus::new(references);
        assert_eq!(consensus.images(), 3);
        let scores = consensus.score(&[(0, vec![vec![1, 2, 3, 4, 5], vec![90, 90, 91], vec![]])]);
        assert!((scores[0][0] - 10.0).abs() < 1e-12, "{scores:?}");
        assert_eq!(scores[0][1..], [0.0, 0.0]);
    }
}
