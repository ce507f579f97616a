//! `neuraltalk document-frequencies`: counts for CIDEr, from the references of a large corpus.
//!
//! Not here: the counts and their file (`metrics::document_frequency`).

use std::io::Write;
use std::path::PathBuf;

use data::Split;
use metrics::document_frequency::{DocumentFrequencies, SMALL_CORPUS};
use metrics::input::{Tokenization, pair};

use crate::exit::{Exit, Failure, cannot};
use crate::references::References;

/// Count the n-grams of references, for CIDEr of other captions
#[derive(clap::Args)]
#[command(after_help = "\
CIDEr weighs n-grams by the pictures that are scored together, so scores of different or of few
pictures can't be compared. With counts of one large corpus they can.

Example:
  neuraltalk document-frequencies captions_train2014.json coco.json
  neuraltalk score ten.json captions_val2014.json --document-frequencies coco.json")]
pub(crate) struct Args {
    /// Reference captions: COCO annotations, result_struct.json, JSON Lines, plain lines, or a dataset
    #[arg(value_name = "REFERENCES")]
    references: PathBuf,

    /// File for the counts
    #[arg(value_name = "OUT")]
    out: PathBuf,

    /// Captions are tokens already: split at white space instead of coco-caption's tokenizer
    #[arg(long)]
    tokenized: bool,
}

/// Counts and writes.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let tokenization = Tokenization::of(args.tokenized);
    let references = References::read(&args.references)?.all(&Split::ALL, tokenization);
    // Candidates aren't counted; each picture's first reference stands in for one.
    let pairs = pair(&references, &references, false)?;
    let corpus = pairs.corpus(tokenization);
    if corpus.is_empty() {
        let path = args.references.display();
        return Err(Failure::data(format!("`{path}` holds no captions")).into());
    }
    let counts = DocumentFrequencies::count(&corpus);
    checkpoint::replace(&mut checkpoint::LocalDisk, &args.out, |file| {
        let mut file = std::io::BufWriter::new(file);
        counts.write(&mut file)?;
        file.flush()
    })
    .map_err(cannot("write", &args.out))?;
    if counts.images() < SMALL_CORPUS {
        eprintln!(
            "warning: {} pictures are few (fewer than {SMALL_CORPUS}) to count in",
            counts.images()
        );
    }
    writeln!(
        out,
        "{} n-grams of {} pictures in {}",
        counts.len(),
        counts.images(),
        args.out.display()
    )?;
    Ok(Exit::Done)
}
