//! METEOR 1.5 for English: alignment of a candidate with its references, and the score.
//!
//! Here: loading METEOR's data and scoring one candidate. Not here: METEOR's data themselves, which are read from
//! its own distribution; other languages, other parameters than those of `-l en -norm`.
//!
//! Denkowski & Lavie 2014, "Meteor Universal". Numbers are those of `java -jar meteor-1.5.jar - - -stdio -l en
//! -norm` as pycocoevalcap 1.2 calls it: the same statistics, word for word; scores within 1e-12. Without the data
//! only exact and stem matches exist and every word is a content word: that is reported under another name.

mod alignment;
mod corpora;
mod distribution;
mod error;
mod matches;
mod newlines;
mod normalize;
mod paraphrase_table;
mod paraphrases;
mod statistics;
mod synonyms;
mod vocabulary;

use std::path::Path;

pub use distribution::{SearchPlaces, find_installed};
pub use error::MeteorError;
pub use statistics::{MatchedWords, Statistics};

use crate::corpus::Corpus;
use distribution::Distribution;
use matches::{Candidate, Pairs, Sentence};
use normalize::Prefixes;
use paraphrase_table::Unpacking;
use paraphrases::{Collector, Paraphrases};
use vocabulary::{Knowledge, Vocabulary, Word};

/// METEOR, ready to score. Threads may share it.
pub struct Meteor {
    prefixes: Prefixes,
    knowledge: Knowledge,
    vocabulary: Vocabulary,
    paraphrases: Paraphrases,
    has_data: bool,
}

/// METEOR's data on their way: the paraphrase table is already being unpacked by a thread.
///
/// Unpacking takes longer than everything else together; start it before the captions are read.
pub struct Loading(Option<(Distribution, Unpacking)>);

impl Loading {
    /// Starts to load METEOR's distribution: its folder, or `meteor-1.5.jar` beside `data/paraphrase-en.gz`.
    /// Nothing is loaded without a path.
    ///
    /// # Errors
    /// If a file is missing or can't be opened.
    pub fn start(data: Option<&Path>) -> Result<Self, MeteorError> {
        let Some(path) = data else {
            return Ok(Self(None));
        };
        let distribution = Distribution::find(path)?;
        let unpacking = Unpacking::start(&distribution.paraphrases)?;
        Ok(Self(Some((distribution, unpacking))))
    }

    /// A METEOR for any text, with the whole paraphrase table: about 530 MB at most while it loads.
    ///
    /// # Errors
    /// If a file is damaged; with its name and line.
    pub fn finish(self) -> Result<Meteor, MeteorError> {
        self.load(|_| Collector::all())
    }

    /// A METEOR for these captions (candidates and references): what they can't need is left out.
    ///
    /// # Errors
    /// If a file is damaged; with its name and line.
    pub fn finish_for<S: AsRef<str>>(
        self,
        captions: impl IntoIterator<Item = S>,
    ) -> Result<Meteor, MeteorError> {
        self.load(|prefixes| {
            let mut collector = Collector::for_captions();
            for caption in captions {
                see(caption.as_ref(), prefixes, &mut collector);
            }
            collector
        })
    }

    /// The same for all captions of these corpora, faster.
    ///
    /// # Errors
    /// If a file is damaged; with its name and line.
    pub fn finish_for_corpora<'c>(
        self,
        corpora: impl IntoIterator<Item = &'c Corpus>,
    ) -> Result<Meteor, MeteorError> {
        self.load(|prefixes| {
            let mut collector = Collector::for_captions();
            for corpus in corpora {
                corpora::see(corpus, prefixes, &mut collector);
            }
            collector
        })
    }

    fn load(self, collect: impl FnOnce(&Prefixes) -> Collector) -> Result<Meteor, MeteorError> {
        let (distribution, unpacking) = self.0.unzip();
        let prefixes = match &distribution {
            Some(distribution) => Prefixes::parse(&distribution.prefixes()?.text),
            None => Prefixes::default(),
        };
        let mut collector = collect(&prefixes);
        let words = collector.words().map(|(word, n)| (word.into(), n));
        let words = words.collect();
        // Reading waits for the unpacking thread again and again: what else there is to do is done meanwhile.
        let read = || match unpacking {
            Some(unpacking) => unpacking.read(&mut collector),
            None => Ok(()),
        };
        let know = || -> Result<_, MeteorError> {
            let knowledge = match &distribution {
                Some(distribution) => Knowledge::parse(distribution.words()?)?,
                None => Knowledge::new(),
            };
            let vocabulary = Vocabulary::new(words, &knowledge);
            Ok((knowledge, vocabulary))
        };
        let (read, known) = rayon::join(read, know);
        let (knowledge, vocabulary) = known?;
        read?;
        Ok(Meteor {
            prefixes,
            knowledge,
            vocabulary,
            paraphrases: collector.finish(),
            has_data: distribution.is_some(),
        })
    }
}

