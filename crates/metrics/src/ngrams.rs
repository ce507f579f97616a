//! N-grams of a corpus as numbers: equal n-grams have equal numbers, so that counting compares integers.
//!
//! Here: naming the n-grams of orders 1 to 4, sorted for each sentence, and in how many images each occurs. Not
//! here: scores.
//!
//! The n-gram of order k at a place is the pair (its first k - 1 words' name, its last word), so one table of
//! pairs an order suffices (the naming step of Karp, Miller & Rosenberg 1972). Images are counted in the same pass,
//! while a pair's entry is in the cache. Memory: 4 bytes a token and order, and about 28 bytes a distinct n-gram.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};
use rayon::prelude::*;

use crate::corpus::{Corpus, Sentences};

/// The highest order that caption metrics use.
pub const MAX_ORDER: usize = 4;

/// Sentences that one task sorts.
const SORTED_AT_ONCE: usize = 512;

/// Names of all n-grams, sorted within each sentence.
pub(crate) struct Ngrams<'c> {
    corpus: &'c Corpus,
    candidates: [Vec<u32>; MAX_ORDER],
    references: [Vec<u32>; MAX_ORDER],
    names: [Names; MAX_ORDER],
}

impl<'c> Ngrams<'c> {
    pub(crate) fn new(corpus: &'c Corpus) -> Self {
        let (candidate_sentences, reference_sentences) = corpus.sentences();
        let mut ngrams = Self {
            corpus,
            candidates: Default::default(),
            references: Default::default(),
            names: Default::default(),
        };
        let mut candidates = candidate_sentences.tokens.clone();
        let mut references = reference_sentences.tokens.clone();
        for order in 1..=MAX_ORDER {
            let mut names = Names::default();
            if order == 1 {
                // Words name themselves.
                names.entries = (0..corpus.words().len() as u64).map(Entry::new).collect();
            }
            for image in 0..corpus.len() {
                for sentence in corpus.reference_range(image) {
                    for start in starts(reference_sentences, sentence, order) {
                        let name = &mut references[start];
                        if order > 1 {
                            let last = reference_sentences.tokens[start + order - 1];
                            *name = names.name(pair(*name, last));
                        }
                        names.entries[*name as usize].seen_in(image as u32);
                    }
                }
            }
            if order > 1 {
                for sentence in 0..candidate_sentences.len() {
                    for start in starts(candidate_sentences, sentence, order) {
                        let last = candidate_sentences.tokens[start + order - 1];
                        candidates[start] = names.name(pair(candidates[start], last));
                    }
                }
            }
            // The next order needs the names in their places; what is kept is sorted.
            ngrams.references[order - 1] = references.clone();
            ngrams.candidates[order - 1] = candidates.clone();
            names.table = HashTable::new();
            ngrams.names[order - 1] = names;
        }
        let Self {
            candidates,
            references,
            ..
        } = &mut ngrams;
        rayon::join(
            || sort_all(candidates, candidate_sentences),
            || sort_all(references, reference_sentences),
        );
        ngrams
    }

    /// How many different n-grams of this order there are; their names are 0.. this.
    pub(crate) fn distinct(&self, order: usize) -> usize {
        self.names[order - 1].entries.len()
    }

    /// In how many images' references each n-gram of this order occurs, by name.
    pub(crate) fn images(&self, order: usize) -> impl ExactSizeIterator<Item = u32> {
        self.names[order - 1]
            .entries
            .iter()
            .map(|entry| entry.images)
    }

    /// The words of an n-gram.
    pub(crate) fn words(&self, order: usize, name: u32) -> [u32; MAX_ORDER] {
        let mut words = [0; MAX_ORDER];
        let mut name = name;
        for order in (1..=order).rev() {
            let pair = self.names[order - 1].entries[name as usize].pair;
            words[order - 1] = pair as u32;
            name = (pair >> 32) as u32;
        }
        words
    }

    /// Names of the n-grams of image i's candidate, sorted.
    pub(crate) fn candidate(&self, image: usize, order: usize) -> &[u32] {
        let sentences = self.corpus.sentences().0;
        &self.candidates[order - 1][starts(sentences, image, order)]
    }

    /// Names of the n-grams of each of image i's references, sorted.
    pub(crate) fn references(
        &self,
        image: usize,
        order: usize,
    ) -> impl ExactSizeIterator<Item = &[u32]> {
        let sentences = self.corpus.sentences().1;
        let names = &self.references[order - 1];
        self.corpus
            .reference_range(image)
            .map(move |sentence| &names[starts(sentences, sentence, order)])
    }
}

/// Tokens of a sentence at which an n-gram of this order starts.
fn starts(sentences: &Sentences, sentence: usize, order: usize) -> Range<usize> {
    let tokens = sentences.range(sentence);
    tokens.start..tokens.end.saturating_sub(order - 1).max(tokens.start)
}

