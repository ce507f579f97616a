//! METEOR of a whole corpus, whose words have numbers already.
//!
//! Here: each distinct word looked up once. Not here: captions as text (`mod.rs`), which give the same numbers.
//!
//! Most captions are plain: METEOR's normaliser leaves them as they are, so that their tokens are its words. A caption
//! with any other token takes the way through the text.

use rayon::prelude::*;

use super::normalize::{Prefixes, is_plain};
use super::paraphrases::Collector;
use super::statistics::Statistics;
use super::vocabulary::Word;
use super::{Known, Meteor, all_known};
use crate::corpus::Corpus;

/// Shows the collector all captions of a corpus.
pub(super) fn see(corpus: &Corpus, prefixes: &Prefixes, collector: &mut Collector) {
    let words = corpus.words();
    let plain: Vec<bool> = words.iter().map(is_plain).collect();
    let mut numbers = vec![None; words.len()];
    for tokens in (0..corpus.len()).flat_map(|image| captions(corpus, image)) {
        if !tokens.iter().all(|&token| plain[token as usize]) {
            super::see(&corpus.text(tokens), prefixes, collector);
            continue;
        }
        let mut before = None;
        for &token in tokens {
            let word = words.word(token);
            // Between two blanks.
            if word.is_empty() {
                continue;
            }
            let number = &mut numbers[token as usize];
            let number = *number.get_or_insert_with(|| collector.intern(word.as_bytes()));
            collector.see_known(before, number);
            before = Some(number);
        }
    }
}

/// The candidate of an image, then its references.
fn captions(corpus: &Corpus, image: usize) -> impl Iterator<Item = &[u32]> {
    [corpus.spaced_candidate(image)]
        .into_iter()
        .chain(corpus.spaced_references(image))
}

/// A caption's words.
enum Caption<'c, 'm> {
    /// Tokens of the corpus, whose words are looked up already.
    Plain(&'c [u32]),
    Other(Vec<Known<'m>>),
}

/// What is known about a corpus's tokens.
struct Tokens<'c, 'm> {
    corpus: &'c Corpus,
    /// None for tokens that the normaliser may change, and for the empty one.
    words: Vec<Option<Known<'m>>>,
    empty: Option<u32>,
}

impl<'c, 'm> Tokens<'c, 'm> {
    fn new(corpus: &'c Corpus, meteor: &'m Meteor) -> Self {
        let known = |word: &str| (is_plain(word) && !word.is_empty()).then(|| meteor.known(word));
        Self {
            corpus,
            words: corpus.words().iter().map(known).collect(),
            empty: corpus.words().id(""),
        }
    }

    fn are_plain(&self, tokens: &[u32]) -> bool {
        let mut tokens = tokens.iter();
        tokens.all(|&token| self.words[token as usize].is_some() || Some(token) == self.empty)
    }

    fn words<'w>(&'w self, caption: &'w Caption<'_, 'm>) -> Vec<&'w Word> {
        match caption {
            Caption::Plain(tokens) => {
                let words = tokens.iter();
                let words = words.filter_map(|&token| self.words[token as usize].as_ref());
                words.map(Known::get).collect()
            }
            Caption::Other(words) => all_known(words),
        }
    }
}

impl Meteor {
    /// The counts of every image's candidate: those that [`Self::statistics`] finds for its tokens joined by blanks.
    ///
    /// # Panics
    /// If this METEOR was opened for other captions.
    pub fn corpus_statistics(&self, corpus: &Corpus) -> Vec<Statistics> {
        let tokens = Tokens::new(corpus, self);
        let images = (0..corpus.len()).into_par_iter();
        let statistics = images.map(|image| self.image_statistics(&tokens, image));
        statistics.collect()
    }

    fn image_statistics(&self, known: &Tokens<'_, '_>, image: usize) -> Statistics {
        let corpus = known.corpus;
        let tokens = corpus.spaced_candidate(image);
        let candidate = match known.are_plain(tokens) {
            true => Caption::Plain(tokens),
            false => Caption::Other(self.candidate(&corpus.text(tokens))),
        };
        let mut references = Vec::with_capacity(5);
        for tokens in corpus.spaced_references(image) {
            match known.are_plain(tokens) {
                true => references.push(Caption::Plain(tokens)),
                false => {
                    let several = self.references(&corpus.text(tokens));
                    references.extend(several.into_iter().map(Caption::Other));
                }
            }
        }
        if references.is_empty() {
            references.push(Caption::Other(Vec::new()));
        }
        let words = |caption| {
            let words = known.words(caption);
            let mut before = None;
            for word in &words {
                assert!(
                    self.paraphrases.covers(before, word.paraphrase_word),
                    "METEOR was opened for other captions than those of image `{}`",
                    corpus.ids()[image]
                );
                before = word.paraphrase_word;
            }
            words
        };
        let references: Vec<Vec<&Word>> = references.iter().map(words).collect();
        self.best(&words(&candidate), &references)
    }
}
