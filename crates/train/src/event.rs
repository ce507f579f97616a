//! What happens in a run, as data.
//!
//! The loop knows no terminal: it hands every [`Event`] to a sink. Progress bars, `events.jsonl`,
//! status files and the web page are readers of these. `iteration` counts steps *taken*, so it is
//! 1 in the event of the first step; NeuralTalk's `it` is one less.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A caption written during an evaluation, for the eye.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleCaption {
    /// The picture.
    pub imgid: u32,
    /// Its file name.
    pub path: String,
    /// What the model says now.
    pub caption: String,
    /// Natural log of its probability.
    pub log_prob: f64,
}

/// The sentences of a self-critical step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Mean reward of all samples of the batch: CIDEr-D times 10, and BLEU with `bleu-reward-weight`; END counts as a word.
    pub reward: f64,
    /// `imgid` of the batch's first picture.
    pub imgid: u32,
    /// Its samples with their rewards, the likeliest first.
    pub captions: Vec<(String, f64)>,
    /// Duration of writing the samples, part of the step's.
    pub sampling_seconds: f64,
    /// Duration of scoring them, likewise.
    pub reward_seconds: f64,
}

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The newest, with what is needed to go on.
    Last,
    /// The best by `select`.
    Best,
    /// The end of this epoch (from 1), with `keep-epochs`.
    Epoch(u64),
}

impl Kind {
    /// Its file in a run's folder.
    pub fn file_name(self) -> String {
        match self {
            Self::Last => "last.safetensors".into(),
            Self::Best => "best.safetensors".into(),
            Self::Epoch(epoch) => format!("epoch-{epoch}.safetensors"),
        }
    }
}

/// Why training came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// All epochs were trained.
    MaxEpochs,
    /// No improvement over `early-stopping` evaluations.
    EarlyStopping,
    /// Perplexity above `min-ppl-or-abort`.
    MinPplOrAbort,
}

/// One event. In `events.jsonl` each is one JSON object a line, its kind under `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The data is read and the first step is next.
    Started {
        /// 0, or the iteration that a resumed run goes on from.
        iteration: u64,
        /// True where a checkpoint was continued.
        resumed: bool,
        /// The run's folder.
        run: PathBuf,
        /// Steps in the whole run.
        total_iterations: u64,
        /// Steps in an epoch.
        iterations_per_epoch: u64,
        /// Passes over the training sentences in the whole run.
        max_epochs: u64,
        /// Training pictures.
        train_images: u64,
        /// Training sentences.
        train_sentences: u64,
        /// Validation pictures that evaluations use.
        val_images: u64,
        /// V, words with END.
        vocabulary: u64,
        /// D, width of the features.
        feature: u64,
        /// Numbers that are trained.
        parameters: u64,
        /// Worker threads.
        threads: u64,
    },
    /// One step was taken.
    Step {
        /// Steps taken.
        iteration: u64,
        /// Passes over the training sentences before this step, with its fraction.
        epoch: f64,
        /// Mean over the sentences of -ln p.
        loss_cost: f64,
        /// L2 penalty over the batch size.
        reg_cost: f64,
        /// The two together.
        total_cost: f64,
        /// Perplexity of the batch, base 2.
        ppl2: f64,
        /// Its running average (0.99 old + 0.01 new).
        smooth_ppl2: f64,
        /// Mean reward of about the last 100 steps, with `objective = "self-critical"`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smooth_reward: Option<f64>,
        /// Learning rate of this step.
        learning_rate: f64,
        /// Norm of the gradient before clipping, where the norm is clipped.
        gradient_norm: Option<f64>,
        /// Sentences in the batch.
        captions: u64,
        /// What the model wrote, with `objective = "self-critical"`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sampled: Option<Sampled>,
        /// Duration.
        seconds: f64,
    },
    /// The validation split was evaluated.
    Evaluated {
        /// Steps taken.
        iteration: u64,
        /// As in the step before.
        epoch: f64,
        /// `val`.
        split: String,
        /// Perplexity, base 2, over all words with END.
        ppl2: f64,
        /// The best value of what `select` names so far, with this evaluation.
        best: f64,
        /// Whether this is the best.
        improved: bool,
        /// Scores of captions by name (`bleu4`, `cider`), where `select` asked for them.
        scores: BTreeMap<String, f64>,
        /// Captions of the first few pictures.
        samples: Vec<SampleCaption>,
        /// Duration.
        seconds: f64,
    },
    /// A checkpoint was written and is safe on the disk.
    Saved {
        /// Steps taken.
        iteration: u64,
        /// Which one.
        kind: Kind,
        /// The file.
        path: PathBuf,
        /// Duration.
        seconds: f64,
    },
    /// Something that doesn't stop the run.
    Warning {
        /// Steps taken.
        iteration: u64,
        /// What.
        message: String,
    },
    /// Training came to its end.
    Finished {
        /// Steps taken.
        iteration: u64,
        /// Why.
        reason: Reason,
        /// Best value of what `select` names; none where nothing was evaluated.
        best: Option<f64>,
    },
    /// The sink asked to stop, and `last` was saved.
    Interrupted {
        /// Steps taken.
        iteration: u64,
    },
    /// The cost is more than twice its first value, or not finite.
    Diverged {
        /// Steps taken.
        iteration: u64,
        /// Cost of the batch (JSON has no infinities: null there).
        cost: Option<f64>,
        /// Cost of the first batch.
        first_cost: Option<f64>,
        /// What happened and what to try.
        message: String,
    },
}

impl Event {
    /// Steps taken when it happened.
    pub fn iteration(&self) -> u64 {
        match self {
            Self::Started { iteration, .. }
            | Self::Step { iteration, .. }
            | Self::Evaluated { iteration, .. }
            | Self::Saved { iteration, .. }
            | Self::Warning { iteration, .. }
            | Self::Finished { iteration, .. }
            | Self::Interrupted { iteration }
            | Self::Diverged { iteration, .. } => *iteration,
        }
    }
}

/// What the sink wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Save `last` at the next safe moment and return.
    Stop,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Exit code 0.
    Finished {
        /// Why it ended.
        reason: Reason,
        /// Best value of what `select` names.
        best: Option<f64>,
    },
    /// Exit code 130: stopped by the sink; `resume` goes on exactly.
    Interrupted {
        /// Steps taken.
        iteration: u64,
    },
    /// Exit code 5: `last` and `best` hold states from before.
    Diverged {
        /// What happened and what to try.
        message: String,
    },
}

impl Outcome {
    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Finished { .. } => 0,
            Self::Interrupted { .. } => 130,
            Self::Diverged { .. } => 5,
        }
    }
}
