//! METEOR's sufficient statistics and the score that follows from them.
//!
//! Here: the 23 numbers of METEOR's statistics line, their sum, the formula. Not here: where they come from
//! (`alignment.rs`).
//!
//! P, R: matched words over all words of candidate and reference, weighted by matcher and by content (δ) or
//! function word (1 - δ).    F = 1 / ((1 - α)/P + α/R)    score = F · (1 - γ · (chunks / matches)^β)
//! Denkowski & Lavie 2014, with the parameters of METEOR 1.5's English ranking task.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Weight of recall against precision.
const ALPHA: f64 = 0.85;
/// Exponent of the fragmentation.
const BETA: f64 = 0.2;
/// Weight of the fragmentation.
const GAMMA: f64 = 0.6;
/// Weight of content words; function words have 1 - DELTA.
const DELTA: f64 = 0.75;
/// Weights of exact, stem, synonym and paraphrase matches.
const WEIGHTS: [f64; 4] = [1.0, 0.6, 0.8, 0.6];

/// Counts of one candidate against its best reference, or sums of these.
///
/// The score of a corpus is the score of the sum, never an average of scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Words of the candidate.
    pub candidate_length: u64,
    /// Words of the reference.
    pub reference_length: u64,
    /// Function words of the candidate.
    pub candidate_function_words: u64,
    /// Function words of the reference.
    pub reference_function_words: u64,
    /// Matched words by matcher: exact, stem, synonym, paraphrase.
    pub matches: [MatchedWords; 4],
    /// Runs of matches that are contiguous and in the same order in both sentences.
    pub chunks: u64,
}

/// Words that one matcher matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchedWords {
    /// Content words of the candidate.
    pub candidate_content: u64,
    /// Content words of the reference.
    pub reference_content: u64,
    /// Function words of the candidate.
    pub candidate_function: u64,
    /// Function words of the reference.
    pub reference_function: u64,
}

impl Statistics {
    /// Matched words of the candidate.
    pub fn candidate_matches(&self) -> u64 {
        self.matches
            .iter()
            .map(|m| m.candidate_content + m.candidate_function)
            .sum()
    }

    /// Matched words of the reference.
    pub fn reference_matches(&self) -> u64 {
        self.matches
            .iter()
            .map(|m| m.reference_content + m.reference_function)
            .sum()
    }

    /// The METEOR score, between 0 and 1; 0 where nothing matches.
    pub fn score(&self) -> f64 {
        let precision = self.weighted_matches(|m| m.candidate_content, |m| m.candidate_function)
            / weighted_length(self.candidate_length, self.candidate_function_words);
        let recall = self.weighted_matches(|m| m.reference_content, |m| m.reference_function)
            / weighted_length(self.reference_length, self.reference_function_words);
        let mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let score = mean * (1.0 - GAMMA * self.fragmentation().powf(BETA));
        // 0 / 0 where nothing matches; `max` takes the number.
        score.max(0.0)
    }

    /// Sums in METEOR's order, so that the last bit agrees.
    fn weighted_matches(
        &self,
        content: impl Fn(&MatchedWords) -> u64,
        function: impl Fn(&MatchedWords) -> u64,
    ) -> f64 {
        let mut sum = 0.0;
        for (matches, weight) in self.matches.iter().zip(WEIGHTS) {
            sum += content(matches) as f64 * weight * DELTA;
        }
        for (matches, weight) in self.matches.iter().zip(WEIGHTS) {
            sum += function(matches) as f64 * weight * (1.0 - DELTA);
        }
        sum
    }

    /// Chunks over matched words; 0 where all words match in one chunk.
    fn fragmentation(&self) -> f64 {
        let matches = self.candidate_matches() + self.reference_matches();
        self.broken_chunks() as f64 / (matches as f64 / 2.0)
    }

    /// Chunks, but none where all words of both sentences match in one chunk.
    fn broken_chunks(&self) -> u64 {
        let is_complete = self.candidate_matches() == self.candidate_length
            && self.reference_matches() == self.reference_length;
        if is_complete && self.chunks == 1 {
            0
        } else {
            self.chunks
        }
    }
}

fn weighted_length(words: u64, function_words: u64) -> f64 {
    DELTA * (words as f64 - function_words as f64) + (1.0 - DELTA) * function_words as f64
}

/// METEOR doesn't count the chunk of a perfect candidate in a sum. No sum looks perfect with one chunk, so the order
/// of adding doesn't matter.
impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.chunks = self.broken_chunks() + other.broken_chunks();
        self.candidate_length += other.candidate_length;
        self.reference_length += other.reference_length;
        self.candidate_function_words += other.candidate_function_words;
        self.reference_function_words += other.reference_function_words;
        for (sum, matches) in self.matches.iter_mut().zip(other.matches) {
            sum.candidate_content += matches.candidate_content;
            sum.reference_content += matches.reference_content;
            sum.candidate_function += matches.candidate_function;
            sum.reference_function += matches.reference_function;
        }
    }
}

