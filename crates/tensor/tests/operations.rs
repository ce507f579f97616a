//! Every operation against central differences, and every large one against its plain
//! composition from small ones, in f64; and the same bits for any number of threads, in f32.

mod checks;

use std::sync::Arc;

use checks::{close, disagreement, mixed, random, run};
use proptest::prelude::*;
use tensor::ops::{self, LstmWeights, Mask, RnnInputs, Targets};
use tensor::random::Random;
use tensor::{Device, Element, Tape, Tensor, Var};

type Build = Box<dyn Fn(&mut Tape<f64>, &[Var]) -> Var>;

/// One line an operation: this table is the inventory of what is differentiated.
#[test]
fn every_operation_has_the_gradient_of_its_value() {
    let device = Device::cpu(2);
    let t = |shape: &[usize], seed| random::<f64>(&device, shape, seed);
    let live: Arc<[usize]> = [3, 3, 2, 1].into();
    let mask = || Mask::random(&Device::cpu(1), (4, 6), 0.4, 3, 1);
    let lstm = |tanh_c: bool, live: Arc<[usize]>| -> Build {
        Box::new(move |tape, v| {
            let weights = LstmWeights {
                input: v[1],
                hidden: v[2],
                bias: v[3],
            };
            let h = ops::lstm(tape, v[0], weights, live.clone(), tanh_c);
            mixed(tape, h)
        })
    };
    let rnn = |feed_once: bool| -> Build {
        let live = live.clone();
        Box::new(move |tape, v| {
            let inputs = RnnInputs {
                picture: v[0],
                words: v[1],
                hidden: v[2],
                bias: v[3],
            };
            let h = ops::rnn(tape, inputs, live.clone(), feed_once, None);
            mixed(tape, h)
        })
    };
    let cases: Vec<(&str, Vec<Tensor<f64>>, Build)> = vec![
        (
            "add",
            vec![t(&[4, 6], 1), t(&[4, 6], 2)],
            Box::new(|tape, v| {
                let y = ops::add(tape, v[0], v[1]);
                mixed(tape, y)
            }),
        ),
        (
            "add, the same twice",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| {
                let y = ops::add(tape, v[0], v[0]);
                mixed(tape, y)
            }),
        ),
        (
            "add_bias",
            vec![t(&[4, 6], 1), t(&[6], 2)],
            Box::new(|tape, v| {
                let y = ops::add_bias(tape, v[0], v[1]);
                mixed(tape, y)
            }),
        ),
        (
            "mul",
            vec![t(&[4, 6], 1), t(&[4, 6], 2)],
            Box::new(|tape, v| {
                let y = ops::mul(tape, v[0], v[1]);
                mixed(tape, y)
            }),
        ),
        (
            "scale",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| {
                let y = ops::scale(tape, v[0], -2.5);
                mixed(tape, y)
            }),
        ),
        (
            "relu",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| {
                let y = ops::relu(tape, v[0]);
                mixed(tape, y)
            }),
        ),
        (
            "sigmoid",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| {
                let y = ops::sigmoid(tape, v[0]);
                mixed(tape, y)
            }),
        ),
        (
            "tanh",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| {
                let y = ops::tanh(tape, v[0]);
                mixed(tape, y)
            }),
        ),
        (
            "sum",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| ops::sum(tape, v[0])),
        ),
        (
            "matmul",
            vec![t(&[4, 6], 1), t(&[6, 3], 2)],
            Box::new(|tape, v| {
                let y = ops::matmul(tape, v[0], v[1]);
                mixed(tape, y)
            }),
        ),
        (
            "linear",
            vec![t(&[4, 6], 1), t(&[6, 3], 2), t(&[3], 3)],
            Box::new(|tape, v| {
                let y = ops::linear(tape, v[0], v[1], v[2]);
                mixed(tape, y)
            }),
        ),
        (
            "gather",
            vec![t(&[5, 3], 1)],
            Box::new(|tape, v| {
                let y = ops::gather(tape, v[0], [4, 0, 4, 2, 4].into());
                mixed(tape, y)
            }),
        ),
        (
            "concat_rows",
            vec![t(&[2, 3], 1), t(&[4, 3], 2)],
            Box::new(|tape, v| {
                let y = ops::concat_rows(tape, v[0], v[1]);
                mixed(tape, y)
            }),
        ),
        (
            "slice_rows",
            vec![t(&[5, 3], 1)],
            Box::new(|tape, v| {
                let y = ops::slice_rows(tape, v[0], 1..4);
                mixed(tape, y)
            }),
        ),
        (
            "slice_cols",
            vec![t(&[5, 4], 1)],
            Box::new(|tape, v| {
                let y = ops::slice_cols(tape, v[0], 1..3);
                mixed(tape, y)
            }),
        ),
        (
            "dropout",
            vec![t(&[4, 6], 1)],
            Box::new(move |tape, v| {
                let y = ops::dropout(tape, v[0], &mask());
                mixed(tape, y)
            }),
        ),
        (
            "log_softmax",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| {
                let y = ops::log_softmax(tape, v[0]);
                mixed(tape, y)
            }),
        ),
        (
            "pick",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| {
                let y = ops::pick(tape, v[0], [5, 0, 3, 3].into());
                mixed(tape, y)
            }),
        ),
        (
            "lstm, h = o c",
            vec![t(&[9, 3], 1), t(&[3, 8], 2), t(&[2, 8], 3), t(&[8], 4)],
            lstm(false, live.clone()),
        ),
        (
            "lstm, h = o tanh(c)",
            vec![t(&[9, 3], 1), t(&[3, 8], 2), t(&[2, 8], 3), t(&[8], 4)],
            lstm(true, live.clone()),
        ),
        (
            "lstm, one step",
            vec![t(&[2, 3], 1), t(&[3, 8], 2), t(&[2, 8], 3), t(&[8], 4)],
            lstm(true, [2].into()),
        ),
        (
            "rnn",
            vec![t(&[3, 4], 1), t(&[9, 4], 2), t(&[4, 4], 3), t(&[4], 4)],
            rnn(false),
        ),
        (
            "rnn, picture once",
            vec![t(&[3, 4], 1), t(&[9, 4], 2), t(&[4, 4], 3), t(&[4], 4)],
            rnn(true),
        ),
        (
            "output_cross_entropy",
            vec![t(&[5, 3], 1), t(&[3, 7], 2), t(&[7], 3)],
            Box::new(|tape, v| {
                let targets = Targets {
                    words: &[0, 6, 3, 3, 1],
                    weights: &[1.0, 0.5, -2.0, 0.0, 1.0],
                    smoothing: 0.0,
                };
                ops::output_cross_entropy(tape, (v[0], v[1], v[2]), targets).0
            }),
        ),
        (
            "output_cross_entropy, smoothed",
            vec![t(&[5, 3], 1), t(&[3, 7], 2), t(&[7], 3)],
            Box::new(|tape, v| {
                let targets = Targets {
                    words: &[0, 6, 3, 3, 1],
                    weights: &[1.0, 0.5, -2.0, 0.0, 1.0],
                    smoothing: 0.2,
                };
                ops::output_cross_entropy(tape, (v[0], v[1], v[2]), targets).0
            }),
        ),
        (
            "output_cross_entropy, scaled",
            vec![t(&[5, 3], 1), t(&[3, 7], 2), t(&[7], 3)],
            Box::new(|tape, v| {
                let targets = Targets {
                    words: &[0, 6, 3, 3, 1],
                    weights: &[1.0; 5],
                    smoothing: 0.0,
                };
                let loss = ops::output_cross_entropy(tape, (v[0], v[1], v[2]), targets).0;
                ops::scale(tape, loss, 3.0)
            }),
        ),
    ];
    for (operation, inputs, build) in cases {
        let worst = disagreement(&inputs, &*build);
        assert!(worst < 1e-7, "{operation}: relative error {worst:.1e}");
    }
}

