//! Sampling: frequencies against probabilities, cuts, and draws that depend on nothing else.

mod toy;

use std::collections::HashMap;

use generate::{Caption, GenerateError, Limits, SampleOptions, greedy, sample};
use toy::{Toy, pictures, random_scores};

/// Sentences of one word: END is certain after it.
fn one_word(probabilities: &[f64]) -> impl Fn(u64, &[u32]) -> Vec<f32> + use<> {
    let row: Vec<f32> = probabilities
        .iter()
        .map(|p| (1e-20 + p).ln() as f32)
        .collect();
    move |_, words| {
        if words.is_empty() {
            return row.clone();
        }
        let mut end = vec![f32::NEG_INFINITY; row.len()];
        end[0] = 0.0;
        end
    }
}

/// How often each word came in `draws` draws of the first word.
fn frequencies(probabilities: &[f64], draws: usize, options: &SampleOptions) -> Vec<f64> {
    let toy = Toy::new(probabilities.len(), one_word(probabilities));
    let options = SampleOptions {
        samples: draws,
        ..options.clone()
    };
    let got = sample(&toy, &pictures(&[0]), &[42], &options).expect("captions");
    assert_eq!(got[0].len(), draws);
    let mut counts = vec![0.0; probabilities.len()];
    for caption in &got[0] {
        assert!(caption.finished);
        counts[caption.tokens.first().map_or(0, |&word| word as usize)] += 1.0;
    }
    counts
}

/// Pearson's statistic; infinite if a word came that has no probability.
fn chi_square(counts: &[f64], expected: &[f64]) -> f64 {
    let sum: f64 = counts.iter().sum();
    let term = |(&count, &p): (&f64, &f64)| match (count, p * sum) {
        (0.0, 0.0) => 0.0,
        (count, expected) => (count - expected).powi(2) / expected,
    };
    counts.iter().zip(expected).map(term).sum()
}

const WORDS: [f64; 6] = [0.05, 0.4, 0.02, 0.25, 0.18, 0.1];

/// WORDS with the words outside `kept` gone and each to the given power, normalised.
fn reshaped(kept: &[usize], power: f64) -> Vec<f64> {
    let weight = |i: usize| {
        if kept.contains(&i) {
            WORDS[i].powf(power)
        } else {
            0.0
        }
    };
    let sum: f64 = (0..6).map(weight).sum();
    (0..6).map(|i| weight(i) / sum).collect()
}

#[test]
fn frequencies_follow_the_distribution() {
    let all = [0, 1, 2, 3, 4, 5];
    let plain = SampleOptions::new(7);
    let cases = [
        (SampleOptions { ..plain.clone() }, reshaped(&all, 1.0)),
        (
            SampleOptions {
                temperature: 0.5,
                ..plain.clone()
            },
            reshaped(&all, 2.0),
        ),
        (
            SampleOptions {
                temperature: 4.0,
                ..plain.clone()
            },
            reshaped(&all, 0.25),
        ),
        (
            SampleOptions {
                top_k: Some(3),
                ..plain.clone()
            },
            reshaped(&[1, 3, 4], 1.0),
        ),
        (
            SampleOptions {
                top_k: Some(99),
                ..plain.clone()
            },
            reshaped(&all, 1.0),
        ),
        // 0.4 + 0.25 = 0.65 falls short of 0.7, so that the third word is in as well.
        (
            SampleOptions {
                top_p: Some(0.7),
                ..plain.clone()
            },
            reshaped(&[1, 3, 4], 1.0),
        ),
        (
            SampleOptions {
                top_p: Some(0.6),
                ..plain.clone()
            },
            reshaped(&[1, 3], 1.0),
        ),
        (
            SampleOptions {
                top_p: Some(1.0),
                ..plain.clone()
            },
            reshaped(&all, 1.0),
        ),
        // Top-p counts on what top-k left: three of the best four have 0.83 of 0.93, three of all
        // only 0.83.
        (
            SampleOptions {
                top_k: Some(4),
                top_p: Some(0.85),
                ..plain.clone()
            },
            reshaped(&[1, 3, 4], 1.0),
        ),
        (
            SampleOptions {
                top_p: Some(0.85),
                ..plain.clone()
            },
            reshaped(&[1, 3, 4, 5], 1.0),
        ),
        // The temperature comes before the cut: squares are 0.16, 0.0625, 0.0324 … of 0.2709.
        (
            SampleOptions {
                temperature: 0.5,
                top_p: Some(0.8),
                ..plain.clone()
            },
            reshaped(&[1, 3], 2.0),
        ),
    ];
    for (options, expected) in cases {
        let counts = frequencies(&WORDS, 20_000, &options);
        let statistic = chi_square(&counts, &expected);
        // 20.5 is the 99.9 % quantile for five degrees of freedom; the seed is fixed.
        assert!(
            statistic < 20.5,
            "{options:?}: {statistic:.1}, counts {counts:?}"
        );
    }
}

