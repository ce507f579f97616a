//! Every operation that has kernels, on the emulated GPU against the CPU: values and gradients, on random shapes.
//!
//! With NEURALTALK_TEST_GPU=0 (a number) the same cases run on that GPU; `benchmarks/gpu` does that.

#[path = "../../cuda/tests/emulator/mod.rs"]
mod emulator;

mod checks;

use std::sync::Arc;

use checks::{mixed, random};
use cuda::Precision;
use emulator::Call;
use tensor::inference::{self, Activation, Affine};
use tensor::ops::{self, LstmWeights, Mask, Norm, Padding, RnnInputs, Statistics, Targets};
use tensor::random::Random;
use tensor::step::{self, Choice};
use tensor::update::{self, Prepare, Rule};
use tensor::{Device, Table, Tape, Tensor, Var};

type Build = Box<dyn Fn(&mut Tape<f32>, &[Var]) -> Var>;

/// Name, shapes of the inputs, operation.
struct Case(String, Vec<Vec<usize>>, Build);

fn case(
    name: impl Into<String>,
    shapes: &[&[usize]],
    build: impl Fn(&mut Tape<f32>, &[Var]) -> Var + 'static,
) -> Case {
    let shapes = shapes.iter().map(|s| s.to_vec()).collect();
    Case(name.into(), shapes, Box::new(build))
}

/// The output, and the gradients of all inputs of a loss that tells all outputs apart.
fn outcome(device: &Device, Case(_, shapes, build): &Case) -> Vec<Tensor<f32>> {
    let mut tape = Tape::new(device);
    let inputs: Vec<Var> = shapes
        .iter()
        .zip(1..)
        .map(|(shape, seed)| tape.parameter(random(device, shape, seed)))
        .collect();
    let y = build(&mut tape, &inputs);
    let mut all = vec![tape.value(y).clone()];
    let loss = mixed(&mut tape, y);
    let mut gradients = tape.backward(loss);
    all.extend(inputs.into_iter().filter_map(|v| gradients.take(v)));
    all
}

/// ‖a - b‖ / ‖b‖; infinite where anything is not finite.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths");
    let sum = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = sum(&mut a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    let size = sum(&mut b.iter().map(|&b| b.into()));
    if difference == 0.0 {
        0.0
    } else {
        difference / size.max(1e-12)
    }
}

fn compare(what: &str, got: &[Tensor<f32>], want: &[Tensor<f32>], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: as many gradients");
    for (which, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.shape(), want.shape(), "{what}: shape of {which}");
        let error = distance(got.data(), want.data());
        let which = match which {
            0 => "the value".to_owned(),
            n => format!("gradient {n}"),
        };
        assert!(
            error <= tolerance,
            "{what}: {which} is {error:.1e} from the CPU's"
        );
    }
}

fn below(random: &mut Random, n: usize) -> usize {
    (random.uniform() * n as f64) as usize
}

/// Live rows of each step, never growing.
fn live(random: &mut Random) -> Arc<[usize]> {
    let mut rows = 1 + below(random, 6);
    let steps = 1 + below(random, 5);
    let mut step = || {
        let now = rows;
        rows -= below(random, rows);
        now
    };
    (0..steps).map(|_| step()).collect()
}

