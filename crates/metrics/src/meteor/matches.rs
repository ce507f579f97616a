//! All matches between a candidate and one reference, before any is chosen.
//!
//! Here: METEOR's four matchers, in its order. Not here: choosing among matches (`alignment.rs`).
//!
//! Denkowski & Lavie 2014, section 2. A word or phrase may match at many places, and the same two places may match
//! twice (as synonyms and as paraphrases, or as paraphrases in both directions): METEOR counts both, which decides
//! whether a match is without rival.

use super::paraphrases::{Occurrence, Pair};
use super::vocabulary::{SetBits, Word};

/// Which matcher found a match: an index into weights and counts.
pub(super) const EXACT: usize = 0;
pub(super) const STEM: usize = 1;
pub(super) const SYNONYM: usize = 2;
pub(super) const PARAPHRASE: usize = 3;

/// Words that stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: usize,
    pub length: usize,
}

impl Span {
    pub(super) fn end(self) -> usize {
        self.start + self.length
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start..self.end()
    }
}

impl From<Occurrence> for Span {
    fn from(Occurrence { start, length, .. }: Occurrence) -> Self {
        Self { start, length }
    }
}

/// A possible match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub reference: Span,
    pub candidate: Span,
    pub module: usize,
}

/// A sentence: its words, and its phrases that the paraphrase table knows.
#[derive(Clone, Copy)]
pub(super) struct Sentence<'a> {
    pub words: &'a [&'a Word],
    pub phrases: &'a [Occurrence],
}

/// Paraphrases between a candidate and its references, sorted; both from [`Paraphrases::pairs`].
///
/// [`Paraphrases::pairs`]: super::paraphrases::Paraphrases::pairs
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub to_candidate: &'a [Pair],
    pub from_candidate: &'a [Pair],
}

/// A candidate, with what is compared of its words in columns: it meets several references.
pub(super) struct Candidate<'a> {
    sentence: Sentence<'a>,
    keys: Vec<i32>,
    stems: Vec<i32>,
    synonym_bits: Vec<SetBits>,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(sentence: Sentence<'a>) -> Self {
        let words = || sentence.words.iter();
        Self {
            sentence,
            keys: words().map(|word| word.key).collect(),
            stems: words().map(|word| word.stem).collect(),
            synonym_bits: words().map(|word| word.synonym_bits).collect(),
        }
    }

    pub(super) fn words(&self) -> &'a [&'a Word] {
        self.sentence.words
    }
}

/// Every match, sorted by its start in the reference; for one start in the order in which METEOR finds them.
pub(super) fn all(
    candidate: &Candidate<'_>,
    reference: Sentence<'_>,
    pairs: Pairs<'_>,
) -> Vec<Match> {
    let Candidate {
        sentence,
        keys,
        stems,
        synonym_bits,
    } = candidate;
    let is_equal = keys.len() == reference.words.len()
        && keys
            .iter()
            .zip(reference.words)
            .all(|(key, word)| *key == word.key);
    let mut matches = Vec::with_capacity(2 * keys.len());
    for (r, word) in reference.words.iter().enumerate() {
        let mut add = |module, c| {
            matches.push(Match {
                reference: Span {
                    start: r,
                    length: 1,
                },
                candidate: Span {
                    start: c,
                    length: 1,
                },
                module,
            });
        };
        // Most words match nowhere, which a look at a whole column says faster than one at each word.
        if has(keys, word.key) {
            places(keys, |&key| key == word.key).for_each(|c| add(EXACT, c));
        }
        // Equal sentences need no other matches; without them the search can't go wrong.
        if is_equal {
            continue;
        }
        if has(stems, word.stem) {
            places(stems, |&stem| stem == word.stem)
                .filter(|&c| keys[c] != word.key)
                .for_each(|c| add(STEM, c));
        }
        if !word.synonym_bits.is_empty() {
            places(synonym_bits, |bits| bits.meet(&word.synonym_bits))
                .filter(|&c| keys[c] != word.key && word.is_synonym(sentence.words[c]))
                .for_each(|c| add(SYNONYM, c));
        }
    }
    if !is_equal {
        add_paraphrases(*sentence, reference, pairs, &mut matches);
        // Stable: the order of the matchers stays.
        matches.sort_by_key(|m| m.reference.start);
    }
    matches
}

