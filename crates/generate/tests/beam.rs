//! Beam search against exhaustive search and against NeuralTalk's algorithm in its plain form.

mod toy;

use generate::{BeamOptions, Caption, Constraints, END, GenerateError, Limits, beam, greedy};
use proptest::prelude::*;
use toy::{Toy, pictures, random_scores};

/// A list of (log probability, words with END).
type Beams = Vec<(f64, Vec<u32>)>;

/// `predict` of NeuralTalk's `lstm_generator.py`, beam search branch, line by line: one picture,
/// one beam at a time, all candidates in one list, always `steps` steps.
fn neuraltalk(scores: &dyn Fn(&[u32]) -> Vec<f32>, beam_size: usize, steps: usize) -> Beams {
    let mut beams: Beams = vec![(0.0, vec![])];
    for _ in 0..steps {
        let mut candidates: Beams = vec![];
        for (log_prob, words) in &beams {
            if words.last() == Some(&END) {
                candidates.push((*log_prob, words.clone()));
                continue;
            }
            let row = scores(words);
            let mut top: Vec<usize> = (0..row.len()).collect();
            top.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            for &word in top.iter().take(beam_size) {
                let continued = [words.as_slice(), &[word as u32]].concat();
                candidates.push((log_prob + f64::from(row[word]), continued));
            }
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(&a.1)));
        candidates.truncate(beam_size);
        beams = candidates;
    }
    beams
}

/// Every sentence of at most `steps` words, best first.
fn exhaustive(scores: &dyn Fn(&[u32]) -> Vec<f32>, steps: usize) -> Beams {
    let mut all = vec![];
    let mut open: Beams = vec![(0.0, vec![])];
    while let Some((log_prob, words)) = open.pop() {
        if words.last() == Some(&END) || words.len() == steps {
            all.push((log_prob, words));
            continue;
        }
        for (word, value) in (0u32..).zip(scores(&words)) {
            open.push((
                log_prob + f64::from(value),
                [words.as_slice(), &[word]].concat(),
            ));
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(&a.1)));
    all
}

/// Captions in the oracles' form.
fn with_end(captions: &[Caption]) -> Beams {
    let words = |caption: &Caption| {
        let mut words = caption.tokens.clone();
        words.extend(caption.finished.then_some(END));
        (caption.log_prob, words)
    };
    captions.iter().map(words).collect()
}

fn options(beam_size: usize, n_best: usize, max_steps: usize) -> BeamOptions {
    BeamOptions {
        beam_size,
        n_best,
        length_penalty: 0.0,
        consensus: false,
        limits: Limits {
            max_steps,
            ..Limits::default()
        },
    }
}

#[test]
fn a_wide_enough_beam_is_exhaustive_search() {
    for seed in 0..200 {
        // Ending is unlikely, likely, or forced upon most sentences by turns.
        let scores = random_scores(
            seed,
            4,
            2.0,
            [-3.0, 0.0, 3.0][seed as usize % 3],
            seed % 2 == 0,
        );
        let want = exhaustive(&|words| scores(0, words), 4);
        let toy = Toy::new(4, &scores);
        let options = options(4usize.pow(4), 4usize.pow(4), 4);
        let got = beam(&toy, &pictures(&[0]), 1, &options).expect("captions");
        assert_eq!(with_end(&got[0]), want, "seed {seed}");
    }
}

