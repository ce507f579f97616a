//! The fused top-down attention against central differences and its plain composition, in f64; the step of inference against
//! the sequence; the same bits for any number of threads, in f32.

mod checks;

use std::sync::Arc;

use checks::{close, disagreement, mixed, random, run};
use proptest::prelude::*;
use tensor::ops::{self, Regions};
use tensor::{Device, Element, Tape, Tensor, Var};

/// I, R, A, P, H.
type Sizes = [usize; 5];

/// Inputs in the order of [`TopDownInputs`].
fn inputs<T: Element>(
    device: &Device,
    [i, r, a, p, h]: Sizes,
    rows: usize,
    seed: u64,
) -> Vec<Tensor<T>> {
    let shapes: [&[usize]; 10] = [
        &[rows, 4 * h],
        &[i, 4 * h],
        &[i, r, a],
        &[i, r, p],
        &[2 * h, 4 * h],
        &[4 * h],
        &[h, a],
        &[a],
        &[p + 2 * h, 4 * h],
        &[4 * h],
    ];
    let shapes = shapes.iter().zip(seed..);
    shapes.map(|(s, seed)| random(device, s, seed)).collect()
}

fn fused<T: Element>(tape: &mut Tape<T>, v: &[Var], image_of: &[usize], live: &[usize]) -> Var {
    let inputs: [Var; 10] = v.try_into().expect("ten inputs");
    ops::top_down(tape, inputs.into(), image_of.into(), live.into())
}

fn exp(tape: &mut Tape<f64>, x: Var) -> Var {
    let mut y = tape.value(x).clone();
    y.data_mut().iter_mut().for_each(|x| *x = x.exp());
    let kept = y.clone();
    tape.push(y, &[x], move |mut gradient, gradients| {
        let numbers = gradient.data_mut().iter_mut().zip(kept.data());
        numbers.for_each(|(g, y)| *g *= y);
        gradients.add(x, gradient);
    })
}

/// One row (1, H) of h1 looks at picture `image`: the context (1, P).
fn look(tape: &mut Tape<f64>, v: &[Var], h1: Var, image: usize) -> Var {
    let [i, r, a] = tape.value(v[2]).shape()[..] else {
        panic!("keys");
    };
    let p = tape.value(v[3]).shape()[2];
    let keys = ops::reshape(tape, v[2], &[i * r, a]);
    let keys = ops::slice_rows(tape, keys, image * r..(image + 1) * r);
    let values = ops::reshape(tape, v[3], &[i * r, p]);
    let values = ops::slice_rows(tape, values, image * r..(image + 1) * r);
    let query = ops::matmul(tape, h1, v[6]);
    let queries = ops::gather(tape, query, vec![0; r].into());
    let sum = ops::add(tape, keys, queries);
    let bent = ops::tanh(tape, sum);
    let score = ops::reshape(tape, v[7], &[a, 1]);
    let scores = ops::matmul(tape, bent, score);
    let scores = ops::reshape(tape, scores, &[1, r]);
    let log_weights = ops::log_softmax(tape, scores);
    let weights = exp(tape, log_weights);
    ops::matmul(tape, weights, values)
}

fn cell(tape: &mut Tape<f64>, gates: Var, past: Option<Var>) -> (Var, Var) {
    let h = tape.value(gates).rows_cols().1 / 4;
    let [i, f, o, g] = [0, 1, 2, 3].map(|k| ops::slice_cols(tape, gates, k * h..(k + 1) * h));
    let [i, f, o] = [i, f, o].map(|x| ops::sigmoid(tape, x));
    let g = ops::tanh(tape, g);
    let mut c = ops::mul(tape, i, g);
    if let Some(past) = past {
        let kept = ops::mul(tape, f, past);
        c = ops::add(tape, c, kept);
    }
    let shown = ops::tanh(tape, c);
    (ops::mul(tape, o, shown), c)
}

