//! `neuraltalk resume`: goes on with a run that was stopped or killed.

use std::io::Write;
use std::path::PathBuf;

use crate::exit::Exit;
use crate::training::{self, Quiet};

/// Go on with a run exactly where it was saved
#[derive(clap::Args)]
#[command(after_help = "\
The weights at the end are those of a run that was never stopped, bit for bit.

Example:
  neuraltalk resume runs/flickr8k-baseline-1")]
pub(crate) struct Args {
    /// The run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Where the dataset lies now, if it was moved
    #[arg(long, value_name = "DIR")]
    dataset: Option<String>,

    /// Where the features lie now, if they were moved
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,

    /// Where the pictures lie now, if they were moved
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,

    /// Threads to compute with, 0 for one per core [default: as before]
    #[arg(long, value_name = "N", value_parser = crate::device::threads::<usize>())]
    threads: Option<usize>,

    #[command(flatten)]
    quiet: Quiet,
}

/// Resumes.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let overrides = train::Overrides {
        dataset: args.dataset.clone(),
        features: args.features.clone(),
        pictures: args.pictures.clone(),
        threads: args.threads,
    };
    training::resume(&args.run, &overrides, args.quiet, out)
}
