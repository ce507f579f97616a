//! `neuraltalk train`: learns from a dataset with stored features, or with its pictures.
//!
//! Here: the command line of `driver.py` in kebab-case, turned into a table of what was given.
//! Not here: what the options mean and what they are if not given (`train::Options`; the help
//! shows its defaults), the loop (`train`), the display (`progress.rs`).

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::place;
use crate::training::{self, Quiet};

const SIZES: &str = "Model";
const LEARNING: &str = "Learning";
const PICTURES: &str = "Pictures";
const BATCHES: &str = "Batches";
const EVALUATION: &str = "Evaluation";
const FILES: &str = "Files";
const MACHINE: &str = "Machine";

/// Train a captioner on a dataset with stored picture features, or with its pictures
#[derive(clap::Args)]
#[command(after_help = "\
A run is a folder: config.toml (all options), events.jsonl, last.safetensors, best.safetensors,
status/HOST_status.json for NeuralTalk's monitor. Ctrl-C saves and stops; `neuraltalk resume RUN`
goes on exactly there. Options are those of NeuralTalk's driver.py (also with underscores) and more.

Examples:
  neuraltalk train data/flickr8k
  neuraltalk train data/flickr8k --features feats.mat --hidden-size 512 \\
      --image-encoding-size 512 --word-encoding-size 512 --solver adam
  neuraltalk train data/flickr8k --encoder efficientnet-lite0.safetensors \\
      --config recipes/flickr8k-finetune.toml
  neuraltalk train --config recipe.toml --seed 2")]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,

    /// The dataset as `driver.py` names it
    #[arg(
        short = 'd',
        long = "dataset",
        value_name = "DATASET",
        hide = true,
        conflicts_with = "dataset"
    )]
    named: Option<String>,

    /// TOML file with options, keys as here without the dashes; flags win over it
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    config: Option<PathBuf>,

    /// Folder of the run; must be empty or missing [default: runs/DATASET-FAPPEND-N, the first free N]
    #[arg(long, value_name = "DIR", help_heading = FILES)]
    run: Option<PathBuf>,

    #[command(flatten)]
    quiet: Quiet,
}