/// Each sentence by itself, word by word, out of small operations; rows come out packed.
fn composed(tape: &mut Tape<f64>, v: &[Var], image_of: &[usize], live: &[usize]) -> Var {
    let h = tape.value(v[6]).rows_cols().0;
    let p = tape.value(v[3]).shape()[2];
    let part =
        |tape: &mut Tape<f64>, w: Var, rows: std::ops::Range<usize>| ops::slice_rows(tape, w, rows);
    let mut states: Vec<Option<[Var; 4]>> = vec![None; image_of.len()];
    let (mut all, mut at) = (None, 0);
    for &n in live {
        for (sentence, state) in states[..n].iter_mut().enumerate() {
            let image = image_of[sentence];
            let word = ops::slice_rows(tape, v[0], at..at + 1);
            at += 1;
            let picture = ops::slice_rows(tape, v[1], image..image + 1);
            let mut gates = ops::add(tape, word, picture);
            gates = ops::add_bias(tape, gates, v[5]);
            if let Some([h1, _, h2, _]) = *state {
                for (past, rows) in [(h2, 0..h), (h1, h..2 * h)] {
                    let w = part(tape, v[4], rows);
                    let product = ops::matmul(tape, past, w);
                    gates = ops::add(tape, gates, product);
                }
            }
            let (h1, c1) = cell(tape, gates, state.map(|s| s[1]));
            let context = look(tape, v, h1, image);
            let w = part(tape, v[8], 0..p);
            let mut gates = ops::matmul(tape, context, w);
            gates = ops::add_bias(tape, gates, v[9]);
            let w = part(tape, v[8], p..p + h);
            let product = ops::matmul(tape, h1, w);
            gates = ops::add(tape, gates, product);
            if let Some([_, _, h2, _]) = *state {
                let w = part(tape, v[8], p + h..p + 2 * h);
                let product = ops::matmul(tape, h2, w);
                gates = ops::add(tape, gates, product);
            }
            let (h2, c2) = cell(tape, gates, state.map(|s| s[3]));
            *state = Some([h1, c1, h2, c2]);
            all = Some(match all {
                Some(rows) => ops::concat_rows(tape, rows, h2),
                None => h2,
            });
        }
    }
    all.expect("at least one word")
}

#[test]
fn every_input_has_the_gradient_of_the_value() {
    let device = Device::cpu(2);
    for (image_of, live) in [(vec![1, 0, 1], vec![3, 3, 1]), (vec![0, 2], vec![2])] {
        let rows = live.iter().sum();
        let inputs = inputs::<f64>(&device, [3, 4, 3, 5, 2], rows, 9);
        let worst = disagreement(&inputs, &|tape, v| {
            let y = fused(tape, v, &image_of, &live);
            mixed(tape, y)
        });
        assert!(worst < 1e-6, "relative error {worst:.1e}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn the_fused_sequence_is_the_composed_one(
        mut live in prop::collection::vec(1usize..6, 1..5), i in 1usize..4, r in 1usize..9, a in 1usize..40, p in 1usize..40,
        h in 1usize..20, seed in 0u64..1 << 40,
    ) {
        live.sort_by(|a, b| b.cmp(a));
        let device = Device::cpu(2);
        let image_of: Vec<usize> = (0..live[0]).map(|s| (s * 7 + seed as usize) % i).collect();
        let inputs = inputs::<f64>(&device, [i, r, a, p, h], live.iter().sum(), seed);
        let quick = run(&inputs, &|tape, v| { let y = fused(tape, v, &image_of, &live); mixed(tape, y) });
        let slow = run(&inputs, &|tape, v| { let y = composed(tape, v, &image_of, &live); mixed(tape, y) });
        close("top-down", &quick, &slow);
    }
}

#[test]
fn weights_are_a_distribution_and_contexts_their_mean() {
    let device = Device::cpu(2);
    let regions = Regions {
        keys: random::<f32>(&device, &[2, 49, 33], 1),
        values: random(&device, &[2, 49, 70], 2),
    };
    let score = random::<f32>(&device, &[33], 3);
    let queries = random::<f32>(&device, &[3, 33], 4);
    let (mut weights, mut contexts) = (vec![9.0; 3 * 49], vec![9.0; 3 * 70]);
    let image_of = [1, 0, 1];
    ops::attend(
        &regions,
        score.data(),
        queries.data(),
        &image_of,
        &mut weights,
        &mut contexts,
    );
    for (row, &image) in image_of.iter().enumerate() {
        let weights = &weights[row * 49..(row + 1) * 49];
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        for j in 0..70 {
            let value = |i: usize| f64::from(regions.values.data()[(image * 49 + i) * 70 + j]);
            let want: f64 = weights
                .iter()
                .enumerate()
                .map(|(i, &w)| f64::from(w) * value(i))
                .sum();
            let found = f64::from(contexts[row * 70 + j]);
            assert!((found - want).abs() < 1e-5, "{found} and {want}");
        }
    }
}

#[test]
fn nothing_depends_on_the_number_of_threads() {
    let step = |threads| {
        let device = Device::cpu(threads);
        let live: Arc<[usize]> = [60, 60, 41, 7].into();
        let image_of: Vec<usize> = (0..60).map(|s| s * 5 % 13).collect();
        let inputs = inputs::<f32>(&device, [13, 49, 64, 96, 80], live.iter().sum(), 3);
        let (loss, gradients) = run(&inputs, &|tape, v| {
            let y = fused(tape, v, &image_of, &live);
            mixed(tape, y)
        });
        let bits = gradients.iter().flat_map(|g| g.data()).map(|x| x.to_bits());
        (loss.to_bits(), bits.collect::<Vec<_>>())
    };
    let one = step(1);
    for threads in [2, 3, 8] {
        assert!(one == step(threads), "{threads} threads");
    }
}
