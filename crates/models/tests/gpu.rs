//! Training steps of every decoder on the emulated GPU against the CPU: same losses, same weights after several steps, same
//! captions' probabilities. With NEURALTALK_TEST_GPU=0 (a number) on that GPU.

#[path = "../../cuda/tests/emulator/mod.rs"]
mod emulator;

use emulator::Call;
use models::encoder::{Encoder, EncoderConfig};
use models::{
    AttentionConfig, Decode, Decoder, DecoderConfig, LstmConfig, Objective, RnnConfig, Sentences,
};
use nn::{Clip, Dropout, Optimizer, OptimizerConfig};
use tensor::random::Random;
use tensor::{Device, Precision, Tape, Tensor, ops};

fn gpu(precision: Precision) -> Option<Device> {
    Some(Device::cpu(2).with_gpu(emulator::or_real_gpu(precision)?))
}

const FEATURE: usize = 11;
const VOCABULARY: usize = 37;
const IMAGES: usize = 3;
const REGIONS: usize = 4;

fn decoders() -> [DecoderConfig; 3] {
    [
        DecoderConfig::Lstm(LstmConfig {
            feature: FEATURE,
            embedding: 10,
            hidden: 14,
            vocabulary: VOCABULARY,
            tanh_c: false,
        }),
        DecoderConfig::Rnn(RnnConfig {
            feature: FEATURE,
            embedding: 10,
            hidden: 14,
            vocabulary: VOCABULARY,
            relu_encoders: true,
            feed_once: false,
        }),
        DecoderConfig::Attention(AttentionConfig {
            feature: FEATURE,
            projection: 9,
            embedding: 10,
            hidden: 14,
            attention: 8,
            vocabulary: VOCABULARY,
        }),
    ]
}

fn features(config: &DecoderConfig, device: &Device) -> Tensor {
    let shape: &[usize] = match config {
        DecoderConfig::Attention(_) => &[IMAGES, REGIONS, FEATURE],
        _ => &[IMAGES, FEATURE],
    };
    let mut random = Random::new(5, 1);
    let values: Vec<f64> = (0..shape.iter().product())
        .map(|_| random.uniform())
        .collect();
    Tensor::from_values(device, shape, &values)
}

/// Losses of the steps, the gradient's norms, and the weights at the end; a clip of both kinds, L2, dropout, label smoothing.
fn train(config: &DecoderConfig, device: &Device) -> (Vec<f64>, Vec<(String, Vec<f32>)>) {
    let mut decoder = Decoder::<f32>::new(config.clone(), &[0.1; VOCABULARY], 3, device);
    let adam = OptimizerConfig::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-3,
        weight_decay: 0.01,
    };
    let mut optimizer = Optimizer::new(adam, decoder.parameters());
    let features = features(config, device);
    let (image_of, live) = ([2, 0, 1, 2, 0], [5, 5, 3, 2, 1]);
    let words: usize = live.iter().sum();
    let mut random = Random::new(9, 1);
    let mut word = || (random.uniform() * VOCABULARY as f64) as u32;
    let (inputs, targets): (Vec<u32>, Vec<u32>) = (0..words).map(|_| (word(), word())).unzip();
    let batch = Sentences {
        image_of: &image_of,
        live: &live,
        inputs: &inputs,
        targets: &targets,
    };
    let mut seen = Vec::new();
    for step in 0..5 {
        let dropout = Dropout::Random {
            seed: 1,
            step,
            encoder: 0.3,
            decoder: 0.5,
        };
        let objective = Objective {
            weights: None,
            smoothing: 0.1,
        };
        let loss = decoder.loss(&features, &batch, objective, &dropout, true);
        let clip = Clip {
            value: Some(0.5),
            norm: Some(0.8),
        };
        let parameters = decoder.parameters_mut();
        let norm = optimizer.step(parameters, &loss.gradients, 0.02, 0.2, 1e-3, clip);
        seen.extend([loss.total, norm.expect("the norm is clipped")]);
    }
    // The probabilities that a search would see, two words on.
    let mut log_probs = Vec::new();
    let state = decoder.start(&features);
    let state = decoder.step(&state, &[0, 1, 2], &[0, 0, 0], &mut log_probs);
    decoder.step(&state, &[2, 0], &[5, 7], &mut log_probs);
    let weights = decoder.parameters().iter();
    let mut numbers: Vec<_> = weights
        .map(|p| (p.name.clone(), p.value.data().to_vec()))
        .collect();
    numbers.push(("log probabilities".into(), log_probs));
    (seen, numbers)
}

