//! `neuraltalk caption`: sentences for photographs, from the files themselves.
//!
//! Blocks of pictures are decoded and encoded on all threads, then captioned together; results come in the order of the
//! pictures. Not here: features that are stored already (`predict`).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use generate::{BeamOptions, Caption, Constraints, Limits};
use serde_json::json;
use tensor::Tensor;

use crate::device::DeviceArgs;
use crate::exit::{Exit, Failure, cannot};
use crate::model::Model;
use crate::pictures::{self, BLOCK, DecodeArgs, Input, PictureEncoder};

/// Caption photographs
#[derive(clap::Args)]
#[command(after_help = "\
One line a picture: its name, a tab, its caption. A picture that fails is reported, listed with --failures, and never
stops the others; the exit code is then 1.

Examples:
  neuraltalk caption photo.jpg --checkpoint best.safetensors --encoder efficientnet-lite0.safetensors
  neuraltalk caption photos --recursive --sidecar txt --checkpoint best.safetensors --encoder lite0.safetensors
  neuraltalk caption @list.txt --n-best 3 --json --checkpoint best.safetensors --encoder lite0.safetensors")]
pub(crate) struct Args {
    /// Pictures: files, folders, @LIST (names, one a line), or - for standard input
    #[arg(value_name = "PICTURES", required = true)]
    pictures: Vec<String>,

    /// The decoder: a checkpoint, .safetensors or NeuralTalk's .p
    #[arg(short, long, value_name = "FILE")]
    checkpoint: PathBuf,

    /// The encoder that the decoder's features were made with: .safetensors or PyTorch's .pth
    #[arg(short, long, value_name = "FILE")]
    encoder: PathBuf,

    /// Pictures in folders of the folders too
    #[arg(short, long)]
    recursive: bool,

    /// Partial sentences kept for each picture; 1 is greedy
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = super::beam_size, help_heading = "Search")]
    beam_size: usize,

    /// Captions for each picture, best first; at most the beam size
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Search"
    )]
    n_best: usize,

    /// A word that no caption may have; may be given several times
    #[arg(long, value_name = "WORD", help_heading = "Search")]
    forbid: Vec<String>,

    /// No run of N words twice in a caption, 0 to allow
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search")]
    no_repeat_ngram: usize,

    /// Fewest words of a caption
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search")]
    min_words: usize,

    /// Print one JSON object a picture
    #[arg(long, alias = "jsonl", conflicts_with = "csv", help_heading = "Output")]
    json: bool,

    /// Print comma-separated values: file, rank, caption, log probability
    #[arg(long, help_heading = "Output")]
    csv: bool,

    /// Write each caption beside its picture, in a file of this ending
    #[arg(long, value_name = "ENDING", help_heading = "Output")]
    sidecar: Option<String>,

    /// What to do with a sidecar that is there already; skip leaves its picture out
    #[arg(
        long,
        value_enum,
        default_value = "skip",
        requires = "sidecar",
        help_heading = "Output"
    )]
    existing: Existing,

    /// List pictures that failed in this file, with the reason
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    failures: Option<PathBuf>,

    #[command(flatten)]
    decode: DecodeArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What becomes of a sidecar that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Existing {
    /// Leave it, and don't caption its picture: what a stopped run has done is not done again.
    Skip,
    /// Replace it.
    Overwrite,
    /// The caption on a new line at its end.
    Append,
    /// The caption on a new line at its beginning.
    Prepend,
}

