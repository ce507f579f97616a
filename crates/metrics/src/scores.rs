//! Scores of a corpus as a table.
//!
//! Here: the table, its text, comparison of two systems. Not here: computing it (`score.rs`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::significance::{Bootstrap, Comparison, Statistics};

/// One score of a corpus.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Score {
    /// The name to print: `BLEU-1`, `METEOR (exact, stem)`, `CIDEr` …
    pub name: String,
    /// Of the whole corpus.
    pub corpus: f64,
    /// Of each image, in the corpus's order.
    pub images: Vec<f64>,
    /// What the corpus score is made of, for comparisons.
    #[serde(skip)]
    pub statistics: Option<Statistics>,
}

/// The table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scores {
    /// The images' ids.
    pub ids: Vec<String>,
    /// In the order of [`Options::metrics`].
    pub scores: Vec<Score>,
    /// What a reader must know to judge the numbers.
    pub warnings: Vec<String>,
}

impl Scores {
    /// The corpus score with this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scores
            .iter()
            .find(|score| score.name == name)
            .map(|score| score.corpus)
    }

    /// This table's scores compared with a second system's on the same images, by name; scores without
    /// statistics or without a counterpart are left out.
    pub fn compare(&self, second: &Self, bootstrap: &Bootstrap) -> Vec<(String, Comparison)> {
        let pair = |first: &Score| {
            let second = second
                .scores
                .iter()
                .find(|score| score.name == first.name)?;
            let (a, b) = (first.statistics.as_ref()?, second.statistics.as_ref()?);
            if a.images() != b.images() {
                return None;
            }
            Some((first.name.clone(), bootstrap.compare(a, b)?))
        };
        self.scores.iter().filter_map(pair).collect()
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .scores
            .iter()
            .map(|score| score.name.chars().count())
            .max()
            .unwrap_or(0);
        for Score { name, corpus, .. } in &self.scores {
            writeln!(f, "{name:width$}  {corpus:.4}")?;
        }
        Ok(())
    }
}
