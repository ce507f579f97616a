//! Beam search, as NeuralTalk does it, over many pictures at once.
//!
//! Each live beam offers its `beam_size` likeliest words; a finished beam stays among the
//! candidates as it is. The candidates are sorted by (log probability, word list), largest first,
//! and the first `beam_size` are the next beams. No normalisation by length.
//!
//! NeuralTalk, `imagernn/lstm_generator.py`, `predict`. Where we differ, results don't:
//! a picture leaves the batch as soon as its first `n_best` beams are finished. Log
//! probabilities only fall, so nothing can overtake them (a tie is decided by the first word in
//! which two sentences differ, and that stays). A row is searched only for words that can still
//! enter the picture's best `beam_size`. `beam_size` may exceed the vocabulary (there NeuralTalk
//! fails with an IndexError). Words that tie at the edge of a beam's offer are taken by the
//! smaller index; NeuralTalk leaves that to an unstable sort.

use std::cmp::Ordering;

use models::Decode;
use rayon::prelude::*;

use crate::paths::{Path, Paths};
use crate::rows::{Rows, Scores};
use crate::top_k::TopK;
use crate::{Caption, END, GenerateError, Limits};

/// Options of [`beam`].
#[derive(Debug, Clone, PartialEq)]
pub struct BeamOptions {
    /// K, partial sentences kept for each picture. 1 finds what [`crate::greedy`] finds.
    pub beam_size: usize,
    /// Captions returned for each picture, at most `beam_size`.
    pub n_best: usize,
    /// Length, rows per step, constraints.
    pub limits: Limits,
}

impl BeamOptions {
    /// Beam search of width `beam_size` for the best caption of at most 20 words.
    pub fn new(beam_size: usize) -> Self {
        Self {
            beam_size,
            n_best: 1,
            limits: Limits::default(),
        }
    }

    pub(crate) fn check(&self, vocabulary: usize) -> Result<(), GenerateError> {
        if self.beam_size == 0 {
            return Err(GenerateError::option("beam_size", 0, "at least 1"));
        }
        if self.n_best == 0 || self.beam_size < self.n_best {
            let must_be = format!("from 1 to beam_size, which is {}", self.beam_size);
            return Err(GenerateError::option("n_best", self.n_best, must_be));
        }
        self.limits.check(vocabulary)
    }
}

/// The `n_best` captions of each of the first `pictures` rows of `initial`, best first; fewer
/// where the vocabulary and the steps don't give so many sentences.
///
/// # Errors
/// Impossible options, a decoder that returns no log probabilities, or constraints that leave
/// no word.
pub fn beam<D: Decode>(
    decoder: &D,
    initial: &D::State,
    pictures: usize,
    options: &BeamOptions,
) -> Result<Vec<Vec<Caption>>, GenerateError> {
    options.check(decoder.vocabulary())?;
    let at_once = options.limits.pictures_at_once(options.beam_size);
    let mut captions = Vec::with_capacity(pictures);
    for first in (0..pictures).step_by(at_once) {
        let mut searches: Vec<Search> = (first..pictures.min(first.saturating_add(at_once)))
            .map(Search::new)
            .collect();
        run(Rows::new(decoder, initial), &mut searches, options)?;
        captions.extend(
            searches
                .iter()
                .map(|search| search.captions(options.n_best)),
        );
    }
    Ok(captions)
}

/// Takes all `searches` to their ends, one decoder step for all their live beams at a time.
fn run<D: Decode>(
    mut rows: Rows<'_, D>,
    searches: &mut [Search],
    options: &BeamOptions,
) -> Result<(), GenerateError> {
    let constraints = &options.limits.constraints;
    let (mut parents, mut words) = (Vec::new(), Vec::new());
    for _ in 0..options.limits.max_steps {
        parents.clear();
        words.clear();
        for search in searches
            .iter_mut()
            .filter(|search| !search.is_done(options.n_best))
        {
            for beam in search.beams.iter_mut().filter(|beam| !beam.finished) {
                parents.push(beam.row);
                words.push(beam.last);
                beam.row = parents.len() - 1;
            }
        }
        if parents.is_empty() {
            break;
        }
        rows.step(&parents, &words)?;
        for search in searches
            .iter()
            .filter(|search| !constraints.is_empty() && !search.is_done(options.n_best))
        {
            for beam in search.beams.iter().filter(|beam| !beam.finished) {
                rows.constrain(beam.row, &search.paths.words(beam.path), constraints);
            }
        }
        let scores = rows.scores();
        searches
            .par_iter_mut()
            .filter(|search| !search.is_done(options.n_best))
            .map_init(Scratch::default, |scratch, search| {
                search.advance(scores, options.beam_size, scratch)
            })
            // Collected, so that of several errors the first picture's is told.
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Result<(), _>>()?;
    }
    Ok(())
}

