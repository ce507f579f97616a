//! `neuraltalk import`: NeuralTalk's `.p` checkpoint as one safetensors file.

use std::io::Write;
use std::path::PathBuf;

use crate::exit::Exit;

/// Turn a NeuralTalk checkpoint (.p) into a safetensors file
#[derive(clap::Args)]
#[command(after_help = "\
Reads Python pickles of protocol 0 to 5 as data: nothing in the file is ever run.
Every command that takes a checkpoint takes a .p file too; importing only makes loading faster.

Example:
  neuraltalk import model_checkpoint_flickr8k_host_baseline_15.70.p flickr8k.safetensors")]
pub(crate) struct Args {
    /// NeuralTalk's checkpoint
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Where to write; replaced in one piece if it exists
    #[arg(value_name = "OUT")]
    to: PathBuf,
}

/// Converts and says what it was.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let checkpoint = checkpoint::load_any(&args.file)?;
    checkpoint::save(&checkpoint, &args.to)?;
    writeln!(
        out,
        "{}: {}, {} words, trained on {}",
        args.to.display(),
        super::inspect::generator(&checkpoint.decoder),
        checkpoint.words.len(),
        checkpoint.dataset
    )?;
    Ok(Exit::Done)
}