/// Captions, prints, reports.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if args.n_best == 0 || args.beam_size < args.n_best {
        let message = format!(
            "--n-best {} with --beam-size {}",
            args.n_best, args.beam_size
        );
        return Err(Failure::usage(message)
            .hint("a beam of N finds at most N captions")
            .into());
    }
    let mut inputs = pictures::inputs(&args.pictures, args.recursive)?;
    pictures::at_least_one(&inputs, &args.pictures)?;
    let given = inputs.len();
    inputs.retain(|input| !args.is_done(input));
    if inputs.len() < given {
        eprintln!(
            "{} of {given} pictures have a sidecar already",
            given - inputs.len()
        );
    }
    let device = args.device.open()?;
    let model = Model::load(&args.checkpoint, &device)?;
    let options = args.search(&model)?;
    let encoder = PictureEncoder::load(&args.encoder, &device)?;
    let limits = args.decode.limits();
    let bar = pictures::progress(inputs.len(), "captions");
    let mut failures = Vec::new();
    let mut csv = args.csv.then(|| "file,rank,caption,log_prob\n".to_owned());
    for block in inputs.chunks(BLOCK) {
        let encoded = encoder.encode(block, &limits, false);
        let (mut named, mut rows) = (Vec::new(), Vec::new());
        for (input, row) in block.iter().zip(encoded) {
            match row {
                Ok(row) => {
                    args.check_width(&model, row.len())?;
                    rows.extend(row);
                    named.push(input);
                }
                Err(error) => {
                    bar.suspend(|| eprintln!("{error}"));
                    failures.push((input.name(), error.to_string()));
                }
            }
        }
        let shape = [named.len(), model.decoder.config().feature()];
        let start = model.decoder.start(&Tensor::new(&device, &shape, rows));
        let found =
            device.install(|| generate::beam(&model.decoder, &start, named.len(), &options))?;
        for (input, captions) in named.into_iter().zip(found) {
            let text = |c: &Caption| model.vocabulary.decode(&c.tokens);
            let captions: Vec<(String, f64)> =
                captions.iter().map(|c| (text(c), c.log_prob)).collect();
            if let (Some(ending), Input::File(path)) = (&args.sidecar, input)
                && let Err(error) = write_sidecar(path, ending, args.existing, &captions[0].0)
            {
                bar.suspend(|| eprintln!("{error:#}"));
                failures.push((input.name(), format!("{error:#}")));
            }
            let line = match &mut csv {
                Some(start) => std::mem::take(start) + &rows_of_csv(&input.name(), &captions),
                None if args.json => json_line(&input.name(), &captions),
                None => plain(&input.name(), &captions),
            };
            // Through the bar, so that the two don't write over one another on a terminal.
            bar.suspend(|| out.write_all(line.as_bytes()))?;
        }
        out.flush()?;
        bar.inc(block.len() as u64);
    }
    bar.finish_and_clear();
    pictures::report_failures(&failures, args.failures.as_deref())?;
    Ok(if failures.is_empty() {
        Exit::Done
    } else {
        Exit::Partial
    })
}

impl Args {
    fn is_done(&self, input: &Input) -> bool {
        match (&self.sidecar, input) {
            (Some(ending), Input::File(path)) if self.existing == Existing::Skip => {
                path.with_extension(ending).exists()
            }
            _ => false,
        }
    }

    fn search(&self, model: &Model) -> anyhow::Result<BeamOptions> {
        let mut forbidden = Vec::new();
        for word in &self.forbid {
            match model.vocabulary.id(&word.to_lowercase()) {
                Some(id) => forbidden.push(id),
                None => eprintln!("`{word}` is no word of the model: no caption can have it"),
            }
        }
        let constraints = Constraints {
            min_length: self.min_words,
            forbidden,
            no_repeat_ngram: self.no_repeat_ngram,
        };
        Ok(BeamOptions {
            beam_size: self.beam_size,
            n_best: self.n_best,
            limits: Limits {
                constraints,
                ..Limits::default()
            },
        })
    }

    fn check_width(&self, model: &Model, found: usize) -> Result<(), Failure> {
        let expected = model.decoder.config().feature();
        if found == expected {
            return Ok(());
        }
        let (encoder, checkpoint) = (self.encoder.display(), self.checkpoint.display());
        Err(Failure::data(format!(
            "`{encoder}` gives {found} numbers a picture, `{checkpoint}` needs {expected}"
        ))
        .hint("use the encoder that the training's features were made with"))
    }
}

/// A name with a tab or newline in it would break the line.
fn plain(name: &str, captions: &[(String, f64)]) -> String {
    let name = name.replace(['\t', '\n', '\r'], " ");
    captions
        .iter()
        .map(|(text, _)| format!("{name}\t{text}\n"))
        .collect()
}

fn json_line(name: &str, captions: &[(String, f64)]) -> String {
    let all: Vec<_> = captions
        .iter()
        .map(|(text, log_prob)| json!({"caption": text, "log_prob": log_prob}))
        .collect();
    let (caption, log_prob) = &captions[0];
    format!(
        "{}\n",
        json!({"file": name, "caption": caption, "log_prob": log_prob, "captions": all})
    )
}

fn rows_of_csv(name: &str, captions: &[(String, f64)]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    (1..)
        .zip(captions)
        .map(|(rank, (text, log_prob))| {
            format!("{},{rank},{},{log_prob}\n", quoted(name), quoted(text))
        })
        .collect()
}

fn write_sidecar(
    picture: &Path,
    ending: &str,
    existing: Existing,
    caption: &str,
) -> anyhow::Result<()> {
    let path = picture.with_extension(ending);
    let old = match (existing, path.exists()) {
        (Existing::Append | Existing::Prepend, true) => {
            fs::read_to_string(&path).map_err(cannot("read", &path))?
        }
        _ => String::new(),
    };
    let old = old.trim_end_matches('\n');
    let text = match (existing, old) {
        (_, "") => format!("{caption}\n"),
        (Existing::Prepend, old) => format!("{caption}\n{old}\n"),
        (_, old) => format!("{old}\n{caption}\n"),
    };
    checkpoint::replace(&mut checkpoint::LocalDisk, &path, |out| {
        out.write_all(text.as_bytes())
    })
    .map_err(cannot("write", &path))
}
