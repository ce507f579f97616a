//! Everything that can be chosen about a training run.
//!
//! Here: [`Options`] with NeuralTalk's names and defaults (`driver.py`), read from TOML. Not here:
//! what is a sensible value (`options/validate.rs`), NeuralTalk's own spelling for checkpoints and
//! status files (`options/params.rs`), the command line (`cli`).
//!
//! One struct serves the configuration file, the command line and the `config.toml` that every run
//! keeps: keys are kebab-case and unknown keys are refused, so that a misspelt option is an error
//! and not a default.

mod params;
mod validate;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Which sentence decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// The picture is the first input of an LSTM.
    Lstm,
    /// The picture is added to the recurrence.
    Rnn,
    /// Top-down attention over the picture's regions.
    Attention,
}

/// Which optimizer; the first four are NeuralTalk's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// Gradient descent with momentum.
    Vanilla,
    /// Duchi et al. 2011.
    Adagrad,
    /// Zeiler 2012; has no learning rate.
    Adadelta,
    /// Tieleman & Hinton 2012.
    Rmsprop,
    /// Kingma & Ba 2015.
    Adam,
    /// Loshchilov & Hutter 2019.
    Adamw,
}

/// How the learning rate changes over the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Stays (NeuralTalk).
    Constant,
    /// Half a cosine down to `learning-rate-floor` times the base rate.
    Cosine,
    /// Times `learning-rate-factor` every `learning-rate-step-epochs`.
    Step,
}

/// In which order sentences are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Every sentence once an epoch, in an order that changes each epoch.
    Epochs,
    /// A random picture, then one of its sentences, with replacement (`sampleImageSentencePair`).
    Neuraltalk,
}

/// What a batch is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchBy {
    /// `batch-size` sentences.
    Sentences,
    /// All sentences of `pictures-per-batch` pictures.
    Pictures,
}

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// -ln p of the training sentences (NeuralTalk).
    CrossEntropy,
    /// Minus the expected reward (CIDEr-D) of sentences that the model samples (Rennie et al. 2017).
    SelfCritical,
}

/// What makes a checkpoint the best one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// Lowest validation perplexity (NeuralTalk).
    Ppl,
    /// Highest BLEU-4 of the validation captions.
    Bleu4,
    /// Highest CIDEr-D of the validation captions.
    Cider,
}