/// The same LSTM out of products, slices and sums, step by step.
fn composed_lstm<T: Element>(tape: &mut Tape<T>, v: &[Var], live: &[usize], tanh_c: bool) -> Var {
    let h = tape.value(v[2]).shape()[0];
    let (mut state, mut all, mut at): (Option<(Var, Var)>, Option<Var>, usize) = (None, None, 0);
    for &n in live {
        let x = ops::slice_rows(tape, v[0], at..at + n);
        at += n;
        let mut gates = ops::matmul(tape, x, v[1]);
        if let Some((hidden, _)) = state {
            let past = ops::slice_rows(tape, hidden, 0..n);
            let product = ops::matmul(tape, past, v[2]);
            gates = ops::add(tape, gates, product);
        }
        gates = ops::add_bias(tape, gates, v[3]);
        let [i, f, o, g] = [0, 1, 2, 3].map(|k| ops::slice_cols(tape, gates, k * h..(k + 1) * h));
        let [i, f, o] = [i, f, o].map(|x| ops::sigmoid(tape, x));
        let g = ops::tanh(tape, g);
        let mut c = ops::mul(tape, i, g);
        if let Some((_, cells)) = state {
            let past = ops::slice_rows(tape, cells, 0..n);
            let kept = ops::mul(tape, f, past);
            c = ops::add(tape, c, kept);
        }
        let shown = if tanh_c { ops::tanh(tape, c) } else { c };
        let hidden = ops::mul(tape, o, shown);
        all = Some(match all {
            Some(rows) => ops::concat_rows(tape, rows, hidden),
            None => hidden,
        });
        state = Some((hidden, c));
    }
    all.expect("at least one step")
}