#[test]
fn a_beam_of_one_is_greedy_search() {
    for seed in 0..100 {
        let scores = random_scores(seed, 30, 2.0, 0.5, seed % 2 == 0);
        let toy = Toy::new(30, scores);
        let state = pictures(&[1, 2, 3]);
        let one = beam(&toy, &state, 3, &BeamOptions::new(1)).expect("captions");
        let likeliest = greedy(&toy, &state, 3, &Limits::default()).expect("captions");
        assert_eq!(one, likeliest, "seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Random toys, END likely or not, with and without ties, narrow beams and beams wider than
    /// the vocabulary, one caption or all.
    #[test]
    fn equals_neuraltalk(
        seed in any::<u64>(),
        vocabulary in 1usize..40,
        beam_size in 1usize..50,
        best in 1usize..50,
        steps in 1usize..9,
        spread in 0.0f64..4.0,
        end in -4.0f64..6.0,
        levels in any::<bool>(),
        max_rows in 1usize..200,
    ) {
        let scores = random_scores(seed, vocabulary, spread, end, levels);
        let keys = [11, 12, 13];
        let toy = Toy::new(vocabulary, &scores);
        let n_best = best.min(beam_size);
        let mut options = options(beam_size, n_best, steps);
        options.limits.max_rows = max_rows;
        let got = beam(&toy, &pictures(&keys), 3, &options).expect("captions");
        prop_assert_eq!(got.len(), 3);
        for (captions, &key) in got.iter().zip(&keys) {
            let want = neuraltalk(&|words| scores(key, words), beam_size, steps);
            prop_assert_eq!(with_end(captions), &want[..n_best.min(want.len())]);
            for caption in captions {
                let sum = caption.word_log_probs.iter().fold(0.0, |sum, &v| sum + f64::from(v));
                prop_assert_eq!(sum, caption.log_prob);
                let words = caption.tokens.len() + usize::from(caption.finished);
                prop_assert_eq!(caption.word_log_probs.len(), words);
            }
        }
        let rows = toy.rows.borrow();
        prop_assert!(rows.iter().all(|&rows| rows <= max_rows.max(beam_size)), "{:?}", rows);
    }
}

/// Rows that favour each word of `text` in turn, END after the last.
fn spell(text: &'static [u32], vocabulary: usize) -> impl Fn(u64, &[u32]) -> Vec<f32> {
    move |_, words| {
        let next = text.get(words.len()).copied().unwrap_or(END);
        let likely = (0.99f32).ln();
        let other = (0.01 / (vocabulary - 1) as f32).ln();
        (0..vocabulary as u32)
            .map(|w| if w == next { likely } else { other })
            .collect()
    }
}

#[test]
fn a_decided_search_stops_early_and_leaves_the_batch() {
    // Picture 7 says two words, picture 8 four: rows drop out as they finish.
    let (short, long) = (spell(&[3, 2], 5), spell(&[1, 2, 3, 4], 5));
    let toy = Toy::new(5, |key, words: &[u32]| {
        if key == 7 {
            short(7, words)
        } else {
            long(8, words)
        }
    });
    let got = beam(&toy, &pictures(&[7, 8]), 2, &options(2, 1, 20)).expect("captions");
    assert_eq!((&got[0][0].tokens, got[0][0].finished), (&vec![3, 2], true));
    assert_eq!(
        (&got[1][0].tokens, got[1][0].finished),
        (&vec![1, 2, 3, 4], true)
    );
    let rows = toy.rows.borrow();
    assert_eq!(rows.len(), 5, "four words and END: {rows:?}");
    assert_eq!(rows[0], 2);
    assert!(rows[3] <= 2, "only picture 8 is left: {rows:?}");
}

#[test]
fn only_the_captions_that_were_asked_for_keep_a_search_going() {
    // END at once, or word 1 for ever.
    let scores = |_: u64, words: &[u32]| match words {
        [] => vec![-0.5, -1.0],
        _ => vec![-30.0, -0.001],
    };
    for (n_best, steps) in [(1, 1), (2, 20)] {
        let toy = Toy::new(2, scores);
        let got = beam(&toy, &pictures(&[0]), 1, &options(2, n_best, 20)).expect("captions");
        assert_eq!(got[0].len(), n_best);
        assert_eq!(toy.rows.borrow().len(), steps);
    }
}

#[test]
fn a_word_that_costs_less_than_rounding_still_ties() {
    // [1, 1] and [1, 2] have -50; [2] has it as well, and its word adds less than f64 can hold.
    let scores = |words: &[u32]| match words {
        [] => vec![-99.0, -49.0, -50.0],
        [1] => vec![-99.0, -1.0, -1.0],
        _ => vec![-1e-20, -99.0, -99.0],
    };
    let toy = Toy::new(3, |_, words: &[u32]| scores(words));
    let got = beam(&toy, &pictures(&[0]), 1, &options(2, 2, 2)).expect("captions");
    assert_eq!(with_end(&got[0]), neuraltalk(&scores, 2, 2));
    assert_eq!(got[0][0].tokens, [2]);
}

#[test]
fn a_sentence_without_end_is_cut_and_not_finished() {
    let toy = Toy::new(5, spell(&[1; 99], 5));
    let got = beam(&toy, &pictures(&[0]), 1, &BeamOptions::new(3)).expect("captions");
    assert_eq!(
        (got[0][0].tokens.as_slice(), got[0][0].finished),
        ([1; 20].as_slice(), false)
    );
    assert_eq!(got[0][0].word_log_probs.len(), 20);
}

#[test]
fn equal_sentences_come_in_descending_order_of_their_words() {
    // Three words of the same probability, END the first: the offer takes the smaller indices,
    // the order among candidates prefers the larger word, as Python's tuples do.
    let toy = Toy::new(3, |_, _: &[u32]| vec![-1.0; 3]);
    let got = beam(&toy, &pictures(&[0]), 1, &options(2, 2, 1)).expect("captions");
    assert_eq!(with_end(&got[0]), [(-1.0, vec![1]), (-1.0, vec![0])]);
}

#[test]
fn tiny_probabilities_are_searched_like_any_other() {
    let least = 1e-20f32.ln();
    let toy = Toy::new(50, |_, _: &[u32]| vec![least; 50]);
    let got = beam(&toy, &pictures(&[0]), 1, &options(3, 3, 2)).expect("captions");
    let want = neuraltalk(&|_| vec![least; 50], 3, 2);
    assert_eq!(with_end(&got[0]), want);
}

#[test]
fn rounding_above_zero_counts_as_zero() {
    let toy = Toy::new(2, |_, _: &[u32]| vec![f32::NEG_INFINITY, 1e-7]);
    let got = beam(&toy, &pictures(&[0]), 1, &options(2, 1, 3)).expect("captions");
    assert_eq!(with_end(&got[0]), [(0.0, vec![1, 1, 1])]);
    assert_eq!(
        greedy(&toy, &pictures(&[0]), 1, &Limits::default()).expect("caption")[0][0].log_prob,
        0.0
    );
}

#[test]
fn what_is_no_log_probability_is_an_error() {
    for (bad, hint) in [
        (f32::NAN, "diverge"),
        (0.5, "ln p"),
        (f32::INFINITY, "ln p"),
    ] {
        let scores = move |key: u64, words: &[u32]| {
            let mut row = vec![-3.0; 300];
            if key == 5 && words.len() == 2 {
                row[259] = bad;
            }
            row
        };
        let toy = Toy::new(300, scores);
        let state = pictures(&[4, 5]);
        for max_rows in [1, 256] {
            let mut options = BeamOptions::new(3);
            options.limits.max_rows = max_rows;
            // END never gets to the front of the beam before the third step.
            options.limits.constraints.min_length = 3;
            let errors = [
                beam(&toy, &state, 2, &options).expect_err("a bad value"),
                greedy(&toy, &state, 2, &options.limits).expect_err("a bad value"),
            ];
            for error in errors {
                assert!(
                    matches!(
                        error,
                        GenerateError::NotALogProb { picture: 1, step: 2, word: 259, value }
                            if value.to_bits() == bad.to_bits()
                    ),
                    "{error}"
                );
                assert!(error.hint().expect("a hint").contains(hint));
            }
        }
    }
}

#[test]
fn a_row_without_any_word_is_an_error_only_where_nothing_is_left() {
    let none = vec![f32::NEG_INFINITY; 3];
    // After word 1 nothing may follow, but there is word 2 as well.
    let dead_end = none.clone();
    let scores = move |_: u64, words: &[u32]| match words {
        [] => vec![f32::NEG_INFINITY, -0.5, -1.0],
        [1, ..] => dead_end.clone(),
        _ => vec![-0.1, -3.0, -3.0],
    };
    let toy = Toy::new(3, scores);
    let got = beam(&toy, &pictures(&[0]), 1, &BeamOptions::new(2)).expect("captions");
    assert_eq!(got[0][0].tokens, [2]);
    let want = GenerateError::NoWord {
        picture: 0,
        step: 1,
    };
    assert_eq!(
        greedy(&toy, &pictures(&[0]), 1, &Limits::default()),
        Err(want.clone())
    );
    assert_eq!(
        beam(&toy, &pictures(&[0]), 1, &BeamOptions::new(1)),
        Err(want)
    );
}

#[test]
fn a_table_of_the_wrong_size_is_an_error() {
    let toy = Toy::new(4, |_, _: &[u32]| vec![-1.0; 3]);
    let want = GenerateError::Shape {
        rows: 2,
        vocabulary: 4,
        found: 6,
    };
    assert_eq!(
        beam(&toy, &pictures(&[0, 1]), 2, &BeamOptions::new(2)),
        Err(want.clone())
    );
    assert_eq!(
        greedy(&toy, &pictures(&[0, 1]), 2, &Limits::default()),
        Err(want)
    );
}

#[test]
fn impossible_options_are_refused_by_name() {
    let toy = Toy::new(4, |_, _: &[u32]| vec![-1.0; 4]);
    let forbidden = |word| {
        let mut options = BeamOptions::new(2);
        options.limits.constraints.forbidden = vec![1, word];
        options
    };
    for (options, want) in [
        (options(0, 1, 20), "beam_size is 0, it must be at least 1"),
        (
            options(2, 0, 20),
            "n_best is 0, it must be from 1 to beam_size, which is 2",
        ),
        (
            options(2, 3, 20),
            "n_best is 3, it must be from 1 to beam_size, which is 2",
        ),
        (options(2, 2, 0), "max_steps is 0, it must be at least 1"),
        (
            forbidden(4),
            "a forbidden word is 4, it must be below the vocabulary's 4 words",
        ),
    ] {
        let error = beam(&toy, &pictures(&[0]), 1, &options).expect_err(want);
        assert_eq!(error.to_string(), want);
    }
    assert!(beam(&toy, &pictures(&[0]), 1, &forbidden(3)).is_ok());
    let empty = Toy::new(0, |_, _: &[u32]| vec![]);
    let error = beam(&empty, &pictures(&[0]), 1, &BeamOptions::new(2)).expect_err("no words");
    assert_eq!(
        error.to_string(),
        "the decoder's vocabulary is 0, it must be at least 1"
    );
}

#[test]
fn no_pictures_give_no_captions_and_a_huge_beam_allocates_nothing() {
    let toy = Toy::new(4, |_, _: &[u32]| vec![-1.0; 4]);
    assert_eq!(
        beam(&toy, &pictures(&[]), 0, &BeamOptions::new(2)),
        Ok(vec![])
    );
    let got = beam(
        &toy,
        &pictures(&[0]),
        1,
        &options(usize::MAX, usize::MAX, 2),
    );
    assert_eq!(got.expect("captions")[0].len(), 1 + 3 * 4);
}

/// Every sentence that the constraints allow, from the rows that they leave.
fn constrained(seed: u64, constraints: &Constraints, steps: usize) -> Beams {
    let scores = random_scores(seed, 4, 2.0, 0.0, false);
    let filtered = |words: &[u32]| {
        let mut row = scores(0, words);
        for word in 0..4u32 {
            let too_short = word == END && words.len() < constraints.min_length;
            let n = constraints.no_repeat_ngram;
            let longer = [words, &[word]].concat();
            let repeats = n > 0
                && longer.len() > n
                && longer[..longer.len() - 1]
                    .windows(n)
                    .any(|w| w == &longer[longer.len() - n..]);
            if too_short || repeats || constraints.forbidden.contains(&word) {
                row[word as usize] = f32::NEG_INFINITY;
            }
        }
        row
    };
    let mut all = exhaustive(&filtered, steps);
    all.retain(|(log_prob, _)| *log_prob != f64::NEG_INFINITY);
    all
}

#[test]
fn constraints_leave_exactly_the_allowed_sentences() {
    for seed in 0..40 {
        for (min_length, forbidden, no_repeat_ngram) in [
            (0, vec![], 1),
            (0, vec![], 2),
            (2, vec![], 0),
            (0, vec![2], 0),
            (1, vec![3], 2),
        ] {
            let constraints = Constraints {
                min_length,
                forbidden,
                no_repeat_ngram,
                ..Constraints::default()
            };
            let scores = random_scores(seed, 4, 2.0, 0.0, false);
            let toy = Toy::new(4, scores);
            let mut options = options(4usize.pow(5), 4usize.pow(5), 5);
            options.limits.constraints = constraints.clone();
            let got = beam(&toy, &pictures(&[0]), 1, &options).expect("captions");
            let want = constrained(seed, &constraints, 5);
            assert!(!want.is_empty());
            assert_eq!(with_end(&got[0]), want, "{constraints:?}");
            // Greedy search and sampling see the same filter.
            let one = greedy(&toy, &pictures(&[0]), 1, &options.limits).expect("caption");
            assert!(want.contains(&with_end(&one[0])[0]), "{constraints:?}");
        }
    }
}