/// All options of a run. `-1` (or 0 where stated) turns a limit off, as in `driver.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// A folder or file with a dataset, or a name under `data/` as in NeuralTalk.
    pub dataset: String,
    /// Stored picture features; `vgg_feats.mat` in the dataset's folder if not given.
    pub features: Option<PathBuf>,
    /// Weights of a picture encoder: training reads pictures instead of stored features. A checkpoint of
    /// `init-model-from` that holds an encoder does so too where no features are given.
    pub encoder: Option<PathBuf>,
    /// Folder of the pictures; `imgs` in the dataset's folder if not given.
    pub pictures: Option<PathBuf>,
    /// Counts pictures of the split `restval` as training pictures.
    pub restval_as_train: bool,
    /// Takes a feature file with more columns than the pictures need: that of a larger dataset of which this is a part.
    pub allow_extra_features: bool,

    /// Sentence decoder.
    pub generator: Generator,
    /// Width of the projected picture.
    pub image_encoding_size: usize,
    /// E, width of a word's vector.
    pub word_encoding_size: usize,
    /// H, width of the hidden state.
    pub hidden_size: usize,
    /// A, width in which the attention compares a state with regions.
    pub attention_size: usize,
    /// 1: the LSTM's h = o ⊙ tanh(c); 0: h = o ⊙ c.
    pub tanhc_version: u8,
    /// 1: a ReLU after the RNN's picture and word projections.
    pub rnn_relu_encoders: u8,
    /// 1: the RNN sees the picture at the first step only.
    pub rnn_feed_once: u8,
    /// A checkpoint (`.safetensors` or NeuralTalk's `.p`) whose weights training starts from.
    pub init_model_from: Option<PathBuf>,

    /// What is minimised.
    pub objective: Objective,
    /// n, sentences sampled for each picture with `objective = "self-critical"`.
    pub samples: usize,
    /// Weight of the mean of a sampled sentence's BLEU-1 to BLEU-4 (0 to 1) beside its CIDEr-D times 10 (0 to 10) in the
    /// reward; 0: CIDEr-D alone.
    pub bleu_reward_weight: f64,
    /// Self-critical training divides the output layer by this once, before its first step: below 1 it starts from a
    /// sharper distribution than the checkpoint's.
    pub initial_temperature: f64,
    /// Weight of the L2 penalty 0.5 Σ w².
    pub regc: f64,
    /// Passes over the training sentences.
    pub max_epochs: u64,
    /// Optimizer.
    pub solver: Solver,
    /// Momentum of `vanilla`.
    pub momentum: f64,
    /// Decay of the running averages of `rmsprop` and `adadelta`.
    pub decay_rate: f64,
    /// Smoothing in the denominators of all solvers but `vanilla`.
    pub smooth_eps: f64,
    /// Decay of `adam`'s average of gradients.
    pub beta1: f64,
    /// Decay of `adam`'s average of squares.
    pub beta2: f64,
    /// Decoupled weight decay of `adamw`.
    pub weight_decay: f64,
    /// Base learning rate.
    pub learning_rate: f64,
    /// How it changes.
    pub learning_rate_schedule: ScheduleKind,
    /// `cosine`: share of the base rate at the end.
    pub learning_rate_floor: f64,
    /// `cosine`: epochs until the rate is at its floor; 0: `max-epochs`. Longer than the run, it ends at a higher rate.
    pub learning_rate_epochs: f64,
    /// `step`: epochs between two drops.
    pub learning_rate_step_epochs: f64,
    /// `step`: what a drop multiplies with.
    pub learning_rate_factor: f64,
    /// Steps over which the rate grows linearly to its base.
    pub warmup_steps: u64,
    /// Sentences in a batch.
    pub batch_size: usize,
    /// What a batch is counted in.
    pub batch_by: BatchBy,
    /// Pictures in a batch with `batch-by = "pictures"`.
    pub pictures_per_batch: usize,
    /// Order of the sentences.
    pub sampling: Sampling,
    /// Elements of the gradient are clipped to ± this; 0 or less: not at all.
    pub grad_clip: f64,
    /// The gradient's norm is clipped to this; 0 or less: not at all.
    pub grad_clip_norm: f64,
    /// Probability that the loss spreads over all words.
    pub label_smoothing: f64,
    /// Dropout of the decoder's inputs.
    pub drop_prob_encoder: f64,
    /// Dropout of the hidden states.
    pub drop_prob_decoder: f64,
    /// Epoch from which on the encoder learns too; -1: never.
    pub finetune_after: i64,
    /// Layers and blocks of the encoder before this one (0 is the first) never learn; -1: those whose outputs are finer
    /// than 1/16 of the picture.
    pub finetune_from_block: i64,
    /// Base learning rate of the encoder; changes as the decoder's does.
    pub encoder_learning_rate: f64,
    /// Optimizer of the encoder.
    pub encoder_solver: Solver,
    /// Decoupled weight decay of the encoder with `adamw`.
    pub encoder_weight_decay: f64,
    /// The encoder's gradient's norm is clipped to this; 0 or less: not at all.
    pub encoder_grad_clip_norm: f64,
    /// Least share of a picture's area that a random crop keeps; 1: no crops.
    pub augment_area: f64,
    /// Largest ratio of sides by which a random crop is stretched; 1: none.
    pub augment_aspect: f64,
    /// Mirrors every other picture.
    pub augment_flip: bool,
    /// Contrast is multiplied with 1 ± this.
    pub augment_contrast: f64,
    /// Brightness is multiplied with 1 ± this.
    pub augment_brightness: f64,
    /// Words seen less often in the training sentences are dropped.
    pub word_count_threshold: u64,

    /// Epochs between two evaluations.
    pub eval_period: f64,
    /// Sentences in a batch of an evaluation.
    pub eval_batch_size: usize,
    /// Pictures of the validation split that are evaluated; -1: all.
    pub eval_max_images: i64,
    /// Validation pictures captioned at each evaluation for the eye.
    pub eval_samples: usize,
    /// Beam of the validation captions where `select` needs scores.
    pub eval_beam_size: usize,
    /// What makes a checkpoint the best.
    pub select: Select,
    /// Evaluations without improvement after which training stops; 0: never.
    pub early_stopping: u64,
    /// Training stops where an evaluation's perplexity is above this; -1: never.
    pub min_ppl_or_abort: f64,
    /// `best` is written only below this perplexity; -1: always.
    pub write_checkpoint_ppl_threshold: f64,
    /// Steps between two `last` checkpoints besides those at evaluations; 0: only at evaluations.
    pub save_every: u64,
    /// Last epochs whose weights are kept as `epoch-N.safetensors` too; 0: none.
    pub keep_epochs: u64,

    /// Part of the run folder's default name.
    pub fappend: String,
    /// Folder of the checkpoints if not the run's.
    pub checkpoint_output_directory: Option<PathBuf>,
    /// Folder of NeuralTalk's status file if not the run's `status`.
    pub worker_status_output_directory: Option<PathBuf>,
    /// Writes TensorBoard event files into the run's folder.
    pub tensorboard: bool,

    /// Everything random is a function of this.
    pub seed: u64,
    /// `auto` (today the CPU), `cpu` or `cuda`.
    pub device: String,
    /// Of matrix products on a GPU: `f32`, `tf32` or `bf16`; sums, weights and all else are f32.
    pub precision: String,
    /// Worker threads; 0: one for each core. The weights don't depend on it.
    pub threads: usize,
}

