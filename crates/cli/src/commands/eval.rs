//! `neuraltalk eval`: captions a split of a dataset and scores them.
//!
//! Source: NeuralTalk's `eval_sentence_predictions.py`. Where we differ: pictures are captioned
//! many at a time, any split and any number of references, and the BLEU with brevity penalty
//! stands beside the script's.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use data::{Dataset, Features, Split};
use generate::BeamOptions;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use report::{Candidate, ImageBlob, ReportError, ResultStruct, ScoreTable};
use serde_json::json;

use crate::device::DeviceArgs;
use crate::evaluate::{self, Choice};
use crate::exit::Exit;
use crate::model::Model;
use crate::place::{self, Chosen};
use crate::scores::Scores;
use crate::shortened::counted;

/// Caption a split of a dataset and score the captions
#[derive(clap::Args)]
#[command(after_help = "\
Prints the BLEU line of NeuralTalk's multi-bleu.perl (no brevity penalty), coco-caption's BLEU (with
it), METEOR, ROUGE-L and CIDEr, and the perplexity of the reference sentences. METEOR needs data of
its own (see `score`), else it has exact and stem matches only and says so. Writes
result_struct.json for NeuralTalk's viewer and for `neuraltalk score`.

Examples:
  neuraltalk eval runs/flickr8k-baseline-1/best.safetensors --beam-size 5
  neuraltalk eval models/flickr8k.safetensors --dataset data/flickr8k --beam-size 5
  neuraltalk eval model.p --dataset data/flickr8k --verbose
  neuraltalk eval model.p --split val --max-images 100 --json")]
pub(crate) struct Args {
    /// A checkpoint: .safetensors, NeuralTalk's .p, or a run's folder for its best
    #[arg(value_name = "CHECKPOINT", value_parser = place::chosen())]
    checkpoint: Chosen,

    /// Dataset [default: the one in the checkpoint, under data/]
    #[arg(long, value_name = "DIR")]
    dataset: Option<String>,

    /// Stored picture features [default: those of the training; the pictures if CHECKPOINT holds an encoder; else
    /// vgg_feats.mat beside the dataset]
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,

    /// Folder of the pictures [default: that of the training, or imgs/ beside the dataset]
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,

    /// Split to caption: train, val, test or restval
    #[arg(long, value_name = "SPLIT", default_value = "test")]
    split: Split,

    /// Partial sentences kept for each picture; 1 is greedy
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = super::beam_size)]
    beam_size: usize,

    /// The caption that agrees most with the others of the beam, instead of the likeliest
    #[arg(long)]
    consensus: bool,

    /// Rank captions by log probability / words^A: 0 is the likeliest, 1 the likeliest by the word
    #[arg(long, value_name = "A", default_value_t = 0.0)]
    length_penalty: f64,

    /// Only the first N pictures of the split, -1 for all
    #[arg(short, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    max_images: i64,

    /// Copy the pictures into this folder; exit code 1 if some can't be
    #[arg(short, long, value_name = "DIR")]
    dump_folder: Option<PathBuf>,

    /// File for all captions with their references
    #[arg(long, value_name = "FILE", default_value = "result_struct.json")]
    result_struct_filename: PathBuf,

    /// Write the files that multi-bleu.perl reads (output, reference0, ...) into this folder
    #[arg(long, value_name = "DIR")]
    bleu_folder: Option<PathBuf>,

    /// Print scores as JSON
    #[arg(long, conflicts_with = "verbose")]
    json: bool,

    /// Print references and caption of each picture, as eval_sentence_predictions.py does
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    device: DeviceArgs,
}

