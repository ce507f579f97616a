//! What a run works on: data, vocabulary, decoder, opened from its options.
//!
//! Everything that can be wrong with the data is found here, before a folder is made or a step
//! taken. Not here: the loop (`run.rs`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use checkpoint::Checkpoint;
use data::{Dataset, Encoded, Features, ImageRecord, Sampler, Split, Vocabulary};
use models::{Decoder, DecoderConfig};
use tensor::{Device, Table};

use crate::TrainError;
use crate::options::{BatchBy, Generator, Objective, Options, Sampling};
use crate::progress::Plan;
use crate::self_critical::Critic;
use crate::snapshot;
use crate::step::Trainer;
use crate::vision::Vision;

/// A run's data and options.
#[derive(Debug)]
pub(crate) struct Job {
    /// With sizes as they are really used.
    pub(crate) options: Options,
    /// The dataset's name.
    pub(crate) dataset: String,
    /// Stored ones, or those of the validation pictures as the encoder makes them now.
    pub(crate) features: Features,
    /// Stored features of the training pictures, where they can stay on a GPU.
    pub(crate) table: Option<Table>,
    /// Pictures with their encoder, where no stored features are read.
    pub(crate) vision: Option<Vision>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) word_counts: Option<Vec<u64>>,
    pub(crate) train: Encoded,
    /// Pictures of the validation split, in the dataset's order, that evaluations use.
    pub(crate) val: Encoded,
    /// The same pictures with their texts.
    pub(crate) val_records: Vec<ImageRecord>,
    pub(crate) sampler: Sampler,
    /// Rewards, where the objective is self-critical.
    pub(crate) critic: Option<Critic>,
    pub(crate) device: Device,
    /// What a user should know before training.
    pub(crate) notes: Vec<String>,
    plan: Plan,
}