/// One partial or finished sentence of a picture.
#[derive(Clone)]
struct Beam {
    /// Sum of the words' natural log probabilities.
    log_prob: f64,
    path: Path,
    /// The last word, START before the first.
    last: u32,
    finished: bool,
    /// Row of the decoder's state that a live beam continues.
    row: usize,
}

/// A beam of the next step: beam `parent` with one more word, or as it is if it was finished.
struct Candidate {
    log_prob: f64,
    parent: usize,
    /// The word and its log probability.
    word: Option<(u32, f32)>,
}

/// Memory that all pictures and steps use in turn.
#[derive(Default)]
struct Scratch {
    top: TopK,
    candidates: Vec<Candidate>,
}

/// The search of one picture: its beams, best first.
struct Search {
    picture: usize,
    beams: Vec<Beam>,
    paths: Paths,
}

impl Search {
    fn new(picture: usize) -> Self {
        let start = Beam {
            log_prob: 0.0,
            path: Path::EMPTY,
            last: END,
            finished: false,
            row: picture,
        };
        Self {
            picture,
            beams: vec![start],
            paths: Paths::default(),
        }
    }

    /// True if no further step can change the first `n_best` captions.
    fn is_done(&self, n_best: usize) -> bool {
        self.beams.iter().take(n_best).all(|beam| beam.finished)
    }

    /// The next beams, from the log probabilities of the live ones' rows.
    fn advance(
        &mut self,
        scores: Scores<'_>,
        beam_size: usize,
        scratch: &mut Scratch,
    ) -> Result<(), GenerateError> {
        let Scratch { top, candidates } = scratch;
        let order = |a: &Candidate, b: &Candidate| self.better(a, b);
        candidates.clear();
        candidates.extend(
            self.beams
                .iter()
                .enumerate()
                .filter(|(_, beam)| beam.finished)
                .map(|(parent, beam)| Candidate {
                    log_prob: beam.log_prob,
                    parent,
                    word: None,
                }),
        );
        for (parent, beam) in self
            .beams
            .iter()
            .enumerate()
            .filter(|(_, beam)| !beam.finished)
        {
            let worst = match candidates.get(beam_size - 1) {
                None => f64::NEG_INFINITY,
                Some(kth) => kth.log_prob,
            };
            let row = scores.row(beam.row, self.picture)?;
            for &(word, log_prob) in top.select(row, beam_size, floor(worst, beam.log_prob)) {
                candidates.push(Candidate {
                    log_prob: beam.log_prob + f64::from(log_prob),
                    parent,
                    word: Some((word, log_prob)),
                });
            }
            // Always sorted and cut, so that the next row's floor is the last one's score.
            candidates.sort_unstable_by(order);
            candidates.truncate(beam_size);
        }
        if candidates.is_empty() {
            return Err(scores.no_word(self.picture));
        }
        let mut next = Vec::with_capacity(candidates.len());
        for candidate in candidates.iter() {
            let parent = &self.beams[candidate.parent];
            next.push(match candidate.word {
                None => parent.clone(),
                Some((word, log_prob)) => Beam {
                    log_prob: candidate.log_prob,
                    path: self.paths.extend(parent.path, word, log_prob),
                    last: word,
                    finished: word == END,
                    row: parent.row,
                },
            });
        }
        self.beams = next;
        Ok(())
    }

    /// Descending by (log probability, word list), Python's order of tuples.
    ///
    /// No beam's sentence is the beginning of another's: the live ones are equally long and only
    /// the finished ones hold END, at their ends. So the parents decide unless they are the same.
    fn better(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let by_words = || {
            if a.parent == b.parent {
                b.word
                    .map(|(word, _)| word)
                    .cmp(&a.word.map(|(word, _)| word))
            } else {
                let words =
                    |candidate: &Candidate| self.paths.words(self.beams[candidate.parent].path);
                words(b).cmp(&words(a))
            }
        };
        b.log_prob.total_cmp(&a.log_prob).then_with(by_words)
    }

    fn captions(&self, n_best: usize) -> Vec<Caption> {
        let caption = |beam: &Beam| self.paths.caption(beam.path, beam.log_prob);
        self.beams.iter().take(n_best).map(caption).collect()
    }
}

/// The least log probability with which a word after a beam of `log_prob` may still beat or tie
/// with the total `worst`: a little below the difference, more than f32 and f64 round.
fn floor(worst: f64, log_prob: f64) -> f32 {
    (worst - log_prob - 1e-6 * (1.0 + worst.abs())) as f32
}
