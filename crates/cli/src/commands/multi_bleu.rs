//! `neuraltalk multi-bleu`: in place of NeuralTalk's `multi-bleu.perl`, same line, same exit codes.
//!
//! Not here: the script's counting and its quirks (`metrics::multi_bleu`).

use std::io::{Read, Write};
use std::path::PathBuf;

use metrics::multi_bleu::{multi_bleu, read_references};

use crate::exit::{Exit, Failure};

/// BLEU of lines on standard input, as NeuralTalk's Perl script prints it
#[derive(clap::Args)]
#[command(after_help = "\
Kept because published scores contain it: no brevity penalty, and the last byte of a last line
without newline is lost. For BLEU as the papers define it: neuraltalk score.

Example:
  neuraltalk multi-bleu reference < output")]
pub(crate) struct Args {
    /// Compare in lower case (-lc works too)
    #[arg(short = 'l', long = "lowercase")]
    lowercase: bool,

    /// Reference file, or the name to which 0, 1, ... is added
    #[arg(value_name = "REFERENCE")]
    reference: PathBuf,
}

/// Prints the script's line.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let references = match read_references(&args.reference) {
        Ok(references) => references,
        Err(error) => {
            eprintln!("{error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            return Ok(Exit::Script(error.exit_code()));
        }
    };
    let mut candidates = Vec::new();
    std::io::stdin()
        .read_to_end(&mut candidates)
        .map_err(|error| Failure::io(format!("cannot read standard input: {error}")))?;
    let score = multi_bleu(&candidates, &references, args.lowercase);
    writeln!(out, "{score}")?;
    Ok(Exit::Script(score.exit_code()))
}
