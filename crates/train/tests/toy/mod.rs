//! A made-up dataset of a few pictures, small enough to be trained in milliseconds.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};

use models::encoder::{Encoder, EncoderConfig};
use serde_json::{Value, json};
use tensor::Device;
use train::{
    BatchBy, Control, Event, Generator, Options, Outcome, ScheduleKind, Solver, TrainError,
};

/// D of the made-up features.
pub const D: usize = 6;

/// Writes `dataset.json` and `feats.npy` for `train` training and 4 validation pictures.
pub fn dataset(folder: &Path, train: u32) -> PathBuf {
    let root = folder.join("toy");
    fs::create_dir_all(&root).expect("folder");
    let (nouns, verbs) = (["dog", "cat", "bird"], ["runs", "sits", "jumps", "sleeps"]);
    let mut sentid = 0;
    let mut sentence = |tokens: Vec<&str>| {
        sentid += 1;
        json!({"tokens": tokens, "raw": tokens.join(" "), "sentid": sentid - 1})
    };
    let images: Vec<Value> = (0..train + 4)
        .map(|imgid| {
            let (noun, verb) = (nouns[imgid as usize % 3], verbs[imgid as usize % 4]);
            let split = if imgid < train { "train" } else { "val" };
            let mut sentences = vec![
                sentence(vec!["a", noun, verb]),
                sentence(vec!["the", noun, verb, "on", "the", "grass"]),
            ];
            if imgid % 2 == 0 {
                sentences.push(sentence(vec![noun, "outside"]));
            }
            json!({"imgid": imgid, "filename": format!("{imgid}.jpg"), "split": split,
                   "sentids": [], "sentences": sentences})
        })
        .collect();
    let text = json!({"images": images, "dataset": "toy"}).to_string();
    fs::write(root.join("dataset.json"), text).expect("written");
    features(&root.join("feats.npy"), train as usize + 4, D);
    root
}

/// Writes `rows` vectors of width `d` as `.npy`.
pub fn features(path: &Path, rows: usize, d: usize) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {d}), }}");
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    for i in 0..rows * d {
        let (row, col) = (i / d, i % d);
        let value = ((row % 3 == col % 3) as u8 + (row % 4 == col % 4) as u8) as f32;
        bytes.extend((value + 0.01 * (i % 7) as f32).to_le_bytes());
    }
    fs::write(path, bytes).expect("written");
}

/// Everything switched on that has a state: dropout, schedule, warm-up, early stopping.
pub fn options(dataset: &Path, solver: Solver, generator: Generator) -> Options {
    Options {
        dataset: dataset.to_string_lossy().into_owned(),
        features: Some(dataset.join("feats.npy")),
        generator,
        solver,
        image_encoding_size: 8,
        word_encoding_size: 8,
        hidden_size: 8,
        tanhc_version: 1,
        regc: 1e-4,
        momentum: 0.9,
        decay_rate: 0.95,
        learning_rate: 0.01,
        learning_rate_schedule: ScheduleKind::Cosine,
        warmup_steps: 3,
        grad_clip_norm: 1.0,
        batch_size: 5,
        max_epochs: 3,
        eval_period: 0.5,
        word_count_threshold: 1,
        early_stopping: 50,
        threads: 1,
        seed: 7,
        ..Options::default()
    }
}

/// Pictures of the toy dataset, whose colours follow from their words, and an untrained encoder.
pub fn pictures(folder: &Path) -> (PathBuf, PathBuf) {
    let dataset = dataset(folder, 9);
    let pictures = dataset.join("imgs");
    fs::create_dir_all(&pictures).expect("folder");
    for imgid in 0..13u32 {
        let (noun, verb) = (imgid % 3, imgid % 4);
        let mut bytes = b"P6 20 16 255\n".to_vec();
        for at in 0..20 * 16u32 {
            let (x, y) = (at % 20, at / 20);
            let inside = (x / 5 == verb) as u32;
            bytes.extend([noun * 100, inside * 200, (x * y * 7 + imgid) % 64].map(|x| x as u8));
        }
        // The name says JPEG; what counts is what is inside.
        fs::write(pictures.join(format!("{imgid}.jpg")), bytes).expect("written");
    }
    let config = EncoderConfig::Small(vec![8, 12]);
    let encoder = Encoder::new(config.network(), 5, &Device::cpu(1));
    let file = folder.join("encoder.safetensors");
    checkpoint::save_encoder(&encoder, &file).expect("written");
    (dataset, file)
}

/// Options by which both learn, with every random change.
pub fn fine_tuning(dataset: &Path, encoder: &Path, generator: Generator) -> Options {
    Options {
        features: None,
        encoder: Some(encoder.to_owned()),
        finetune_after: 1,
        finetune_from_block: 1,
        encoder_learning_rate: 0.01,
        encoder_solver: Solver::Adamw,
        augment_area: 0.5,
        augment_aspect: 1.2,
        augment_flip: true,
        augment_contrast: 0.2,
        augment_brightness: 0.1,
        batch_by: BatchBy::Pictures,
        pictures_per_batch: 5,
        max_epochs: 6,
        ..options(dataset, Solver::Adam, generator)
    }
}

/// Trains without a word.
pub fn train(options: &Options, run: &Path) -> Result<Outcome, TrainError> {
    train::start(options, run, &mut |_| Control::Continue)
}

/// Goes on without a word.
pub fn resume(run: &Path) -> Result<Outcome, TrainError> {
    train::resume(run, &Default::default(), &mut |_| Control::Continue)
}

/// The steps and evaluations in `events.jsonl`, without durations.
pub fn history(run: &Path) -> Vec<Event> {
    let text = fs::read_to_string(run.join("events.jsonl")).expect("events.jsonl");
    let events = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event"));
    events
        .filter_map(|mut event| match &mut event {
            Event::Step {
                seconds, sampled, ..
            } => {
                *seconds = 0.0;
                if let Some(sampled) = sampled {
                    (sampled.sampling_seconds, sampled.reward_seconds) = (0.0, 0.0);
                }
                Some(event)
            }
            Event::Evaluated { seconds, .. } => {
                *seconds = 0.0;
                Some(event)
            }
            _ => None,
        })
        .collect()
}

/// The bytes of both checkpoints.
pub fn checkpoints(run: &Path) -> [Vec<u8>; 2] {
    ["last", "best"].map(|name| fs::read(run.join(format!("{name}.safetensors"))).expect(name))
}

/// The same without the option `threads`, which is stored with the others.
pub fn checkpoints_but_threads(run: &Path) -> [checkpoint::Checkpoint; 2] {
    ["last", "best"].map(|name| {
        let file = run.join(format!("{name}.safetensors"));
        let mut checkpoint = checkpoint::load(&file).expect(name);
        checkpoint.params.remove("threads");
        checkpoint
    })
}
