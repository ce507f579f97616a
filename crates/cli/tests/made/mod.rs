//! A small model with random weights, and pictures for it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::path::Path;

use checkpoint::{Checkpoint, EncoderPart, FeaturesInfo, NamedArray, published_preprocessing};
use models::encoder::{Encoder, EncoderConfig};
use models::{AttentionConfig, Decoder, DecoderConfig};
use tensor::Device;

/// Words that the model has.
pub const WORDS: [&str; 8] = [
    ".", "a", "red", "blue", "square", "circle", "above", "below",
];

/// An encoder of two convolutions (16 pixels, 4 x 4 regions) and a decoder with attention.
pub fn write_model(path: &Path, seed: u64) {
    let device = Device::cpu(1);
    let config = EncoderConfig::Small(vec![4, 6]);
    let decoder = DecoderConfig::Attention(AttentionConfig {
        feature: 6,
        projection: 6,
        embedding: 6,
        hidden: 6,
        attention: 5,
        vocabulary: WORDS.len(),
    });
    let mut bias = [0.0; WORDS.len()];
    // Sentences of some words: the end is not likely at once.
    bias[0] = -0.4;
    let model = Decoder::<f32>::new(decoder.clone(), &bias, seed, &device);
    // Larger than usual, so that pictures and words matter.
    let array = |p: &nn::Parameter| NamedArray {
        name: p.name.clone(),
        shape: p.value.shape().to_vec(),
        data: p.value.data().iter().map(|x| 4.0 * x).collect(),
    };
    let encoder = Encoder::new(config.network(), 1, &device);
    let preprocessing = published_preprocessing(&config);
    let checkpoint = Checkpoint {
        words: WORDS.map(String::from).to_vec(),
        word_counts: None,
        features: FeaturesInfo {
            name: "small".into(),
            dimension: 6,
        },
        dataset: "made".into(),
        params: serde_json::Map::new(),
        iteration: 0,
        epoch: 0.0,
        scores: BTreeMap::new(),
        weights: model.parameters().iter().map(array).collect(),
        encoder: Some(EncoderPart::new(config, preprocessing, &encoder)),
        training: None,
        decoder,
    };
    checkpoint::save(&checkpoint, path).expect("saved");
}

/// A picture of noise.
pub fn write_picture(path: &Path, seed: u32) {
    let noise = |x: u32, y: u32, c: u32| {
        let mixed = (x * 31 + y * 17 + c * 97 + seed * 1009).wrapping_mul(2_654_435_761);
        (mixed >> 24) as u8
    };
    let picture = image::RgbImage::from_fn(30 + seed % 7, 20 + seed % 5, |x, y| {
        image::Rgb([0, 1, 2].map(|c| noise(x, y, c)))
    });
    picture.save(path).expect("written");
}