/// This table is the inventory of what runs on a GPU. Sizes lie on both sides of a warp and of a block.
fn cases(seed: u64) -> Vec<Case> {
    let r = &mut Random::new(seed, 0);
    let (n, m, k) = (1 + below(r, 40), 1 + below(r, 40), 1 + below(r, 20));
    let (long, wide) = (1 + below(r, 700), 250 + below(r, 300));
    let live = live(r);
    let rows: usize = live.iter().sum();
    let (e, h) = (1 + below(r, 20), 1 + below(r, 70));
    let table = 1 + below(r, 30);
    let picked: Arc<[usize]> = (0..n).map(|_| below(r, table)).collect();
    let cut = below(r, n + 1);
    let words: Vec<u32> = (0..n).map(|_| below(r, wide) as u32).collect();
    let counts: Vec<f32> = (0..n).map(|_| r.uniform() as f32 * 2.0 - 0.5).collect();
    let smoothing = [0.0, 0.1][below(r, 2)];
    let (regions, a, p, images) = (
        1 + below(r, 12),
        1 + below(r, 40),
        1 + below(r, 40),
        1 + below(r, 4),
    );
    let image_of: Arc<[usize]> = (0..live[0]).map(|_| below(r, images)).collect();
    let tanh_c = below(r, 2) == 0;
    let (feed_once, dropped) = (below(r, 2) == 0, below(r, 2) == 0);
    let most = live[0];
    let (lstm_live, rnn_live, top_live) = (live.clone(), live.clone(), live);
    let top_h = 1 + below(r, 24);
    let mut all = pictures(r);
    all.extend(vec![
        case("add", &[&[n, m], &[n, m]], |t, v| ops::add(t, v[0], v[1])),
        case("mul", &[&[n, m], &[n, m]], |t, v| ops::mul(t, v[0], v[1])),
        case("the same twice", &[&[n, m]], |t, v| ops::mul(t, v[0], v[0])),
        case("scale", &[&[long]], |t, v| ops::scale(t, v[0], -2.5)),
        case("relu", &[&[long]], |t, v| ops::relu(t, v[0])),
        case("relu6", &[&[long]], |t, v| {
            let x = ops::scale(t, v[0], 10.0);
            ops::relu6(t, x)
        }),
        case("sigmoid", &[&[long]], |t, v| ops::sigmoid(t, v[0])),
        case("tanh", &[&[long]], |t, v| ops::tanh(t, v[0])),
        case("matmul", &[&[n, k], &[k, m]], |t, v| {
            ops::matmul(t, v[0], v[1])
        }),
        case("linear", &[&[n, k], &[k, m], &[m]], |t, v| {
            ops::linear(t, v[0], v[1], v[2])
        }),
        case("add_bias of many rows", &[&[long, 3], &[3]], |t, v| {
            ops::add_bias(t, v[0], v[1])
        }),
        case(
            "add_bias of very many rows",
            &[&[long + 1100, 3], &[3]],
            |t, v| ops::add_bias(t, v[0], v[1]),
        ),
        case("reshape", &[&[n, 2 * m]], move |t, v| {
            ops::reshape(t, v[0], &[2 * n, m])
        }),
        case("gather", &[&[table, m]], move |t, v| {
            ops::gather(t, v[0], picked.clone())
        }),
        case("concat_rows", &[&[n, m], &[k, m]], |t, v| {
            ops::concat_rows(t, v[0], v[1])
        }),
        case("slice_rows", &[&[n, m]], move |t, v| {
            ops::slice_rows(t, v[0], cut..n)
        }),
        case("dropout", &[&[n, m]], move |t, v| {
            let mask = Mask::random(t.device(), (n, m), 0.4, seed << 40 | 7, seed << 33 | 3);
            ops::dropout(t, v[0], &mask)
        }),
        case(
            "global_average_pool",
            &[&[images, regions, 2, p]],
            |t, v| ops::global_average_pool(t, v[0]),
        ),
        case(
            "lstm",
            &[&[rows, e], &[e, 4 * h], &[h, 4 * h], &[4 * h]],
            move |t, v| {
                let weights = LstmWeights {
                    input: v[1],
                    hidden: v[2],
                    bias: v[3],
                };
                ops::lstm(t, v[0], weights, lstm_live.clone(), tanh_c)
            },
        ),
        case(
            format!("rnn, feed_once {feed_once}, dropout {dropped}"),
            &[&[most, h], &[rows, h], &[h, h], &[h]],
            move |t, v| {
                let mask = || Mask::random(t.device(), (rows, h), 0.4, seed, 5);
                let mask = dropped.then(mask);
                let inputs = RnnInputs {
                    picture: v[0],
                    words: v[1],
                    hidden: v[2],
                    bias: v[3],
                };
                ops::rnn(t, inputs, rnn_live.clone(), feed_once, mask.as_ref())
            },
        ),
        case(
            format!("output_cross_entropy, smoothing {smoothing}"),
            &[&[n, k], &[k, wide], &[wide]],
            move |t, v| {
                let targets = Targets {
                    words: &words,
                    weights: &counts,
                    smoothing,
                };
                ops::output_cross_entropy(t, (v[0], v[1], v[2]), targets).0
            },
        ),
        case(
            "top_down",
            &[
                &[rows, 4 * top_h],
                &[images, 4 * top_h],
                &[images, regions, a],
                &[images, regions, p],
                &[2 * top_h, 4 * top_h],
                &[4 * top_h],
                &[top_h, a],
                &[a],
                &[p + 2 * top_h, 4 * top_h],
                &[4 * top_h],
            ],
            move |t, v| {
                let inputs: [Var; 10] = v.try_into().expect("ten inputs");
                ops::top_down(t, inputs.into(), image_of.clone(), top_live.clone())
            },
        ),
        // Without kernels: they run on the CPU, in the midst of what runs on the GPU.
        case("columns of a product", &[&[n, k], &[k, m]], move |t, v| {
            let y = ops::matmul(t, v[0], v[1]);
            let y = ops::slice_cols(t, y, 0..m.div_ceil(2));
            ops::tanh(t, y)
        }),
    ]);
    all
}

