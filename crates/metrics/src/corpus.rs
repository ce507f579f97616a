//! What every metric reads: candidates and references as interned tokens, image by image.
//!
//! Here: the container and how a line becomes tokens. Not here: the PTB tokenizer (`tokenizer`), which makes
//! the lines, and readers of files (`input`).
//!
//! A line has two token sequences, because coco-caption's scorers disagree: BLEU and CIDEr call Python's
//! `split()` (any white space, empty line = no token), ROUGE-L calls `split(" ")` (only blanks, empty line =
//! one empty token). They differ for empty lines, double blanks and no-break spaces inside a token.

use std::collections::BTreeMap;

use crate::tokenizer::each_task;
use crate::words::Words;

/// Candidates and references of N images; sentence 0.. of `sentences` are stored flat for speed.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    ids: Vec<String>,
    words: Words,
    /// One candidate an image.
    candidates: Sentences,
    /// All references, image after image.
    references: Sentences,
    /// References of image i end before this sentence.
    reference_ends: Vec<usize>,
}

/// Sentences as word ids, one after another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sentences {
    pub(crate) tokens: Vec<u32>,
    /// Tokens of sentence s end before this index.
    pub(crate) ends: Vec<usize>,
    /// Sentences whose `split(" ")` differs from their `split()`.
    spaced: BTreeMap<usize, Vec<u32>>,
}

impl Sentences {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn range(&self, sentence: usize) -> std::ops::Range<usize> {
        let start = if sentence == 0 {
            0
        } else {
            self.ends[sentence - 1]
        };
        start..self.ends[sentence]
    }

    pub(crate) fn get(&self, sentence: usize) -> &[u32] {
        &self.tokens[self.range(sentence)]
    }

    fn spaced(&self, sentence: usize) -> &[u32] {
        self.spaced
            .get(&sentence)
            .map_or_else(|| self.get(sentence), Vec::as_slice)
    }

    pub(crate) fn push(&mut self, words: &mut Words, line: &str) {
        // Nearly every line is split the same way by both.
        let known = self.tokens.len();
        let printable = line
            .bytes()
            .fold(true, |all, b| all & (b' '..0x7f).contains(&b));
        let plain = printable
            && line.split(' ').all(|word| {
                self.tokens.push(words.intern(word));
                !word.is_empty()
            });
        if !plain {
            self.tokens.truncate(known);
            let split = line.split(is_python_space).filter(|word| !word.is_empty());
            self.tokens.extend(split.map(|word| words.intern(word)));
            let spaced: Vec<u32> = line.split(' ').map(|word| words.intern(word)).collect();
            if spaced != self.tokens[known..] {
                self.spaced.insert(self.len(), spaced);
            }
        }
        self.ends.push(self.tokens.len());
    }

    /// Adds sentences whose words have other numbers; `numbers` has ours.
    fn append(&mut self, other: &Self, numbers: &[u32]) {
        let ours = |word: &u32| numbers[*word as usize];
        let (sentences, known) = (self.len(), self.tokens.len());
        self.tokens.extend(other.tokens.iter().map(ours));
        self.ends.extend(other.ends.iter().map(|end| known + end));
        let spaced = other.spaced.iter();
        self.spaced
            .extend(spaced.map(|(s, words)| (sentences + s, words.iter().map(ours).collect())));
    }
}

/// White space as Python's `str.split()` sees it: Unicode's, and the four ASCII separators.
pub(crate) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

impl Corpus {
    /// No images yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image: its candidate and its references, each a line of tokens joined by blanks.
    pub fn push<S: AsRef<str>>(
        &mut self,
        id: impl Into<String>,
        candidate: &str,
        references: &[S],
    ) {
        self.ids.push(id.into());
        self.candidates.push(&mut self.words, candidate);
        for reference in references {
            self.references.push(&mut self.words, reference.as_ref());
        }
        self.reference_ends.push(self.references.len());
    }

    /// Images with a candidate and references each, in coco-caption's tokens, made in parallel.
    ///
    /// Candidates are read as the lines of one file and references of another, as coco-caption does.
    pub(crate) fn tokenize<'c>(
        images: impl Iterator<Item = (&'c str, &'c str, &'c [String])> + Clone,
    ) -> Self {
        let candidates: Vec<&str> = images.clone().map(|image| image.1).collect();
        let references: Vec<&String> = images.clone().flat_map(|image| image.2).collect();
        // Each task numbers its words for itself.
        let new = <(Words, Sentences)>::default;
        let add =
            |(words, sentences): &mut (Words, Sentences), line: &str| sentences.push(words, line);
        let mut corpus = Self::new();
        let Self {
            words,
            candidates: own,
            references: others,
            ..
        } = &mut corpus;
        for (tasks, sentences) in [
            (each_task(&candidates, new, add), own),
            (each_task(&references, new, add), others),
        ] {
            for (task_words, task) in tasks {
                let numbers: Vec<u32> = task_words.iter().map(|word| words.intern(word)).collect();
                sentences.append(&task, &numbers);
            }
        }
        let mut end = 0;
        for (id, _, references) in images {
            corpus.ids.push(id.to_owned());
            end += references.len();
            corpus.reference_ends.push(end);
        }
        corpus
    }

