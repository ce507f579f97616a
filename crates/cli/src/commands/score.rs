//! `neuraltalk score`: metrics of caption files against their references, without Java.
//!
//! Here: which files and metrics, the tables, the CSV. Not here: any metric, any reader (`metrics`).

use std::io::Write;
use std::path::{Path, PathBuf};

use metrics::input::{Captions, Problem, Tokenization, pair, read_candidates, read_references};
use metrics::meteor::{Meteor, SearchPlaces, find_installed};
use metrics::significance::Bootstrap;
use metrics::{Corpus, Metric, Options, Scores};
use serde_json::json;

use crate::exit::{Exit, Failure, cannot};

/// Score captions against references: BLEU, METEOR, ROUGE-L, CIDEr
#[derive(clap::Args)]
#[command(after_help = "\
Files are recognised by their contents: result_struct.json, COCO results and annotations, JSON
Lines, or plain lines (`reference` also finds reference0, reference1, ...).
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
    let (candidates, own) = read_candidates(&args.candidates)?;
    let references = match (&args.references, own) {
        (Some(path), _) => read_references(path)?,
        (None, Some(references)) => references,
        (None, None) => {
            let path = args.candidates.display();
            return Err(Failure::usage(format!("`{path}` holds no references"))
                .hint("name their file after it")
                .into());
        }
    };
    let (corpus, mut problems) = corpus(args, &candidates, &references)?;
    let scores = score(args, &corpus)?;
    let second = match &args.against {
        None => None,
        Some(path) => {
            let (second, _) = read_candidates(path)?;
            let (second, more) = self::corpus(args, &second, &references)?;
            problems.extend(more);
            if second.ids() != corpus.ids() {
                return Err(Failure::data(format!(
                    "`{}` and `{}` have captions of different pictures, or in another order",
                    args.candidates.display(),
                    path.display()
                ))
                .hint("a difference is tested on the same pictures")
                .into());
            }
            Some(score(args, &second)?)
        }
    };
    if let Some(path) = &args.per_image {
        std::fs::write(path, per_image(&scores)).map_err(cannot("write", path))?;
    }
    print(args, &scores, second.as_ref(), &problems, out)?;
    let left_out = |problem: &Problem| {
        !matches!(
            problem,
            Problem::EmptyCandidate { .. } | Problem::DuplicateCandidate { .. }
        )
    };
    Ok(match problems.iter().any(left_out) {
        true => Exit::Partial,
        false => Exit::Done,
    })
}

fn corpus(
    args: &Args,
    candidates: &Captions,
    references: &Captions,
) -> anyhow::Result<(Corpus, Vec<Problem>)> {
    let pairs = pair(candidates, references, args.strict)?;
    if pairs.is_empty() {
        return Err(
            Failure::data("no picture has both a candidate and a reference")
                .hint("do the two files name pictures in the same way?")
                .into(),
        );
    }
    let tokenization = match args.tokenized {
        true => Tokenization::Whitespace,
        false => Tokenization::Ptb,
    };
    let corpus = pairs.corpus(tokenization);
    Ok((corpus, pairs.problems))
}

fn score(args: &Args, corpus: &Corpus) -> anyhow::Result<Scores> {
    let meteor = match args.metrics.contains(&Metric::Meteor) {
        true => Some(meteor(args.meteor_data.as_deref(), corpus)?),
        false => None,
    };
    let options = Options {
        metrics: args.metrics.clone(),
        meteor: meteor.as_ref(),
        ..Options::default()
    };
    Ok(metrics::score(corpus, &options))
}

/// METEOR for these captions, with its data if that is to be found.
fn meteor(given: Option<&Path>, corpus: &Corpus) -> anyhow::Result<Meteor> {
    let variable = |name| std::env::var_os(name);
    let (data, environment, path) = (
        variable("NEURALTALK_METEOR_DATA"),
        variable("VIRTUAL_ENV"),
        variable("PATH"),
    );
    let places = SearchPlaces {
        meteor_data: data.as_deref(),
        virtual_env: environment.as_deref(),
        path: path.as_deref(),
    };
    let data = match given {
        Some(path) => Some(path.to_owned()),
        None => find_installed(places),
    };
    let captions: Vec<String> = (0..corpus.len())
        .flat_map(|image| {
            corpus
                .spaced_references(image)
                .chain([corpus.spaced_candidate(image)])
        })
        .map(|tokens| corpus.text(tokens))
        .collect();
    Ok(Meteor::open_for(
        data.as_deref(),
        captions.iter().map(String::as_str),
    )?)
}

fn print(
    args: &Args,
    scores: &Scores,
    second: Option<&Scores>,
    problems: &[Problem],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let bootstrap = Bootstrap {
        draws: args.draws,
        seed: args.seed,
    };
    // What `--against` names came first in time: the difference is new minus old.
    let differences = second.map(|second| second.compare(scores, &bootstrap));
    if args.json {
        let corpus = |scores: &Scores| -> serde_json::Map<String, serde_json::Value> {
            scores
                .scores
                .iter()
                .map(|score| (score.name.clone(), score.corpus.into()))
                .collect()
        };
        let differences = differences.map(|all| {
            all.into_iter()
                .map(|(name, d)| (name, json!(d)))
                .collect::<serde_json::Map<_, _>>()
        });
        let report = json!({
            "images": scores.ids.len(), "scores": corpus(scores), "against": second.map(corpus),
            "differences": differences, "problems": problems, "warnings": scores.warnings,
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    for problem in problems {
        eprintln!("warning: {problem}");
    }
    for warning in &scores.warnings {
        eprintln!("warning: {warning}");
    }
    let (Some(second), Some(differences)) = (second, differences) else {
        write!(out, "{scores}")?;
        return Ok(());
    };
    let width = scores
        .scores
        .iter()
        .map(|s| s.name.len())
        .max()
        .unwrap_or(0);
    writeln!(
        out,
        "{:width$}  against     this  difference  95 % interval           p",
        ""
    )?;
    for (name, comparison) in &differences {
        let value = |of: &Scores| of.get(name).unwrap_or(f64::NAN);
        let interval = comparison.difference;
        writeln!(
            out,
            "{name:width$}  {:>7.4}  {:>7.4}  {:>+10.4}  {:>+8.4} to {:>+8.4}  {:.4}",
            value(second),
            value(scores),
            interval.value,
            interval.low,
            interval.high,
            comparison.p
        )?;
    }
    Ok(())
}

/// One line a picture, its scores in columns.
fn per_image(scores: &Scores) -> String {
    let quoted = |text: &str| match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let names = scores.scores.iter().map(|score| quoted(&score.name));
    let mut csv = std::iter::once("image".to_owned())
        .chain(names)
        .collect::<Vec<_>>()
        .join(",");
    csv.push('\n');
    for (i, id) in scores.ids.iter().enumerate() {
        csv += &quoted(id);
        for score in &scores.scores {
            csv += &format!(",{}", score.images[i]);
        }
        csv.push('\n');
    }
    csv
}