impl Add for Statistics {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Statistics {
    fn sum<I: Iterator<Item = Self>>(statistics: I) -> Self {
        statistics.fold(Self::default(), Add::add)
    }
}

/// METEOR's statistics line, as its `SCORE` prints it and its `EVAL` reads it.
impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = [
            self.candidate_length,
            self.reference_length,
            self.candidate_function_words,
            self.reference_function_words,
        ];
        let matches = self.matches.iter().flat_map(|m| {
            [
                m.candidate_content,
                m.reference_content,
                m.candidate_function,
                m.reference_function,
            ]
        });
        let totals = [
            self.chunks,
            self.candidate_matches(),
            self.reference_matches(),
        ];
        for (i, number) in lengths.into_iter().chain(matches).chain(totals).enumerate() {
            write!(f, "{}{number}.0", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(lengths: [u64; 4], matches: [[u64; 4]; 4], chunks: u64) -> Statistics {
        let matches = matches.map(|[a, b, c, d]| MatchedWords {
            candidate_content: a,
            reference_content: b,
            candidate_function: c,
            reference_function: d,
        });
        let [
            candidate_length,
            reference_length,
            candidate_function_words,
            reference_function_words,
        ] = lengths;
        Statistics {
            candidate_length,
            reference_length,
            candidate_function_words,
            reference_function_words,
            matches,
            chunks,
        }
    }

    /* Golden values: `EVAL ||| line ||| line …` to `java -jar meteor-1.5.jar - - -stdio -l en -norm`. */
    fn golden() -> [(Statistics, f64); 4] {
        [
            (statistics([0, 6, 0, 3], [[0; 4]; 4], 0), 0.0),
            (
                statistics([6, 6, 3, 3], [[3, 3, 3, 3], [0; 4], [0; 4], [0; 4]], 1),
                1.0,
            ),
            (
                statistics(
                    [9, 11, 4, 6],
                    [[1, 1, 2, 2], [1, 1, 0, 0], [0, 0, 1, 1], [2, 1, 0, 3]],
                    4,
                ),
                GOLDEN_MIXED,
            ),
            (
                statistics(
                    [12, 4, 5, 2],
                    [[1, 1, 0, 0], [0; 4], [2, 2, 0, 0], [0; 4]],
                    3,
                ),
                GOLDEN_SHORT,
            ),
        ]
    }

    const GOLDEN_MIXED: f64 = 0.25844928573188625;
    const GOLDEN_SHORT: f64 = 0.29158878504672897;
    const GOLDEN_CORPUS: f64 = 0.28777000664327484;

    #[test]
    fn scores_are_those_of_the_original() {
        for (statistics, score) in golden() {
            assert!(
                (statistics.score() - score).abs() < 1e-15,
                "{statistics}: {}",
                statistics.score()
            );
        }
        assert_eq!(Statistics::default().score(), 0.0);
    }

    /// Only where all words of both sentences match in one chunk is there no penalty; from the original as well.
    #[test]
    fn one_chunk_is_perfect_only_with_all_words() {
        let exact =
            |lengths, chunks| statistics(lengths, [[3, 3, 1, 1], [0; 4], [0; 4], [0; 4]], chunks);
        for (statistics, score) in [
            (exact([4, 8, 1, 3], 1), 0.3245744226469528),
            (exact([4, 4, 1, 1], 2), 0.4776696620223255),
            (exact([8, 4, 3, 1], 1), 0.48686163397042903),
        ] {
            assert!(
                (statistics.score() - score).abs() < 1e-15,
                "{statistics}: {}",
                statistics.score()
            );
        }
        let sum: Statistics = [exact([4, 8, 1, 3], 1), exact([8, 4, 3, 1], 1)]
            .into_iter()
            .sum();
        assert_eq!(sum.chunks, 2);
    }

    #[test]
    fn a_corpus_is_scored_by_its_sum_in_any_order() {
        let [a, b, c, d] = golden().map(|(statistics, _)| statistics);
        let sum: Statistics = [a, b, c, d].into_iter().sum();
        assert!(
            (sum.score() - GOLDEN_CORPUS).abs() < 1e-15,
            "{}",
            sum.score()
        );
        assert_eq!(sum, (b + c) + (d + a));
        assert_eq!(sum, b + (c + (a + d)));
        // The perfect candidate's chunk isn't counted.
        assert_eq!((sum.chunks, b.chunks), (7, 1));
        assert_eq!((b + b).score(), 1.0);
    }

    #[test]
    fn the_line_is_that_of_the_original() {
        assert_eq!(
            golden()[2].0.to_string(),
            "9.0 11.0 4.0 6.0 1.0 1.0 2.0 2.0 1.0 1.0 0.0 0.0 0.0 0.0 1.0 1.0 2.0 1.0 0.0 3.0 4.0 7.0 9.0"
        );
    }
}
