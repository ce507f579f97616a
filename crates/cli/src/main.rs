//! The program `neuraltalk`: learns to describe pictures, scores itself, captions.
//!
//! Here: parsing what was typed, running one subcommand, printing its error. Not here: the
//! subcommands (`commands/`, one file each), anything that computes (the libraries).
//!
//! Data goes to standard output, messages to standard error. Exit codes: `exit.rs`.

mod address;
mod attention_svg;
mod bundled;
mod caption_output;
mod captions;
mod commands;
mod demo;
mod device;
mod evaluate;
mod exit;
mod meteor;
mod model;
mod pictures;
mod place;
mod references;
mod score_report;
mod scores;
mod shortened;
mod training;
mod variety;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

/// What follows `neuraltalk` on the command line.
#[derive(clap::Parser)]
#[command(name = "neuraltalk", version, about, long_about = LONG_ABOUT)]
#[command(
    propagate_version = false,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

const LONG_ABOUT: &str = "\
Learns to describe pictures with sentences, scores itself as the papers do, and captions pictures.

NeuralTalk (Karpathy 2014) rebuilt: caption photographs with the bundled model, or train your own on \
pictures or their stored features, evaluate it, and serve it. Reads NeuralTalk's own `.p` checkpoints.";

const AFTER_HELP: &str = "\
Caption a photograph:     neuraltalk caption photo.jpg
Try it without any data:  neuraltalk demo demo-run
Train on your own:        neuraltalk check-data DATASET && neuraltalk train DATASET

Exit codes: 0 done, 1 partly done or a check failed, 2 wrong command line, 3 unusable data,
4 reading or writing failed, 5 training diverged, 130 interrupted.";

/// The command line with everything that is only known at run time.
fn command_line() -> clap::Command {
    commands::complete(Cli::command())
}

fn main() -> ExitCode {
    let typed = std::env::args_os().map(commands::respell);
    let matches = command_line().get_matches_from(typed);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = run(&cli.command, &mut out).and_then(|exit| Ok(out.flush().map(|()| exit)?));
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // What was written before the error is still worth reading, in its order.
            if let Err(lost) = out.flush()
                && lost.kind() != io::ErrorKind::BrokenPipe
            {
                eprintln!("error: cannot write the output: {lost}");
            }
            eprint!("{}", exit::describe(&error));
            ExitCode::from(exit::classify(&error).code())
        }
    }
}

/// Runs a command. What a GPU refuses in the middle of an operation unwinds to here, and is an error like any other.
fn run(command: &commands::Command, out: &mut dyn Write) -> anyhow::Result<exit::Exit> {
    // Nothing is used again but `out`, whose writes are whole or failed.
    let work = std::panic::AssertUnwindSafe(|| command.run(out));
    std::panic::catch_unwind(work).unwrap_or_else(|payload| {
        match payload.downcast::<tensor::GpuError>() {
            Ok(error) => Err(anyhow::Error::new(*error)),
            Err(other) => std::panic::resume_unwind(other),
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command_line().debug_assert();
    }
}