/// Operations on pictures, with windows of every kind.
fn pictures(r: &mut Random) -> Vec<Case> {
    let (b, c, m) = (1 + below(r, 3), 1 + below(r, 20), 1 + below(r, 20));
    let (kh, kw, stride) = (1 + below(r, 5), 1 + below(r, 5), 1 + below(r, 3));
    let (h, w) = (kh + below(r, 7), kw + below(r, 7));
    let most = kh.min(kw);
    let padding = [
        Padding::Same,
        Padding::Each(below(r, most)),
        Padding::Ceil(below(r, most)),
    ][below(r, 3)];
    let activation = [Activation::None, Activation::Relu, Activation::Relu6][below(r, 3)];
    let window = format!("{stride} {padding:?} {activation:?}");
    let x = [b, h, w, c];
    vec![
        case(
            format!("conv2d {window}"),
            &[&x, &[kh, kw, c, m]],
            move |t, v| ops::conv2d(t, v[0], v[1], stride, padding),
        ),
        case("conv2d 1 x 1", &[&x, &[1, 1, c, m]], move |t, v| {
            ops::conv2d(t, v[0], v[1], 1, Padding::Same)
        }),
        case(
            format!("depthwise_conv2d {window}"),
            &[&x, &[kh, kw, c]],
            move |t, v| ops::depthwise_conv2d(t, v[0], v[1], stride, padding),
        ),
        case(
            format!("normed_conv2d {window}"),
            &[&x, &[kh, kw, c, m], &[m], &[m]],
            move |t, v| {
                let statistics = &statistics(t.device(), m);
                let (gamma, beta) = (v[2], v[3]);
                let norm = Norm {
                    gamma,
                    beta,
                    statistics,
                };
                ops::normed_conv2d(t, (v[0], v[1]), norm, stride, padding, activation)
            },
        ),
        case(
            format!("normed_depthwise_conv2d {window}"),
            &[&x, &[kh, kw, c], &[c], &[c]],
            move |t, v| {
                let statistics = &statistics(t.device(), c);
                let (gamma, beta) = (v[2], v[3]);
                let norm = Norm {
                    gamma,
                    beta,
                    statistics,
                };
                ops::normed_depthwise_conv2d(t, (v[0], v[1]), norm, stride, padding, activation)
            },
        ),
        case(format!("max_pool {window}"), &[&x], move |t, v| {
            ops::max_pool(t, v[0], [kh, kw], stride, padding)
        }),
        case(format!("average_pool {window}"), &[&x], move |t, v| {
            ops::average_pool(t, v[0], [kh, kw], stride, padding)
        }),
    ]
}

