//! How fast an encoder is: random pictures, median of many passes, as a row of CSV.
//!
//! `cargo run --release -p neuraltalk-checkpoint --example encode FILE [THREADS] [BATCH] [PASSES]`

use std::path::Path;
use std::time::Instant;

use tensor::random::Random;
use tensor::{Device, Tensor};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| {
        arguments
            .get(i)
            .map_or(default, |a| a.parse().expect("a number"))
    };
    let (threads, batch, passes) = (number(1, 2), number(2, 1), number(3, 200));
    let file = arguments.first().expect("the file of an encoder");
    let device = Device::cpu(threads);
    let started = Instant::now();
    let (config, encoder) = match checkpoint::load_encoder(Path::new(file), &device) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}"),
    };
    let folded = encoder.fold();
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let size = config.size();
    let mut random = Random::new(1, 1);
    let count = batch * size * size * 3;
    let values = (0..count)
        .map(|_| random.uniform() as f32 * 2.0 - 1.0)
        .collect();
    let pixels = Tensor::new(&device, &[batch, size, size, 3], values);
    let mut times: Vec<f64> = (0..passes + 5)
        .map(|_| {
            let started = Instant::now();
            let features = folded.encode(&pixels);
            assert!(features.pooled.data().iter().all(|x| x.is_finite()));
            started.elapsed().as_secs_f64() * 1e3 / batch as f64
        })
        .skip(5)
        .collect();
    times.sort_by(f64::total_cmp);
    let (least, median) = (times[0], times[times.len() / 2]);
    println!(
        "{config:?},threads {threads},batch {batch},load_ms {load_ms:.0},ms_min {least:.2},ms_median {median:.2}"
    );
}
