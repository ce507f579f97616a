//! Required words, given beginnings and length penalties against exhaustive search and against the same search in its plain
//! form.

mod toy;

use std::collections::BTreeMap;

use generate::{
    BeamOptions, Caption, Constraints, END, GenerateError, Limits, SampleOptions, beam, greedy,
    sample,
};
use proptest::prelude::*;
use toy::{Toy, pictures, random_scores};

/// Score and words with END.
type Scored = (f64, Vec<u32>);

fn options(beam_size: usize, max_steps: usize, constraints: Constraints) -> BeamOptions {
    BeamOptions {
        beam_size,
        n_best: beam_size,
        length_penalty: 0.0,
        consensus: false,
        limits: Limits {
            max_steps,
            constraints,
            ..Limits::default()
        },
    }
}

fn ranked(captions: &[Caption], penalty: f64) -> Vec<Scored> {
    let one = |caption: &Caption| {
        let mut words = caption.tokens.clone();
        words.extend(caption.finished.then_some(END));
        (caption.log_prob / (words.len() as f64).powf(penalty), words)
    };
    captions.iter().map(one).collect()
}

fn has(words: &[u32], phrase: &[u32]) -> bool {
    words.windows(phrase.len()).any(|window| window == phrase)
}

fn best_first(all: &mut [Scored]) {
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(&a.1)));
}

/// Every sentence of at most `steps` words that keeps to `rules`, best first.
fn exhaustive(
    scores: &dyn Fn(&[u32]) -> Vec<f32>,
    steps: usize,
    rules: &Constraints,
    penalty: f64,
) -> Vec<Scored> {
    let (mut all, mut open) = (vec![], vec![(0.0, vec![])]);
    while let Some((log_prob, words)) = open.pop() {
        if words.last() == Some(&END) || words.len() == steps {
            all.push((log_prob / (words.len() as f64).powf(penalty), words));
            continue;
        }
        for (word, value) in (0u32..).zip(scores(&words)) {
            open.push((log_prob + f64::from(value), [&words[..], &[word]].concat()));
        }
    }
    all.retain(|(_, words)| {
        let said: Vec<u32> = words.iter().copied().filter(|&w| w != END).collect();
        let start = said.starts_with(&rules.start);
        let rest = &said[rules.start.len().min(said.len())..];
        start
            && rules.required.iter().all(|phrase| has(&said, phrase))
            && !rest.iter().any(|word| rules.forbidden.contains(word))
            && (words.len() == said.len() || rules.min_length <= said.len())
    });
    best_first(&mut all);
    all
}

#[test]
fn a_wide_enough_beam_is_exhaustive_search_among_the_allowed_sentences() {
    let rules: [(&[u32], &[&[u32]]); 10] = [
        (&[], &[&[1]]),
        (&[], &[&[1], &[3]]),
        (&[], &[&[1], &[2], &[3]]),
        (&[], &[&[2, 1]]),
        (&[], &[&[1, 1, 2]]),
        (&[], &[&[1, 2], &[2, 3], &[2]]),
        (&[], &[&[3, 1], &[1, 3]]),
        (&[2, 2], &[]),
        (&[2, 1], &[&[1, 3]]),
        (&[3, 1, 2], &[&[1], &[2, 1]]),
    ];
    for seed in 0..30 {
        for (at, (start, required)) in rules.iter().enumerate() {
            let constraints = Constraints {
                start: start.to_vec(),
                required: required.iter().map(|phrase| phrase.to_vec()).collect(),
                min_length: seed as usize % 3,
                ..Constraints::default()
            };
            let penalty = [0.0, 0.7, 1.0, 2.5][(seed as usize + at) % 4];
            let scores = random_scores(seed, 4, 2.0, [-3.0, 0.0, 3.0][seed as usize % 3], false);
            let want = exhaustive(&|words| scores(0, words), 5, &constraints, penalty);
            let toy = Toy::new(4, &scores);
            let mut options = options(4usize.pow(5), 5, constraints);
            options.length_penalty = penalty;
            let got = beam(&toy, &pictures(&[0]), 1, &options).expect("captions");
            assert_eq!(ranked(&got[0], penalty), want, "seed {seed}, rules {at}");
            // Asked for one only, the search may stop early, and must not stop too early.
            options.n_best = 1;
            let got = beam(&toy, &pictures(&[0]), 1, &options).expect("captions");
            assert_eq!(
                ranked(&got[0], penalty),
                want[..1],
                "seed {seed}, rules {at}"
            );
        }
    }
}

