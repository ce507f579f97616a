//! A decoder whose device chooses the words gives every search the sentences that it finds among all words.

mod toy;

use std::cell::Cell;

use generate::{
    BeamOptions, Caption, Constraints, Ensemble, GenerateError, Limits, SampleOptions, beam,
    greedy, sample,
};
use models::Decode;
use proptest::prelude::*;
use tensor::step::Choice;
use toy::{Row, Toy, pictures, random_scores};

/// A toy that chooses: by sorting, and by walking along all probabilities. It counts how it was asked.
struct Chooser<F: Fn(u64, &[u32]) -> Vec<f32>> {
    toy: Toy<F>,
    choosing: Cell<usize>,
    all: Cell<usize>,
}

impl<F: Fn(u64, &[u32]) -> Vec<f32>> Chooser<F> {
    fn new(vocabulary: usize, scores: F) -> Self {
        Self {
            toy: Toy::new(vocabulary, scores),
            choosing: Cell::new(0),
            all: Cell::new(0),
        }
    }
}

impl<F: Fn(u64, &[u32]) -> Vec<f32>> Decode for Chooser<F> {
    type State = Vec<(Row, bool)>;

    fn vocabulary(&self) -> usize {
        self.toy.vocabulary()
    }

    fn step(
        &self,
        state: &Self::State,
        parents: &[usize],
        words: &[u32],
        log_probs: &mut Vec<f32>,
    ) -> Self::State {
        self.all.set(self.all.get() + 1);
        self.toy.step(state, parents, words, log_probs)
    }

    fn step_and_choose(
        &self,
        state: &Self::State,
        parents: &[usize],
        words: &[u32],
        choice: Choice<'_>,
        chosen: &mut Vec<(u32, f32)>,
    ) -> Option<Self::State> {
        self.choosing.set(self.choosing.get() + 1);
        let mut log_probs = Vec::new();
        let next = self.toy.step(state, parents, words, &mut log_probs);
        chosen.clear();
        for (row, values) in log_probs.chunks(self.vocabulary()).enumerate() {
            let mut scored: Vec<(u32, f32)> = (0..).zip(values.iter().copied()).collect();
            match choice {
                Choice::Likeliest(k) => {
                    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
                    chosen.extend(scored.iter().take(k));
                }
                Choice::Drawn(uniforms) => {
                    let mut left = uniforms[row];
                    let place = scored.iter().position(|&(_, v)| {
                        left -= f64::from(v).exp();
                        left < 0.0
                    });
                    chosen.push(scored[place.unwrap_or(scored.len() - 1)]);
                }
            }
        }
        Some(next)
    }
}

const KEYS: [u64; 3] = [3, 1, 4];

/// The captions of the search, from a toy that chooses and from one that doesn't, and how often the first was asked either way.
fn both(
    (seed, vocabulary, levels): (u64, usize, bool),
    search: impl Fn(&dyn Searched) -> Vec<Vec<Caption>>,
) -> ([Vec<Vec<Caption>>; 2], [usize; 2]) {
    let scores = || random_scores(seed, vocabulary, 3.0, 0.5, levels);
    let chooser = Chooser::new(vocabulary, scores());
    let found = search(&chooser);
    let asked = [chooser.choosing.get(), chooser.all.get()];
    ([found, search(&Toy::new(vocabulary, scores()))], asked)
}

/// The searches of both kinds of toy.
trait Searched {
    fn greedy(&self, limits: &Limits) -> Vec<Vec<Caption>>;
    fn beam(&self, options: &BeamOptions) -> Vec<Vec<Caption>>;
    fn sample(&self, options: &SampleOptions) -> Vec<Vec<Caption>>;
}

impl<D: Decode<State = Vec<(Row, bool)>>> Searched for D {
    fn greedy(&self, limits: &Limits) -> Vec<Vec<Caption>> {
        greedy(self, &pictures(&KEYS), KEYS.len(), limits).expect("captions")
    }

    fn beam(&self, options: &BeamOptions) -> Vec<Vec<Caption>> {
        // As the captioner asks: an ensemble of one.
        let one = Ensemble::new(vec![self]);
        beam(&one, &vec![pictures(&KEYS)], KEYS.len(), options).expect("captions")
    }

