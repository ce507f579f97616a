//! Writing a sentence word by word gives what training saw: the same log probabilities, for every kind of decoder.

use models::{
    AttentionConfig, Decode, Decoder, DecoderConfig, LstmConfig, Objective, RnnConfig, Sentences,
};
use nn::Dropout;
use tensor::random::Random;
use tensor::{Device, Tensor};

const D: usize = 7;
const R: usize = 5;
const V: usize = 11;

fn kinds() -> Vec<DecoderConfig> {
    let lstm = |tanh_c| {
        DecoderConfig::Lstm(LstmConfig {
            feature: D,
            embedding: 6,
            hidden: 8,
            vocabulary: V,
            tanh_c,
        })
    };
    let rnn = |relu_encoders, feed_once| {
        DecoderConfig::Rnn(RnnConfig {
            feature: D,
            embedding: 6,
            hidden: 8,
            vocabulary: V,
            relu_encoders,
            feed_once,
        })
    };
    let attention = DecoderConfig::Attention(AttentionConfig {
        feature: D,
        projection: 9,
        embedding: 6,
        hidden: 8,
        attention: 4,
        vocabulary: V,
    });
    vec![
        lstm(false),
        lstm(true),
        rnn(false, false),
        rnn(true, true),
        attention,
    ]
}

/// Large weights everywhere, so that every part matters.
fn decoder(config: &DecoderConfig, device: &Device) -> Decoder<f64> {
    let mut stream = 0;
    let shapes = config.parameters();
    Decoder::from_parameters(config.clone(), device, |name| {
        let (_, shape) = shapes.iter().find(|(n, _)| *n == name)?;
        stream += 1;
        Some(nn::initialization::uniform(device, shape, 0.8, 3, stream))
    })
    .expect("its own shapes")
}

fn features(config: &DecoderConfig, device: &Device) -> Tensor<f64> {
    let mut random = Random::new(8, 2);
    let shape: &[usize] = match config.reads_regions() {
        true => &[3, R, D],
        false => &[3, D],
    };
    let count = shape.iter().product();
    Tensor::new(
        device,
        shape,
        (0..count).map(|_| random.uniform() - 0.3).collect(),
    )
}

#[test]
fn divided_logits_are_a_temperature() {
    let device = Device::cpu(1);
    for config in kinds() {
        let mut decoder = decoder(&config, &device);
        let features = features(&config, &device);
        let next = |decoder: &Decoder<f64>| {
            let mut log_probs = Vec::new();
            let start = decoder.start(&features);
            decoder.advance(&start, &[0, 1, 2], &[0, 0, 0], &mut log_probs);
            log_probs
        };
        let before = next(&decoder);
        decoder.divide_logits(0.6);
        let after = next(&decoder);
        for (before, after) in before.chunks(V).zip(after.chunks(V)) {
            let total: f64 = before.iter().map(|y| (y / 0.6).exp()).sum();
            for (y, z) in before.iter().zip(after) {
                assert!((y / 0.6 - total.ln() - z).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn word_by_word_is_what_training_saw() {
    let device = Device::cpu(2);
    // Sentences about pictures 2, 0, 2, longest first: three words, one, none.
    let sentences: [&[u32]; 3] = [&[4, 9, 1], &[3], &[]];
    let (image_of, live) = ([2, 0, 2], [3, 2, 1, 1]);
    let inputs = [0, 0, 0, 4, 3, 9, 1];
    let targets = [4, 3, 0, 9, 0, 1, 0];
    for config in kinds() {
        let decoder = decoder(&config, &device);
        let features = features(&config, &device);
        let batch = Sentences {
            image_of: &image_of,
            live: &live,
            inputs: &inputs,
            targets: &targets,
        };
        let seen = decoder.loss(
            &features,
            &batch,
            Objective::default(),
            &Dropout::Off,
            false,
        );
        let start = decoder.start(&features);
        let mut at = [0; 3].map(|_| Vec::new());
        // Row by row in another order than training's, one of them twice: rows must not depend on their neighbours.
        for (sentence, found) in at.iter_mut().enumerate() {
            let mut state = start.clone();
            let mut parents = vec![image_of[sentence], 1, image_of[sentence]];
            for step in 0..=sentences[sentence].len() {
                let word = match step {
                    0 => 0,
                    _ => sentences[sentence][step - 1],
                };
                let mut log_probs = Vec::new();
                state = decoder.advance(&state, &parents, &[word, 5, word], &mut log_probs);
                parents = vec![2, 1, 0];
                assert_eq!(log_probs[..V], log_probs[2 * V..], "twice the same row");
                let target = sentences[sentence].get(step).copied().unwrap_or(0);
                found.push(-log_probs[target as usize]);
            }
        }
        let mut row = 0;
        for (step, &n) in live.iter().enumerate() {
            for found in &at[..n] {
                let (found, want) = (found[step], seen.words[row]);
                assert!(
                    (found - want).abs() < 1e-9,
                    "{config:?}: {found} and {want}"
                );
                row += 1;
            }
        }
    }
}

#[test]
fn attention_is_shown_for_every_row_and_word() {
    let device = Device::cpu(1);
    let config = kinds().pop().expect("attention is the last");
    let wide = decoder(&config, &device);
    let decoder = Decoder::<f32>::from_parameters(config.clone(), &device, |name| {
        let value = wide.parameters().value(name);
        Some(Tensor::from_values(&device, value.shape(), value.data()))
    })
    .expect("its own shapes");
    let features = features(&config, &device);
    let start = decoder.start(&Tensor::from_values(
        &device,
        features.shape(),
        features.data(),
    ));
    assert_eq!(decoder.attention(&start), None, "nothing was looked at yet");
    let mut log_probs = Vec::new();
    let state = decoder.step(&start, &[0, 2], &[0, 0], &mut log_probs);
    let weights = decoder.attention(&state).expect("a look at the regions");
    assert_eq!(weights.len(), 2 * R);
    for row in weights.chunks_exact(R) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
    }
    assert_ne!(weights[..R], weights[R..], "two pictures");
}