impl Job {
    /// Opens the data; `from` (a checkpoint and its file) decides vocabulary and sizes if given. What only looks wrong is refused
    /// where a run `begins`, and not when it goes on.
    pub(crate) fn open(
        mut options: Options,
        from: Option<(&Checkpoint, &Path)>,
        device: Device,
        begins: bool,
    ) -> Result<Self, TrainError> {
        let path = dataset_path(&options.dataset);
        let mut dataset = Dataset::open(&path)?;
        if options.restval_as_train {
            dataset.restval_as_train();
        }
        check_imgids(&dataset)?;
        let mut notes = Vec::new();
        let (vocabulary, word_counts) = match from {
            Some((checkpoint, file)) => {
                let changes = options.adopt(&checkpoint.decoder);
                if !changes.is_empty() {
                    let changes = changes.join(", ");
                    notes.push(format!("as in `{}`: {changes}", file.display()));
                }
                let words = Vocabulary::from_words(checkpoint.words.clone())
                    .map_err(|e| snapshot::mismatch(file, e.to_string()))?;
                (words, checkpoint.word_counts.clone())
            }
            None => count_words(&dataset, &options)?,
        };
        let start = from.map(|(checkpoint, _)| checkpoint);
        let vision = Vision::open(&options, start, &dataset, &path, &device)?;
        let features = match &vision {
            Some(vision) => vision.no_features(),
            None => {
                let features = stored_features(&options, &path)?;
                check_columns(&dataset, &features, options.allow_extra_features || !begins)?;
                check_numbers(&dataset, &features)?;
                check_regions(&options, &features)?;
                features
            }
        };
        if let Some((checkpoint, file)) = from {
            check_width(checkpoint, file, &features)?;
        }
        let train = Encoded::new(&dataset, &vocabulary, &[Split::Train]);
        let mut val = Encoded::new(&dataset, &vocabulary, &[Split::Val]);
        let limit = usize::try_from(options.eval_max_images).unwrap_or(usize::MAX);
        val.images.truncate(limit);
        if val.sentences() == 0 {
            return Err(no_sentences(&dataset, Split::Val));
        }
        let table = match vision {
            Some(_) => None,
            None => resident(&train, &features, &device),
        };
        let critical = options.objective == Objective::SelfCritical;
        let critic = critical.then(|| Critic::new(&dataset, &vocabulary, &options));
        let sampling = match (options.sampling, options.batch_by) {
            _ if critical => data::Sampling::Pictures {
                pictures: options.pictures_per_batch,
            },
            (Sampling::Neuraltalk, _) => data::Sampling::Neuraltalk {
                batch_size: options.batch_size,
            },
            (Sampling::Epochs, BatchBy::Sentences) => data::Sampling::Sentences {
                batch_size: options.batch_size,
            },
            (Sampling::Epochs, BatchBy::Pictures) => data::Sampling::Pictures {
                pictures: options.pictures_per_batch,
            },
        };
        let sampler = Sampler::new(&train.sentence_counts(), sampling, options.seed)
            .map_err(|_| no_sentences(&dataset, Split::Train))?;
        let plan = Plan::new(&options, sampler.batches_per_epoch());
        Ok(Self {
            device,
            val_records: dataset.of_split(Split::Val).take(limit).cloned().collect(),
            dataset: dataset.name,
            options,
            features,
            table,
            vision,
            vocabulary,
            word_counts,
            train,
            val,
            sampler,
            critic,
            notes,
            plan,
        })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The epoch of step `it` if the encoder learns in it.
    pub(crate) fn learning_epoch(&self, it: u64) -> Option<u64> {
        let epoch = it / self.plan.iterations_per_epoch;
        let after = u64::try_from(self.options.finetune_after).ok()?;
        (after <= epoch).then_some(epoch)
    }

    /// Numbers of the encoder that will be trained.
    pub(crate) fn tuned_parameters(&self) -> u64 {
        match &self.vision {
            Some(vision) if self.options.finetune_after >= 0 => vision.tuner.parameters(),
            _ => 0,
        }
    }

    /// A fresh decoder.
    ///
    /// # Errors
    /// If memory isn't there for it.
    pub(crate) fn new_decoder(&self) -> Result<Decoder, TrainError> {
        let config = self
            .options
            .decoder(self.features.dimension(), self.vocabulary.len());
        if self.device.gpu().is_none() {
            room_for(&config)?;
        }
        let bias = self
            .vocabulary
            .initial_bias()
            .unwrap_or_else(|| vec![0.0; self.vocabulary.len()]);
        Ok(Decoder::new(config, &bias, self.options.seed, &self.device))
    }

    /// A trainer with all running averages at 0.
    pub(crate) fn trainer(&self, decoder: Decoder) -> Trainer {
        let options = &self.options;
        let mut trainer = Trainer::new(decoder, options.optimizer(), options.clip(), options.regc);
        trainer.smoothing = options.label_smoothing;
        trainer
    }
}

/// Where the run computes; `auto` is the CPU as long as no GPU has been measured.
pub(crate) fn open_device(options: &Options) -> Result<Device, TrainError> {
    if options.device != "cuda" {
        return Ok(Device::cpu(options.threads));
    }
    let precision = options.precision.parse().unwrap_or_default();
    Device::cuda(0, precision, options.threads).map_err(TrainError::Gpu)
}

/// Asks the system for the memory of a training, and gives it back: better now and in words than in the middle of a step.
fn room_for(config: &DecoderConfig) -> Result<(), TrainError> {
    let shapes = config.parameters();
    let size = |shape: &[usize]| shape.iter().fold(1u64, |n, &m| n.saturating_mul(m as u64));
    let numbers = shapes.iter().map(|(_, shape)| size(shape));
    let numbers = numbers.fold(0u64, u64::saturating_add);
    // The weights, their gradients, one running average at least.
    let bytes = numbers.saturating_mul(3 * size_of::<f32>() as u64);
    let mut room: Vec<u8> = Vec::new();
    let there = usize::try_from(bytes).is_ok_and(|bytes| room.try_reserve_exact(bytes).is_ok());
    there.then_some(()).ok_or(TrainError::TooLarge { bytes })
}

/// The path as given if there is something; else, as in NeuralTalk, a name under `data/`.
pub(crate) fn dataset_path(name: &str) -> PathBuf {
    let (given, under_data) = (PathBuf::from(name), Path::new("data").join(name));
    if !given.exists() && under_data.exists() {
        under_data
    } else {
        given
    }
}

/// The training pictures' rows on the GPU, if there is one and they fit. On a CPU a batch reads them where the file has them.
fn resident(train: &Encoded, features: &Features, device: &Device) -> Option<Table> {
    let width = features.regions() * features.dimension();
    if !Table::fits(device, train.images.len() * width) {
        return None;
    }
    let rows = train.images.iter().map(|image| features.row(image.imgid));
    let rows: Vec<&[f32]> = rows.collect::<Option<_>>()?;
    Some(Table::new(device, width, rows.concat().into()))
}

/// The file that was named, or `vgg_feats.mat` in the dataset's folder.
fn stored_features(options: &Options, dataset: &Path) -> Result<Features, TrainError> {
    let file = options.features.clone().unwrap_or_else(|| {
        let folder = match dataset.is_dir() {
            true => Some(dataset),
            false => dataset.parent(),
        };
        folder.unwrap_or(Path::new("")).join("vgg_feats.mat")
    });
    if options.features.is_none() && !file.exists() {
        return Err(TrainError::NoFeatures { path: file });
    }
    Ok(Features::open(file)?)
}

fn count_words(
    dataset: &Dataset,
    options: &Options,
) -> Result<(Vocabulary, Option<Vec<u64>>), TrainError> {
    let captions = dataset.captions(Split::Train).map(|(_, c)| &c.tokens);
    let vocabulary = Vocabulary::from_captions(captions, options.word_count_threshold);
    if vocabulary.len() < 2 {
        let problem = format!(
            "no word that is seen at least {} times (word-count-threshold)",
            options.word_count_threshold
        );
        return Err(split_error(dataset, Split::Train, problem));
    }
    let counts = (0..vocabulary.len() as u32)
        .map(|id| vocabulary.count(id))
        .collect();
    Ok((vocabulary, counts))
}

/// Refuses features without a vector for every picture that has sentences to learn or evaluate.
fn check_columns(dataset: &Dataset, features: &Features, more: bool) -> Result<(), TrainError> {
    let wanted = dataset.columns();
    if wanted < features.len() && !more {
        return Err(TrainError::ExtraFeatures {
            features: features.name().to_owned(),
            dataset: dataset.name.clone(),
            found: features.len(),
            wanted,
        });
    }
    let used = dataset.images.iter().filter(|image| {
        matches!(image.split, Split::Train | Split::Val) && !image.captions.is_empty()
    });
    let missing: Vec<u32> = used
        .map(|image| image.imgid)
        .filter(|&imgid| features.row(imgid).is_none())
        .collect();
    let Some(largest) = missing.iter().max() else {
        return Ok(());
    };
    Err(TrainError::Features {
        features: features.name().to_owned(),
        what: format!("dataset `{}`", dataset.name),
        expected: format!("{} for imgid 0 to {largest}", u64::from(*largest) + 1),
        found: format!(
            "{} columns, so that {} pictures lack theirs",
            features.len(),
            missing.len()
        ),
    })
}

/// A cost that is no number would look like divergence.
fn check_numbers(dataset: &Dataset, features: &Features) -> Result<(), TrainError> {
    let used = dataset.images.iter();
    for image in used.filter(|image| matches!(image.split, Split::Train | Split::Val)) {
        let row = features.row(image.imgid).unwrap_or(&[]);
        if let Some(at) = row.iter().position(|x| !x.is_finite()) {
            return Err(TrainError::NonFinite {
                features: features.name().to_owned(),
                imgid: image.imgid,
                at,
                value: row[at],
            });
        }
    }
    Ok(())
}

/// Columns and pictures go by imgid: two pictures can't share one.
fn check_imgids(dataset: &Dataset) -> Result<(), TrainError> {
    let mut seen = HashMap::new();
    for image in &dataset.images {
        if let Some(first) = seen.insert(image.imgid, &image.path) {
            return Err(TrainError::SameImgid {
                dataset: dataset.name.clone(),
                imgid: image.imgid,
                first: first.clone(),
                second: image.path.clone(),
            });
        }
    }
    Ok(())
}

/// One vector a picture for a decoder that reads one; with attention any number.
fn check_regions(options: &Options, features: &Features) -> Result<(), TrainError> {
    if options.generator == Generator::Attention || features.regions() == 1 {
        return Ok(());
    }
    Err(TrainError::Features {
        features: features.name().to_owned(),
        what: format!(
            "generator `{}`",
            options.params()["generator"].as_str().unwrap_or("")
        ),
        expected: "one vector a picture".into(),
        found: format!("{} regions a picture", features.regions()),
    })
}

fn check_width(
    checkpoint: &Checkpoint,
    file: &Path,
    features: &Features,
) -> Result<(), TrainError> {
    let (expected, found) = (checkpoint.features.dimension, features.dimension());
    if expected == found {
        return Ok(());
    }
    Err(TrainError::Features {
        features: features.name().to_owned(),
        what: format!("checkpoint `{}`", file.display()),
        expected: format!("{expected} as in `{}`", checkpoint.features.name),
        found: format!("{found} numbers a picture"),
    })
}

fn no_sentences(dataset: &Dataset, split: Split) -> TrainError {
    split_error(dataset, split, "no picture with a sentence".into())
}

fn split_error(dataset: &Dataset, split: Split, problem: String) -> TrainError {
    TrainError::Split {
        dataset: dataset.name.clone(),
        split,
        problem,
    }
}
