//! The training loop: batch, loss, step, validation, event, checkpoint.
//!
//! Here: [`Options`], [`start`] and [`resume`] of a run, what a run's folder holds, the step
//! ([`Trainer`]) and the validation perplexity ([`perplexity`]). Not here: the models' equations
//! (`models`), optimizers (`nn`), how a checkpoint is stored (`checkpoint`), terminals (`cli`).
//!
//! A run is a folder: `config.toml` (all options), `events.jsonl` ([`Event`]s), `last.safetensors`
//! and `best.safetensors`, `status/<host>_status.json` in NeuralTalk's schema.

mod error;
mod event;
mod options;

use std::path::{Path, PathBuf};

pub use error::TrainError;
pub use event::{Control, Event, Kind, Outcome, Reason, SampleCaption};
pub use options::{BatchBy, Generator, Options, Sampling, ScheduleKind, Select, Solver};

/// Who is told of every [`Event`].
pub type Sink<'a> = &'a mut dyn FnMut(&Event) -> Control;

/// What may change when a run is resumed; the weights it ends with don't depend on any of it.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Where the dataset lies now.
    pub dataset: Option<String>,
    /// Where the features lie now.
    pub features: Option<PathBuf>,
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

/// Trains a new run in `run`, which must be empty or not exist.
///
/// # Errors
/// Bad options or data, a folder in use, a disk that refuses.
pub fn start(options: &Options, run: &Path, sink: Sink) -> Result<Outcome, TrainError> {
    let _ = (options, run, sink);
    todo!("the loop follows")
}

/// Goes on with a run exactly where its `last` checkpoint was saved (from the beginning if there
/// is none yet): the weights at the end are those of a run that was never stopped, bit for bit.
///
/// # Errors
/// No run in the folder, or as [`start`].
pub fn resume(run: &Path, overrides: &Overrides, sink: Sink) -> Result<Outcome, TrainError> {
    let _ = (run, overrides, sink);
    todo!("the loop follows")
}