/// Frozen ones of a norm; the deviation is a tenth, so that activations cut off on both sides.
fn statistics(device: &Device, channels: usize) -> Statistics {
    let variance = vec![0.01; channels];
    Statistics {
        mean: random(device, &[channels], 77),
        variance: Tensor::new(device, &[channels], variance),
        epsilon: 1e-3,
    }
}

#[test]
fn every_operation_gives_what_the_cpu_gives() {
    let Some(gpu) = emulator::or_real_gpu(Precision::Single) else {
        return;
    };
    let cpu = Device::cpu(2);
    let device = Device::cpu(2).with_gpu(gpu);
    for seed in 1..=6 {
        for case in cases(seed) {
            let what = format!("{} (seed {seed}, {:?})", case.0, case.1);
            compare(&what, &outcome(&device, &case), &outcome(&cpu, &case), 1e-5);
        }
    }
    layers_of_inference(&device, &cpu);
    log_probabilities_and_word_losses(&device, &cpu);
    chosen_words(&device);
    every_rule_moves_the_weights(&device, &cpu);
    if std::env::var_os("NEURALTALK_TEST_GPU").is_none() {
        let used = emulator::used();
        let unused: Vec<_> = cuda::kernels::NAMES
            .iter()
            .filter(|n| !used.contains(*n))
            .collect();
        // In `cuda/tests/emulated.rs`; pictures beside the CPU's preprocessing in `train/tests/gpu.rs`.
        let elsewhere = |n: &str| n == "to_half" || n.starts_with("picture_");
        let unused: Vec<_> = unused.into_iter().filter(|n| !elsewhere(n)).collect();
        assert!(unused.is_empty(), "no case has run {unused:?}");
    }
}

/// Not on the tape: what a folded encoder is made of; with and without a residual.
fn layers_of_inference(device: &Device, cpu: &Device) {
    for (seed, activation) in [Activation::None, Activation::Relu, Activation::Relu6]
        .into_iter()
        .enumerate()
    {
        let (kernel, stride) = (1 + 2 * seed, 1 + seed % 2);
        let run = |device: &Device| {
            let [x, dense, depthwise, residual] = [
                (vec![2, 9, 8, 5], 1),
                (vec![kernel, kernel, 5, 7], 2),
                (vec![kernel, kernel, 5], 3),
                (
                    vec![2, 9usize.div_ceil(stride), 8usize.div_ceil(stride), 7],
                    4,
                ),
            ]
            .map(|(shape, seed)| random::<f32>(device, &shape, seed));
            let same = Padding::Same;
            let bias = Affine::bias(random(device, &[7], 5));
            let of_norm = |m: usize| {
                let [gamma, beta] = [6, 7].map(|seed| random(device, &[m], seed));
                Affine::of_norm(&gamma, &beta, &statistics(device, m))
            };
            let normed = inference::Convolution::new(&dense, &of_norm(7), stride, same, activation);
            let dense = inference::Convolution::new(&dense, &bias, stride, same, activation);
            let bias = Affine::bias(random(device, &[5], 5));
            let depthwise = [bias, of_norm(5)].map(|affine| {
                let layer =
                    inference::Depthwise::new(&depthwise, &affine, stride, same, activation);
                layer.forward(&x)
            });
            let last = dense.forward(&x, Some(&residual));
            let normed = normed.forward(&x, None);
            let mut all = vec![dense.forward(&x, None), last, normed];
            all.extend(depthwise);
            all
        };
        compare("a layer of inference", &run(device), &run(cpu), 1e-5);
    }
    // The gradient of a maximum goes to the first of equals.
    let zeros = |device: &Device| {
        let mut tape = Tape::new(device);
        let x = tape.parameter(Tensor::<f32>::zeros(device, &[2, 4, 4, 3]));
        let y = ops::max_pool(&mut tape, x, [3, 2], 1, Padding::Same);
        let loss = mixed(&mut tape, y);
        vec![tape.backward(loss).take(x).expect("x matters")]
    };
    compare("max_pool of equals", &zeros(device), &zeros(cpu), 1e-6);
    // A broken number stays visible.
    let mut x = random::<f32>(device, &[1, 2, 2, 1], 1);
    x.data_mut()[3] = f32::NAN;
    let one = Tensor::new(device, &[1, 1, 1], vec![1.0]);
    let nothing = Affine::bias(Tensor::zeros(device, &[1]));
    let layer = inference::Depthwise::new(&one, &nothing, 1, Padding::Same, Activation::Relu6);
    assert!(layer.forward(&x).data()[3].is_nan());
    for at in [0, 3] {
        x.data_mut().fill(1.0);
        x.data_mut()[at] = f32::NAN;
        let mut tape = Tape::new(device);
        let x = tape.constant(x.clone());
        let y = ops::max_pool(&mut tape, x, [2, 2], 1, Padding::Each(0));
        assert!(tape.value(y).item().is_nan(), "{at}");
    }
}