#[test]
fn training_is_the_same_on_both_devices() {
    for (precision, tolerance) in [(Precision::Single, 2e-4), (Precision::Bf16, 5e-2)] {
        let Some(device) = gpu(precision) else { return };
        let cpu = Device::cpu(2);
        for config in decoders() {
            let ((seen, got), (expected, want)) = (train(&config, &device), train(&config, &cpu));
            assert!(expected[6] < expected[0], "it learns: {expected:?}");
            for (a, b) in seen.iter().zip(&expected) {
                let error = (a - b).abs() / b;
                assert!(
                    error < tolerance,
                    "{config:?} {precision:?}: {seen:?}, not {expected:?}"
                );
            }
            for ((name, a), (_, b)) in got.iter().zip(&want) {
                let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
                let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
                let error = f64::from(difference / norm(&mut b.iter().copied()));
                assert!(
                    error < tolerance,
                    "{config:?} {precision:?} {name}: {error:.1e}"
                );
            }
        }
    }
}

/// The host waits twice: for the losses when all of the backward pass is queued, and for the norm of the gradients. Nothing is
/// copied back whose size depends on the decoder's.
#[test]
fn a_training_step_waits_for_its_losses_and_the_norm() {
    let Some((gpu, calls)) = emulator::listening(Precision::Bf16) else {
        return;
    };
    let taken = || std::mem::take(&mut *calls.lock().expect("no panic"));
    let device = Device::cpu(2).with_gpu(gpu);
    for config in decoders() {
        let mut decoder = Decoder::<f32>::new(config.clone(), &[0.1; VOCABULARY], 3, &device);
        let rule = OptimizerConfig::Vanilla { momentum: 0.9 };
        let mut optimizer = Optimizer::new(rule, decoder.parameters());
        let features = features(&config, &device);
        let batch = Sentences {
            image_of: &[2, 0, 1],
            live: &[3, 3, 1],
            inputs: &[0, 0, 0, 4, 5, 6, 7],
            targets: &[4, 5, 6, 7, 8, 0, 0],
        };
        let dropout = Dropout::Random {
            seed: 1,
            step: 0,
            encoder: 0.3,
            decoder: 0.5,
        };
        taken();
        let loss = decoder.loss(&features, &batch, Objective::default(), &dropout, true);
        let pass = taken();
        let losses = Call::Download(batch.targets.len() * 2 * size_of::<f32>());
        assert_eq!(pass.last(), Some(&losses), "{config:?}");
        let waits = |calls: &[Call]| {
            let waits = |call: &&Call| matches!(call, Call::Download(_));
            calls.iter().filter(waits).count()
        };
        assert_eq!(waits(&pass), 1, "{config:?}: {pass:?}");
        let clip = Clip {
            value: None,
            norm: Some(0.8),
        };
        let parameters = decoder.parameters_mut();
        optimizer.step(parameters, &loss.gradients, 0.02, 0.2, 1e-3, clip);
        let update = taken();
        // No parameter is larger than a few of the norm's parts.
        let norm = |call: &&Call| matches!(call, Call::Download(bytes) if *bytes < 400);
        assert_eq!(
            update.iter().filter(norm).count(),
            1,
            "{config:?}: {update:?}"
        );
        assert_eq!(waits(&update), 1, "{config:?}: {update:?}");
    }
}

