//! What a dataset holds, in numbers.
//!
//! Not here: what is wrong with it (`problem.rs`).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CheckOptions, is_training};
use crate::dataset::{Dataset, Split};
use crate::features::Features;
use crate::vocabulary::Vocabulary;

/// Numbers of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The dataset's name.
    pub name: String,
    /// One entry for each split that has pictures, in the order train, val, test, restval.
    pub splits: Vec<SplitSummary>,
    /// Words of all training sentences.
    pub words: usize,
    /// Words counted for the vocabulary: those seen at least so often.
    pub word_count_threshold: u64,
    /// V: words of the vocabulary with END.
    pub vocabulary: usize,
    /// Words per training sentence.
    pub lengths: Lengths,
    /// The feature file, where one was given.
    pub features: Option<FeatureSummary>,
    /// The picture files, where a folder was given.
    pub pictures: Option<PictureSummary>,
}

/// Pictures and sentences of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSummary {
    /// Which.
    pub split: Split,
    /// Pictures.
    pub images: usize,
    /// Sentences.
    pub sentences: usize,
}

/// Distribution of the sentences' lengths in words, without END.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// Shortest.
    pub min: usize,
    /// Half of the sentences are not longer.
    pub median: usize,
    /// 95 % of the sentences are not longer.
    pub percentile_95: usize,
    /// Longest.
    pub max: usize,
    /// Mean.
    pub mean: f64,
}

/// The feature file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureSummary {
    /// Its name.
    pub name: String,
    /// D, numbers per picture.
    pub dimension: usize,
    /// N, pictures.
    pub count: usize,
}

/// The picture files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureSummary {
    /// Where they were looked for.
    pub folder: PathBuf,
    /// Pictures of the dataset that are there and begin like a picture.
    pub readable: usize,
    /// Pictures of the dataset.
    pub count: usize,
}

impl Summary {
    pub(super) fn new(
        dataset: &Dataset,
        features: Option<&Features>,
        pictures: Option<PictureSummary>,
        vocabulary: &Vocabulary,
        options: &CheckOptions,
    ) -> Self {
        let split = |split| SplitSummary {
            split,
            images: dataset.of_split(split).count(),
            sentences: dataset.captions(split).count(),
        };
        let training = dataset.images.iter().filter(|i| is_training(i, options));
        let lengths: Vec<usize> = training
            .flat_map(|image| image.captions.iter().map(|c| c.tokens.len()))
            .collect();
        Self {
            name: dataset.name.clone(),
            splits: Split::ALL
                .into_iter()
                .map(split)
                .filter(|split| 0 < split.images)
                .collect(),
            words: lengths.iter().sum(),
            word_count_threshold: options.word_count_threshold,
            vocabulary: vocabulary.len(),
            lengths: Lengths::new(lengths),
            features: features.map(|features| FeatureSummary {
                name: features.name().to_owned(),
                dimension: features.dimension(),
                count: features.len(),
            }),
            pictures,
        }
    }
}

impl Lengths {
    /// Zeros where there are no sentences.
    fn new(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        // Nearest rank: the smallest length that `percent` of the sentences do not exceed.
        let rank = |percent: usize| {
            let rank = (lengths.len() * percent).div_ceil(100);
            lengths.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        let total: usize = lengths.iter().sum();
        Self {
            min: rank(0),
            median: rank(50),
            percentile_95: rank(95),
            max: rank(100),
            mean: total as f64 / lengths.len().max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        let want = |min, median, percentile_95, max, mean| Lengths {
            min,
            median,
            percentile_95,
            max,
            mean,
        };
        assert_eq!(
            Lengths::new((1..=100).rev().collect()),
            want(1, 50, 95, 100, 50.5)
        );
        assert_eq!(Lengths::new(vec![7]), want(7, 7, 7, 7, 7.0));
        assert_eq!(Lengths::new(vec![3, 1]), want(1, 1, 3, 3, 2.0));
        assert_eq!(Lengths::new(vec![]), want(0, 0, 0, 0, 0.0));
    }
}