/// Which phrases were said, and the longest end of `words` that begins one that was not.
fn state(words: &[u32], phrases: &[Vec<u32>]) -> (Vec<bool>, Vec<u32>) {
    let said: Vec<bool> = phrases.iter().map(|phrase| has(words, phrase)).collect();
    let open = || phrases.iter().zip(&said).filter(|(_, said)| !**said);
    let begins = |end: &[u32]| open().any(|(phrase, _)| phrase.starts_with(end));
    let ends = (0..=words.len()).map(|at| words[at..].to_vec());
    let end = ends.into_iter().find(|end| begins(end));
    (said.clone(), end.unwrap_or_default())
}

/// Whether `left` more words can say what is missing, tried out.
fn possible(words: &[u32], phrases: &[Vec<u32>], left: usize) -> bool {
    let open: Vec<&Vec<u32>> = phrases
        .iter()
        .filter(|phrase| !has(words, phrase))
        .collect();
    if open.is_empty() || left == 0 {
        return open.is_empty();
    }
    let mut next: Vec<u32> = open.into_iter().flatten().copied().collect();
    next.sort_unstable();
    next.dedup();
    next.iter()
        .any(|&word| possible(&[words, &[word]].concat(), phrases, left - 1))
}

/// The search in its plain form: a beam for each state, every word of every beam a candidate, always `steps` steps.
fn plain(
    scores: &dyn Fn(&[u32]) -> Vec<f32>,
    beam_size: usize,
    steps: usize,
    rules: &Constraints,
) -> Vec<Scored> {
    let mut beams: Vec<Scored> = vec![(0.0, vec![])];
    for step in 0..steps {
        let mut banks: BTreeMap<(Vec<bool>, Vec<u32>), Vec<Scored>> = BTreeMap::new();
        for (log_prob, words) in &beams {
            if words.last() == Some(&END) {
                let key = state(&words[..words.len() - 1], &rules.required);
                banks
                    .entry(key)
                    .or_default()
                    .push((*log_prob, words.clone()));
                continue;
            }
            // Of words that no phrase has only the likeliest count, equal ones by the smaller index.
            let mut row: Vec<(u32, f32)> = (0u32..).zip(scores(words)).collect();
            row.sort_by(|a, b| b.1.total_cmp(&a.1));
            let mut others = 0;
            for (word, value) in row {
                if rules.start.get(step).is_some_and(|&given| given != word) {
                    continue;
                }
                let next = [&words[..], &[word]].concat();
                let said = if word == END { words } else { &next };
                let left = steps - step - 1;
                let given = step < rules.start.len();
                if word == END && !rules.required.iter().all(|phrase| has(said, phrase))
                    || !given && !possible(said, &rules.required, left)
                {
                    continue;
                }
                if !rules.required.iter().flatten().any(|&w| w == word) {
                    others += 1;
                    if beam_size < others {
                        continue;
                    }
                }
                let bank = banks.entry(state(said, &rules.required)).or_default();
                bank.push((log_prob + f64::from(value), next));
            }
        }
        beams.clear();
        for (_, mut bank) in banks {
            best_first(&mut bank);
            bank.truncate(beam_size);
            beams.extend(bank);
        }
    }
    beams.retain(|(_, words)| rules.required.iter().all(|phrase| has(words, phrase)));
    best_first(&mut beams);
    beams.truncate(beam_size);
    beams
}

