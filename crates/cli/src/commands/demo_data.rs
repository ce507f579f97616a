//! `neuraltalk demo-data`: a small made-up dataset to try the program with.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::demo::{self, Size};
use crate::exit::{Exit, Failure, cannot};

/// Make a small dataset of coloured shapes, to try everything without a download
#[derive(clap::Args)]
#[command(after_help = "\
Writes dataset.json, vgg_feats.mat and imgs/ as NeuralTalk expects them, and a folder new/ with
pictures to caption. The feature vectors are made up too: they stand in for those of a network.
encoder.safetensors is a small network that is still untrained, for training on the pictures.

Examples:
  neuraltalk demo-data data/shapes
  neuraltalk train data/shapes
  neuraltalk train data/shapes --encoder data/shapes/encoder.safetensors --finetune-after 0")]
pub(crate) struct Args {
    /// Folder to write into; must be empty or missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Pictures with five sentences each: 80 % train, 10 % val, 10 % test
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    images: u32,

    /// The same seed makes the same files
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Pictures in `new/`.
const NEW_IMAGES: usize = 12;

/// Writes the files and says where.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    make(&args.dir, args.images as usize, args.seed)?;
    let dir = args.dir.display();
    writeln!(
        out,
        "{} pictures with 5 sentences each in {dir}",
        args.images
    )?;
    writeln!(out, "{NEW_IMAGES} pictures without sentences in {dir}/new")?;
    writeln!(out, "next: neuraltalk train {dir}")?;
    Ok(Exit::Done)
}

/// Writes the dataset into `dir`, which must not hold anything yet.
pub(crate) fn make(dir: &Path, images: usize, seed: u64) -> anyhow::Result<()> {
    refuse_full(dir)?;
    std::fs::create_dir_all(dir).map_err(cannot("make the folder", dir))?;
    let size = Size {
        images,
        new_images: NEW_IMAGES,
    };
    demo::write(dir, size, seed)
}

/// An error if there is anything in `dir`.
pub(crate) fn refuse_full(dir: &Path) -> anyhow::Result<()> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::usage(format!("`{}` is not empty", dir.display()))
                .hint("name a folder that doesn't exist yet")
                .into()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot("read", dir)(error)),
    }
}