/// EfficientNet-Lite0 on small pictures: features for inference, and the gradients of pixels and of every parameter.
#[test]
fn an_encoder_is_the_same_on_both_devices() {
    let Some(device) = gpu(Precision::Single) else {
        return;
    };
    let run = |device: &Device| {
        let network = EncoderConfig::EfficientNetLite(0).network();
        let encoder = Encoder::<f32>::new(network, 5, device);
        let mut random = Random::new(8, 1);
        let values: Vec<f64> = (0..2 * 24 * 24 * 3).map(|_| random.uniform()).collect();
        let pixels = Tensor::from_values(device, &[2, 24, 24, 3], &values);
        let folded = encoder.fold().encode(&pixels);
        let mut tape = Tape::new(device);
        let x = tape.parameter(pixels);
        let bound = encoder.parameters().bind(&mut tape);
        let found = encoder.forward(&mut tape, &bound, x);
        let squares = ops::mul(&mut tape, found.regions, found.regions);
        let loss = ops::sum(&mut tape, squares);
        let mut all = vec![folded.regions, folded.pooled];
        all.push(tape.value(found.regions).clone());
        let mut gradients = tape.backward(loss);
        all.push(gradients.take(x).expect("pixels matter"));
        all.extend(bound.gradients(&mut gradients));
        all
    };
    let (got, want) = (run(&device), run(&Device::cpu(2)));
    assert_eq!(got.len(), want.len());
    for (which, (a, b)) in got.iter().zip(&want).enumerate() {
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        let pairs = a.data().iter().zip(b.data());
        let difference = norm(&mut pairs.map(|(a, b)| a - b));
        let size = norm(&mut b.data().iter().copied());
        assert!(
            size > 0.0 && difference < 2e-4 * size,
            "{which}: {difference:.1e} of {size:.1e}"
        );
    }
}

/// The same step twice gives the same bits: no kernel's sum depends on timing.
#[test]
fn the_same_run_gives_the_same_bits() {
    let Some(device) = gpu(Precision::Single) else {
        return;
    };
    for config in decoders() {
        assert_eq!(train(&config, &device), train(&config, &device));
    }
}

/// What fine-tuning does with an encoder in a step: weights folded, features, the gradients of a tape, an update.
#[test]
fn a_step_of_fine_tuning_copies_nothing_back() {
    let Some((gpu, calls)) = emulator::listening(Precision::Single) else {
        return;
    };
    let device = Device::cpu(2).with_gpu(gpu);
    let network = EncoderConfig::EfficientNetLite(0).network();
    let mut encoder = Encoder::<f32>::new(network, 5, &device);
    let rule = OptimizerConfig::Vanilla { momentum: 0.9 };
    let mut optimizer = Optimizer::new(rule, encoder.parameters());
    let pixels = Tensor::zeros(&device, &[1, 24, 24, 3]);
    let mut step = || {
        let features = encoder.fold().encode(&pixels).regions;
        let mut tape = Tape::new(&device);
        let bound = encoder.parameters().bind(&mut tape);
        let x = tape.constant(pixels.clone());
        let found = encoder.forward(&mut tape, &bound, x);
        // Any gradient of the right shape.
        let mut gradients = tape.backward_from(found.regions, features);
        let gradients = bound.gradients(&mut gradients);
        let clip = Clip::default();
        optimizer.step(encoder.parameters_mut(), &gradients, 0.02, 0.2, 1e-3, clip);
    };
    step(); // uploads the weights
    calls.lock().expect("no panic").clear();
    step();
    let calls = calls.lock().expect("no panic");
    let copies = calls.iter().filter(|call| **call != Call::Work);
    let copies: Vec<_> = copies.collect();
    assert!(copies.is_empty(), "{copies:?}");
}

/// A step that asks for what the step before asked for is handed over as a graph, which computes the same.
#[test]
fn steps_that_repeat_are_replayed() {
    for precision in [Precision::Single, Precision::Bf16] {
        let Some(plain) = emulator::gpu(precision) else {
            return;
        };
        for config in decoders() {
            let (gpu, _) = emulator::recording(precision).expect("as before");
            let device = Device::cpu(2).with_gpu(gpu.clone());
            let got = train(&config, &device);
            assert_eq!(got, train(&config, &Device::cpu(2).with_gpu(plain.clone())));
            // Of five steps: the third, fourth and fifth norm; the first step uploads weights and the second running averages, so
            // of the steps themselves only the fifth comes for the third time.
            assert_eq!(gpu.replayed(), 4, "{config:?} {precision:?}");
        }
    }
}