/// Shows the collector a caption.
fn see(caption: &str, prefixes: &Prefixes, collector: &mut Collector) {
    each_reading(caption, |caption| {
        let mut before = None;
        normalize::for_each_word(caption, prefixes, |word| {
            before = Some(collector.see(before, word));
        });
    });
}

/// What a caption may be read as: itself, or without `|||` as a candidate, or divided there as a reference.
fn each_reading(caption: &str, mut read: impl FnMut(&str)) {
    if caption.contains("|||") {
        read(&caption.replace("|||", ""));
    }
    caption.split("|||").for_each(read);
}

impl Meteor {
    /// Loads METEOR's distribution (see [`Loading::start`]) for any text; without a path there are only exact and
    /// stem matches.
    ///
    /// # Errors
    /// If a file is missing or damaged; with its name and line.
    pub fn open(data: Option<&Path>) -> Result<Self, MeteorError> {
        Loading::start(data)?.finish()
    }

    /// The same for these captions (candidates and references) only: about six times as fast, and small.
    ///
    /// # Errors
    /// If a file is missing or damaged; with its name and line.
    pub fn open_for<S: AsRef<str>>(
        data: Option<&Path>,
        captions: impl IntoIterator<Item = S>,
    ) -> Result<Self, MeteorError> {
        Loading::start(data)?.finish_for(captions)
    }

