//! Times beam search of width 20 at H = 512, V = 8791, pictures batched; prints one JSON line.
//!
//! Usage: decoding THREADS [PICTURES]. Random weights, END unlikely, 20 steps: the work of
//! `benchmarks/decoding.py`, which runs NeuralTalk's search beside it.

use std::time::Instant;

use generate::{BeamOptions, beam};
use models::{Decoder, DecoderConfig, LstmConfig};
use tensor::random::Random;
use tensor::{Device, Tensor};

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| {
        args.next()
            .map_or(default, |a| a.parse().expect("a number"))
    };
    let (threads, pictures): (usize, usize) = (number(2), number(32));
    let (size, vocabulary) = (512, 8791);
    let config = DecoderConfig::Lstm(LstmConfig {
        feature: size,
        embedding: size,
        hidden: size,
        vocabulary,
        tanh_c: false,
    });
    let mut bias = vec![0.0; vocabulary];
    bias[0] = -50.0;
    let device = Device::cpu(threads);
    let decoder = Decoder::<f32>::new(config, &bias, 1, &device);
    let mut random = Random::new(2, 2);
    let features: Vec<f32> = (0..pictures * size)
        .map(|_| random.uniform() as f32)
        .collect();
    let features = Tensor::new(&device, &[pictures, size], features);
    let run = || {
        let started = Instant::now();
        let state = decoder.start(&features);
        let captions = device
            .install(|| beam(&decoder, &state, pictures, &BeamOptions::new(20)))
            .expect("captions");
        assert!(
            captions
                .iter()
                .all(|c| c[0].tokens.len() == 20 && c[0].log_prob.is_finite())
        );
        started.elapsed().as_secs_f64() * 1e3 / pictures as f64
    };
    run();
    let mut times: Vec<f64> = (0..3).map(|_| run()).collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"threads\":{threads},\"pictures\":{pictures},\"ms_per_caption\":{:.3}}}",
        times[1]
    );
}