/// The same recurrence out of small operations.
fn composed_rnn<T: Element>(tape: &mut Tape<T>, v: &[Var], live: &[usize], feed_once: bool) -> Var {
    let (mut state, mut all, mut at): (Option<Var>, Option<Var>, usize) = (None, None, 0);
    for (t, &n) in live.iter().enumerate() {
        let words = ops::slice_rows(tape, v[1], at..at + n);
        at += n;
        let mut sum = ops::add_bias(tape, words, v[3]);
        if !feed_once || t == 0 {
            let picture = ops::slice_rows(tape, v[0], 0..n);
            sum = ops::add(tape, sum, picture);
        }
        if let Some(hidden) = state {
            let past = ops::slice_rows(tape, hidden, 0..n);
            let product = ops::matmul(tape, past, v[2]);
            sum = ops::add(tape, sum, product);
        }
        let hidden = ops::relu(tape, sum);
        all = Some(match all {
            Some(rows) => ops::concat_rows(tape, rows, hidden),
            None => hidden,
        });
        state = Some(hidden);
    }
    all.expect("at least one step")
}

/// The same loss out of a product, a log-softmax and a pick.
fn composed_cross_entropy<T: Element>(
    tape: &mut Tape<T>,
    v: &[Var],
    targets: Targets<'_, T>,
) -> Var {
    let device = tape.device().clone();
    let logits = ops::linear(tape, v[0], v[1], v[2]);
    let log_p = ops::log_softmax(tape, logits);
    let words = targets.words.iter().map(|&t| t as usize).collect();
    let picked = ops::pick(tape, log_p, words);
    let (rows, width) = tape.value(log_p).rows_cols();
    let weights = tape.constant(Tensor::new(&device, &[rows], targets.weights.to_vec()));
    let weighted = ops::mul(tape, picked, weights);
    let total = ops::sum(tape, weighted);
    let words = ops::scale(tape, total, targets.smoothing - 1.0);
    // The mean over the vocabulary of every row, weighted.
    let spread = targets.weights.iter().flat_map(|&w| vec![w; width]);
    let spread = tape.constant(Tensor::new(&device, &[rows, width], spread.collect()));
    let all = ops::mul(tape, log_p, spread);
    let all = ops::sum(tape, all);
    let all = ops::scale(tape, all, -targets.smoothing / width as f64);
    ops::add(tape, words, all)
}