/// Captions, scores, prints, writes.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    place::writable(&args.result_struct_filename)?;
    let device = args.device.open()?;
    let model = Model::load(&args.checkpoint.file, &device)?;
    let place = place::of_checkpoint(
        &args.checkpoint.folder,
        &model.checkpoint,
        args.dataset.as_deref(),
        args.features.as_deref(),
        args.pictures.as_deref(),
    )?;
    let dataset = Dataset::open(&place.dataset)?;
    let choice = Choice {
        split: args.split,
        most: match usize::try_from(args.max_images) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(most) => most,
        },
    };
    let (images, without) = evaluate::pictures(&dataset, choice)?;
    if without > 0 {
        eprintln!("warning: {without} pictures without sentences are left out");
    }
    let features = match &place.features {
        Some(file) => {
            let features = Features::open(file)?;
            model.check_features(&features)?;
            features
        }
        None => evaluate::encode(&model, &images, &place.pictures, &device)?,
    };
    let search = BeamOptions {
        consensus: args.consensus,
        length_penalty: args.length_penalty,
        ..BeamOptions::new(args.beam_size)
    };
    let bar = progress(images.len());
    let blobs = evaluate::caption(
        &model,
        &images,
        &features,
        &place.pictures,
        &search,
        |done| bar.set_position(done as u64),
    )?;
    bar.finish_and_clear();
    if args.verbose {
        for (n, blob) in blobs.iter().enumerate() {
            print_picture(n + 1, args.max_images, blob, out)?;
        }
    }
    let perplexity = evaluate::perplexity(&model, &images, &features)?;
    let result = ResultStruct {
        checkpoint_params: model.checkpoint.params.clone(),
        imgblobs: blobs,
        params: params(args),
        gtppl: Some(perplexity),
    };
    let scores = Scores::of(&result)?;
    let words = model.vocabulary.len();
    for warning in &scores.standard.warnings {
        eprintln!("warning: {warning}");
    }
    if args.json {
        let report = json!({
            "checkpoint": args.checkpoint.file, "dataset": dataset.name, "split": args.split,
            "images": images.len(), "beam_size": args.beam_size, "consensus": args.consensus,
            "length_penalty": args.length_penalty, "perplexity": perplexity,
            "scores": scores.json(), "result_struct": args.result_struct_filename,
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{}", scores.perl_line)?;
        if args.verbose {
            writeln!(
                out,
                "perplexity of ground truth words based on dictionary of {words} words: {perplexity:.6}"
            )?;
        }
        write!(out, "{}", table(&scores, perplexity))?;
    }
    let missing = write_files(args, &result)?;
    if !args.json {
        writeln!(
            out,
            "{} pictures of {} ({}), beam {}{}{}; captions in {}",
            images.len(),
            dataset.name,
            args.split,
            args.beam_size,
            if args.consensus { " by consensus" } else { "" },
            match args.length_penalty {
                0.0 => String::new(),
                penalty => format!(", length penalty {penalty}"),
            },
            args.result_struct_filename.display()
        )?;
    }
    for error in missing.iter().take(MISSING_SHOWN) {
        eprintln!("warning: {error}");
    }
    if missing.is_empty() {
        return Ok(Exit::Done);
    }
    eprintln!(
        "warning: {} could not be copied into --dump-folder",
        counted(missing.len(), "picture")
    );
    Ok(Exit::Partial)
}

/// Pictures that could not be copied and are named.
const MISSING_SHOWN: usize = 10;

/// Writes what was asked for; the captions first, whatever becomes of the rest. Returns which pictures could not be copied.
fn write_files(args: &Args, result: &ResultStruct) -> anyhow::Result<Vec<ReportError>> {
    report::write_result_struct(&args.result_struct_filename, result)?;
    if let Some(folder) = &args.bleu_folder {
        report::bleu_files(result)?.write(folder)?;
    }
    if let Some(folder) = &args.dump_folder {
        let paths = result
            .imgblobs
            .iter()
            .map(|blob| PathBuf::from(&blob.img_path));
        return Ok(report::copy_pictures(&paths.collect::<Vec<_>>(), folder)?);
    }
    Ok(Vec::new())
}

/// The command line under NeuralTalk's names; what it doesn't know comes last.
fn params(args: &Args) -> serde_json::Map<String, serde_json::Value> {
    let folder = args
        .dump_folder
        .as_ref()
        .map(|f| f.to_string_lossy().into_owned());
    let serde_json::Value::Object(params) = json!({
        "result_struct_filename": args.result_struct_filename.to_string_lossy(),
        "beam_size": args.beam_size,
        "consensus": args.consensus,
        "length_penalty": args.length_penalty,
        "checkpoint_path": args.checkpoint.file.to_string_lossy(),
        "dump_folder": folder.unwrap_or_default(),
        "max_images": args.max_images,
        "split": args.split,
    }) else {
        unreachable!("an object literal")
    };
    params
}

/// As `eval_sentence_predictions.py` prints it.
fn print_picture(
    n: usize,
    max_images: i64,
    blob: &ImageBlob,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    writeln!(out, "image {n}/{max_images}:")?;
    for reference in blob.references.iter().flatten() {
        writeln!(out, "GT: {}", reference.text)?;
    }
    let Candidate { text, logprob } = &blob.candidate;
    writeln!(out, "PRED: ({logprob:.6}) {text}")?;
    Ok(())
}

fn table(scores: &Scores, perplexity: f64) -> String {
    let mut table = ScoreTable::new([""]);
    for score in &scores.standard.scores {
        table.row(&score.name, &[Some(score.corpus)], 4);
    }
    table.row("perplexity", &[Some(perplexity)], 4);
    table.render()
}

/// A bar on a terminal, nothing elsewhere.
fn progress(pictures: usize) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("captions {bar:30.cyan/blue} {pos}/{len}  {eta} left")
        .expect("a constant template");
    ProgressBar::with_draw_target(Some(pictures as u64), target).with_style(style)
}
