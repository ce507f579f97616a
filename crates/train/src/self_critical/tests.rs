//! Rewards against `metrics`, weights against their definition, and the gradient against that of the expected reward.

use data::{Caption as Written, ImageRecord, Packed};
use metrics::document_frequency::DocumentFrequencies;
use metrics::{Corpus, Metric};
use models::{AttentionConfig, DecoderConfig, LstmConfig, Objective, Sentences};
use nn::{Clip, OptimizerConfig, gradcheck};
use tensor::Device;

use super::*;
use crate::step;

/// Training pictures with the given sentences, and one of another split in between.
fn dataset(pictures: &[&[&str]]) -> Dataset {
    let record = |(imgid, sentences): (usize, &&[&str])| ImageRecord {
        imgid: imgid as u32,
        path: format!("{imgid}.jpg"),
        split: if imgid == 1 { Split::Val } else { Split::Train },
        captions: sentences
            .iter()
            .map(|text| Written {
                sentid: 0,
                raw: String::new(),
                tokens: text.split_whitespace().map(str::to_owned).collect(),
            })
            .collect(),
    };
    Dataset {
        name: "made up".into(),
        images: pictures.iter().enumerate().map(record).collect(),
    }
}

fn vocabulary(words: &str) -> Vocabulary {
    let words = std::iter::once(".").chain(words.split_whitespace());
    Vocabulary::from_words(words.map(str::to_owned).collect()).expect("distinct")
}

fn lstm(feature: usize, vocabulary: usize) -> DecoderConfig {
    DecoderConfig::Lstm(LstmConfig {
        feature,
        embedding: 4,
        hidden: 4,
        vocabulary,
        tanh_c: true,
    })
}

fn options(samples: usize, seed: u64) -> Options {
    Options {
        samples,
        seed,
        ..Options::default()
    }
}

fn caption(tokens: &[u32], finished: bool) -> Caption {
    Caption {
        tokens: tokens.to_vec(),
        finished,
        log_prob: 0.0,
        word_log_probs: vec![],
    }
}

/// Sampled sentences score as `metrics::score` says of the same text with a word for END, document frequencies of all
/// training pictures; words that the vocabulary lacks count.
#[test]
fn rewards_are_the_scores_of_metrics() {
    rewards_are_scores(0.0);
    rewards_are_scores(2.5);
}

fn rewards_are_scores(bleu_weight: f64) {
    let sentences: [&[&str]; 4] = [
        &["a dog runs", "the purple dog runs on grass"],
        &["a dog in another split"],
        &["a cat sits", "a cat"],
        &["the dog and the cat"],
    ];
    let (data, words) = (
        dataset(&sentences),
        vocabulary("a the dog cat runs sits on"),
    );
    let options = Options {
        bleu_reward_weight: bleu_weight,
        ..options(6, 3)
    };
    let critic = Critic::new(&data, &words, &options);
    let device = Device::cpu(2);
    let decoder = Decoder::new(lstm(2, words.len()), &[0.0; 8], 5, &device);
    let features = Tensor::new(&device, &[2, 2], vec![0.5, -0.5, 1.0, 2.0]);
    // Training pictures 2 and 0 are the dataset's 3 and 0.
    let samples = critic
        .sample(&decoder, &features, &[2, 0], 9)
        .expect("samples");

    let line = |text: &str| format!("{text} <end>");
    let references =
        |image: usize| -> Vec<String> { sentences[image].iter().map(|s| line(s)).collect() };
    let mut all = Corpus::new();
    for image in [0, 2, 3] {
        all.push(image.to_string(), "", &references(image));
    }
    let frequencies = DocumentFrequencies::count(&all);
    let options = metrics::Options {
        metrics: vec![Metric::Cider, Metric::Bleu],
        document_frequencies: Some(&frequencies),
        ..Default::default()
    };
    assert_eq!(samples.rewards.len(), 12);
    for (i, (found, reward)) in samples.captions.iter().zip(&samples.rewards).enumerate() {
        let text = words.decode(&found.tokens);
        let mut corpus = Corpus::new();
        let text = if found.finished { line(&text) } else { text };
        corpus.push("1", &text, &references([3, 0][i / 6]));
        let scores = metrics::score(&corpus, &options).scores;
        let of = |name: &str| {
            let score = scores.iter().find(|s| s.name == name);
            score.expect(name).images[0]
        };
        let bleu = (1..=4).map(|n| of(&format!("BLEU-{n}"))).sum::<f64>() / 4.0;
        let want = of("CIDEr") + bleu_weight * bleu;
        assert!((reward - want).abs() < 1e-9, "{text}: {reward}, not {want}");
    }
    assert!(
        samples.rewards.iter().any(|&r| r > 0.1),
        "{:?}",
        samples.rewards
    );
}

