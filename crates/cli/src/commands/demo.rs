//! `neuraltalk demo`: the whole way on made-up data, in one command.
//!
//! Here: which commands a newcomer would type, run one after the other. Not here: the data
//! (`demo/`), training (`training.rs`).

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::{Command, demo_data};
use crate::exit::Exit;

/// Make data, train on it, evaluate, caption new pictures: all in a minute
#[derive(clap::Args)]
#[command(after_help = "\
The pictures are coloured shapes and their features are made up, so the scores say nothing about
photographs. Every step is printed as the command that does it.

Example:
  neuraltalk demo demo-run")]
pub(crate) struct Args {
    /// Folder for everything; must be empty or missing
    #[arg(value_name = "DIR", default_value = "neuraltalk-demo")]
    dir: PathBuf,

    /// Pictures to make
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(50..=100_000))]
    images: u32,

    /// Passes over the training sentences
    #[arg(long, value_name = "N", default_value_t = 20)]
    epochs: u32,

    /// Threads to compute with, 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = crate::device::threads::<usize>())]
    threads: usize,
}

/// Runs the steps; the first that doesn't end well ends the demo.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    demo_data::refuse_full(&args.dir)?;
    for line in lines(args) {
        writeln!(out, "\n$ {}", line.join(" "))?;
        out.flush()?;
        let typed = Line::try_parse_from(&line)?;
        let exit = typed.command.run(out)?;
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    Ok(Exit::Done)
}

/// A command line, parsed as if it was typed.
#[derive(clap::Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn lines(args: &Args) -> Vec<Vec<String>> {
    let inside = |path: &str| -> String { args.dir.join(path).to_string_lossy().into_owned() };
    let (data, run) = (inside("shapes"), inside("run"));
    let best = Path::new(&run).join(train::Kind::Best.file_name());
    let best = best.to_string_lossy().into_owned();
    let threads = args.threads.to_string();
    let line = |words: &[&str]| -> Vec<String> {
        std::iter::once(&"neuraltalk")
            .chain(words)
            .map(|word| word.to_string())
            .collect()
    };
    vec![
        line(&["demo-data", &data, "--images", &args.images.to_string()]),
        line(&["check-data", &data]),
        line(&[
            "train",
            &data,
            "--run",
            &run,
            "--hidden-size",
            "64",
            "--image-encoding-size",
            "64",
            "--word-encoding-size",
            "64",
            "--solver",
            "adam",
            "--learning-rate",
            "0.003",
            "--drop-prob-encoder",
            "0.1",
            "--drop-prob-decoder",
            "0.1",
            "--batch-size",
            "50",
            "--max-epochs",
            &args.epochs.to_string(),
            "--threads",
            &threads,
        ]),
        line(&[
            "eval",
            &best,
            "--beam-size",
            "3",
            "--threads",
            &threads,
            "--result-struct-filename",
            &inside("result_struct.json"),
        ]),
        line(&[
            "predict",
            &best,
            "--root-path",
            &inside("shapes/new"),
            "--beam-size",
            "3",
            "--threads",
            &threads,
        ]),
    ]
}