/// Live rows of up to six sentences of up to five steps.
fn lives() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..7, 1..6).prop_map(|mut live| {
        live.sort_by(|a, b| b.cmp(a));
        live
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_fused_lstm_is_the_composed_one(live in lives(), e in 1usize..40, h in 1usize..40, tanh_c: bool, seed: u64) {
        let device = Device::cpu(2);
        let rows: usize = live.iter().sum();
        let inputs = [
            random::<f64>(&device, &[rows, e], seed), random(&device, &[e, 4 * h], seed ^ 1),
            random(&device, &[h, 4 * h], seed ^ 2), random(&device, &[4 * h], seed ^ 3),
        ];
        let fused = run(&inputs, &|tape, v| {
            let weights = LstmWeights { input: v[1], hidden: v[2], bias: v[3] };
            let y = ops::lstm(tape, v[0], weights, live.clone().into(), tanh_c);
            mixed(tape, y)
        });
        let plain = run(&inputs, &|tape, v| { let y = composed_lstm(tape, v, &live, tanh_c); mixed(tape, y) });
        close("lstm", &fused, &plain);
    }

    #[test]
    fn the_fused_rnn_is_the_composed_one(live in lives(), h in 1usize..40, feed_once: bool, seed: u64) {
        let device = Device::cpu(2);
        let rows: usize = live.iter().sum();
        let inputs = [
            random::<f64>(&device, &[live[0], h], seed), random(&device, &[rows, h], seed ^ 1),
            random(&device, &[h, h], seed ^ 2), random(&device, &[h], seed ^ 3),
        ];
        let fused = run(&inputs, &|tape, v| {
            let inputs = RnnInputs { picture: v[0], words: v[1], hidden: v[2], bias: v[3] };
            let y = ops::rnn(tape, inputs, live.clone().into(), feed_once, None);
            mixed(tape, y)
        });
        let plain = run(&inputs, &|tape, v| { let y = composed_rnn(tape, v, &live, feed_once); mixed(tape, y) });
        close("rnn", &fused, &plain);
    }

    #[test]
    fn the_fused_output_layer_is_the_composed_one(rows in 1usize..700, h in 1usize..9, v in 1usize..70, smooth: bool, seed: u64) {
        let device = Device::cpu(2);
        let inputs = [random::<f64>(&device, &[rows, h], seed), random(&device, &[h, v], seed ^ 1), random(&device, &[v], seed ^ 2)];
        let mut draw = Random::new(seed, 5);
        let words: Vec<u32> = (0..rows).map(|_| (draw.uniform() * v as f64) as u32).collect();
        let weights: Vec<f64> = (0..rows).map(|_| draw.uniform() - 0.3).collect();
        let targets = Targets { words: &words, weights: &weights, smoothing: if smooth { 0.1 } else { 0.0 } };
        let fused = run(&inputs, &|tape, x| ops::output_cross_entropy(tape, (x[0], x[1], x[2]), targets).0);
        let plain = run(&inputs, &|tape, x| composed_cross_entropy(tape, x, targets));
        close("output layer", &fused, &plain);
        // Without gradients the same losses come out.
        let mut tape = Tape::new(&device);
        let vars: Vec<Var> = inputs.iter().map(|i| tape.constant(i.clone())).collect();
        let (loss, words) = ops::output_cross_entropy(&mut tape, (vars[0], vars[1], vars[2]), targets);
        prop_assert!((tape.value(loss).item() - plain.0).abs() < 1e-10 * plain.0.abs().max(1.0));
        prop_assert_eq!(words.into_vec().len(), rows);
    }
}

/// Word 1, once.
const ONE: Targets<'static, f64> = Targets {
    words: &[1],
    weights: &[1.0],
    smoothing: 0.0,
};

#[test]
fn the_loss_of_a_hopeless_word_has_neuraltalks_floor() {
    let device = Device::cpu(1);
    let mut tape = Tape::<f64>::new(&device);
    let hidden = tape.constant(Tensor::new(&device, &[1, 1], vec![1.0]));
    let weight = tape.constant(Tensor::new(&device, &[1, 2], vec![200.0, 0.0]));
    let bias = tape.constant(Tensor::zeros(&device, &[2]));
    let (_, losses) = ops::output_cross_entropy(&mut tape, (hidden, weight, bias), ONE);
    let losses = losses.into_vec();
    assert!((losses[0] - 1e20f64.ln()).abs() < 1e-9, "{}", losses[0]);
}

