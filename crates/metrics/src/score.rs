//! All metrics of a corpus at once.
//!
//! Here: what is computed once and shared, and what a corpus score is summed from. Not here: the formulas, each in
//! its own file; the table (`scores.rs`).

use crate::bleu::{self, BleuCounts};
use crate::cider::{Variant, cider};
use crate::corpus::Corpus;
use crate::document_frequency::{DocumentFrequencies, SMALL_CORPUS, Weights};
use crate::meteor::{MatchedWords, Meteor, Statistics as MeteorCounts};
use crate::metric::Metric;
use crate::ngrams::Ngrams;
use crate::rouge::rouge_l;
use crate::scores::{Score, Scores};
use crate::significance::Statistics;

/// What to compute and from what.
#[derive(Clone, Default)]
pub struct Options<'o> {
    /// Metrics in the order of the table; none means coco-caption's four.
    pub metrics: Vec<Metric>,
    /// CIDEr's document frequencies; from the corpus's references if absent.
    pub document_frequencies: Option<&'o DocumentFrequencies>,
    /// METEOR; left out with a warning if absent.
    pub meteor: Option<&'o Meteor>,
}

/// Scores a corpus.
pub fn score(corpus: &Corpus, options: &Options) -> Scores {
    Others::of(corpus, options).with_meteor(corpus, options.meteor)
}

/// Scores corpora with a METEOR that is still being loaded, which takes long: everything else is computed meanwhile.
///
/// # Errors
/// Those of `load`.
pub fn score_while_loading<E: Send>(
    corpora: &[Corpus],
    options: &Options,
    load: impl FnOnce() -> Result<Option<Meteor>, E> + Send,
) -> Result<Vec<Scores>, E> {
    let others = || -> Vec<Others> {
        let each = corpora.iter();
        each.map(|corpus| Others::of(corpus, options)).collect()
    };
    let (meteor, others) = rayon::join(load, others);
    let meteor = meteor?;
    let scores = corpora.iter().zip(others);
    Ok(scores
        .map(|(corpus, others)| others.with_meteor(corpus, meteor.as_ref()))
        .collect())
}

/// All scores of a corpus but METEOR.
struct Others {
    /// Those of each metric.
    scores: Vec<(Metric, Vec<Score>)>,
    warnings: Vec<String>,
}

impl Others {
    fn of(corpus: &Corpus, options: &Options) -> Self {
        let metrics = if options.metrics.is_empty() {
            &Metric::COCO[..]
        } else {
            &options.metrics
        };
        let any = |of: &[Metric]| metrics.iter().any(|metric| of.contains(metric));
        let bleu = any(&[Metric::Bleu, Metric::StandardBleu]);
        let ciders = any(&[Metric::Cider, Metric::PlainCider]);
        // Naming n-grams is the one long step on one thread; ROUGE-L needs none.
        let (ngrams, rouge) = rayon::join(
            || (bleu || ciders).then(|| Ngrams::new(corpus)),
            || any(&[Metric::Rouge]).then(|| rouge_l(corpus)),
        );
        let counts = ngrams
            .as_ref()
            .filter(|_| bleu)
            .map(|ngrams| bleu::counts_of(corpus, ngrams));
        let weights =
            ngrams
                .as_ref()
                .filter(|_| ciders)
                .map(|ngrams| match options.document_frequencies {
                    Some(frequencies) => Weights::of(frequencies, corpus, ngrams),
                    None => Weights::of_references(corpus, ngrams),
                });
        let documents = options
            .document_frequencies
            .map_or(corpus.len() as u64, DocumentFrequencies::images);
        let cider = |variant| match (&ngrams, &weights) {
            (Some(ngrams), Some(weights)) => cider(corpus, ngrams, weights, variant),
            _ => Vec::new(),
        };
        let counts = counts.as_deref().unwrap_or_default();
        let scores = metrics.iter().map(|&metric| {
            let scores = match metric {
                Metric::Bleu => bleus("BLEU", counts, BleuCounts::coco, COCO_BLEU),
                Metric::StandardBleu => {
                    let name = "BLEU (standard)";
                    bleus(name, counts, BleuCounts::standard, STANDARD_BLEU)
                }
                Metric::Meteor => Vec::new(),
                Metric::Rouge => vec![mean("ROUGE-L", rouge.clone().unwrap_or_default())],
                Metric::Cider => vec![mean("CIDEr", cider(Variant::Coco))],
                Metric::PlainCider => vec![mean("plain CIDEr (0 to 1)", cider(Variant::Plain))],
            };
            (metric, scores)
        });
        Self {
            scores: scores.collect(),
            warnings: about_documents(documents)
                .filter(|_| ciders)
                .into_iter()
                .collect(),
        }
    }

    /// The whole table.
    fn with_meteor(self, corpus: &Corpus, meteor: Option<&Meteor>) -> Scores {
        let mut table = Scores {
            ids: corpus.ids().to_vec(),
            scores: Vec::new(),
            warnings: self.warnings,
        };
        for (metric, scores) in self.scores {
            table.scores.extend(scores);
            match (metric, meteor) {
                (Metric::Meteor, Some(meteor)) => table.scores.push(meteor_of(corpus, meteor)),
                (Metric::Meteor, None) => table
                    .warnings
                    .push("METEOR was not computed: it was not loaded".into()),
                _ => {}
            }
        }
        table
    }
}

