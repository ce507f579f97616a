//! `neuraltalk score`: metrics of caption files against their references, without Java.
//!
//! Here: which files and metrics. Not here: what is printed (`score_report`), any metric, any reader (`metrics`).

use std::io::Write;
use std::path::{Path, PathBuf};

use metrics::document_frequency::DocumentFrequencies;
use metrics::input::{Captions, InputError, Problem, Tokenization, pair, read_candidates};
use metrics::meteor::Loading;
use metrics::significance::Bootstrap;
use metrics::{Metric, Options, Tokenizer};

use crate::exit::{Exit, Failure, cannot};
use crate::meteor;
use crate::references::References;
use crate::score_report::{Report, System};
use crate::variety::{self, Variety};

/// Score captions against references: BLEU, METEOR, ROUGE-L, CIDEr
#[derive(clap::Args)]
#[command(after_help = "\
Files are recognised by their contents: result_struct.json, COCO results and annotations, JSON
Lines, or plain lines (`reference` also finds reference0, reference1, ...). References may also be a
dataset (dataset.json, its folder, Flickr's tokens, CSV): of it, the splits that are in CANDIDATES.
METEOR's data is looked for in NEURALTALK_METEOR_DATA and in an installed pycocoevalcap.
Exit code 1 if pictures could not be scored; they are listed.

Examples:
  neuraltalk score result_struct.json
  neuraltalk score results.json captions_val2014.json --metrics cider,bleu --json
  neuraltalk score new.json captions_val2014.json --against old.json")]
pub(crate) struct Args {
    /// Captions to score
    #[arg(value_name = "CANDIDATES")]
    candidates: PathBuf,

    /// Reference captions [default: those in a result_struct.json]
    #[arg(value_name = "REFERENCES")]
    references: Option<PathBuf>,

    /// A second system's captions: print differences with their significance
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// bleu, standard-bleu, meteor, rouge, cider, plain-cider
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "bleu,meteor,rouge,cider"
    )]
    metrics: Vec<Metric>,

    /// Captions are tokens already: split at white space instead of coco-caption's tokenizer
    #[arg(long)]
    tokenized: bool,

    /// METEOR's own files: its folder or meteor-1.5.jar [default: an installed pycocoevalcap's]
    #[arg(long, value_name = "PATH")]
    meteor_data: Option<PathBuf>,

    /// CIDEr's counts of a large corpus, from `document-frequencies` [default: those of the references]
    #[arg(long, value_name = "FILE")]
    document_frequencies: Option<PathBuf>,

    /// Print how varied the captions are: distinct n-grams, vocabulary, self-CIDEr of n-best lists
    #[arg(long)]
    diversity: bool,

    /// Training captions, a file or a dataset: print how many captions are new too
    #[arg(long, value_name = "PATH")]
    training: Option<PathBuf>,

    /// Write every picture's scores as CSV
    #[arg(long, value_name = "FILE")]
    per_image: Option<PathBuf>,

    /// Draws of the bootstrap behind --against
    #[arg(long, value_name = "N", default_value_t = 1000)]
    draws: usize,

    /// Seed of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Refuse files with missing, unknown or doubled pictures
    #[arg(long)]
    strict: bool,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Scores and prints.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    // What takes long starts first: METEOR's table is unpacked and the tokenizer made while files are read.
    let loading = match args.metrics.contains(&Metric::Meteor) {
        true => Some(Loading::start(
            meteor::data(args.meteor_data.as_deref()).as_deref(),
        )?),
        false => None,
    };
    let tokenization = Tokenization::of(args.tokenized);
    if tokenization == Tokenization::Ptb {
        rayon::spawn(|| drop(Tokenizer::new()));
    }
    let (read, references) = rayon::join(
        || read_candidates(&args.candidates),
        || args.references.as_deref().map(References::read).transpose(),
    );
    let ((candidates, own), references) = (read?, references?);
    let references = references.map(|read| read.of(&candidates, tokenization));
    let references = references.or(own).ok_or_else(|| {
        let path = args.candidates.display();
        Failure::usage(format!("`{path}` holds no references"))
            .hint("neuraltalk score CANDIDATES REFERENCES")
    })?;
    let against = match &args.against {
        None => None,
        Some(path) => Some(read_candidates(path)?.0.in_order_of(&candidates)),
    };
    let frequencies = match &args.document_frequencies {
        None => None,
        Some(path) => Some(read_frequencies(path)?),
    };
    let training = match &args.training {
        None => None,
        Some(path) => Some(variety::training(path, tokenization)?),
    };

    // The older system's captions come last: the difference is this less against.
    let mut paired = vec![some_pairs(&candidates, &references, args.strict)?];
    if let Some(candidates) = &against {
        paired.push(some_pairs(candidates, &references, args.strict)?);
    }
    let corpora: Vec<_> = paired.iter().map(|p| p.corpus(tokenization)).collect();
    if let [this, other] = corpora.as_slice() {
        same_pictures(args, this.ids(), other.ids())?;
    }
    let options = Options {
        metrics: args.metrics.clone(),
        document_frequencies: frequencies.as_ref(),
        meteor: None,
    };
    let scores = metrics::score_while_loading(&corpora, &options, || {
        let meteor = loading.map(|loading| loading.finish_for_corpora(&corpora));
        meteor.transpose()
    })?;
    let wants_variety = args.diversity || args.training.is_some();
    let counted = match wants_variety && frequencies.is_none() {
        true => Some(DocumentFrequencies::count(&corpora[0])),
        false => None,
    };
    let frequencies = frequencies.as_ref().or(counted.as_ref());
    let files = [&candidates].into_iter().chain(&against);
    let mut systems = scores
        .into_iter()
        .zip(corpora.iter().zip(&paired).zip(files))
        .map(|(scores, ((corpus, pairs), file))| {
            let training = training.as_deref();
            System {
                scores,
                variety: frequencies.filter(|_| wants_variety).map(|frequencies| {
                    Variety::of(file, pairs, corpus, tokenization, training, frequencies)
                }),
            }
        });
    let this = systems.next().expect("one system at least");
    let report = Report {
        this,
        against: systems.next(),
        bootstrap: Bootstrap {
            draws: args.draws,
            seed: args.seed,
        },
        problems: paired
            .iter()
            .flat_map(|pairs| pairs.problems.clone())
            .collect(),
    };
    if let Some(path) = &args.per_image {
        std::fs::write(path, report.csv()).map_err(cannot("write", path))?;
    }
    match args.json {
        true => writeln!(out, "{:#}", report.json())?,
        false => {
            report
                .warnings()
                .for_each(|line| eprintln!("warning: {line}"));
            write!(out, "{}", report.table())?;
        }
    }
    Ok(match report.problems.iter().any(Problem::leaves_out) {
        true => Exit::Partial,
        false => Exit::Done,
    })
}

