//! Times one training step at the sizes of `benchmarks/training_step` and prints a JSON line a size.
//!
//! Usage: training_step THREADS STEPS [small|large|both] [cpu|f32|tf32|bf16] [BATCH]. Batch 100, 4096-d pictures, sentences of
//! 8 to 20 words (truncated geometric, mean about 11), dropout 0.5 twice, elementwise clip 5, RMSProp on all parameters: the step
//! of `docs/speed.md`. f32, tf32 and bf16 run on the first GPU, in that precision. Also prints the best matrix product of this
//! machine in the same run: the floor is the step's arithmetic at that rate.

use std::time::Instant;

use models::{Decoder, DecoderConfig, LstmConfig, Objective, Sentences};
use nn::{Clip, Dropout, Optimizer, OptimizerConfig};
use tensor::random::Random;
use tensor::{Device, Matrix, Tensor, gemm};

const FEATURE: usize = 4096;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| {
        args.next()
            .map_or(default, |a| a.parse().expect("a number"))
    };
    let (threads, steps): (usize, usize) = (number(2), number(20));
    let which = args.next().filter(|which| which != "both");
    let kind = args.next().unwrap_or_else(|| "cpu".into());
    let batch: usize = args
        .next()
        .map_or(100, |b| b.parse().expect("a batch size"));
    let device = open(&kind, threads);
    let peak = device.install(|| best_product(&device));
    for (name, size, vocabulary) in [("small", 256, 2538), ("large", 512, 8791)] {
        if which.as_deref().is_none_or(|w| w == name) {
            let (gflop, times) = device.install(|| time(&device, size, vocabulary, steps, batch));
            let (least, median) = (times[0], times[times.len() / 2]);
            let floor = gflop / peak * 1e3;
            println!(
                "{{\"size\":\"{name}\",\"device\":\"{kind}\",\"batch\":{batch},\"threads\":{threads},\"median_ms\":{median:.2},\"min_ms\":{least:.2},\"gflop\":{gflop:.2},\"peak_gflops\":{peak:.1},\"floor_ms\":{floor:.2},\"median_over_floor\":{:.3},\"min_over_floor\":{:.3},\"graphs\":{}}}",
                median / floor,
                least / floor,
                device.gpu().map_or(0, |gpu| gpu.replayed())
            );
        }
    }
}

/// The CPU, or the first GPU in a precision.
fn open(kind: &str, threads: usize) -> Device {
    let Ok(precision) = kind.parse() else {
        return Device::cpu(threads);
    };
    Device::cuda(0, precision, threads).unwrap_or_else(|e| panic!("{e}; {}", e.hint()))
}

/// Lengths by quantiles of P(8 + k) ~ 0.8^k, k = 0..=12.
fn lengths(batch: usize) -> Vec<usize> {
    let total: f64 = (0..=12).map(|k| 0.8f64.powi(k)).sum();
    let mut lengths: Vec<usize> = (0..batch)
        .map(|i| {
            let (mut left, mut k) = ((i as f64 + 0.5) / batch as f64 * total, 0);
            while left > 0.8f64.powi(k) {
                left -= 0.8f64.powi(k);
                k += 1;
            }
            8 + k as usize
        })
        .collect();
    lengths.sort_by(|a, b| b.cmp(a));
    lengths
}