    fn sample(&self, options: &SampleOptions) -> Vec<Vec<Caption>> {
        sample(self, &pictures(&KEYS), &KEYS, options).expect("captions")
    }
}

proptest! {
    #[test]
    fn searches_find_the_same(
        seed in 0u64..1 << 40,
        vocabulary in 2usize..30,
        levels: bool,
        beam_size in 1usize..35,
        top_k in 1usize..35,
    ) {
        let toy = (seed, vocabulary, levels);
        let (captions, asked) = both(toy, |d| d.greedy(&Limits::default()));
        prop_assert_eq!(&captions[0], &captions[1]);
        prop_assert!(0 < asked[0] && asked[1] == 0);

        let mut options = BeamOptions::new(beam_size);
        options.n_best = beam_size;
        for length_penalty in [0.0, 0.7] {
            options.length_penalty = length_penalty;
            let (captions, asked) = both(toy, |d| d.beam(&options));
            prop_assert_eq!(&captions[0], &captions[1]);
            prop_assert!(0 < asked[0] && asked[1] == 0);
        }

        let mut options = SampleOptions { samples: 4, ..SampleOptions::new(seed) };
        for (k, p, temperature) in [(Some(top_k), None, 0.7), (Some(top_k), Some(0.8), 1.0)] {
            (options.top_k, options.top_p, options.temperature) = (k, p, temperature);
            let (captions, asked) = both(toy, |d| d.sample(&options));
            prop_assert_eq!(&captions[0], &captions[1]);
            prop_assert!(0 < asked[0] && asked[1] == 0);
        }
        if !levels {
            // The toy's rows of levels aren't probabilities: their sum is not 1.
            (options.top_k, options.top_p, options.temperature) = (None, None, 1.0);
            let (captions, asked) = both(toy, |d| d.sample(&options));
            prop_assert_eq!(&captions[0], &captions[1]);
            prop_assert!(0 < asked[0] && asked[1] == 0);
        }
    }
}

#[test]
fn what_depends_on_more_asks_for_all_words() {
    let toy = (5, 12, false);
    let limits = Limits {
        constraints: Constraints {
            forbidden: vec![3],
            ..Constraints::default()
        },
        ..Limits::default()
    };
    let (captions, asked) = both(toy, |d| d.greedy(&limits));
    assert_eq!(captions[0], captions[1]);
    assert!(asked[0] == 0 && 0 < asked[1]);
    for constraints in [
        Constraints {
            required: vec![vec![5]],
            ..Constraints::default()
        },
        Constraints {
            no_repeat_ngram: 2,
            ..Constraints::default()
        },
    ] {
        let mut options = BeamOptions::new(4);
        options.limits.constraints = constraints;
        let (captions, asked) = both(toy, |d| d.beam(&options));
        assert_eq!(captions[0], captions[1]);
        assert!(asked[0] == 0 && 0 < asked[1]);
    }
    let plain = SampleOptions::new(1);
    for options in [
        SampleOptions {
            temperature: 0.5,
            ..plain.clone()
        },
        SampleOptions {
            top_p: Some(0.5),
            ..plain
        },
    ] {
        let (captions, asked) = both(toy, |d| d.sample(&options));
        assert_eq!(captions[0], captions[1]);
        assert!(asked[0] == 0 && 0 < asked[1]);
    }
}

#[test]
fn a_chosen_word_without_a_log_probability_is_an_error() {
    for (value, none) in [(f32::NAN, false), (0.5, false), (f32::NEG_INFINITY, true)] {
        let chooser = Chooser::new(3, move |_, _| vec![value; 3]);
        let (start, limits) = (pictures(&KEYS), Limits::default());
        let drawn = SampleOptions::new(1);
        for result in [
            greedy(&chooser, &start, 3, &limits),
            beam(&chooser, &start, 3, &BeamOptions::new(2)),
            sample(&chooser, &start, &KEYS, &drawn),
        ] {
            match result.expect_err("no log probability") {
                GenerateError::NotALogProb {
                    picture: 0,
                    step: 0,
                    ..
                } => assert!(!none),
                GenerateError::NoWord {
                    picture: 0,
                    step: 0,
                } => assert!(none),
                other => panic!("{other}"),
            }
        }
    }
}