/// Not on the tape.
fn log_probabilities_and_word_losses(device: &Device, cpu: &Device) {
    let run = |device: &Device| {
        let [h, w, b] = [(vec![7, 5], 1), (vec![5, 300], 2), (vec![300], 3)]
            .map(|(shape, seed)| random::<f32>(device, &shape, seed));
        let mut out = vec![0.0; 7 * 300];
        // Large numbers, so that some words are below the floor of 1e-20.
        let far = Tensor::from_values(
            device,
            &[7, 5],
            &h.data().iter().map(|x| 40.0 * x).collect::<Vec<f32>>(),
        );
        ops::log_probabilities(&far, &w, &b, &mut out);
        let mut tape = Tape::new(device);
        let vars = [far, w, b].map(|x| tape.constant(x));
        let targets = Targets {
            words: &[0, 299, 4, 5, 6, 7, 8],
            weights: &[1.0; 7],
            smoothing: 0.0,
        };
        let (_, losses) = ops::output_cross_entropy(&mut tape, vars.into(), targets);
        let losses = losses.into_vec().into_iter().map(|l| l as f32);
        (out, losses.collect::<Vec<_>>())
    };
    let (got, want) = (run(device), run(cpu));
    assert!(
        want.0.iter().any(|&x| x < -40.0),
        "some are near the floor of ln 1e-20"
    );
    assert!(distance(&got.0, &want.0) < 1e-6, "log probabilities");
    assert!(distance(&got.1, &want.1) < 1e-6, "losses of the words");
}

