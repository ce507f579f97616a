//! The training loop: batch, loss, step, validation, event, checkpoint.
//!
//! Here: [`Options`], [`start`] and [`resume`] of a run, what a run's folder holds, the step
//! ([`Trainer`]) and the validation perplexity ([`perplexity`]). Not here: the models' equations
//! (`models`), optimizers (`nn`), how a checkpoint is stored (`checkpoint`), terminals (`cli`).
//!
//! A run is a folder: `config.toml` (all options), `events.jsonl` ([`Event`]s), `last.safetensors`
//! and `best.safetensors`, `status/<host>_status.json` in NeuralTalk's schema.

mod captions;
mod clock;
mod error;
mod event;
mod finetune;
mod folder;
mod history;
mod job;
mod options;
mod progress;
mod reader;
mod recorder;
mod run;
mod scores;
mod self_critical;
mod snapshot;
mod solver;
mod status;
mod step;
mod tensorboard;
mod validation;
mod vision;

use std::path::{Path, PathBuf};

use tensor::Device;

pub use error::TrainError;
pub use event::{Control, Event, Kind, Outcome, Reason, SampleCaption, Sampled};
pub use step::{Cost, Pass, Trainer};
pub use validation::{Perplexity, perplexity};
pub use vision::pictures_folder;

use folder::RunFolder;
pub use folder::run_checkpoint;
use job::Job;
use progress::Progress;
pub use reader::pictures_on_gpu;
use recorder::Recorder;
use run::Run;

pub use options::{BatchBy, Generator, Objective, Options, Sampling, ScheduleKind, Select, Solver};

/// Who is told of every [`Event`].
pub type Sink<'a> = &'a mut dyn FnMut(&Event) -> Control;

/// What may change when a run is resumed; the weights it ends with don't depend on any of it.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Where the dataset lies now.
    pub dataset: Option<String>,
    /// Where the features lie now.
    pub features: Option<PathBuf>,
    /// Where the pictures lie now.
    pub pictures: Option<PathBuf>,
    /// Worker threads.
    pub threads: Option<usize>,
}

/// The folder of a new run: `runs/<dataset>-<fappend>-<n>`, the first n from 1 that is free.
pub fn default_run_folder(options: &Options) -> PathBuf {
    let name = Path::new(&options.dataset)
        .file_stem()
        .map_or("run".into(), |name| name.to_string_lossy());
    let folder = |n: u64| PathBuf::from(format!("runs/{name}-{}-{n}", options.fappend));
    (1..)
        .map(folder)
        .find(|f| !f.exists())
        .expect("a free number")
}

/// Trains a new run in `run`, which must not hold a run yet.
///
/// # Errors
/// Bad options or data, a folder in use, a disk that refuses.
pub fn start(options: &Options, run: &Path, sink: Sink) -> Result<Outcome, TrainError> {
    options.validate()?;
    begin_on(job::open_device(options)?, options, run, sink)
}

/// As [`start`], on a device that is open already; what the options say of one is only written down.
///
/// # Errors
/// As [`start`].
pub fn start_on(
    device: Device,
    options: &Options,
    run: &Path,
    sink: Sink,
) -> Result<Outcome, TrainError> {
    options.validate()?;
    begin_on(device, options, run, sink)
}

/// A new run with options that were validated.
fn begin_on(
    device: Device,
    options: &Options,
    run: &Path,
    sink: Sink,
) -> Result<Outcome, TrainError> {
    let mut options = options.clone();
    make_absolute(&mut options)?;
    let (job, trainer) = fresh(options, device)?;
    let folder = RunFolder::create(run, &job.options)?;
    begin(job, folder, trainer, sink)
}

/// Goes on with a run exactly where its `last` checkpoint was saved (from the beginning if there
/// is none yet): the weights at the end are those of a run that was never stopped, bit for bit.
///
/// # Errors
/// No run in the folder, or as [`start`].
pub fn resume(run: &Path, overrides: &Overrides, sink: Sink) -> Result<Outcome, TrainError> {
    let (folder, mut options) = RunFolder::open(run)?;
    options.dataset = overrides.dataset.clone().unwrap_or(options.dataset);
    options.features = overrides.features.clone().or(options.features);
    options.pictures = overrides.pictures.clone().or(options.pictures);
    options.threads = overrides.threads.unwrap_or(options.threads);
    options.validate()?;
    let device = job::open_device(&options)?;
    let last = folder.checkpoint(&options, Kind::Last);
    if !last.try_exists().map_err(TrainError::read(&last))? {
        let (job, trainer) = fresh(options, device)?;
        return begin(job, folder, trainer, sink);
    }
    let checkpoint = checkpoint::load(&last)?;
    let mut job = Job::open(options, Some((&checkpoint, &last)), device, false)?;
    let (trainer, progress) = snapshot::restore(&mut job, &checkpoint, &last)?;
    drop(checkpoint);
    let recorder = Recorder::open(&folder, &job, progress.iteration, sink)?;
    let run = Run {
        job,
        folder,
        recorder,
        trainer,
        progress,
        due: Vec::new(),
    };
    run.train(true)
}

/// A job at its first step, from `init-model-from` or from random weights.
fn fresh(options: Options, device: Device) -> Result<(Job, Trainer), TrainError> {
    let Some(path) = options.init_model_from.clone() else {
        let job = Job::open(options, None, device, true)?;
        let trainer = job.trainer(job.new_decoder()?);
        return Ok((job, trainer));
    };
    let mut checkpoint = checkpoint::load_any(&path)?;
    if options.encoder.is_some() {
        checkpoint.encoder = None;
    }
    let job = Job::open(options, Some((&checkpoint, &path)), device, true)?;
    let mut decoder = snapshot::decoder(&checkpoint, &path, &job.device)?;
    if job.options.objective == Objective::SelfCritical {
        decoder.divide_logits(job.options.initial_temperature);
    }
    let trainer = job.trainer(decoder);
    Ok((job, trainer))
}

fn begin(job: Job, folder: RunFolder, trainer: Trainer, sink: Sink) -> Result<Outcome, TrainError> {
    let recorder = Recorder::open(&folder, &job, 0, sink)?;
    let run = Run {
        job,
        folder,
        recorder,
        trainer,
        progress: Progress::default(),
        due: Vec::new(),
    };
    run.train(false)
}

/// So that a run can be resumed from another working folder.
fn make_absolute(options: &mut Options) -> Result<(), TrainError> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(TrainError::read(path));
    let dataset = absolute(&job::dataset_path(&options.dataset))?;
    options.dataset = dataset.to_string_lossy().into_owned();
    for path in [
        &mut options.features,
        &mut options.encoder,
        &mut options.pictures,
        &mut options.init_model_from,
        &mut options.checkpoint_output_directory,
        &mut options.worker_status_output_directory,
    ]
    .into_iter()
    .flatten()
    {
        *path = absolute(path)?;
    }
    Ok(())
}