#[test]
fn a_nucleus_wider_than_the_first_guess_is_found() {
    // 1,000 nearly equal words: the nucleus of 0.5 has about 500 of them.
    let weights: Vec<f64> = (0..1000).map(|i| 1.0 + 1e-3 * (i as f64)).collect();
    let sum: f64 = weights.iter().sum();
    let probabilities: Vec<f64> = weights.iter().map(|w| w / sum).collect();
    let mut running = 0.0;
    let kept = probabilities.iter().rev().take_while(|&&p| {
        let short = running < 0.5;
        running += p;
        short
    });
    let kept = kept.count();
    let options = SampleOptions {
        top_p: Some(0.5),
        ..SampleOptions::new(3)
    };
    let counts = frequencies(&probabilities, 20_000, &options);
    let (outside, inside) = counts.split_at(1000 - kept);
    assert_eq!(outside.iter().sum::<f64>(), 0.0);
    // 20,000 draws from about 430 words: each is expected 46 times.
    assert!(inside.iter().all(|&count| 15.0 < count), "{inside:?}");
}

#[test]
fn a_picture_gives_the_same_captions_in_any_batch_and_order() {
    let scores = random_scores(1, 30, 2.0, 0.0, false);
    let toy = Toy::new(30, scores);
    let keys = [5, 9, 2, 77, 31];
    let mut options = SampleOptions {
        samples: 4,
        ..SampleOptions::new(11)
    };
    let all = sample(&toy, &pictures(&keys), &keys, &options).expect("captions");
    for (i, &key) in keys.iter().enumerate() {
        let alone = sample(&toy, &pictures(&[key]), &[key], &options).expect("captions");
        assert_eq!(alone[0], all[i]);
    }
    let backwards: Vec<u64> = keys.iter().rev().copied().collect();
    let mut got = sample(&toy, &pictures(&backwards), &backwards, &options).expect("captions");
    got.reverse();
    assert_eq!(got, all);
    toy.rows.borrow_mut().clear();
    options.limits.max_rows = 5;
    assert_eq!(
        sample(&toy, &pictures(&keys), &keys, &options).expect("captions"),
        all
    );
    assert!(
        toy.rows.borrow().iter().all(|&rows| rows <= 5),
        "no more rows than allowed"
    );
    assert!(all.iter().flatten().all(|c| c.log_prob <= 0.0));
    // More samples keep those that there were.
    options.samples = 6;
    let more = sample(&toy, &pictures(&keys), &keys, &options).expect("captions");
    for (some, more) in all.iter().zip(&more) {
        assert!(some.iter().all(|caption| more.contains(caption)));
    }
}

#[test]
fn seeds_keys_and_samples_draw_differently() {
    let toy = Toy::new(30, |_, words: &[u32]| {
        random_scores(1, 30, 0.1, -3.0, false)(0, words)
    });
    let mut seen: HashMap<Vec<u32>, usize> = HashMap::new();
    for seed in 0..5 {
        let options = SampleOptions {
            samples: 10,
            ..SampleOptions::new(seed)
        };
        let got = sample(&toy, &pictures(&[0, 0]), &[0, 1], &options).expect("captions");
        for Caption { tokens, .. } in got.into_iter().flatten() {
            *seen.entry(tokens).or_default() += 1;
        }
    }
    // 100 sentences of up to 20 nearly uniform words: a repetition means a repeated stream, but
    // for the few that end at once.
    let longer: Vec<_> = seen.iter().filter(|(tokens, _)| tokens.len() > 4).collect();
    assert!(longer.len() > 80, "{}", longer.len());
    assert!(longer.iter().all(|(_, times)| **times == 1), "{longer:?}");
}