/// What was given, under the keys of [`train::Options`]; what was not is left out.
#[derive(Debug, Default, Clone, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Flags {
    /// Folder or file with a dataset, or a name under data/
    #[arg(value_name = "DATASET")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<String>,

    /// Stored picture features (.mat, .npy, .safetensors) [default: vgg_feats.mat beside the dataset]
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) features: Option<PathBuf>,

    /// Count pictures of the split `restval` as training pictures
    #[arg(long, help_heading = FILES)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restval_as_train: bool,

    /// Accept a feature file with more columns than the pictures need: this is a part of a larger dataset
    #[arg(long, help_heading = FILES)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_extra_features: bool,

    /// Sentence decoder
    #[arg(long, value_parser = PossibleValuesParser::new(["lstm", "rnn", "attention"]), help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    generator: Option<String>,

    /// Width of the projected picture; the word encoding size for the lstm, the hidden size for the rnn
    #[arg(long, value_name = "N", help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_encoding_size: Option<u32>,

    /// E, width of a word's vector
    #[arg(long, value_name = "N", help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) word_encoding_size: Option<u32>,

    /// H, width of the hidden state
    #[arg(long, value_name = "N", help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hidden_size: Option<u32>,

    /// attention: width in which states are compared with regions
    #[arg(long, value_name = "N", help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    attention_size: Option<u32>,

    /// lstm: 1 for h = o tanh(c), 0 for h = o c
    #[arg(long, value_name = "0|1", visible_alias = "tanhC-version", help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tanhc_version: Option<u8>,

    /// rnn: 1 for a ReLU after the projections of picture and words
    #[arg(long, value_name = "0|1", help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rnn_relu_encoders: Option<u8>,

    /// rnn: 1 to show the picture at the first step only
    #[arg(long, value_name = "0|1", help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rnn_feed_once: Option<u8>,

    /// Leave out words that the training sentences have less often
    #[arg(long, value_name = "N", help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    word_count_threshold: Option<u32>,

    /// Start from the weights of this checkpoint (.safetensors, .p, or a run's folder for its best)
    #[arg(short = 'i', long, value_name = "CHECKPOINT", value_parser = place::checkpoint(), help_heading = SIZES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    init_model_from: Option<PathBuf>,

    /// What to minimise: -ln p of the training sentences, or minus the reward (CIDEr-D) of sampled ones (needs --init-model-from)
    #[arg(long, value_parser = PossibleValuesParser::new(["cross-entropy", "self-critical"]), help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    objective: Option<String>,

    /// self-critical: sentences sampled for each of the --pictures-per-batch pictures
    #[arg(long, value_name = "N", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<u32>,

    /// self-critical: adds this times the mean of a sentence's BLEU-1 to BLEU-4 to its reward, CIDEr-D times 10
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    bleu_reward_weight: Option<f64>,

    /// self-critical: start from the checkpoint's distribution at this temperature; below 1 after label smoothing
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_temperature: Option<f64>,

    /// Weight of the L2 penalty
    #[arg(short = 'c', long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    regc: Option<f64>,

    /// Passes over the training sentences
    #[arg(short = 'm', long, value_name = "N", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_epochs: Option<u32>,

    /// Optimizer
    #[arg(long, value_parser = PossibleValuesParser::new(["vanilla", "adagrad", "adadelta", "rmsprop", "adam", "adamw"]), help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) solver: Option<String>,

    /// Momentum of vanilla
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    momentum: Option<f64>,

    /// Decay of the running averages of rmsprop and adadelta
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    decay_rate: Option<f64>,

    /// Smoothing in the denominators of all solvers but vanilla
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    smooth_eps: Option<f64>,

    /// adam: decay of the average of gradients
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    beta1: Option<f64>,

    /// adam: decay of the average of squares
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    beta2: Option<f64>,

    /// adamw: decoupled weight decay
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_decay: Option<f64>,

    /// Base learning rate
    #[arg(short = 'l', long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) learning_rate: Option<f64>,

    /// How the learning rate changes over the run
    #[arg(long, value_parser = PossibleValuesParser::new(["constant", "cosine", "step"]), help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) learning_rate_schedule: Option<String>,

    /// cosine: share of the base rate at the end
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate_floor: Option<f64>,

    /// cosine: epochs until the rate is at its floor, 0 for --max-epochs
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate_epochs: Option<f64>,

    /// step: epochs between two drops
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate_step_epochs: Option<f64>,

    /// step: what a drop multiplies with
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate_factor: Option<f64>,

    /// Steps over which the learning rate grows to its base
    #[arg(long, value_name = "N", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup_steps: Option<u32>,

    /// Clip each element of the gradient to +-X; 0 for no clipping
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    grad_clip: Option<f64>,

    /// Clip the norm of the whole gradient to X; 0 for no clipping
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    grad_clip_norm: Option<f64>,

    /// Probability that the loss spreads over all words
    #[arg(long, value_name = "X", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    label_smoothing: Option<f64>,

    /// Dropout of the decoder's inputs
    #[arg(long, value_name = "P", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drop_prob_encoder: Option<f64>,

    /// Dropout of the hidden states
    #[arg(long, value_name = "P", help_heading = LEARNING)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drop_prob_decoder: Option<f64>,

    /// Train on pictures: weights of their encoder, .safetensors or .pth [default: that of --init-model-from, if it holds one]
    #[arg(long, value_name = "FILE", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder: Option<PathBuf>,

    /// Folder of the pictures [default: imgs/ beside the dataset]
    #[arg(long, value_name = "DIR", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pictures: Option<PathBuf>,

    /// Epoch from which on the encoder learns too, -1 for never
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    finetune_after: Option<i64>,

    /// First layer or block of the encoder that learns, 0 for all, -1 for those at 1/16 of the resolution and less
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    finetune_from_block: Option<i64>,

    /// Base learning rate of the encoder; changes as the decoder's
    #[arg(long, value_name = "X", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder_learning_rate: Option<f64>,

    /// Optimizer of the encoder
    #[arg(long, value_parser = PossibleValuesParser::new(["vanilla", "adagrad", "adadelta", "rmsprop", "adam", "adamw"]), help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder_solver: Option<String>,

    /// adamw: decoupled weight decay of the encoder
    #[arg(long, value_name = "X", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder_weight_decay: Option<f64>,

    /// Clip the norm of the encoder's gradient to X; 0 for no clipping
    #[arg(long, value_name = "X", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder_grad_clip_norm: Option<f64>,

    /// Random crops while the encoder learns: least share of the area, 1 for none
    #[arg(long, value_name = "X", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    augment_area: Option<f64>,

    /// Random crops: largest ratio of stretching, 1 for none
    #[arg(long, value_name = "X", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    augment_aspect: Option<f64>,

    /// Mirror every other picture
    #[arg(long, help_heading = PICTURES)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    augment_flip: bool,

    /// Change contrast by up to +-X
    #[arg(long, value_name = "X", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    augment_contrast: Option<f64>,

    /// Change brightness by up to +-X
    #[arg(long, value_name = "X", help_heading = PICTURES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    augment_brightness: Option<f64>,

    /// Sentences in a batch
    #[arg(short = 'b', long, value_name = "N", help_heading = BATCHES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch_size: Option<u32>,

    /// Count batches in sentences, or in pictures with all their sentences
    #[arg(long, value_parser = PossibleValuesParser::new(["sentences", "pictures"]), help_heading = BATCHES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_by: Option<String>,

    /// Pictures in a batch with --batch-by pictures
    #[arg(long, value_name = "N", help_heading = BATCHES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pictures_per_batch: Option<u32>,

    /// epochs: every sentence once an epoch, shuffled; neuraltalk: random pictures with replacement
    #[arg(long, value_parser = PossibleValuesParser::new(["epochs", "neuraltalk"]), help_heading = BATCHES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<String>,

    /// Everything random is a function of this number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64), help_heading = BATCHES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,

    /// Epochs between two evaluations
    #[arg(short = 'p', long, value_name = "X", help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eval_period: Option<f64>,

    /// Sentences in a batch of an evaluation
    #[arg(long, value_name = "N", help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_batch_size: Option<u32>,

    /// Validation pictures to evaluate on, -1 for all
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_max_images: Option<i64>,

    /// Validation pictures captioned at each evaluation, for the eye
    #[arg(long, value_name = "N", help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_samples: Option<u32>,

    /// Beam of validation captions, where --select needs their scores
    #[arg(long, value_name = "N", help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_beam_size: Option<u32>,

    /// What makes a checkpoint the best: perplexity, or a score of validation captions
    #[arg(long, value_parser = PossibleValuesParser::new(["ppl", "bleu4", "cider"]), help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    select: Option<String>,

    /// Stop after this many evaluations without improvement, 0 for never
    #[arg(long, value_name = "N", help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    early_stopping: Option<u32>,

    /// Stop if an evaluation's perplexity is above this, -1 for never
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_ppl_or_abort: Option<f64>,

    /// Write `best` only below this perplexity, -1 for always
    #[arg(short = 'w', long, value_name = "X", allow_negative_numbers = true, help_heading = EVALUATION)]
    #[serde(skip_serializing_if = "Option::is_none")]
    write_checkpoint_ppl_threshold: Option<f64>,

    /// Steps between two saves of `last`, besides those at evaluations; 0 for none
    #[arg(long, value_name = "N", help_heading = FILES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    save_every: Option<u32>,

    /// Keep the weights of the last N epochs too, as epoch-E.safetensors: `export --average` takes their mean
    #[arg(long, value_name = "N", help_heading = FILES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_epochs: Option<u32>,

    /// Part of the run folder's name
    #[arg(long, value_name = "TEXT", help_heading = FILES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fappend: Option<String>,

    /// Folder of the checkpoints [default: the run's]
    #[arg(short = 'o', long, value_name = "DIR", help_heading = FILES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_output_directory: Option<PathBuf>,

    /// Folder of NeuralTalk's status file [default: status/ in the run's]
    #[arg(long, value_name = "DIR", help_heading = FILES)]
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_status_output_directory: Option<PathBuf>,

    /// Write TensorBoard event files into the run's folder
    #[arg(long, help_heading = FILES)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tensorboard: bool,

    /// Where to compute: `auto` is the CPU today, `cuda` an NVIDIA GPU
    #[arg(long, value_parser = PossibleValuesParser::new(["auto", "cpu", "cuda"]), help_heading = MACHINE)]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,

    /// Numbers in a GPU's matrix products; sums and weights are f32 with each
    #[arg(long, value_parser = PossibleValuesParser::new(["f32", "tf32", "bf16"]), help_heading = MACHINE)]
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<String>,

    /// Threads to compute with, 0 for one per core; changes no result
    #[arg(long, value_name = "N", value_parser = crate::device::threads::<u32>(), help_heading = MACHINE)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<u32>,
}

