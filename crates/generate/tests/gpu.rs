//! Searches over real decoders on the emulated GPU, which chooses the words, against the CPU: the same sentences. With
//! NEURALTALK_TEST_GPU=0 (a number) on that GPU.

#[path = "../../cuda/tests/emulator/mod.rs"]
mod emulator;

use generate::{BeamOptions, Caption, Limits, SampleOptions, beam, greedy, sample};
use models::{AttentionConfig, Decoder, DecoderConfig, LstmConfig, RnnConfig};
use tensor::random::Random;
use tensor::{Device, Precision, Tensor};

const FEATURE: usize = 9;
const VOCABULARY: usize = 300;
const PICTURES: usize = 4;

fn decoders() -> [DecoderConfig; 3] {
    [
        DecoderConfig::Lstm(LstmConfig {
            feature: FEATURE,
            embedding: 7,
            hidden: 12,
            vocabulary: VOCABULARY,
            tanh_c: false,
        }),
        DecoderConfig::Rnn(RnnConfig {
            feature: FEATURE,
            embedding: 7,
            hidden: 12,
            vocabulary: VOCABULARY,
            relu_encoders: true,
            feed_once: false,
        }),
        DecoderConfig::Attention(AttentionConfig {
            feature: FEATURE,
            projection: 8,
            embedding: 7,
            hidden: 12,
            attention: 6,
            vocabulary: VOCABULARY,
        }),
    ]
}

/// Greedy search, beams of two widths (the wider beyond what a GPU chooses), and draws with and without a cut.
fn captions(config: &DecoderConfig, device: &Device) -> Vec<Vec<Vec<Caption>>> {
    let mut decoder = Decoder::<f32>::new(config.clone(), &[0.0; VOCABULARY], 3, device);
    // Large weights: no two words are nearly as likely.
    for parameter in decoder.parameters_mut().iter_mut() {
        parameter
            .value
            .data_mut()
            .iter_mut()
            .for_each(|x| *x *= 9.0);
    }
    let mut random = Random::new(5, 1);
    let shape: &[usize] = match config {
        DecoderConfig::Attention(_) => &[PICTURES, 3, FEATURE],
        _ => &[PICTURES, FEATURE],
    };
    let n = shape.iter().product();
    let values: Vec<f64> = (0..n).map(|_| random.uniform()).collect();
    let start = decoder.start(&Tensor::from_values(device, shape, &values));
    let limits = Limits {
        max_steps: 6,
        ..Limits::default()
    };
    let beam_options = |beam_size| BeamOptions {
        n_best: 2,
        limits: limits.clone(),
        ..BeamOptions::new(beam_size)
    };
    let drawn = SampleOptions {
        samples: 3,
        limits: limits.clone(),
        ..SampleOptions::new(8)
    };
    let cut = SampleOptions {
        top_k: Some(5),
        temperature: 2.0,
        ..drawn.clone()
    };
    let keys: Vec<u64> = (0..PICTURES as u64).collect();
    let found = [
        greedy(&decoder, &start, PICTURES, &limits),
        beam(&decoder, &start, PICTURES, &beam_options(3)),
        beam(&decoder, &start, PICTURES, &beam_options(33)),
        sample(&decoder, &start, &keys, &drawn),
        sample(&decoder, &start, &keys, &cut),
    ];
    found.map(|captions| captions.expect("captions")).into()
}

#[test]
fn captions_are_the_same_on_both_devices() {
    let Some(gpu) = emulator::or_real_gpu(Precision::Single) else {
        return;
    };
    let device = Device::cpu(2).with_gpu(gpu);
    let mut lengths = 0;
    for config in decoders() {
        let (got, want) = (
            captions(&config, &device),
            captions(&config, &Device::cpu(2)),
        );
        for (search, (got, want)) in got.iter().zip(&want).enumerate() {
            let pairs = got.iter().flatten().zip(want.iter().flatten());
            for (a, b) in pairs {
                assert_eq!(a.tokens, b.tokens, "{config:?}, search {search}");
                assert_eq!(a.finished, b.finished);
                let error = (a.log_prob - b.log_prob).abs();
                assert!(error <= 1e-4 * (1.0 - b.log_prob), "{config:?}: {error:e}");
                lengths += a.tokens.len();
            }
        }
    }
    assert!(lengths > 100, "sentences have words: {lengths}");
    if std::env::var_os("NEURALTALK_TEST_GPU").is_none() {
        let used = emulator::used();
        assert!(
            used.contains("likeliest") && used.contains("draw"),
            "{used:?}"
        );
    }
}