/// Words chosen on the GPU against the sorted and the walked row of the same log probabilities; with ties, and with rows that hold NaN.
fn chosen_words(device: &Device) {
    assert!(!step::chooses(&Device::cpu(1), Choice::Likeliest(1)));
    assert!(
        !step::chooses(device, Choice::Likeliest(33))
            && !step::chooses(device, Choice::Likeliest(0))
    );
    let (n, h) = (9, 4);
    for v in [1, 5, 255, 256, 257, 700] {
        let hidden = random::<f32>(device, &[n, h], 1);
        let [mut weight, mut bias] = [(vec![h, v], 2), (vec![v], 3)]
            .map(|(shape, seed)| random::<f32>(device, &shape, seed));
        weight.data_mut().iter_mut().for_each(|w| *w *= 4.0);
        // Every second word is as likely as the one before.
        for numbers in [weight.data_mut(), bias.data_mut()] {
            for row in numbers.chunks_mut(v) {
                row.chunks_mut(2).for_each(|pair| pair.fill(pair[0]));
            }
        }
        let mut log_probs = vec![0.0f32; n * v];
        ops::log_probabilities(&hidden, &weight, &bias, &mut log_probs);
        let rows = || log_probs.chunks(v);
        for k in [1, 2, 7, 32] {
            let want: Vec<(u32, f32)> = rows()
                .flat_map(|row| {
                    let mut all: Vec<(u32, f32)> =
                        (0..).zip(row.iter().map(|v| v.min(0.0))).collect();
                    all.sort_by(|a, b| b.1.total_cmp(&a.1));
                    all.truncate(k);
                    all
                })
                .collect();
            let choice = Choice::Likeliest(k);
            assert_eq!(
                step::choose(&hidden, &weight, &bias, choice),
                want,
                "{k} of {v}"
            );
        }
        let mut random = Random::new(v as u64, 0);
        for edge in [0.0, 1.0 - f64::EPSILON, 1.0 - 3e-8, 0.5] {
            let mut uniforms: Vec<f64> = (0..n).map(|_| random.uniform()).collect();
            uniforms[0] = edge;
            let walk = |(row, &uniform): (&[f32], &f64)| {
                let p: Vec<f64> = row.iter().map(|&v| f64::from(v.min(0.0)).exp()).collect();
                let total: f64 = p.iter().sum();
                let reach = |target: f64| {
                    let mut sum = 0.0;
                    p.iter().position(|p| {
                        sum += p;
                        target < sum
                    })
                };
                let stretched = || reach((uniform - total) / (1.0 - total) * total);
                let word = reach(uniform).or_else(stretched).unwrap_or(v - 1);
                (word as u32, row[word].min(0.0))
            };
            let want: Vec<(u32, f32)> = rows().zip(&uniforms).map(walk).collect();
            let choice = Choice::Drawn(&uniforms);
            assert_eq!(
                step::choose(&hidden, &weight, &bias, choice),
                want,
                "drawn of {v}: {uniforms:?}"
            );
        }
        // A broken number stays visible.
        bias.data_mut()[v / 2] = f32::NAN;
        for choice in [Choice::Likeliest(2), Choice::Drawn(&[0.3; 9])] {
            let chosen = step::choose(&hidden, &weight, &bias, choice);
            let each = choice.each(v);
            assert!(
                chosen
                    .chunks(each)
                    .all(|row| row.iter().any(|c| c.1.is_nan())),
                "{choice:?}"
            );
        }
    }
}

/// All rules, with clipping and L2, several steps from the same weights.
fn every_rule_moves_the_weights(device: &Device, cpu: &Device) {
    let (learning_rate, epsilon) = (0.1, 1e-3);
    let rule = |which: usize, step: u64| match which {
        0 => Rule::Momentum {
            learning_rate,
            momentum: 0.9,
        },
        1 => Rule::Adagrad {
            learning_rate,
            epsilon,
        },
        2 => Rule::Rmsprop {
            learning_rate,
            decay: 0.95,
            epsilon,
        },
        3 => Rule::Adadelta {
            decay: 0.95,
            epsilon,
        },
        _ => Rule::Adam {
            learning_rate,
            beta1: 0.9,
            beta2: 0.99,
            epsilon,
            weight_decay: 0.1,
            step,
        },
    };
    let prepare = Prepare {
        scale: 0.5,
        l2: 0.3,
        clip: 0.2,
    };
    let other = Prepare {
        scale: -0.1,
        l2: 0.0,
        clip: f64::INFINITY,
    };
    for which in 0..5 {
        let run = |device: &Device| {
            let mut weight = random::<f32>(device, &[3, 211], 5);
            let shared = weight.clone();
            let mut averages = vec![Tensor::zeros(device, &[3, 211]); rule(which, 1).averages()];
            let mut norms = Vec::new();
            for step in 1..=4 {
                let gradient = random(device, &[3, 211], 10 + step);
                let parameters = [(prepare, &weight, &gradient), (other, &gradient, &weight)];
                norms.push(update::squared_norm(&parameters) as f32);
                update::apply(
                    &rule(which, step),
                    prepare,
                    &mut weight,
                    &gradient,
                    &mut averages,
                );
            }
            assert_eq!(
                shared.data(),
                random::<f32>(device, &[3, 211], 5).data(),
                "a clone moved"
            );
            let norms = Tensor::new(device, &[4], norms);
            [vec![weight, norms], averages].concat()
        };
        compare(&format!("rule {which}"), &run(device), &run(cpu), 1e-5);
    }
}