#[test]
fn captions_are_sorted_and_carry_the_models_own_probability() {
    let scores = random_scores(4, 12, 2.0, 0.0, false);
    let toy = Toy::new(12, &scores);
    let options = SampleOptions {
        samples: 20,
        temperature: 3.0,
        top_k: Some(5),
        ..SampleOptions::new(0)
    };
    let got = sample(&toy, &pictures(&[8]), &[8], &options).expect("captions");
    assert!(got[0].is_sorted_by(|a, b| a.log_prob >= b.log_prob));
    for caption in &got[0] {
        let mut words = caption.tokens.clone();
        words.extend(caption.finished.then_some(0));
        let of_model = |(t, &word): (usize, &u32)| scores(8, &words[..t])[word as usize];
        let want: Vec<f32> = words.iter().enumerate().map(of_model).collect();
        assert_eq!(caption.word_log_probs, want);
        assert_eq!(
            caption.log_prob,
            want.iter().fold(0.0, |sum, &v| sum + f64::from(v))
        );
    }
}

#[test]
fn the_limits_of_sampling_are_greedy_search() {
    let toy = Toy::new(40, random_scores(9, 40, 3.0, 0.0, false));
    let state = pictures(&[1, 2, 3]);
    let want = greedy(&toy, &state, 3, &Limits::default()).expect("captions");
    let plain = SampleOptions::new(5);
    for options in [
        SampleOptions {
            temperature: 1e-9,
            ..plain.clone()
        },
        SampleOptions {
            top_k: Some(1),
            ..plain.clone()
        },
        SampleOptions {
            top_p: Some(1e-9),
            ..plain.clone()
        },
    ] {
        let got = sample(&toy, &state, &[1, 2, 3], &options).expect("captions");
        assert_eq!(got, want, "{options:?}");
    }
}

#[test]
fn impossible_options_and_rows_are_errors() {
    let toy = Toy::new(3, one_word(&[0.5, 0.25, 0.25]));
    let plain = SampleOptions::new(0);
    for (options, want) in [
        (
            SampleOptions {
                temperature: 0.0,
                ..plain.clone()
            },
            "temperature is 0, it must be a finite number above 0",
        ),
        (
            SampleOptions {
                temperature: f64::NAN,
                ..plain.clone()
            },
            "temperature is NaN, it must be a finite number above 0",
        ),
        (
            SampleOptions {
                temperature: f64::INFINITY,
                ..plain.clone()
            },
            "temperature is inf, it must be a finite number above 0",
        ),
        (
            SampleOptions {
                top_k: Some(0),
                ..plain.clone()
            },
            "top_k is 0, it must be at least 1",
        ),
        (
            SampleOptions {
                top_p: Some(0.0),
                ..plain.clone()
            },
            "top_p is 0, it must be above 0 and at most 1",
        ),
        (
            SampleOptions {
                top_p: Some(1.5),
                ..plain.clone()
            },
            "top_p is 1.5, it must be above 0 and at most 1",
        ),
        (
            SampleOptions {
                top_p: Some(f64::NAN),
                ..plain.clone()
            },
            "top_p is NaN, it must be above 0 and at most 1",
        ),
        (
            SampleOptions {
                limits: Limits {
                    max_steps: 0,
                    ..Limits::default()
                },
                ..plain.clone()
            },
            "max_steps is 0, it must be at least 1",
        ),
    ] {
        let error = sample(&toy, &pictures(&[0]), &[0], &options).expect_err(want);
        assert_eq!(error.to_string(), want);
    }
    let none = SampleOptions {
        samples: 0,
        ..plain.clone()
    };
    assert_eq!(
        sample(&toy, &pictures(&[0, 1]), &[0, 1], &none),
        Ok(vec![vec![], vec![]])
    );

    let dead = Toy::new(3, |_, _: &[u32]| vec![f32::NEG_INFINITY; 3]);
    let nan = Toy::new(3, |_, _: &[u32]| vec![-1.0, f32::NAN, -1.0]);
    for cut in [None, Some(2)] {
        let options = SampleOptions {
            top_k: cut,
            ..plain.clone()
        };
        let error = sample(&dead, &pictures(&[0]), &[0], &options);
        assert_eq!(
            error,
            Err(GenerateError::NoWord {
                picture: 0,
                step: 0
            })
        );
        let error = sample(&nan, &pictures(&[0]), &[0], &options).expect_err("NaN");
        assert!(
            matches!(error, GenerateError::NotALogProb { word: 1, .. }),
            "{error}"
        );
    }
    let options = SampleOptions {
        top_p: Some(0.5),
        ..plain
    };
    let error = sample(&dead, &pictures(&[0]), &[0], &options);
    assert_eq!(
        error,
        Err(GenerateError::NoWord {
            picture: 0,
            step: 0
        })
    );
}
