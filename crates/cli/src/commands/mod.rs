//! The list of subcommands: one file each, and this enum is the list.
//!
//! Every command is `run(args, out)`: data goes to `out`, messages to standard error, and what it
//! returns becomes the process's exit code.

mod caption;
mod check_data;
mod completions;
mod demo;
mod demo_data;
mod devices;
mod document_frequencies;
mod eval;
mod export;
mod features;
mod gradcheck;
mod import;
mod inspect;
mod monitor;
mod multi_bleu;
mod predict;
mod resume;
mod score;
mod serve;
mod train;
mod view;

use std::ffi::OsString;
use std::io::Write;

use crate::address;
use crate::exit::Exit;

/// What `neuraltalk` can do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    CheckData(check_data::Args),
    Train(Box<train::Args>),
    Resume(resume::Args),
    Eval(eval::Args),
    Caption(Box<caption::Args>),
    Features(features::Args),
    Predict(predict::Args),
    Inspect(inspect::Args),
    Import(import::Args),
    Export(export::Args),
    Score(score::Args),
    DocumentFrequencies(document_frequencies::Args),
    MultiBleu(multi_bleu::Args),
    Gradcheck(gradcheck::Args),
    Devices(devices::Args),
    Monitor(monitor::Args),
    View(view::Args),
    Serve(Box<serve::Args>),
    DemoData(demo_data::Args),
    Completions(completions::Args),
}

impl Command {
    /// Runs it.
    pub(crate) fn run(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        match self {
            Self::Demo(args) => demo::run(args, out),
            Self::CheckData(args) => check_data::run(args, out),
            Self::Train(args) => train::run(args, out),
            Self::Resume(args) => resume::run(args, out),
            Self::Eval(args) => eval::run(args, out),
            Self::Caption(args) => caption::run(args, out),
            Self::Features(args) => features::run(args, out),
            Self::Predict(args) => predict::run(args, out),
            Self::Inspect(args) => inspect::run(args, out),
            Self::Import(args) => import::run(args, out),
            Self::Export(args) => export::run(args, out),
            Self::Score(args) => score::run(args, out),
            Self::DocumentFrequencies(args) => document_frequencies::run(args, out),
            Self::MultiBleu(args) => multi_bleu::run(args, out),
            Self::Monitor(args) => monitor::run(args, out),
            Self::View(args) => view::run(args, out),
            Self::Serve(args) => serve::run(args, out),
            Self::Devices(args) => devices::run(args, out),
            Self::Gradcheck(args) => gradcheck::run(args, out),
            Self::DemoData(args) => demo_data::run(args, out),
            Self::Completions(args) => completions::run(args, out),
        }
    }
}

/// Completes the command line with what can't be said in the commands' own files: the defaults of
/// training options, and every option under NeuralTalk's spelling (`--beam_size`) too.
pub(crate) fn complete(command: clap::Command) -> clap::Command {
    command
        .mut_subcommand("train", train::with_defaults)
        .mut_subcommand("serve", |command| address::with_port(command, "8080"))
        .mut_subcommand("view", |command| address::with_port(command, "8124"))
        .mut_subcommands(|command| {
            // The last one counts: scripts append options to those of a recipe.
            command.args_override_self(true).mut_args(|arg| {
                // A negative number is a value, which is then refused in words, and no option.
                let arg = match arg.get_action().takes_values() && arg.get_long().is_some() {
                    true => arg.allow_negative_numbers(true),
                    false => arg,
                };
                match arg.get_long().map(|long| long.replace('-', "_")) {
                    Some(underscored) if underscored.contains('_') => arg.alias(underscored),
                    _ => arg,
                }
            })
        })
}

/// `--beam-size`: at least 1, at most what memory is for.
fn beam_size(text: &str) -> Result<usize, String> {
    /// A beam wider than this finds nothing better and needs gigabytes.
    const WIDEST: usize = 10_000;
    match text.parse() {
        Ok(size @ 1..=WIDEST) => Ok(size),
        _ => Err(format!("expected a number from 1 to {WIDEST}")),
    }
}

/// Words that no alias can stand for: `-lc`, as `multi-bleu.perl` spells it, is one option with one dash, and `driver.py` has
/// a capital in `--tanhC_version`.
pub(crate) fn respell(word: OsString) -> OsString {
    let Some(text) = word.to_str() else {
        return word;
    };
    match (text, text.strip_prefix("--tanhC_version")) {
        ("-lc", _) => "--lowercase".into(),
        (_, Some(rest)) if rest.is_empty() || rest.starts_with('=') => {
            format!("--tanhc-version{rest}").into()
        }
        _ => word,
    }
}