#[test]
fn advantages_are_measured_by_the_other_samples_and_sum_to_nothing() {
    assert_eq!(advantages(&[1.0, 2.0, 6.0]), [-3.0, -1.5, 4.5]);
    let rewards: Vec<f64> = (0..7).map(|i| f64::from(i * i % 11) / 3.0).collect();
    assert!(advantages(&rewards).iter().sum::<f64>().abs() < 1e-12);
}

/// Each word of a sentence, END included where it was sampled, weighs the sentence's advantage.
#[test]
fn weights_stand_where_the_packed_words_do() {
    let samples = Samples {
        image_of: vec![0, 0, 1, 1],
        captions: vec![
            caption(&[3], true),
            caption(&[1, 2, 1], false),
            caption(&[], true),
            caption(&[2, 2], true),
        ],
        rewards: vec![0.0; 4],
        advantages: vec![1.0, -1.0, 0.5, -0.5],
        each: 2,
        sampling_seconds: 0.0,
        reward_seconds: 0.0,
    };
    let pictures = Batch {
        features: vec![0.0; 4],
        regions: 1,
        dimension: 2,
        pictures: vec![0, 1],
        image_of: vec![0, 1],
        sentences: vec![vec![9]; 2],
        pick_of: vec![0, 1],
    };
    let (batch, weights) = samples.batch(pictures);
    assert_eq!(
        batch.sentences,
        [vec![1, 2, 1], vec![2, 2], vec![3], vec![]]
    );
    assert_eq!(
        (batch.image_of.as_slice(), batch.images()),
        (&[0, 1, 0, 1][..], 2)
    );
    let packed = Packed::new(&batch.sentences);
    assert_eq!(packed.live, [4, 3, 2, 1]);
    // By step: (1 2 3 END) (2 2 END) (1 END) (END that was never sampled).
    let want = [-1.0, -0.5, 1.0, 0.5, -1.0, -0.5, 1.0, -1.0, -0.5, 0.0];
    assert_eq!(weights, want);
}

/// The loss of every decoder with weights of both signs, against central differences.
#[test]
fn the_gradient_of_the_weighted_loss_is_right() {
    let attention = DecoderConfig::Attention(AttentionConfig {
        feature: 3,
        projection: 4,
        embedding: 3,
        hidden: 4,
        attention: 3,
        vocabulary: 5,
    });
    for config in [lstm(3, 5), attention] {
        let device = Device::cpu(1);
        let decoder = Decoder::<f64>::new(config, &[0.1, -0.2, 0.3, 0.0, 0.2], 4, &device);
        let shape: &[usize] = match decoder.config().reads_regions() {
            true => &[2, 2, 3],
            false => &[2, 3],
        };
        let numbers: Vec<f64> = (0..shape.iter().product())
            .map(|i| (i as f64).sin())
            .collect();
        let features = Tensor::new(&device, shape, numbers);
        let packed = Packed::new(&[vec![1, 2, 4], vec![3, 3], vec![]]);
        let batch = Sentences {
            image_of: &[1, 0, 1],
            live: &packed.live,
            inputs: &packed.inputs,
            targets: &packed.targets,
        };
        let weights = [0.7, -1.3, 0.6, 0.7, -1.3, 0.7, -1.3, 0.0];
        assert_eq!(weights.len(), packed.rows());
        let objective = Objective {
            weights: Some(&weights),
            smoothing: 0.0,
        };
        let run = |decoder: &Decoder<f64>, gradients| {
            decoder.loss(&features, &batch, objective, &Dropout::Off, gradients)
        };
        let analytic = run(&decoder, true).gradients;
        let found = gradcheck::check(decoder.parameters(), &analytic, 40, |parameters| {
            let mut moved = decoder.clone();
            *moved.parameters_mut() = parameters.clone();
            let words = run(&moved, false).words;
            words
                .iter()
                .zip(&weights)
                .map(|(loss, weight)| loss * weight)
                .sum()
        });
        for one in found {
            assert!(one.relative_error < 1e-6 && one.largest > 0.0, "{one:?}");
        }
    }
}