type ScoreRow = fn(&[f64]) -> f64;
const COCO_BLEU: [ScoreRow; 4] = [
    |s| row(s).coco()[0],
    |s| row(s).coco()[1],
    |s| row(s).coco()[2],
    |s| row(s).coco()[3],
];
const STANDARD_BLEU: [ScoreRow; 4] = [
    |s| row(s).standard()[0],
    |s| row(s).standard()[1],
    |s| row(s).standard()[2],
    |s| row(s).standard()[3],
];

/// Counts as a row of numbers; exact below 2^53.
fn numbers(counts: &BleuCounts) -> [f64; 10] {
    let lengths = [counts.candidate_length, counts.reference_length];
    let mut all = counts
        .matches
        .iter()
        .chain(&counts.ngrams)
        .chain(&lengths)
        .map(|&n| n as f64);
    std::array::from_fn(|_| all.next().expect("ten numbers"))
}

fn row(sum: &[f64]) -> BleuCounts {
    let n = |i: usize| sum[i] as u64;
    BleuCounts {
        matches: std::array::from_fn(n),
        ngrams: std::array::from_fn(|i| n(4 + i)),
        candidate_length: n(8),
        reference_length: n(9),
    }
}

/// METEOR's counts as a row of numbers.
fn meteor_numbers(counts: &MeteorCounts) -> [f64; 21] {
    // Adding to nothing takes out the chunk of a perfect candidate, as METEOR's sum does.
    let counts = MeteorCounts::default() + *counts;
    let MeteorCounts {
        candidate_length,
        reference_length,
        ..
    } = &counts;
    let head = [
        candidate_length,
        reference_length,
        &counts.candidate_function_words,
        &counts.reference_function_words,
    ];
    let matches = counts.matches.iter().flat_map(|m| {
        [
            &m.candidate_content,
            &m.reference_content,
            &m.candidate_function,
            &m.reference_function,
        ]
    });
    let mut all = head
        .into_iter()
        .chain([&counts.chunks])
        .chain(matches)
        .map(|&n| n as f64);
    std::array::from_fn(|_| all.next().expect("21 numbers"))
}

fn meteor_row(sum: &[f64]) -> MeteorCounts {
    let n = |i: usize| sum[i] as u64;
    MeteorCounts {
        candidate_length: n(0),
        reference_length: n(1),
        candidate_function_words: n(2),
        reference_function_words: n(3),
        chunks: n(4),
        matches: std::array::from_fn(|m| MatchedWords {
            candidate_content: n(5 + 4 * m),
            reference_content: n(6 + 4 * m),
            candidate_function: n(7 + 4 * m),
            reference_function: n(8 + 4 * m),
        }),
    }
}

fn bleus(
    name: &str,
    counts: &[BleuCounts],
    score: fn(&BleuCounts) -> [f64; 4],
    rows: [ScoreRow; 4],
) -> Vec<Score> {
    let corpus = score(&counts.iter().copied().sum());
    let images: Vec<[f64; 4]> = counts.iter().map(score).collect();
    let scores = (0..4).map(|n| Score {
        name: name.replacen("BLEU", &format!("BLEU-{}", n + 1), 1),
        corpus: if counts.is_empty() { 0.0 } else { corpus[n] },
        images: images.iter().map(|image| image[n]).collect(),
        statistics: Some(Statistics::new(counts.iter().map(numbers), rows[n])),
    });
    scores.collect()
}

fn mean(name: &str, images: Vec<f64>) -> Score {
    let statistics = Statistics::mean(&images);
    Score {
        name: name.into(),
        corpus: statistics.score(),
        images,
        statistics: Some(statistics),
    }
}

fn meteor_of(corpus: &Corpus, meteor: &Meteor) -> Score {
    let images = meteor.corpus_statistics(corpus);
    let sum = images.iter().copied().sum();
    Score {
        name: meteor.name().into(),
        corpus: meteor.score(&sum),
        images: images.iter().map(|counts| meteor.score(counts)).collect(),
        statistics: Some(Statistics::new(images.iter().map(meteor_numbers), |sum| {
            meteor_row(sum).score()
        })),
    }
}

/// What to know about CIDEr's document frequencies that come from so many images.
fn about_documents(images: u64) -> Option<String> {
    match images {
        0 | 1 => Some(
            "CIDEr is 0 by definition: with one image every n-gram occurs in all images, so each weighs ln(1/1) = 0; \
             score more images together or use saved document frequencies"
                .into(),
        ),
        2..SMALL_CORPUS => Some(format!(
            "CIDEr's document frequencies come from only {images} images (fewer than {SMALL_CORPUS}): \
             the score is not comparable with others"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_give_back_the_counts_that_made_them() {
        let mut next = 0;
        let mut n = || {
            next += 1;
            next
        };
        let bleu = BleuCounts {
            matches: [n(), n(), n(), n()],
            ngrams: [n(), n(), n(), n()],
            candidate_length: n(),
            reference_length: n(),
        };
        assert_eq!(row(&numbers(&bleu)), bleu);
        let meteor = MeteorCounts {
            candidate_length: n(),
            reference_length: n(),
            candidate_function_words: n(),
            reference_function_words: n(),
            chunks: n(),
            matches: [(); 4].map(|()| MatchedWords {
                candidate_content: n(),
                reference_content: n(),
                candidate_function: n(),
                reference_function: n(),
            }),
        };
        assert_eq!(meteor_row(&meteor_numbers(&meteor)), meteor);
    }
}