/// In bf16 and tf32 the same within what their mantissas allow, where gradients are differences of nearly equal numbers with
/// little left; operations with products only.
#[test]
fn coarser_products_are_near() {
    for (precision, tolerance) in [(Precision::Tf32, 3e-2), (Precision::Bf16, 2e-1)] {
        let Some(gpu) = emulator::or_real_gpu(precision) else {
            return;
        };
        let cpu = Device::cpu(2);
        let device = Device::cpu(2).with_gpu(gpu);
        for seed in 1..=3 {
            for case in cases(seed) {
                if ["matmul", "linear", "lstm", "top_down"].contains(&case.0.as_str())
                    || case.0.starts_with("output")
                    || case.0.starts_with("rnn")
                {
                    let what = format!("{} ({precision:?}, seed {seed}, {:?})", case.0, case.1);
                    compare(
                        &what,
                        &outcome(&device, &case),
                        &outcome(&cpu, &case),
                        tolerance,
                    );
                }
            }
        }
    }
}

#[test]
fn masks_have_the_bits_of_the_cpu() {
    let Some(gpu) = emulator::or_real_gpu(Precision::Single) else {
        return;
    };
    let device = Device::cpu(1).with_gpu(gpu);
    for shape in [(1, 1), (3, 7), (40, 101)] {
        let mask = |device: &Device| {
            let mask = Mask::<f32>::random(device, shape, 0.5, u64::MAX - 3, 1 << 40);
            mask.factors().data().to_vec()
        };
        assert_eq!(mask(&device), mask(&Device::cpu(2)), "{shape:?}");
    }
}

/// The GPU of the emulator has 1 GiB: a quarter of it are 64 Mi numbers.
#[test]
fn a_table_crosses_to_the_gpu_once() {
    let Some((gpu, calls)) = emulator::listening(Precision::Single) else {
        return;
    };
    let device = Device::cpu(1).with_gpu(gpu);
    assert!(Table::fits(&device, 1 << 26) && !Table::fits(&device, (1 << 26) + 1));
    assert!(!Table::fits(&Device::cpu(1), 1));
    let numbers: Vec<f32> = (0..600).map(|i| i as f32).collect();
    let rows = |which: &[usize]| -> Vec<f32> {
        let row = |&row: &usize| numbers[row * 200..(row + 1) * 200].to_vec();
        which.iter().flat_map(row).collect()
    };
    let table = Table::new(&device, 200, numbers.clone().into());
    for picked in [[2, 0], [1, 1]] {
        calls.lock().expect("no panic").clear();
        let found = table.pick(&picked);
        let asked = [Call::Upload(2 * size_of::<u32>()), Call::Work];
        assert_eq!(*calls.lock().expect("no panic"), asked);
        assert_eq!(found.data(), rows(&picked));
    }
}

/// f64 has no kernels: on a device with a GPU it computes on the CPU, to the bit.
#[test]
fn doubles_stay_on_the_cpu() {
    let Some(gpu) = emulator::or_real_gpu(Precision::Single) else {
        return;
    };
    let run = |device: &Device| {
        let inputs = [
            random::<f64>(device, &[4, 3], 1),
            random(device, &[3, 5], 2),
        ];
        checks::run(&inputs, &|tape, v| {
            let y = ops::matmul(tape, v[0], v[1]);
            let y = ops::tanh(tape, y);
            mixed(tape, y)
        })
    };
    let (got, want) = (run(&Device::cpu(1).with_gpu(gpu)), run(&Device::cpu(1)));
    assert_eq!(got.0, want.0);
    for (a, b) in got.1.iter().zip(&want.1) {
        assert_eq!(a.data(), b.data());
    }
}