/// GFLOP of one step, and the sorted times in ms.
fn time(
    device: &Device,
    size: usize,
    vocabulary: usize,
    steps: usize,
    sentences: usize,
) -> (f64, Vec<f64>) {
    let config = DecoderConfig::Lstm(LstmConfig {
        feature: FEATURE,
        embedding: size,
        hidden: size,
        vocabulary,
        tanh_c: false,
    });
    let mut decoder = Decoder::<f32>::new(config, &vec![0.0; vocabulary], 1, device);
    let rmsprop = OptimizerConfig::Rmsprop {
        decay_rate: 0.999,
        smooth_eps: 1e-8,
    };
    let mut optimizer = Optimizer::new(rmsprop, decoder.parameters());
    let mut random = Random::new(3, 3);
    let features: Vec<f32> = (0..sentences * FEATURE)
        .map(|_| random.uniform() as f32)
        .collect();
    let features = Tensor::new(device, &[sentences, FEATURE], features);
    let image_of: Vec<usize> = (0..sentences).collect();
    let lengths = lengths(sentences);
    let live: Vec<usize> = (0..=lengths[0])
        .map(|t| lengths.iter().filter(|&&l| l >= t).count())
        .collect();
    let words: usize = live.iter().sum();
    let mut word = || (random.uniform() * vocabulary as f64) as u32;
    let inputs: Vec<u32> = (0..words).map(|_| word()).collect();
    let targets: Vec<u32> = (0..words).map(|_| word()).collect();
    let batch = Sentences {
        image_of: &image_of,
        live: &live,
        inputs: &inputs,
        targets: &targets,
    };

    // Forward, and twice as much backward but for the gradient of the pictures' features.
    let (h, e, n) = (size as f64, size as f64, (words + sentences) as f64);
    let gflop = (4.0 * (sentences * FEATURE) as f64 * e
        + 6.0
            * (n * e * 4.0 * h
                + words as f64 * h * 4.0 * h
                + words as f64 * h * vocabulary as f64))
        / 1e9;
    let mut times = Vec::new();
    let (mut first, mut last) = (0.0, 0.0);
    for step in 0..steps + 2 {
        let started = Instant::now();
        let dropout = Dropout::Random {
            seed: 1,
            step: step as u64,
            encoder: 0.5,
            decoder: 0.5,
        };
        let loss = decoder.loss(&features, &batch, Objective::default(), &dropout, true);
        let clip = Clip {
            value: Some(5.0),
            norm: None,
        };
        optimizer.step(
            decoder.parameters_mut(),
            &loss.gradients,
            1e-3,
            1.0 / sentences as f64,
            1e-8,
            clip,
        );
        if let Some(gpu) = device.gpu() {
            gpu.finish();
        }
        if step >= 2 {
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        if step == 0 {
            first = loss.total;
        }
        last = loss.total;
    }
    assert!(
        last < first,
        "the loss of a repeated batch must fall: {first} to {last}"
    );
    times.sort_by(f64::total_cmp);
    (gflop, times)
}

/// GFLOP/s of the best of a few large products.
fn best_product(device: &Device) -> f64 {
    let mut best = 0.0f64;
    if let Some(gpu) = device.gpu() {
        let n = 8192;
        // Noise: products of zeros run faster.
        let mut random = Random::new(1, 1);
        let noise: Vec<f32> = (0..n * n).map(|_| random.uniform() as f32 - 0.5).collect();
        let (a, mut c) = (gpu.array_of(&noise), gpu.array(n * n));
        for _ in 0..12 {
            let started = Instant::now();
            let a = cuda::Matrix::new(a.for_products(n), n, n);
            gpu.multiply(&mut c.all_mut(), a, a.t(), false);
            gpu.finish();
            let gflop = 2.0 * (n as f64).powi(3) / 1e9;
            best = best.max(gflop / started.elapsed().as_secs_f64());
        }
        return best;
    }
    for (m, n, k) in [(1024, 2048, 512), (512, 8192, 512), (1024, 1024, 1024)] {
        let (a, b) = (vec![0.5f32; m * k], vec![0.25f32; k * n]);
        let mut c = vec![0.0; m * n];
        for _ in 0..12 {
            let started = Instant::now();
            gemm(
                device,
                &mut c,
                Matrix::new(&a, m, k),
                Matrix::new(&b, k, n),
                false,
            );
            best = best.max(2e-9 * (m * n * k) as f64 / started.elapsed().as_secs_f64());
        }
        assert_eq!(c[m * n - 1], k as f32 * 0.125);
    }
    best
}
