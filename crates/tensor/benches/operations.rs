//! The hot operations of a training step, each checked before it is timed.
//!
//! Sizes are those of a batch of 100 sentences at H = 512, V = 8791. Throughput is given in
//! elements: floating-point operations for products, numbers moved for the optimizer's pass.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::f16;
use tensor::ops::{self, LstmWeights, Mask};
use tensor::random::Random;
use tensor::update::{Prepare, Rule, apply};
use tensor::{Device, Matrix, Numbers, Tape, Tensor, gemm, step};

fn draw(device: &Device, stream: u64, shape: &[usize]) -> Tensor<f32> {
    let mut random = Random::new(1, stream);
    let count = shape.iter().product();
    let numbers = (0..count).map(|_| random.uniform() as f32 * 0.2 - 0.1);
    Tensor::new(device, shape, numbers.collect())
}

/// One element of a product, added up in f64.
fn element(a: &Tensor<f32>, b: &Tensor<f32>, row: usize, col: usize) -> f64 {
    let (k, n) = (a.rows_cols().1, b.rows_cols().1);
    (0..k)
        .map(|l| f64::from(a.data()[row * k + l]) * f64::from(b.data()[l * n + col]))
        .sum()
}

fn products(c: &mut Criterion) {
    let device = Device::cpu(2);
    let mut group = c.benchmark_group("gemm");
    for (m, k, n) in [
        (416, 512, 8791),
        (512, 416, 8791),
        (80, 512, 2048),
        (100, 4096, 512),
    ] {
        let (a, b) = (draw(&device, 1, &[m, k]), draw(&device, 2, &[k, n]));
        let mut product = vec![0.0; m * n];
        let mut run = || {
            let (a, b) = (Matrix::new(a.data(), m, k), Matrix::new(b.data(), k, n));
            device.install(|| gemm(&device, &mut product, a, b, false));
            product[(m - 1) * n + n - 2]
        };
        let (found, want) = (f64::from(run()), element(&a, &b, m - 1, n - 2));
        assert!((found - want).abs() < 1e-4, "{found} and {want}");
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        group.bench_function(format!("{m}x{k}x{n}"), |bench| bench.iter(&mut run));
    }
}

/// A few rows times several large matrices in turn, as in a step of a search for one picture, beside `faer`; more bytes than a
/// core's own caches hold; and times the same numbers kept in 16 bits. Throughput is in bytes of the matrices in 32 bits.
fn few_rows(c: &mut Criterion) {
    const SIZE: (usize, usize) = (512, 2536);
    let device = Device::cpu(1);
    let (k, n) = SIZE;
    let halves: Vec<Vec<f16>> = (0..6)
        .map(|i| draw(&device, 20 + i, &[k, n]))
        .map(|drawn| drawn.data().iter().map(|&x| f16::from_f32(x)).collect())
        .collect();
    let narrow: Vec<Tensor<f32>> = halves
        .iter()
        .map(|numbers| Tensor::stored(&device, &[k, n], Numbers::from(numbers.clone())))
        .collect();
    let matrices: Vec<Tensor<f32>> = halves
        .iter()
        .map(|numbers| {
            Tensor::new(
                &device,
                &[k, n],
                numbers.iter().map(|h| h.to_f32()).collect(),
            )
        })
        .collect();
    let mut group = c.benchmark_group("few rows");
    group.throughput(Throughput::Bytes((4 * k * n * matrices.len()) as u64));
    for m in [1, 3, 5, 12] {
        let a = draw(&device, 12, &[m, k]);
        let (mut ours, mut theirs) = (vec![0.0; m * n], vec![0.0; m * n]);
        let mut run = || {
            device.install(|| {
                for b in &matrices {
                    let (a, b) = (Matrix::new(a.data(), m, k), Matrix::new(b.data(), k, n));
                    gemm(&device, &mut ours, a, b, false);
                }
            });
            ours[(m - 1) * n + n - 2]
        };
        let mut peer = || {
            for b in &matrices {
                faer::linalg::matmul::matmul(
                    faer::MatMut::from_row_major_slice_mut(&mut theirs, m, n),
                    faer::Accum::Replace,
                    faer::MatRef::from_row_major_slice(a.data(), m, k),
                    faer::MatRef::from_row_major_slice(b.data(), k, n),
                    1.0,
                    faer::Par::Seq,
                );
            }
            theirs[(m - 1) * n + n - 2]
        };
        let want = element(&a, matrices.last().expect("six"), m - 1, n - 2);
        for found in [f64::from(run()), f64::from(peer())] {
            assert!((found - want).abs() < 1e-4, "{found} and {want}");
        }
        let run_narrow = || {
            device.install(|| {
                let products: Vec<_> = narrow.iter().map(|b| step::product(&a, b)).collect();
                products[5].data()[(m - 1) * n + n - 2]
            })
        };
        assert_eq!(run_narrow().to_bits(), run().to_bits(), "in 16 bits");
        group.bench_function(format!("{m} rows, 16 bits"), |bench| bench.iter(run_narrow));
        group.bench_function(format!("{m} rows"), |bench| bench.iter(&mut run));
        group.bench_function(format!("{m} rows, faer"), |bench| bench.iter(&mut peer));
    }
}