    /// `METEOR`, or `METEOR (exact, stem)` without METEOR's data: those scores are not comparable.
    pub fn name(&self) -> &'static str {
        if self.has_data {
            "METEOR"
        } else {
            "METEOR (exact, stem)"
        }
    }

    /// Number of paraphrases loaded.
    pub fn paraphrases(&self) -> usize {
        self.paraphrases.len()
    }

    /// Whether a caption may be scored: any, unless this METEOR was opened for other captions.
    pub fn covers(&self, caption: &str) -> bool {
        let mut all = true;
        each_reading(caption, |caption| {
            let mut before = None;
            normalize::for_each_word(caption, &self.prefixes, |word| {
                let word = self.paraphrases.word(word);
                all &= self.paraphrases.covers(before, word);
                before = word;
            });
        });
        all
    }

    /// The counts of a candidate against the reference that gives it the best score, the first of equals.
    ///
    /// As pycocoevalcap does it, `|||` is taken out of the candidate and separates references within a
    /// reference; no reference at all counts as an empty one. Line ends count as blanks.
    ///
    /// # Panics
    /// If this METEOR was opened for other captions ([`Self::covers`] says so): the score could be too low.
    pub fn statistics(&self, candidate: &str, references: &[&str]) -> Statistics {
        let candidate = self.candidate(candidate);
        let references = references.iter();
        let mut references: Vec<_> = references.flat_map(|text| self.references(text)).collect();
        if references.is_empty() {
            references.push(Vec::new());
        }
        let references: Vec<_> = references.iter().map(|words| all_known(words)).collect();
        self.best(&all_known(&candidate), &references)
    }

    /// The counts of a candidate against its best reference; there is one at least.
    fn best(&self, candidate: &[&Word], references: &[Vec<&Word>]) -> Statistics {
        let phrases = |words: &[&Word]| {
            let numbers: Vec<_> = words.iter().map(|word| word.paraphrase_word).collect();
            self.paraphrases.occurrences(&numbers)
        };
        let candidate_phrases = phrases(candidate);
        let reference_phrases: Vec<_> = references.iter().map(|words| phrases(words)).collect();
        let (to_candidate, from_candidate) = self
            .paraphrases
            .pairs(&candidate_phrases, &reference_phrases);
        let pairs = Pairs {
            to_candidate: &to_candidate,
            from_candidate: &from_candidate,
        };
        let candidate = Candidate::new(Sentence {
            words: candidate,
            phrases: &candidate_phrases,
        });
        let mut best: Option<(f64, Statistics)> = None;
        for (words, phrases) in references.iter().zip(&reference_phrases) {
            let statistics = count(&candidate, Sentence { words, phrases }, pairs);
            let score = statistics.score();
            if best.is_none_or(|(best, _)| best < score) {
                best = Some((score, statistics));
            }
        }
        best.expect("at least one reference").1
    }

    /// The score of one candidate's counts, or of a corpus's sum.
    pub fn score(&self, statistics: &Statistics) -> f64 {
        statistics.score()
    }

    fn candidate(&self, text: &str) -> Vec<Known<'_>> {
        self.sentence(&text.replace("|||", ""))
    }

    /// What a reference's text holds: several, perhaps.
    fn references(&self, text: &str) -> Vec<Vec<Known<'_>>> {
        text.split("|||").map(|text| self.sentence(text)).collect()
    }

    /// The words of a caption.
    fn sentence(&self, caption: &str) -> Vec<Known<'_>> {
        let mut words = Vec::with_capacity(24);
        let mut before = None;
        normalize::for_each_word(caption, &self.prefixes, |word| {
            let known = self.known(word);
            let number = known.get().paraphrase_word;
            assert!(
                self.paraphrases.covers(before, number),
                "METEOR was opened for other captions: they don't have `{word}`, or not there"
            );
            before = number;
            words.push(known);
        });
        words
    }

    /// A word in lower case.
    fn known(&self, word: &str) -> Known<'_> {
        match self.vocabulary.get(word) {
            Some(known) => Known::Shared(known),
            None => {
                let number = self.paraphrases.word(word);
                Known::Own(Box::new(self.knowledge.word(word, number)))
            }
        }
    }
}

/// A word of the vocabulary, or one that was looked up for one caption.
enum Known<'a> {
    Shared(&'a Word),
    Own(Box<Word>),
}

impl Known<'_> {
    fn get(&self) -> &Word {
        match self {
            Self::Shared(word) => word,
            Self::Own(word) => word,
        }
    }
}

fn all_known<'w>(words: &'w [Known<'_>]) -> Vec<&'w Word> {
    words.iter().map(Known::get).collect()
}

/// Aligns two sentences and counts.
fn count(candidate: &Candidate<'_>, reference: Sentence<'_>, pairs: Pairs<'_>) -> Statistics {
    let matches = matches::all(candidate, reference, pairs);
    let candidate = candidate.words();
    let chosen = alignment::align(candidate.len(), reference.words.len(), &matches);
    let function_words =
        |words: &[&Word]| words.iter().filter(|word| word.is_function_word).count() as u64;
    let mut statistics = Statistics {
        candidate_length: candidate.len() as u64,
        reference_length: reference.words.len() as u64,
        candidate_function_words: function_words(candidate),
        reference_function_words: function_words(reference.words),
        chunks: alignment::chunks(&chosen) as u64,
        ..Statistics::default()
    };
    for m in chosen {
        let counts = &mut statistics.matches[m.module];
        let (c, r) = (
            &candidate[m.candidate.range()],
            &reference.words[m.reference.range()],
        );
        let (c_function, r_function) = (function_words(c), function_words(r));
        counts.candidate_function += c_function;
        counts.candidate_content += c.len() as u64 - c_function;
        counts.reference_function += r_function;
        counts.reference_content += r.len() as u64 - r_function;
    }
    statistics
}