impl Default for Options {
    /// The defaults of `driver.py`; new options are off.
    fn default() -> Self {
        Self {
            dataset: "flickr8k".into(),
            features: None,
            encoder: None,
            pictures: None,
            restval_as_train: false,
            allow_extra_features: false,
            generator: Generator::Lstm,
            image_encoding_size: 256,
            word_encoding_size: 256,
            hidden_size: 256,
            attention_size: 256,
            tanhc_version: 0,
            rnn_relu_encoders: 0,
            rnn_feed_once: 0,
            init_model_from: None,
            objective: Objective::CrossEntropy,
            samples: 5,
            bleu_reward_weight: 0.0,
            initial_temperature: 1.0,
            regc: 1e-8,
            max_epochs: 50,
            solver: Solver::Rmsprop,
            momentum: 0.0,
            decay_rate: 0.999,
            smooth_eps: 1e-8,
            beta1: 0.9,
            beta2: 0.999,
            weight_decay: 0.01,
            learning_rate: 1e-3,
            learning_rate_schedule: ScheduleKind::Constant,
            learning_rate_floor: 0.0,
            learning_rate_epochs: 0.0,
            learning_rate_step_epochs: 10.0,
            learning_rate_factor: 0.5,
            warmup_steps: 0,
            batch_size: 100,
            batch_by: BatchBy::Sentences,
            pictures_per_batch: 20,
            sampling: Sampling::Epochs,
            grad_clip: 5.0,
            grad_clip_norm: 0.0,
            label_smoothing: 0.0,
            drop_prob_encoder: 0.5,
            drop_prob_decoder: 0.5,
            finetune_after: -1,
            finetune_from_block: -1,
            encoder_learning_rate: 1e-4,
            encoder_solver: Solver::Adam,
            encoder_weight_decay: 0.01,
            encoder_grad_clip_norm: 0.0,
            augment_area: 1.0,
            augment_aspect: 1.0,
            augment_flip: false,
            augment_contrast: 0.0,
            augment_brightness: 0.0,
            word_count_threshold: 5,
            eval_period: 1.0,
            eval_batch_size: 100,
            eval_max_images: -1,
            eval_samples: 3,
            eval_beam_size: 1,
            select: Select::Ppl,
            early_stopping: 0,
            min_ppl_or_abort: -1.0,
            write_checkpoint_ppl_threshold: -1.0,
            save_every: 0,
            keep_epochs: 0,
            fappend: "baseline".into(),
            checkpoint_output_directory: None,
            worker_status_output_directory: None,
            tensorboard: false,
            seed: 1,
            device: "auto".into(),
            precision: "tf32".into(),
            threads: 0,
        }
    }
}

impl Options {
    /// Defaults, overridden by the TOML file `config` if given, overridden by `flags` (keys as in
    /// the file); checked.
    ///
    /// # Errors
    /// The file can't be read or parsed, a key is unknown, a value has another type or makes no
    /// sense.
    pub fn resolve(config: Option<&Path>, flags: toml::Table) -> Result<Self, TrainError> {
        let mut table = toml::Table::new();
        if let Some(path) = config {
            let text = std::fs::read_to_string(path).map_err(TrainError::read(path))?;
            // Alone first: only then does the message show the line and column in the file.
            let alone: Result<Self, _> = toml::from_str(&text);
            alone.map_err(|e| TrainError::config(path, &e))?;
            table = toml::from_str(&text).map_err(|e| TrainError::config(path, &e))?;
        }
        table.extend(flags);
        let options: Self = table
            .try_into()
            .map_err(|e: toml::de::Error| TrainError::Flags(e.message().to_owned()))?;
        options.validate()?;
        Ok(options)
    }

    /// The options that a run's `config.toml` keeps.
    ///
    /// # Errors
    /// The file can't be read or parsed.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        Self::resolve(Some(path), toml::Table::new())
    }

    /// All options as TOML, including the defaults.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every option has a TOML form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> toml::Table {
        toml::from_str(text).expect("valid TOML")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let options = Options {
            dataset: "a \"quoted\" name".into(),
            features: Some("f.mat".into()),
            select: Select::Bleu4,
            min_ppl_or_abort: 12.5,
            ..Options::default()
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, options.to_toml()).expect("written");
        assert_eq!(Options::load(&path).expect("read"), options);
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "hidden-size = 12\nbatch-size = 7\n").expect("written");
        let options = Options::resolve(Some(&path), table(
            "batch-size = 9\nword-encoding-size = 12\nimage-encoding-size = 12\nlearning-rate = 1",
        ))
        .expect("valid");
        assert_eq!((options.hidden_size, options.batch_size), (12, 9));
        assert_eq!((options.max_epochs, options.learning_rate), (50, 1.0));
    }

    #[test]
    fn a_misspelt_key_is_refused_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "seed = 3\nhiden-size = 12\n").expect("written");
        let error = Options::load(&path).expect_err("unknown key");
        let hint = error.hint().expect("a hint");
        assert_eq!(hint, "did you mean `hidden-size`?");
        let error = error.to_string();
        assert!(!error.contains("batch-size"), "no list of all: {error}");
        std::fs::write(&path, "wholly-other = 1\n").expect("written");
        let other = Options::load(&path).expect_err("unknown key");
        assert!(other.hint().expect("a hint").contains("kebab-case"));
        assert!(
            error.contains("line 2") && error.contains("hiden-size"),
            "{error}"
        );
        let error = Options::resolve(None, table("batch_size = 3")).expect_err("snake case");
        assert!(error.to_string().contains("batch_size"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
