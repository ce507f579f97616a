//! `neuraltalk export`: a checkpoint in the form of another program.

use std::io::Write;
use std::path::PathBuf;

use crate::exit::Exit;

/// Write a checkpoint that NeuralTalk itself can load
#[derive(clap::Args)]
#[command(after_help = "\
Only what NeuralTalk knows is written: weights, vocabulary, options, iteration, epoch, perplexity.

Example:
  neuraltalk export runs/flickr8k-baseline-1/best.safetensors model.p")]
pub(crate) struct Args {
    /// The checkpoint, .safetensors or .p
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,

    /// Where to write; replaced in one piece if it exists
    #[arg(value_name = "OUT")]
    to: PathBuf,

    /// Whose form
    #[arg(long, value_enum, default_value = "neuraltalk")]
    format: Format,
}

/// Forms that can be written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A pickle of protocol 2 with numpy arrays, for driver.py and eval_sentence_predictions.py.
    Neuraltalk,
    /// This program's own, without the training state.
    Safetensors,
}

/// Converts.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let mut checkpoint = checkpoint::load_any(&args.checkpoint)?;
    match args.format {
        Format::Neuraltalk => checkpoint::legacy::export_neuraltalk(&checkpoint, &args.to)?,
        Format::Safetensors => {
            checkpoint.training = None;
            checkpoint::save(&checkpoint, &args.to)?;
        }
    }
    writeln!(out, "{}", args.to.display())?;
    Ok(Exit::Done)
}