/// Trains a new run.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let mut flags = args.flags.clone();
    flags.dataset = flags.dataset.or_else(|| args.named.clone());
    let options = resolve(args.config.as_deref(), &flags)?;
    match options.device.as_str() {
        "cuda" => {
            // Before the data is read, which may take a while.
            tensor::look_for_cuda()?;
            tensor::gpus()?;
        }
        "auto" => crate::device::say_what_auto_takes(),
        _ => {}
    }
    let folder = match &args.run {
        Some(folder) => folder.clone(),
        None => train::default_run_folder(&options),
    };
    training::run(&options, &folder, args.quiet, out)
}

/// Flags over the file over the defaults.
pub(crate) fn resolve(config: Option<&Path>, flags: &Flags) -> anyhow::Result<train::Options> {
    let table = toml::Table::try_from(flags)
        .map_err(|error| Failure::usage(format!("options: {error}")))?;
    Ok(train::Options::resolve(config, table)?)
}

/// Writes the defaults of [`train::Options`] into the help.
pub(crate) fn with_defaults(command: clap::Command) -> clap::Command {
    let defaults = toml::Table::try_from(train::Options::default()).unwrap_or_default();
    command.mut_args(|arg| {
        let key = arg.get_id().as_str().replace('_', "-");
        let switch = matches!(arg.get_action(), clap::ArgAction::SetTrue);
        match (defaults.get(&key), arg.get_help()) {
            (Some(default), Some(help)) if !switch => {
                let default = match default {
                    toml::Value::String(text) => text.clone(),
                    toml::Value::Float(x) if *x != 0.0 && x.abs() < 1e-3 => format!("{x:e}"),
                    other => other.to_string(),
                };
                let help = format!("{help} [default: {default}]");
                arg.help(help)
            }
            _ => arg,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};
    use std::collections::BTreeSet;

    fn parse(line: &[&str]) -> Flags {
        let command = <Flags as clap::Args>::augment_args(Command::new("train"));
        let typed = std::iter::once(&"train").chain(line);
        let matches = command.try_get_matches_from(typed).expect("valid");
        Flags::from_arg_matches(&matches).expect("valid")
    }

    /// The flags are the options: none is missing, none is too many.
    #[test]
    fn every_option_has_a_flag_and_every_flag_an_option() {
        let command = <Flags as clap::Args>::augment_args(Command::new("train"));
        let flags: BTreeSet<String> = command
            .get_arguments()
            .map(|arg| arg.get_id().as_str().replace('_', "-"))
            .collect();
        let serde_json::Value::Object(options) =
            serde_json::to_value(train::Options::default()).unwrap()
        else {
            panic!("options are a struct");
        };
        let options: BTreeSet<String> = options.into_iter().map(|(name, _)| name).collect();
        assert_eq!(flags, options);
    }

    /// Every value that a flag lists is one that the option accepts.
    #[test]
    fn every_listed_value_is_accepted() {
        let command = <Flags as clap::Args>::augment_args(Command::new("train"));
        for arg in command.get_arguments() {
            let values = arg.get_possible_values();
            if matches!(arg.get_action(), clap::ArgAction::SetTrue) {
                continue;
            }
            for value in values.iter().map(|v| v.get_name()) {
                let flag = format!("--{}", arg.get_long().unwrap());
                let flags = parse(&["x", &flag, value]);
                let mut flags = flags;
                flags.init_model_from = Some("best.safetensors".into());
                resolve(None, &flags).unwrap_or_else(|e| panic!("{flag} {value}: {e}"));
            }
        }
    }

    #[test]
    fn only_what_was_typed_is_in_the_table() {
        let flags = parse(&[
            "d",
            "--hidden-size",
            "8",
            "--eval-max-images",
            "-1",
            "-l",
            "0.5",
        ]);
        let table = toml::Table::try_from(&flags).unwrap();
        assert_eq!(
            table.to_string(),
            "dataset = \"d\"\neval-max-images = -1\nhidden-size = 8\nlearning-rate = 0.5\n"
        );
    }
}