/// Sorts each sentence's names of each order.
fn sort_all(names: &mut [Vec<u32>; MAX_ORDER], sentences: &Sentences) {
    for (order, names) in (1..).zip(names) {
        let mut rest = names.as_mut_slice();
        let mut tasks = Vec::new();
        for first in (0..sentences.len()).step_by(SORTED_AT_ONCE) {
            let range = first..sentences.len().min(first + SORTED_AT_ONCE);
            let begin = sentences.range(first).start;
            let (own, others) = rest.split_at_mut(sentences.ends[range.end - 1] - begin);
            rest = others;
            tasks.push((range, begin, own));
        }
        tasks.into_par_iter().for_each(|(range, begin, own)| {
            for sentence in range {
                let places = starts(sentences, sentence, order);
                own[places.start - begin..places.end - begin].sort_unstable();
            }
        });
    }
}

/// The table of one order.
#[derive(Default)]
struct Names {
    entries: Vec<Entry>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// An n-gram.
struct Entry {
    /// The shorter n-gram's name and the last word.
    pair: u64,
    /// Images whose references have it.
    images: u32,
    /// The last of them, plus 1.
    last: u32,
}

impl Entry {
    fn new(pair: u64) -> Self {
        Self {
            pair,
            images: 0,
            last: 0,
        }
    }

    fn seen_in(&mut self, image: u32) {
        if self.last != image + 1 {
            self.last = image + 1;
            self.images += 1;
        }
    }
}

fn pair(shorter: u32, last: u32) -> u64 {
    u64::from(shorter) << 32 | u64::from(last)
}

impl Names {
    fn name(&mut self, pair: u64) -> u32 {
        let Self {
            entries,
            table,
            hasher,
        } = self;
        let hash = hasher.hash_one(pair);
        if let Some(&name) = table.find(hash, |&name| entries[name as usize].pair == pair) {
            return name;
        }
        let name = u32::try_from(entries.len()).expect("fewer than 2^32 distinct n-grams");
        entries.push(Entry::new(pair));
        table.insert_unique(hash, name, |&name| {
            hasher.hash_one(entries[name as usize].pair)
        });
        name
    }
}

/// Each name of a sorted list and how often it occurs.
pub(crate) fn counts(sorted: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    sorted
        .chunk_by(|a, b| a == b)
        .map(|run| (run[0], run.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of four letters, so that n-grams repeat; enough sentences for several sorting tasks.
    fn random_corpus(images: usize) -> Corpus {
        let mut state = 5u32;
        let mut below = |n: u32| {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 16) % n
        };
        let mut corpus = Corpus::new();
        for image in 0..images {
            let mut line = || {
                let words = (0..below(8)).map(|_| ["a", "b", "c", "d"][below(4) as usize]);
                words.collect::<Vec<_>>().join(" ")
            };
            let candidate = line();
            let references: Vec<String> = (0..image % 4).map(|_| line()).collect();
            corpus.push(image.to_string(), &candidate, &references);
        }
        corpus
    }

    #[test]
    fn names_stand_for_windows_of_words() {
        let corpus = random_corpus(2 * SORTED_AT_ONCE + 7);
        let ngrams = Ngrams::new(&corpus);
        for order in 1..=MAX_ORDER {
            let mut all = std::collections::BTreeMap::new();
            let check = |tokens: &[u32], names: &[u32]| {
                let mut want: Vec<&[u32]> = tokens.windows(order).collect();
                let words: Vec<_> = names
                    .iter()
                    .map(|&name| ngrams.words(order, name))
                    .collect();
                let mut found: Vec<&[u32]> = words.iter().map(|words| &words[..order]).collect();
                want.sort();
                found.sort();
                assert_eq!(found, want);
                assert!(names.is_sorted());
            };
            for image in 0..corpus.len() {
                check(corpus.candidate(image), ngrams.candidate(image, order));
                let own = ngrams.references(image, order);
                assert_eq!(own.len(), image % 4);
                own.zip(corpus.references(image))
                    .for_each(|(names, tokens)| check(tokens, names));
                let windows = corpus.candidate(image).windows(order);
                windows.for_each(|window| {
                    all.entry(window.to_vec()).or_insert(0);
                });
                let mut own: Vec<_> = corpus
                    .references(image)
                    .flat_map(|r| r.windows(order))
                    .collect();
                own.sort();
                own.dedup();
                for window in own {
                    *all.entry(window.to_vec()).or_insert(0) += 1;
                }
            }
            // Each window has one name, and its images are counted. The empty word is ROUGE-L's only, but has a number.
            let empty = usize::from(order == 1);
            assert_eq!(ngrams.distinct(order), all.len() + empty, "order {order}");
            assert_eq!(ngrams.images(order).len(), ngrams.distinct(order));
            for (name, images) in (0..).zip(ngrams.images(order)) {
                let words = ngrams.words(order, name);
                assert_eq!(all.get(&words[..order]).copied().unwrap_or(0), images);
            }
        }
    }

    #[test]
    fn counting() {
        assert_eq!(
            counts(&[1, 1, 2, 3, 3, 3]).collect::<Vec<_>>(),
            [(1, 2), (2, 1), (3, 3)]
        );
        assert_eq!(counts(&[]).count(), 0);
    }
}