/// Live sentences at each step: 100, then fewer, 20 steps.
fn live() -> Vec<usize> {
    (0..20)
        .map(|t| if t < 8 { 100 } else { 100 - 7 * (t - 7) })
        .collect()
}

fn recurrence(c: &mut Criterion) {
    let device = Device::cpu(2);
    let (h, live) = (512, live());
    let rows = live.iter().sum();
    let x = draw(&device, 3, &[rows, h]);
    let [input, hidden] = [4, 5].map(|stream| draw(&device, stream, &[h, 4 * h]));
    let bias = draw(&device, 6, &[4 * h]);
    let run = || {
        let mut tape = Tape::new(&device);
        let x = tape.parameter(x.clone());
        let weights = LstmWeights {
            input: tape.parameter(input.clone()),
            hidden: tape.parameter(hidden.clone()),
            bias: tape.parameter(bias.clone()),
        };
        let y = ops::lstm(&mut tape, x, weights, live.clone().into(), true);
        let first = tape.value(y).data()[0];
        let total = ops::sum(&mut tape, y);
        black_box(tape.backward(total));
        first
    };
    // The first unit of the first row has no past: i · g, then o · tanh.
    let gate = |k: usize| element(&x, &input, 0, k * h) + f64::from(bias.data()[k * h]);
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let want = logistic(gate(2)) * (logistic(gate(0)) * gate(3).tanh()).tanh();
    let found = f64::from(device.install(run));
    assert!((found - want).abs() < 1e-5, "{found} and {want}");
    let mut group = c.benchmark_group("lstm");
    group.throughput(Throughput::Elements((3 * 2 * rows * 2 * h * 4 * h) as u64));
    group.bench_function("forward and backward", |bench| {
        bench.iter(|| device.install(run));
    });
}

fn output_layer(c: &mut Criterion) {
    let device = Device::cpu(2);
    let (rows, h, v) = (1224, 512, 8791);
    let (hidden, weight, bias) = (
        draw(&device, 7, &[rows, h]),
        draw(&device, 8, &[h, v]),
        draw(&device, 9, &[v]),
    );
    let targets: Vec<u32> = (0..rows as u32).map(|r| r * 7 % v as u32).collect();
    let run = || {
        let mut tape = Tape::new(&device);
        let layer = [&hidden, &weight, &bias].map(|t| tape.parameter(t.clone()));
        let weights = vec![1.0; rows];
        let targets = ops::Targets {
            words: &targets,
            weights: &weights,
            smoothing: 0.0,
        };
        let (loss, words) = ops::output_cross_entropy(&mut tape, layer.into(), targets);
        black_box(tape.backward(loss));
        words.into_vec()[5]
    };
    let logit = |word: usize| element(&hidden, &weight, 5, word) + f64::from(bias.data()[word]);
    let total: f64 = (0..v).map(|word| logit(word).exp()).sum();
    let (found, want) = (device.install(run), total.ln() - logit(targets[5] as usize));
    assert!((found - want).abs() < 1e-4, "{found} and {want}");
    let mut group = c.benchmark_group("output layer");
    group.throughput(Throughput::Elements((3 * 2 * rows * h * v) as u64));
    group.bench_function("cross entropy", |bench| {
        bench.iter(|| device.install(run));
    });
    let mut out = vec![0.0; rows * v];
    let mut score = || {
        device.install(|| ops::log_probabilities(&hidden, &weight, &bias, &mut out));
        out[5 * v + targets[5] as usize]
    };
    assert!((f64::from(score()) + want).abs() < 1e-4);
    group.throughput(Throughput::Elements((2 * rows * h * v) as u64));
    group.bench_function("log probabilities", |bench| bench.iter(&mut score));
}

fn passes(c: &mut Criterion) {
    let device = Device::cpu(2);
    let count = 512 * 8791;
    let mut group = c.benchmark_group("passes");
    group.throughput(Throughput::Elements(count as u64));
    let (mut weight, gradient) = (draw(&device, 10, &[count]), draw(&device, 11, &[count]));
    let mut averages = [Tensor::zeros(&device, &[count])];
    let prepare = Prepare {
        scale: 1.0,
        l2: 0.0,
        clip: 5.0,
    };
    let rule = Rule::Rmsprop {
        learning_rate: 1e-3,
        decay: 0.99,
        epsilon: 1e-8,
    };
    let (w, g) = (f64::from(weight.data()[7]), f64::from(gradient.data()[7]));
    let want = w - 1e-3 * g / (0.01 * g * g + 1e-8).sqrt();
    apply(&rule, prepare, &mut weight, &gradient, &mut averages);
    assert!((f64::from(weight.data()[7]) - want).abs() < 1e-6);
    group.bench_function("rmsprop", |bench| {
        bench.iter(|| apply(&rule, prepare, &mut weight, &gradient, &mut averages));
    });
    let shape = (8791, 512);
    let mask = || Mask::<f32>::random(&device, shape, 0.5, 3, 4);
    let kept: f64 = mask().factors().data().iter().map(|&x| f64::from(x)).sum();
    assert!((kept / count as f64 - 1.0).abs() < 0.01, "{kept}");
    group.bench_function("dropout mask", |bench| bench.iter(|| black_box(mask())));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = products, few_rows, recurrence, output_layer, passes
}
criterion_main!(benches);
