//! Beam search, as NeuralTalk does it, over many pictures at once; and the same with required words.
//!
//! Each live beam offers its `beam_size` likeliest words; a finished beam stays among the
//! candidates as it is. The candidates are sorted by (score, word list), largest first,
//! and the first `beam_size` are the next beams. The score is the log probability, not normalised by length unless
//! `length_penalty` says so. With required words every state of [`Required`] has a beam of its own.
//!
//! NeuralTalk, `imagernn/lstm_generator.py`, `predict`. Where we differ, results don't:
//! a picture leaves the batch as soon as nothing can overtake its first `n_best` finished beams (log
//! probabilities only fall; without a length penalty a tie is decided by the first word in
//! which two sentences differ, and that stays). A row is searched only for words that can still
//! enter the picture's best `beam_size`. `beam_size` may exceed the vocabulary (there NeuralTalk
//! fails with an IndexError). Words that tie at the edge of a beam's offer are taken by the
//! smaller index; NeuralTalk leaves that to an unstable sort.

use std::cmp::Ordering;

use models::Decode;
use rayon::prelude::*;
use tensor::step::Choice;

use crate::consensus::by_consensus;
use crate::paths::{Path, Paths};
use crate::required::{Required, StateId};
use crate::rows::{Row, Rows, Scores};
use crate::top_k::{Scored, TopK};
use crate::{Caption, END, GenerateError, Limits};

/// Options of [`beam`].
#[derive(Debug, Clone, PartialEq)]
pub struct BeamOptions {
    /// K, partial sentences kept for each picture (with required words, for each state of theirs). 1 finds what
    /// [`crate::greedy`] finds.
    pub beam_size: usize,
    /// Captions returned for each picture, at most `beam_size`.
    pub n_best: usize,
    /// Sentences are ranked by log probability / words^`length_penalty`, END counted among the words: 0 as NeuralTalk, 1 by
    /// the mean of a word; the larger, the longer the captions.
    pub length_penalty: f64,
    /// Of the `beam_size` sentences found, those that agree most with the others come first, not the likeliest: what people
    /// would like best on average (minimum Bayes risk).
    pub consensus: bool,
    /// Length, rows per step, constraints.
    pub limits: Limits,
}

impl BeamOptions {
    /// Beam search of width `beam_size` for the best caption of at most 20 words.
    pub fn new(beam_size: usize) -> Self {
        Self {
            beam_size,
            n_best: 1,
            length_penalty: 0.0,
            consensus: false,
            limits: Limits::default(),
        }
    }

