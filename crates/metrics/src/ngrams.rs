//! N-grams of a corpus as numbers: equal n-grams have equal numbers, so that counting compares integers.
//!
//! Here: naming the n-grams of orders 1 to 4, and counts of one sentence. Not here: scores.
//!
//! The n-gram of order k at a place is the pair (its first k - 1 words' name, its last word), so one table of
//! pairs an order suffices (the naming step of Karp, Miller & Rosenberg 1972). Memory: 4 bytes a token and order,
//! and while an order is named about 20 bytes a distinct n-gram of it.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::corpus::{Corpus, Sentences};

/// The highest order that caption metrics use.
pub const MAX_ORDER: usize = 4;

/// Names of all n-grams; place i of order k belongs to the n-gram that starts at token i.
pub(crate) struct Ngrams<'c> {
    corpus: &'c Corpus,
    /// Orders 2 to 4: words name themselves.
    candidates: Vec<Vec<u32>>,
    references: Vec<Vec<u32>>,
    /// How many names each order has.
    distinct: [usize; MAX_ORDER],
}

impl<'c> Ngrams<'c> {
    pub(crate) fn new(corpus: &'c Corpus) -> Self {
        let (candidate_sentences, reference_sentences) = corpus.sentences();
        let mut ngrams = Self {
            corpus,
            candidates: vec![],
            references: vec![],
            distinct: [corpus.words().len(), 0, 0, 0],
        };
        for order in 2..=MAX_ORDER {
            let mut names = Names::default();
            let shorter = |named: &'_ Vec<Vec<u32>>, sentences: &Sentences| -> Vec<u32> {
                named
                    .last()
                    .map_or_else(|| sentences.tokens.clone(), Vec::clone)
            };
            let mut references = shorter(&ngrams.references, reference_sentences);
            names.lengthen(&mut references, reference_sentences, order);
            let mut candidates = shorter(&ngrams.candidates, candidate_sentences);
            names.lengthen(&mut candidates, candidate_sentences, order);
            ngrams.references.push(references);
            ngrams.candidates.push(candidates);
            ngrams.distinct[order - 1] = names.pairs.len();
        }
        ngrams
    }

    /// How many different n-grams of this order there are; their names are 0.. this.
    pub(crate) fn distinct(&self, order: usize) -> usize {
        self.distinct[order - 1]
    }

    /// Names of the n-grams of image i's candidate, in order.
    pub(crate) fn candidate(&self, image: usize, order: usize) -> &[u32] {
        let sentences = self.corpus.sentences().0;
        let names = if order == 1 {
            &sentences.tokens
        } else {
            &self.candidates[order - 2]
        };
        &names[starts(sentences, image, order)]
    }

    /// Names of the n-grams of each of image i's references.
    pub(crate) fn references(
        &self,
        image: usize,
        order: usize,
    ) -> impl ExactSizeIterator<Item = &[u32]> {
        let sentences = self.corpus.sentences().1;
        let names = if order == 1 {
            &sentences.tokens
        } else {
            &self.references[order - 2]
        };
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

/// The table of one order.
#[derive(Default)]
struct Names {
    /// Pair behind each name: the shorter n-gram's name and the last word.
    pairs: Vec<u64>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Names {
    fn name(&mut self, pair: u64) -> u32 {
        let Self {
            pairs,
            table,
            hasher,
        } = self;
        let hash = hasher.hash_one(pair);
        if let Some(&name) = table.find(hash, |&name| pairs[name as usize] == pair) {
            return name;
        }
        let name = u32::try_from(pairs.len()).expect("fewer than 2^32 distinct n-grams");
        pairs.push(pair);
        table.insert_unique(hash, name, |&name| hasher.hash_one(pairs[name as usize]));
        name
    }

    /// Turns the names of the n-grams one word shorter into those of this order.
    fn lengthen(&mut self, names: &mut [u32], sentences: &Sentences, order: usize) {
        for sentence in 0..sentences.len() {
            for start in starts(sentences, sentence, order) {
                let last = sentences.tokens[start + order - 1];
                names[start] = self.name(u64::from(names[start]) << 32 | u64::from(last));
            }
        }
    }
}

/// How often each name occurs, by name.
pub(crate) fn count(names: &[u32], counts: &mut Vec<(u32, u32)>) {
    counts.clear();
    counts.extend(names.iter().map(|&name| (name, 1)));
    counts.sort_unstable();
    counts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += u32::from(same);
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ngrams_have_equal_names_and_no_others() {
        let mut corpus = Corpus::new();
        corpus.push("1", "a b a b c", &["b c a b", "", "a"]);
        corpus.push("2", "c a b", &["a b a b c"]);
        let ngrams = Ngrams::new(&corpus);
        let mut seen = std::collections::HashMap::new();
        for order in 1..=MAX_ORDER {
            for image in 0..2 {
                let sentences =
                    std::iter::once((corpus.candidate(image), ngrams.candidate(image, order)))
                        .chain(
                            corpus
                                .references(image)
                                .zip(ngrams.references(image, order)),
                        );
                for (tokens, names) in sentences {
                    assert_eq!(names.len(), (tokens.len() + 1).saturating_sub(order));
                    for (window, name) in tokens.windows(order).zip(names) {
                        assert_eq!(seen.entry(window.to_vec()).or_insert(*name), name);
                        assert!((*name as usize) < ngrams.distinct(order));
                    }
                }
            }
            // The empty word of the empty reference is ROUGE-L's only, but has a number.
            let distinct = seen.keys().filter(|window| window.len() == order).count()
                + usize::from(order == 1);
            assert_eq!(ngrams.distinct(order), distinct, "order {order}");
        }
    }

    #[test]
    fn counting() {
        let mut counts = vec![(9, 9)];
        count(&[3, 1, 3, 3, 2, 1], &mut counts);
        assert_eq!(counts, [(1, 2), (2, 1), (3, 3)]);
    }
}