fn read_frequencies(path: &Path) -> anyhow::Result<DocumentFrequencies> {
    let file = std::fs::File::open(path).map_err(cannot("read", path))?;
    let read = DocumentFrequencies::read(std::io::BufReader::new(file));
    read.map_err(|error| {
        let hint = error.hint().unwrap_or_default();
        Failure::data(format!("`{}`: {error}", path.display()))
            .hint(hint)
            .into()
    })
}

fn some_pairs<'c>(
    candidates: &'c Captions,
    references: &'c Captions,
    strict: bool,
) -> anyhow::Result<metrics::input::Pairs<'c>> {
    let pairs = match pair(candidates, references, strict) {
        Err(InputError::Problems { problems }) => {
            // All of them, not only the first that the error names.
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return Err(InputError::Problems { problems }.into());
        }
        pairs => pairs?,
    };
    if pairs.is_empty() {
        let first = |of: &Captions| of.iter().next().map_or("", |(id, _)| id).to_owned();
        let hint = format!(
            "do the two name pictures in the same way? the first candidate is of `{}`, the first reference of `{}`",
            first(candidates),
            first(references)
        );
        return Err(
            Failure::data("no picture has both a candidate and a reference")
                .hint(hint)
                .into(),
        );
    }
    Ok(pairs)
}

fn same_pictures(args: &Args, this: &[String], other: &[String]) -> anyhow::Result<()> {
    if this == other {
        return Ok(());
    }
    let (candidates, against) = (
        args.candidates.display(),
        args.against.as_deref().unwrap_or(Path::new("")).display(),
    );
    let known: std::collections::HashSet<&String> = other.iter().collect();
    let common = this.iter().filter(|id| known.contains(id)).count();
    Err(Failure::data(format!(
        "`{candidates}` has captions of {} pictures and `{against}` of {}, {common} of them the same",
        this.len(),
        other.len()
    ))
    .hint("a difference is tested on the same pictures: leave out the others in both files")
    .into())
}