    /// Sentences that have to be found for each picture.
    fn wanted(&self) -> usize {
        match self.consensus {
            true => self.beam_size,
            false => self.n_best,
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
        if !(self.length_penalty.is_finite() && 0.0 <= self.length_penalty) {
            let must_be = "a finite number, at least 0";
            return Err(GenerateError::option(
                "length_penalty",
                self.length_penalty,
                must_be,
            ));
        }
        self.limits.check(vocabulary)
    }

    /// What sentences of `words` words are ranked by.
    fn score(&self, log_prob: f64, words: usize) -> f64 {
        log_prob / self.divisor(words)
    }

    fn divisor(&self, words: usize) -> f64 {
        match self.length_penalty == 0.0 {
            true => 1.0,
            false => (words as f64).powf(self.length_penalty),
        }
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
    let plan = Plan {
        options,
        required: Required::new(&options.limits.constraints.required),
    };
    let most = options.beam_size.saturating_mul(plan.required.beams());
    let at_once = options.limits.pictures_at_once(most);
    let mut captions = Vec::with_capacity(pictures);
    for first in (0..pictures).step_by(at_once) {
        let mut searches: Vec<Search> = (first..pictures.min(first.saturating_add(at_once)))
            .map(Search::new)
            .collect();
        run(Rows::new(decoder, initial), &mut searches, &plan)?;
        captions.extend(searches.iter().map(|search| search.captions(&plan)));
    }
    Ok(captions)
}

/// What all pictures are searched with.
struct Plan<'a> {
    options: &'a BeamOptions,
    required: Required,
}

/// Takes all `searches` to their ends, one decoder step for all their live beams at a time.
fn run<D: Decode>(
    mut rows: Rows<'_, D>,
    searches: &mut [Search],
    plan: &Plan<'_>,
) -> Result<(), GenerateError> {
    let constraints = &plan.options.limits.constraints;
    // What may follow depends on more than the likeliest words where there are constraints.
    let alone = constraints.is_empty() && plan.required.beams() == 1;
    let choice = alone.then_some(Choice::Likeliest(plan.options.beam_size));
    let (mut parents, mut words) = (Vec::new(), Vec::new());
    for step in 0..plan.options.limits.max_steps {
        parents.clear();
        words.clear();
        for search in searches.iter_mut().filter(|search| !search.is_done(plan)) {
            for beam in search.beams.iter_mut().filter(|beam| !beam.finished) {
                parents.push(beam.row);
                words.push(beam.last);
                beam.row = parents.len() - 1;
            }
        }
        if parents.is_empty() {
            break;
        }
        rows.step(&parents, &words, choice)?;
        for search in searches
            .iter()
            .filter(|search| !constraints.is_empty() && !search.is_done(plan))
        {
            for beam in search.beams.iter().filter(|beam| !beam.finished) {
                rows.constrain(beam.row, &search.paths.words(beam.path), constraints);
            }
        }
        let scores = rows.scores();
        searches
            .par_iter_mut()
            .filter(|search| !search.is_done(plan))
            .map_init(Scratch::default, |scratch, search| {
                search.advance(scores, step, plan, scratch)
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
    /// What it is ranked by.
    score: f64,
    path: Path,
    /// The last word, START before the first.
    last: u32,
    finished: bool,
    /// Which of the required words were said.
    state: StateId,
    /// Row of the decoder's state that a live beam continues.
    row: usize,
}

/// A beam of the next step: beam `parent` with one more word, or as it is if it was finished.
struct Candidate {
    log_prob: f64,
    score: f64,
    parent: usize,
    state: StateId,
    /// The word and its log probability.
    word: Option<Scored>,
}

/// Memory that all pictures and steps use in turn.
#[derive(Default)]
struct Scratch {
    top: TopK,
    candidates: Vec<Candidate>,
}

/// The search of one picture: its beams, those of one state together, best first.
struct Search {
    picture: usize,
    beams: Vec<Beam>,
    paths: Paths,
}

impl Search {
    fn new(picture: usize) -> Self {
        let start = Beam {
            log_prob: 0.0,
            score: 0.0,
            path: Path::EMPTY,
            last: END,
            finished: false,
            state: 0,
            row: picture,
        };
        Self {
            picture,
            beams: vec![start],
            paths: Paths::default(),
        }
    }

    /// True if no further step can change the captions that are wanted.
    fn is_done(&self, plan: &Plan<'_>) -> bool {
        let options = plan.options;
        if self.beams.iter().all(|beam| beam.finished) {
            return true;
        }
        let mut whole = self.whole(plan).take(options.wanted());
        let mut worst = f64::INFINITY;
        for _ in 0..options.wanted() {
            match whole.next() {
                Some(beam) if beam.finished => worst = beam.score,
                _ => return false,
            }
        }
        if plan.required.beams() == 1 && options.length_penalty == 0.0 {
            // All others are behind already, and ties stay as they are.
            return true;
        }
        // The most that a live beam can become: all further words certain.
        let most = |beam: &Beam| options.score(beam.log_prob, options.limits.max_steps);
        let mut live = self.beams.iter().filter(|beam| !beam.finished);
        live.all(|beam| most(beam) < worst)
    }

    /// Beams that have all that is required, best first.
    fn whole<'a>(&'a self, plan: &'a Plan<'_>) -> impl Iterator<Item = &'a Beam> {
        let whole = |beam: &&Beam| plan.required.missing(beam.state) == 0;
        self.beams.iter().filter(whole)
    }

    /// The next beams, from the log probabilities of the live ones' rows.
    fn advance(
        &mut self,
        scores: Scores<'_>,
        step: usize,
        plan: &Plan<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), GenerateError> {
        let Scratch { top, candidates } = scratch;
        let beam_size = plan.options.beam_size;
        let order =
            |a: &Candidate, b: &Candidate| a.state.cmp(&b.state).then_with(|| self.better(a, b));
        candidates.clear();
        let finished = self.beams.iter().enumerate().filter(|(_, b)| b.finished);
        candidates.extend(finished.map(|(parent, beam)| Candidate {
            log_prob: beam.log_prob,
            score: beam.score,
            parent,
            state: beam.state,
            word: None,
        }));
        let divisor = plan.options.divisor(step + 1);
        let live = self.beams.iter().enumerate().filter(|(_, b)| !b.finished);
        for (parent, beam) in live {
            let row = scores.row(beam.row, self.picture)?;
            let offer = |(word, log_prob): Scored, state| {
                let log_prob_sum = beam.log_prob + f64::from(log_prob);
                Candidate {
                    log_prob: log_prob_sum,
                    score: log_prob_sum / divisor,
                    parent,
                    state,
                    word: Some((word, log_prob)),
                }
            };
            if plan.required.beams() == 1 {
                let worst = match candidates.get(beam_size - 1) {
                    None => f64::NEG_INFINITY,
                    Some(kth) => kth.score * divisor,
                };
                let best = top.of(row, beam_size, floor(worst, beam.log_prob));
                candidates.extend(best.iter().map(|&scored| offer(scored, 0)));
                // Always sorted and cut, so that the next row's floor is the last one's score.
                candidates.sort_unstable_by(order);
                candidates.truncate(beam_size);
            } else {
                let Row::LogProbs(row) = row else {
                    unreachable!("all words were asked for");
                };
                let left = plan.options.limits.max_steps - step - 1;
                let offers = plan.offers(top, row, beam.state, step, left);
                candidates.extend(offers.map(|(scored, state)| offer(scored, state)));
            }
        }
        if candidates.is_empty() {
            return Err(scores.no_word(self.picture));
        }
        candidates.sort_unstable_by(order);
        let mut next = Vec::with_capacity(candidates.len());
        for of_state in candidates.chunk_by(|a, b| a.state == b.state) {
            for candidate in of_state.iter().take(beam_size) {
                let parent = &self.beams[candidate.parent];
                next.push(match candidate.word {
                    None => parent.clone(),
                    Some((word, log_prob)) => Beam {
                        log_prob: candidate.log_prob,
                        score: candidate.score,
                        path: self.paths.extend(parent.path, word, log_prob),
                        last: word,
                        finished: word == END,
                        state: candidate.state,
                        row: parent.row,
                    },
                });
            }
        }
        self.beams = next;
        Ok(())
    }

    /// Descending by (score, word list), Python's order of tuples.
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
        b.score.total_cmp(&a.score).then_with(by_words)
    }

    fn captions(&self, plan: &Plan<'_>) -> Vec<Caption> {
        let caption = |beam: &Beam| self.paths.caption(beam.path, beam.log_prob);
        let whole = self.whole(plan).take(plan.options.wanted());
        let mut captions: Vec<Caption> = whole.map(caption).collect();
        if plan.options.consensus {
            captions = by_consensus(captions);
            captions.truncate(plan.options.n_best);
        }
        captions
    }
}

impl Plan<'_> {
    /// The words that a beam in `state` offers to the beams of all states, with the state that each leads to: the best
    /// `beam_size` of those that act alike, and every word of the required ones. What `left` more words could not complete
    /// is left out, and END before all is said.
    fn offers(
        &self,
        top: &mut TopK,
        row: &[f32],
        state: StateId,
        step: usize,
        left: usize,
    ) -> impl Iterator<Item = (Scored, StateId)> {
        let required = &self.required;
        let special = required.words();
        let open = 0 < required.missing(state);
        // So many that after those that don't count enough are left.
        let enough = self.options.beam_size.saturating_add(special.len() + 1);
        let alike = top.select(row, enough, f32::NEG_INFINITY).iter().copied();
        let alike = alike
            .filter(|(word, _)| special.binary_search(word).is_err())
            .filter(move |&(word, _)| !(open && word == END))
            .take(self.options.beam_size);
        let possible = special
            .iter()
            .map(|&word| (word, row[word as usize].min(0.0) + 0.0));
        let possible = possible.filter(|&(_, log_prob)| log_prob != f32::NEG_INFINITY);
        let given = step < self.options.limits.constraints.start.len();
        let all = alike.chain(possible).map(move |(word, log_prob)| {
            // END is said of the sentence, not in it.
            let next = if word == END {
                state
            } else {
                required.after(state, word)
            };
            ((word, log_prob), next)
        });
        // A given beginning may say several things at once; that it leaves words enough was checked before.
        all.filter(move |&(_, next)| given || required.missing(next) <= left)
    }
}

/// The least log probability with which a word after a beam of `log_prob` may still beat or tie
/// with the total `worst`: a little below the difference, more than f32 and f64 round.
fn floor(worst: f64, log_prob: f64) -> f32 {
    (worst - log_prob - 1e-6 * (1.0 + worst.abs())) as f32
}