#[test]
fn nothing_depends_on_the_number_of_threads() {
    let step = |threads| {
        let device = Device::cpu(threads);
        let live: Vec<usize> = vec![60, 60, 55, 40, 22, 3];
        let rows: usize = live.iter().sum();
        let (e, h, v) = (96, 80, 1500);
        let inputs = [
            random::<f32>(&device, &[700, e], 1),
            random(&device, &[e, 4 * h], 2),
            random(&device, &[h, 4 * h], 3),
            random(&device, &[4 * h], 4),
            random(&device, &[h, v], 5),
            random(&device, &[v], 6),
        ];
        let targets: Vec<u32> = (0..rows as u32).map(|i| i * 7 % v as u32).collect();
        let indices: Arc<[usize]> = (0..rows).map(|i| i * 31 % 50).collect();
        let (loss, gradients) = run(&inputs, &|tape, x| {
            let words = ops::gather(tape, x[0], indices.clone());
            let mask = Mask::random(tape.device(), (rows, e), 0.5, 1, 2);
            let words = ops::dropout(tape, words, &mask);
            let weights = LstmWeights {
                input: x[1],
                hidden: x[2],
                bias: x[3],
            };
            let hidden = ops::lstm(tape, words, weights, live.clone().into(), false);
            let targets = Targets {
                words: &targets,
                weights: &vec![1.0; rows],
                smoothing: 0.0,
            };
            ops::output_cross_entropy(tape, (hidden, x[4], x[5]), targets).0
        });
        let bits: Vec<Vec<u32>> = gradients
            .iter()
            .map(|g| g.data().iter().map(|x| x.to_bits()).collect())
            .collect();
        (loss.to_bits(), bits)
    };
    let one = step(1);
    for threads in [2, 3, 8] {
        assert!(one == step(threads), "{threads} threads");
    }
}

#[test]
fn nan_reaches_the_loss() {
    let device = Device::cpu(1);
    let mut tape = Tape::<f32>::new(&device);
    let hidden = tape.constant(Tensor::new(&device, &[1, 2], vec![1.0, f32::NAN]));
    let weight = tape.constant(random(&device, &[2, 100], 1));
    let bias = tape.constant(Tensor::zeros(&device, &[100]));
    let targets = Targets {
        words: &[1],
        weights: &[1.0],
        smoothing: 0.0,
    };
    let (_, losses) = ops::output_cross_entropy(&mut tape, (hidden, weight, bias), targets);
    assert!(losses.into_vec()[0].is_nan());
}

#[test]
fn log_probabilities_are_those_of_a_composed_output_layer() {
    for width in [1, 5, 31, 64, 700] {
        let device = Device::cpu(2);
        let mut random = Random::new(11, width as u64);
        let mut draw = |shape: &[usize], by: f64| {
            let numbers = (0..shape.iter().product()).map(|_| by * (random.uniform() - 0.5));
            Tensor::<f64>::new(&device, shape, numbers.collect())
        };
        // The bias spreads probabilities far below 1e-20. Above e^-30 it is left out: 1e-7 of p.
        let (h, w, b) = (
            draw(&[7, 4], 2.0),
            draw(&[4, width], 2.0),
            draw(&[width], 150.0),
        );
        let mut tape = Tape::new(&device);
        let v = [&h, &w, &b].map(|t| tape.constant(t.clone()));
        let logits = ops::linear(&mut tape, v[0], v[1], v[2]);
        let log_p = ops::log_softmax(&mut tape, logits);
        let mut found = vec![7.0; 7 * width];
        ops::log_probabilities(&h, &w, &b, &mut found);
        for (&found, log_p) in found.iter().zip(tape.value(log_p).data()) {
            let want = (1e-20 + log_p.exp()).ln();
            assert!((found - want).abs() < 2e-7, "{found} and {want}");
        }
    }
}
