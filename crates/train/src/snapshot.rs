//! Between a run's state and a checkpoint.
//!
//! Here: what `last` must hold so that a resumed run is the same run: weights, running averages,
//! counters. Batches and dropout masks need nothing: they are functions of seed and iteration.
//! Not here: bytes (`checkpoint`), when to save (`run.rs`).

use std::path::Path;

use checkpoint::{Checkpoint, FeaturesInfo, NamedArray, TrainingState};
use models::Decoder;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tensor::{Device, Tensor};

use crate::TrainError;
use crate::event::Kind;
use crate::job::Job;
use crate::progress::Progress;
use crate::step::Trainer;
use crate::vision::Vision;

/// Prefix of the running averages of the encoder's optimizer.
const ENCODER: &str = "encoder.";

/// The JSON part of a training state.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    progress: Progress,
    /// Adam's bias correction counts from this.
    optimizer_steps: u64,
    /// The same of the encoder's optimizer.
    #[serde(default)]
    encoder_steps: u64,
    /// Batches are drawn from these: other data would give other batches without a word.
    train_images: u64,
    train_sentences: u64,
    train_words: u64,
}

impl Saved {
    fn new(job: &Job, trainer: &Trainer, progress: &Progress) -> Self {
        Self {
            progress: progress.clone(),
            optimizer_steps: trainer.optimizer.steps(),
            encoder_steps: job
                .vision
                .as_ref()
                .map_or(0, |vision| vision.tuner.optimizer_steps()),
            train_images: job.train.images.len() as u64,
            train_sentences: job.train.sentences() as u64,
            train_words: job.train.words_with_end() as u64,
        }
    }
}

/// The state of a run as a checkpoint; what is needed to go on only in `last`.
pub(crate) fn take(job: &Job, trainer: &Trainer, progress: &Progress, kind: Kind) -> Checkpoint {
    let parameters = trainer.decoder.parameters();
    let array = |(name, value): (String, Tensor)| NamedArray {
        name,
        shape: value.shape().to_vec(),
        data: value.data().to_vec().into(),
    };
    let of_encoder = || {
        let state = job.vision.iter().flat_map(|v| v.tuner.optimizer_state());
        state.map(|(name, average)| (format!("{ENCODER}{name}"), average))
    };
    let training = (kind == Kind::Last).then(|| TrainingState {
        arrays: trainer
            .optimizer
            .state(parameters)
            .into_iter()
            .chain(of_encoder())
            .map(array)
            .collect(),
        json: json!(Saved::new(job, trainer, progress)),
    });
    let mut params = job.options.params();
    // As in NeuralTalk's checkpoints: the name under `data/`, not this machine's folders.
    params.insert("dataset".into(), json!(job.dataset));
    params.insert("features".into(), json!(job.features.name()));
    let mut scores = std::collections::BTreeMap::new();
    for (name, score) in [
        ("val_ppl2", progress.val_ppl2),
        ("smooth_train_ppl2", progress.smooth_ppl2),
    ] {
        scores.extend(score.map(|score| (name.to_owned(), score)));
    }
    Checkpoint {
        decoder: trainer.decoder.config().clone(),
        words: job.vocabulary.words().to_vec(),
        word_counts: job.word_counts.clone(),
        features: FeaturesInfo {
            name: job.features.name().to_owned(),
            dimension: job.features.dimension(),
        },
        dataset: job.dataset.clone(),
        params,
        iteration: progress.iteration,
        epoch: job.plan().epoch(progress.iteration),
        scores,
        weights: parameters
            .iter()
            .map(|p| array((p.name.clone(), p.value.clone())))
            .collect(),
        encoder: job.vision.as_ref().map(Vision::part),
        training,
    }
}

/// The decoder of a checkpoint.
pub(crate) fn decoder(
    checkpoint: &Checkpoint,
    path: &Path,
    device: &Device,
) -> Result<Decoder, TrainError> {
    Decoder::from_parameters(checkpoint.decoder.clone(), device, |name| {
        checkpoint.weight(name).map(|a| tensor(a, device))
    })
    .map_err(|problem| mismatch(path, problem.to_string()))
}

/// Puts a run back to where `checkpoint` was saved.
pub(crate) fn restore(
    job: &mut Job,
    checkpoint: &Checkpoint,
    path: &Path,
) -> Result<(Trainer, Progress), TrainError> {
    let state = checkpoint
        .training
        .as_ref()
        .ok_or_else(|| mismatch(path, "it holds no training state".into()))?;
    let saved: Saved = serde_json::from_value(state.json.clone())
        .map_err(|e| mismatch(path, format!("its training state does not parse: {e}")))?;
    let mut trainer = job.trainer(decoder(checkpoint, path, &job.device)?);
    let parameters = trainer.decoder.parameters().clone();
    trainer
        .optimizer
        .restore(&parameters, saved.optimizer_steps, |name| {
            let array = state.arrays.iter().find(|a| a.name == name)?;
            Some(tensor(array, &job.device))
        })
        .map_err(|name| mismatch(path, missing_average(&name)))?;
    if let Some(vision) = &mut job.vision {
        let saved_average = |name: &str| {
            let name = format!("{ENCODER}{name}");
            let array = state.arrays.iter().find(|a| a.name == name)?;
            Some(tensor(array, &job.device))
        };
        vision
            .tuner
            .restore(saved.encoder_steps, saved_average)
            .map_err(|name| {
                let name = format!("{ENCODER}{name}");
                mismatch(path, missing_average(&name))
            })?;
    }
    let now = Saved::new(job, &trainer, &saved.progress);
    for (what, was, is) in [
        ("training pictures", saved.train_images, now.train_images),
        (
            "training sentences",
            saved.train_sentences,
            now.train_sentences,
        ),
        ("training words", saved.train_words, now.train_words),
        ("steps", saved.progress.iteration, checkpoint.iteration),
    ] {
        if was != is {
            return Err(mismatch(
                path,
                format!("it counted {was} {what}, now there are {is}"),
            ));
        }
    }
    Ok((trainer, saved.progress))
}

fn missing_average(name: &str) -> String {
    format!("running average `{name}` is missing or has another size")
}

fn tensor(array: &NamedArray, device: &Device) -> Tensor {
    Tensor::stored(device, &array.shape, array.data.clone())
}

pub(crate) fn mismatch(path: &Path, problem: String) -> TrainError {
    TrainError::Mismatch {
        path: path.to_owned(),
        problem,
    }
}