    /// N, the number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The images' ids, in the order in which they were added.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The table behind every token id.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Candidate of image i, as BLEU and CIDEr split it.
    pub fn candidate(&self, image: usize) -> &[u32] {
        self.candidates.get(image)
    }

    /// References of image i, as BLEU and CIDEr split them.
    pub fn references(&self, image: usize) -> impl ExactSizeIterator<Item = &[u32]> + Clone {
        self.reference_range(image)
            .map(|sentence| self.references.get(sentence))
    }

    /// Candidate of image i split at single blanks, as ROUGE-L does; never empty.
    pub fn spaced_candidate(&self, image: usize) -> &[u32] {
        self.candidates.spaced(image)
    }

    /// References of image i split at single blanks, as ROUGE-L does; none is empty.
    pub fn spaced_references(&self, image: usize) -> impl ExactSizeIterator<Item = &[u32]> + Clone {
        self.reference_range(image)
            .map(|sentence| self.references.spaced(sentence))
    }

    /// Tokens joined by blanks, for whoever needs text again.
    pub fn text(&self, tokens: &[u32]) -> String {
        let mut text = String::with_capacity(8 * tokens.len());
        for (i, &id) in tokens.iter().enumerate() {
            text.push_str(if i == 0 { "" } else { " " });
            text.push_str(self.words.word(id));
        }
        text
    }

    pub(crate) fn reference_range(&self, image: usize) -> std::ops::Range<usize> {
        let start = if image == 0 {
            0
        } else {
            self.reference_ends[image - 1]
        };
        start..self.reference_ends[image]
    }

    pub(crate) fn sentences(&self) -> (&Sentences, &Sentences) {
        (&self.candidates, &self.references)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'c>(corpus: &'c Corpus, tokens: &[u32]) -> Vec<&'c str> {
        tokens.iter().map(|&id| corpus.words().word(id)).collect()
    }

    #[test]
    fn both_ways_of_splitting() {
        let mut corpus = Corpus::new();
        assert!(corpus.is_empty());
        corpus.push("1", "a dog", &["a  dog", "", "x\u{a0}y z\u{1f}w"]);
        corpus.push("2", "", &["end"]);
        assert_eq!(
            (corpus.len(), corpus.is_empty(), corpus.ids()[1].as_str()),
            (2, false, "2")
        );
        let plain: Vec<_> = corpus.references(0).map(|r| words(&corpus, r)).collect();
        assert_eq!(plain, [vec!["a", "dog"], vec![], vec!["x", "y", "z", "w"]]);
        let spaced: Vec<_> = corpus
            .spaced_references(0)
            .map(|r| words(&corpus, r))
            .collect();
        assert_eq!(
            spaced,
            [vec!["a", "", "dog"], vec![""], vec!["x\u{a0}y", "z\u{1f}w"]]
        );
        assert_eq!(words(&corpus, corpus.spaced_candidate(0)), ["a", "dog"]);
        assert_eq!(
            (corpus.candidate(1).len(), corpus.spaced_candidate(1).len()),
            (0, 1)
        );
        assert_eq!(
            corpus
                .references(1)
                .map(|r| corpus.text(r))
                .collect::<Vec<_>>(),
            ["end"]
        );
        assert_eq!(corpus.text(corpus.candidate(0)), "a dog");
    }

    #[test]
    fn appended_sentences_keep_their_empty_words() {
        let (mut words, mut all) = <(Words, Sentences)>::default();
        for line in ["a b", "c"] {
            all.push(&mut words, line);
        }
        let (mut others, mut more) = <(Words, Sentences)>::default();
        for line in ["x", "b  c"] {
            more.push(&mut others, line);
        }
        let numbers: Vec<u32> = others.iter().map(|word| words.intern(word)).collect();
        all.append(&more, &numbers);
        let spaced = |sentence: usize| -> Vec<&str> {
            let ids = all.spaced(sentence).iter();
            ids.map(|&id| words.word(id)).collect()
        };
        assert_eq!(spaced(1), ["c"]);
        assert_eq!(spaced(2), ["x"]);
        assert_eq!(spaced(3), ["b", "", "c"]);
        assert_eq!(all.get(3).len(), 2);
    }
}
