//! The partial sentences of one picture as a tree: each word knows the word before it.
//!
//! Beams share their beginnings, so that continuing a sentence is one push and no copy. The
//! words are collected when a caption is returned, or when two beams tie.

use crate::{Caption, END};

/// A sentence: the tree's node of its last word. [`Path::EMPTY`] has no word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path(u32);

impl Path {
    pub const EMPTY: Self = Self(u32::MAX);
}

struct Node {
    before: Path,
    word: u32,
    /// Natural log probability of `word` after `before`.
    log_prob: f32,
}

/// All sentences that ever were in a picture's beam: at most beam size × steps nodes.
#[derive(Default)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
}

impl Paths {
    /// The sentence `before` with one more word.
    pub fn extend(&mut self, before: Path, word: u32, log_prob: f32) -> Path {
        self.nodes.push(Node {
            before,
            word,
            log_prob,
        });
        Path(u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 words in one search"))
    }

    /// The words of a sentence in order, END included.
    pub fn words(&self, path: Path) -> Vec<u32> {
        let mut words: Vec<u32> = self.backwards(path).map(|node| node.word).collect();
        words.reverse();
        words
    }

    /// The sentence as a caption with the given natural log probability.
    pub fn caption(&self, path: Path, log_prob: f64) -> Caption {
        let mut tokens = self.words(path);
        let finished = tokens.last() == Some(&END);
        if finished {
            tokens.pop();
        }
        let mut word_log_probs: Vec<f32> = self.backwards(path).map(|n| n.log_prob).collect();
        word_log_probs.reverse();
        Caption {
            tokens,
            finished,
            log_prob,
            word_log_probs,
        }
    }

    fn backwards(&self, path: Path) -> impl Iterator<Item = &Node> {
        let node = |path: Path| self.nodes.get(path.0 as usize);
        std::iter::successors(node(path), move |last| node(last.before))
    }
}