/// Whether a column has a value: without branches, so that the compiler compares several at once.
fn has(column: &[i32], value: i32) -> bool {
    column
        .iter()
        .fold(false, |any, &other| any | (other == value))
}

/// Where in a column a value fits.
fn places<T>(column: &[T], fits: impl Fn(&T) -> bool) -> impl Iterator<Item = usize> {
    let places = column.iter().enumerate();
    places.filter_map(move |(c, value)| fits(value).then_some(c))
}

/// Phrases of the reference that the candidate paraphrases, then phrases of the candidate.
fn add_paraphrases(
    candidate: Sentence<'_>,
    reference: Sentence<'_>,
    pairs: Pairs<'_>,
    matches: &mut Vec<Match>,
) {
    let mut add = |reference: Occurrence, candidate: Occurrence| {
        matches.push(Match {
            reference: reference.into(),
            candidate: candidate.into(),
            module: PARAPHRASE,
        });
    };
    each(
        reference.phrases,
        candidate.phrases,
        pairs.to_candidate,
        &mut add,
    );
    each(
        candidate.phrases,
        reference.phrases,
        pairs.from_candidate,
        &mut |from, to| add(to, from),
    );
}

/// Calls `found` for each phrase of one sentence and each paraphrase of it in the other.
fn each(
    from: &[Occurrence],
    to: &[Occurrence],
    pairs: &[Pair],
    found: &mut impl FnMut(Occurrence, Occurrence),
) {
    for &phrase in from {
        let first = pairs.partition_point(|pair| pair.from < phrase.node);
        for pair in pairs[first..]
            .iter()
            .take_while(|pair| pair.from == phrase.node)
        {
            for &paraphrase in to.iter().filter(|other| other.node == pair.to) {
                found(phrase, paraphrase);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vocabulary::Knowledge;
    use super::*;

    fn modules(candidate: &[&str], reference: &[&str]) -> Vec<usize> {
        let knowledge = Knowledge::new();
        let words = |words: &[&str]| -> Vec<Word> {
            words
                .iter()
                .map(|word| knowledge.word(word, None))
                .collect()
        };
        modules_of(&words(candidate), &words(reference))
    }

    fn modules_of(candidate: &[Word], reference: &[Word]) -> Vec<usize> {
        let candidate: Vec<&Word> = candidate.iter().collect();
        let reference: Vec<&Word> = reference.iter().collect();
        let none = Pairs {
            to_candidate: &[],
            from_candidate: &[],
        };
        let phrases = &[];
        let candidate = Candidate::new(Sentence {
            words: &candidate,
            phrases,
        });
        let reference = Sentence {
            words: &reference,
            phrases,
        };
        let all = all(&candidate, reference, none);
        all.iter().map(|m| m.module).collect()
    }

    #[test]
    fn synonyms_match_though_their_stems_differ() {
        let word = |word, set| Word {
            synonym_sets: [set].into(),
            synonym_bits: SetBits::of(&[set]),
            ..Knowledge::new().word(word, None)
        };
        assert_eq!(modules_of(&[word("dog", 7)], &[word("cat", 7)]), [SYNONYM]);
        assert_eq!(modules_of(&[word("dog", 7)], &[word("cat", 8)]), [0; 0]);
        assert_eq!(modules_of(&[word("dog", 7)], &[word("dog", 7)]), [EXACT]);
    }

    #[test]
    fn only_equal_sentences_need_no_stems() {
        assert_eq!(modules(&["run", "runs"], &["run", "runs"]), [EXACT, EXACT]);
        // The beginning of the reference, and a sentence that differs in one word.
        assert_eq!(modules(&["run"], &["run", "runs"]), [EXACT, STEM]);
        assert_eq!(modules(&["run", "a"], &["run", "runs"]), [EXACT, STEM]);
        assert_eq!(modules(&["run", "runs"], &["run"]), [EXACT, STEM]);
    }
}
