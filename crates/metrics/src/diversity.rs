//! How varied the captions of a system are.
//!
//! Here: distinct-n, vocabulary size, novel captions, mean length. Not here: variety among the captions of one
//! image (`self_cider.rs`).
//!
//! distinct-n = different n-grams / n-grams, over all candidates (Li et al. 2016). Vocabulary size = different
//! words. Novel = share of candidates that are not, word for word, among the training captions. Empty captions
//! count as captions of length 0.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::corpus::is_python_space;
use crate::ngrams::MAX_ORDER;

/// Variety of a list of captions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// Number of captions.
    pub captions: usize,
    /// Different n-grams divided by n-grams, orders 1 to 4; 0 where there is no n-gram.
    pub distinct: [f64; MAX_ORDER],
    /// Number of different words.
    pub vocabulary: usize,
    /// Words a caption.
    pub mean_length: f64,
    /// Share of captions that the training captions don't contain; absent without training captions.
    pub novel: Option<f64>,
    /// Number of different captions.
    pub unique: usize,
}

/// Measures captions, each a line of tokens joined by blanks; so are the training captions.
pub fn diversity<C: AsRef<str>, T: AsRef<str>>(
    captions: &[C],
    training: Option<&[T]>,
) -> Diversity {
    let split = |line: &str| {
        line.split(is_python_space)
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let captions: Vec<Vec<String>> = captions.iter().map(|c| split(c.as_ref())).collect();
    let share = |part: usize, whole: usize| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64
        }
    };
    let distinct = std::array::from_fn(|n| {
        let ngrams = || captions.iter().flat_map(|c| c.windows(n + 1));
        share(ngrams().collect::<HashSet<_>>().len(), ngrams().count())
    });
    let novel = training.map(|training| {
        let known: HashSet<Vec<String>> = training.iter().map(|c| split(c.as_ref())).collect();
        share(
            captions.iter().filter(|c| !known.contains(*c)).count(),
            captions.len(),
        )
    });
    Diversity {
        captions: captions.len(),
        distinct,
        vocabulary: captions.iter().flatten().collect::<HashSet<_>>().len(),
        mean_length: share(captions.iter().map(Vec::len).sum(), captions.len()),
        novel,
        unique: captions.iter().collect::<HashSet<_>>().len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_hand() {
        let captions = ["a dog runs", "a  dog runs", "a cat", ""];
        let found = diversity(&captions, Some(&["a cat", "the cat"]));
        assert_eq!(found.captions, 4);
        // a dog runs a dog runs a cat: 4 of 8; a dog, dog runs, a cat: 3 of 5; 1 of 2; none.
        assert_eq!(found.distinct, [0.5, 0.6, 0.5, 0.0]);
        assert_eq!((found.vocabulary, found.unique), (4, 3));
        assert_eq!((found.mean_length, found.novel), (2.0, Some(0.75)));
    }

    #[test]
    fn nothing_is_not_diverse() {
        let found = diversity::<&str, &str>(&[], None);
        assert_eq!(
            (found.distinct, found.mean_length, found.novel),
            ([0.0; 4], 0.0, None)
        );
    }
}