/// With one word and END there are 21 sentences, so the expected reward is a sum, and its slope can be measured. What
/// the trainer walks down, averaged over many draws, must be minus that slope.
#[test]
fn the_step_climbs_the_expected_reward() {
    let data = dataset(&[&["a a a", "a a"], &["never"], &["b"]]);
    let words = vocabulary("a");
    let device = Device::cpu(1);
    let decoder = Decoder::new(lstm(2, 2), &[0.0, 0.4], 11, &device);
    let features = vec![0.5, -1.0];

    let critic = Critic::new(&data, &words, &options(64, 1));
    let sentence = |k: usize| match k {
        20 => vec![1; 20],
        _ => [vec![1; k], vec![Vocabulary::END]].concat(),
    };
    let rewards = critic
        .consensus
        .score(&[(0, (0..=20).map(sentence).collect())])
        .concat();
    let exact = Decoder::<f64>::from_parameters(decoder.config().clone(), &device, |name| {
        let value = decoder.parameters().value(name);
        Some(Tensor::from_values(&device, value.shape(), value.data()))
    })
    .expect("the same parameters");
    let expected = |decoder: &Decoder<f64>| -> f64 {
        let picture = Tensor::from_values(&device, &[1, 2], &features);
        let packed = Packed::new(&[vec![1; 20]]);
        let batch = Sentences {
            image_of: &[0],
            live: &packed.live,
            inputs: &packed.inputs,
            targets: &packed.targets,
        };
        // -ln p of going on after k words; 1 minus it is the probability of END.
        let losses = decoder
            .loss(&picture, &batch, Objective::default(), &Dropout::Off, false)
            .words;
        let (mut reached, mut sum) = (1.0, 0.0);
        for (k, reward) in rewards.iter().enumerate() {
            let on = if k < 20 { (-losses[k]).exp() } else { 0.0 };
            sum += reached * (1.0 - on) * reward;
            reached *= on;
        }
        sum
    };

    let pictures = Batch {
        features: features.clone(),
        regions: 1,
        dimension: 2,
        pictures: vec![0],
        image_of: vec![0],
        sentences: vec![vec![]],
        pick_of: vec![0],
    };
    let vanilla = OptimizerConfig::Vanilla { momentum: 0.0 };
    let fresh = Trainer::new(decoder.clone(), vanilla, Clip::default(), 0.0);
    let count = decoder.parameters().iter().map(|p| p.value.len()).sum();
    let mut walked: Vec<f64> = vec![0.0; count];
    let steps = 1500;
    for it in 0..steps {
        let mut trainer = fresh.clone();
        let seen = step::stored(&pictures, &decoder);
        let (pass, _) = critic
            .pass(&trainer, pictures.clone(), seen, &[0], it, &Dropout::Off)
            .expect("a pass");
        trainer.update(&pass, 1.0);
        let before = decoder.parameters().iter().flat_map(|p| p.value.data());
        let after = trainer
            .decoder
            .parameters()
            .iter()
            .flat_map(|p| p.value.data());
        for (sum, (after, before)) in walked.iter_mut().zip(after.zip(before)) {
            *sum += f64::from(after - before) / steps as f64;
        }
    }
    let mut slope = Vec::new();
    let mut moved = exact.clone();
    for (index, p) in exact.parameters().iter().enumerate() {
        for at in 0..p.value.len() {
            let mut shifted = |shift: f64| {
                let p = moved
                    .parameters_mut()
                    .iter_mut()
                    .nth(index)
                    .expect("a parameter");
                p.value.data_mut()[at] += shift;
                expected(&moved)
            };
            let (up, down) = (shifted(1e-5), shifted(-2e-5));
            shifted(1e-5);
            slope.push((up - down) / 2e-5);
        }
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (steepness, length) = (dot(&slope, &slope).sqrt(), dot(&walked, &walked).sqrt());
    assert!(
        steepness > 0.1,
        "the reward depends on the weights: {steepness}"
    );
    let cosine = dot(&slope, &walked) / steepness / length;
    assert!(cosine > 0.99, "cosine {cosine}");
    assert!(
        (length / steepness - 1.0).abs() < 0.05,
        "{length} for {steepness}"
    );
}

#[test]
fn draws_depend_on_seed_iteration_and_row_alone() {
    let data = dataset(&[&["a b"], &["c"], &["b a"]]);
    let words = vocabulary("a b c");
    let features = vec![0.5, -1.0, 0.25, 1.0];
    let tokens = |threads: usize, seed: u64, it: u64| -> Vec<Vec<u32>> {
        let device = Device::cpu(threads);
        let decoder = Decoder::new(lstm(2, 4), &[0.0; 4], 11, &device);
        let features = Tensor::new(&device, &[2, 2], features.clone());
        let critic = Critic::new(&data, &words, &options(8, seed));
        let samples = critic
            .sample(&decoder, &features, &[0, 1], it)
            .expect("samples");
        samples.captions.into_iter().map(|c| c.tokens).collect()
    };
    let one = tokens(1, 5, 3);
    assert_eq!(one, tokens(3, 5, 3));
    assert_ne!(one, tokens(1, 5, 4));
    assert_ne!(one, tokens(1, 6, 3));
    assert_ne!(one[..8], one[8..], "pictures draw on their own");
}