fn phrases() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let phrase = prop::collection::vec(1u32..6, 1..3);
    prop::collection::vec(phrase, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Narrow beams: the very sentences of the plain form, and always with all that is required, however unlikely it is.
    #[test]
    fn equals_its_plain_form(
        seed in any::<u64>(),
        phrases in phrases(),
        start in prop::collection::vec(1u32..7, 0..3),
        beam_size in 1usize..5,
        best in 1usize..5,
        more in 0usize..3,
        spread in 0.0f64..6.0,
        end in -2.0f64..6.0,
        levels in any::<bool>(),
        max_rows in 1usize..300,
    ) {
        let needed: usize = phrases.iter().map(Vec::len).sum();
        let steps = (start.len() + needed + more).max(start.len() + 1);
        let constraints = Constraints { start, required: phrases, ..Constraints::default() };
        let scores = random_scores(seed, 7, spread, end, levels);
        let toy = Toy::new(7, &scores);
        let mut options = options(beam_size, steps, constraints.clone());
        options.n_best = best.min(beam_size);
        options.limits.max_rows = max_rows;
        let keys = [5, 6];
        let got = beam(&toy, &pictures(&keys), 2, &options).expect("captions");
        for (captions, &key) in got.iter().zip(&keys) {
            let mut want = plain(&|words| scores(key, words), beam_size, steps, &constraints);
            want.truncate(options.n_best);
            prop_assert_eq!(&ranked(captions, 0.0), &want);
            prop_assert!(!captions.is_empty());
            for caption in captions {
                prop_assert!(caption.tokens.starts_with(&constraints.start));
                prop_assert!(constraints.required.iter().all(|phrase| has(&caption.tokens, phrase)));
            }
        }
    }

    /// A beam that stops early finds what one that goes on finds.
    #[test]
    fn a_length_penalty_ranks_as_it_says(
        seed in any::<u64>(),
        beam_size in 1usize..6,
        steps in 1usize..8,
        penalty in 0.0f64..3.0,
        end in -4.0f64..6.0,
    ) {
        let scores = random_scores(seed, 9, 3.0, end, false);
        let toy = Toy::new(9, &scores);
        let mut options = options(beam_size, steps, Constraints::default());
        options.length_penalty = penalty;
        let score = |log_prob: f64, words: usize| log_prob / (words as f64).powf(penalty);
        // NeuralTalk's loop with another order, always to the last step.
        let mut beams: Vec<(f64, f64, Vec<u32>)> = vec![(0.0, 0.0, vec![])];
        for _ in 0..steps {
            let mut next = vec![];
            for (s, log_prob, words) in beams {
                if words.last() == Some(&END) {
                    next.push((s, log_prob, words));
                    continue;
                }
                for (word, value) in (0u32..).zip(scores(3, &words)) {
                    let words = [&words[..], &[word]].concat();
                    let log_prob = log_prob + f64::from(value);
                    next.push((score(log_prob, words.len()), log_prob, words));
                }
            }
            next.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.2.cmp(&a.2)));
            next.truncate(beam_size);
            beams = next;
        }
        for n_best in [1, beam_size] {
            options.n_best = n_best;
            let got = beam(&toy, &pictures(&[3]), 1, &options).expect("captions");
            let want: Vec<Vec<u32>> = beams.iter().take(n_best).map(|b| b.2.clone()).collect();
            let found: Vec<Vec<u32>> = ranked(&got[0], penalty).into_iter().map(|r| r.1).collect();
            prop_assert_eq!(found, want);
        }
    }
}

#[test]
fn a_length_penalty_of_none_is_neuraltalk_and_a_large_one_prefers_long_sentences() {
    let scores = random_scores(3, 30, 2.0, 2.0, false);
    let toy = Toy::new(30, &scores);
    let words = |penalty: f64| {
        let mut options = BeamOptions::new(5);
        options.length_penalty = penalty;
        let found = beam(&toy, &pictures(&[1, 2, 3]), 3, &options).expect("captions");
        found.iter().map(|c| c[0].tokens.len()).sum::<usize>()
    };
    assert!(words(0.0) <= words(1.0) && words(1.0) < words(5.0));
}

#[test]
fn a_required_word_does_not_cost_the_other_pictures_their_order() {
    let scores = random_scores(8, 40, 3.0, 1.0, false);
    let toy = Toy::new(40, &scores);
    let keys: Vec<u64> = (0..9).collect();
    let constraints = Constraints {
        required: vec![vec![39], vec![17, 18]],
        ..Constraints::default()
    };
    let options = options(3, 12, constraints);
    let all = beam(&toy, &pictures(&keys), 9, &options).expect("captions");
    for (key, together) in keys.iter().zip(all) {
        let alone = beam(&toy, &pictures(&[*key]), 1, &options).expect("captions");
        assert_eq!(alone[0], together);
    }
}

