//! `neuraltalk export`: a checkpoint in another form, NeuralTalk's or one to share.

use std::io::Write;
use std::path::PathBuf;

use checkpoint::{EncoderPart, Precision};

use crate::exit::{Exit, Failure};
use crate::place;

/// Write a checkpoint for sharing, or for NeuralTalk itself
#[derive(clap::Args)]
#[command(after_help = "\
For NeuralTalk only what it knows is written: weights, vocabulary, options, iteration, epoch,
perplexity. This program's own form leaves out what only training needs and options that are
defaults or folders; with --encoder it captions photographs without another file.

Examples:
  neuraltalk export runs/flickr8k-baseline-1/best.safetensors model.p
  neuraltalk export best.safetensors captioner.safetensors --encoder lite0.safetensors --f16")]
pub(crate) struct Args {
    /// The checkpoint: .safetensors, .p, or a run's folder for its best
    #[arg(value_name = "CHECKPOINT", value_parser = place::checkpoint())]
    checkpoint: PathBuf,

    /// Where to write; replaced in one piece if it exists
    #[arg(value_name = "OUT")]
    to: PathBuf,

    /// Whose form [default: safetensors where OUT ends so, else neuraltalk]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Put the encoder of this weight file (.safetensors or PyTorch's .pth) into the checkpoint
    #[arg(long, value_name = "FILE")]
    encoder: Option<PathBuf>,

    /// Average the weights with those of this checkpoint of the same training; can be given several times
    #[arg(long, value_name = "FILE")]
    average: Vec<PathBuf>,

    /// Store matrices and filters as 16-bit floats: half the size
    #[arg(long)]
    f16: bool,
}

/// Forms that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A pickle of protocol 2 with numpy arrays, for driver.py and eval_sentence_predictions.py.
    Neuraltalk,
    /// This program's own, without the training state.
    Safetensors,
}

/// Converts.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let ours = || args.to.extension().is_some_and(|e| e == "safetensors");
    let format = args.format.unwrap_or(match ours() {
        true => Format::Safetensors,
        false => Format::Neuraltalk,
    });
    if format == Format::Neuraltalk && (args.f16 || args.encoder.is_some()) {
        return Err(
            Failure::usage("NeuralTalk's form has neither encoders nor 16-bit floats")
                .hint("name the output .safetensors, or say --format safetensors")
                .into(),
        );
    }
    let mut checkpoint = checkpoint::load_any(&args.checkpoint)?;
    let others: Result<Vec<_>, _> = args
        .average
        .iter()
        .map(|f| checkpoint::load_any(f))
        .collect();
    let others = others?;
    if !others.is_empty()
        && let Err(message) = checkpoint.average(&others)
    {
        return Err(
            Failure::data(format!("these checkpoints have no mean: {message}"))
                .hint(
                    "average checkpoints of one run, or of a run and the one that it started from",
                )
                .into(),
        );
    }
    match format {
        Format::Neuraltalk => checkpoint::legacy::export_neuraltalk(&checkpoint, &args.to)?,
        Format::Safetensors => {
            checkpoint.training = None;
            // A new run counts its own words; nothing else reads them.
            checkpoint.word_counts = None;
            train::Options::share_params(&mut checkpoint.params);
            if let Some(encoder) = &args.encoder {
                checkpoint.encoder = Some(EncoderPart::load(encoder)?);
            }
            let precision = match args.f16 {
                true => Precision::F16,
                false => Precision::F32,
            };
            checkpoint::save_as(&checkpoint, precision, &args.to)?;
        }
    }
    writeln!(out, "{}", args.to.display())?;
    Ok(Exit::Done)
}