#[test]
fn greedy_search_and_sampling_begin_as_they_are_told() {
    let scores = random_scores(8, 20, 3.0, 1.0, false);
    let toy = Toy::new(20, &scores);
    let limits = Limits {
        constraints: Constraints {
            start: vec![7, 7, 3],
            forbidden: vec![4],
            no_repeat_ngram: 1,
            ..Constraints::default()
        },
        ..Limits::default()
    };
    let one = greedy(&toy, &pictures(&[1]), 1, &limits).expect("captions");
    assert!(one[0][0].tokens.starts_with(&[7, 7, 3]));
    let beams = BeamOptions {
        limits: limits.clone(),
        ..BeamOptions::new(1)
    };
    assert_eq!(beam(&toy, &pictures(&[1]), 1, &beams), Ok(one));
    let options = SampleOptions {
        samples: 20,
        limits,
        ..SampleOptions::new(1)
    };
    let drawn = sample(&toy, &pictures(&[1]), &[1], &options).expect("captions");
    for caption in &drawn[0] {
        assert!(caption.tokens.starts_with(&[7, 7, 3]), "{caption:?}");
        assert!(!caption.tokens.contains(&4));
        let rest = &caption.tokens[3..];
        assert!((1..rest.len()).all(|i| !rest[..i].contains(&rest[i])));
    }
}

#[test]
fn demands_that_can_not_be_met_are_refused_by_name() {
    let toy = Toy::new(9, |_, _: &[u32]| vec![-2.0; 9]);
    let state = pictures(&[0]);
    let phrases = |phrases: &[&[u32]]| Constraints {
        required: phrases.iter().map(|phrase| phrase.to_vec()).collect(),
        ..Constraints::default()
    };
    let long: Vec<u32> = (0..33).map(|i| 1 + i % 8).collect();
    let cases: [(Constraints, &str); 9] = [
        (
            phrases(&[&[1, 2], &[3, 4, 5]]),
            "max_steps is 4, it must be at least 5, for the words that are required",
        ),
        (
            phrases(&[&[]]),
            "a required phrase is empty, it must be words",
        ),
        (
            phrases(&[&[9]]),
            "a required word is 9, it must be below the vocabulary's 9 words",
        ),
        (
            phrases(&[&[1, 0]]),
            "a required word is 0, it must be neither forbidden nor the end",
        ),
        (
            phrases(&[&[1], &[2], &[3], &[4], &[5], &[6], &[7]]),
            "the number of required phrases is 7, it must be at most 6",
        ),
        (
            phrases(&[&long]),
            "the number of required words is 33, it must be at most 32",
        ),
        (
            Constraints {
                forbidden: vec![2],
                ..phrases(&[&[1, 2]])
            },
            "a required word is 2, it must be neither forbidden nor the end",
        ),
        (
            Constraints {
                no_repeat_ngram: 3,
                ..phrases(&[&[1, 2]])
            },
            "no_repeat_ngram is 3, it must be 0 where a phrase of several words is required",
        ),
        (
            Constraints {
                start: vec![1, 2, 3, 4],
                ..Constraints::default()
            },
            "the start's number of words is 4, it must be less than max_steps, which is 4",
        ),
    ];
    for (constraints, want) in cases {
        let options = options(2, 4, constraints);
        let error = beam(&toy, &state, 1, &options).expect_err(want);
        assert_eq!(error.to_string(), want);
    }
    for penalty in [-0.1, f64::NAN, f64::INFINITY] {
        let mut options = BeamOptions::new(2);
        options.length_penalty = penalty;
        let error = beam(&toy, &state, 1, &options).expect_err("no penalty");
        assert!(error.to_string().starts_with("length_penalty is "));
    }
    // Only beam search can promise a word.
    let limits = options(1, 9, phrases(&[&[1]])).limits;
    let drawn = SampleOptions {
        limits: limits.clone(),
        ..SampleOptions::new(1)
    };
    for error in [
        greedy(&toy, &state, 1, &limits).expect_err("greedy"),
        sample(&toy, &state, &[0], &drawn).expect_err("sampling"),
    ] {
        assert!(matches!(error, GenerateError::Option { .. }), "{error}");
    }
}
