//! `neuraltalk caption`: sentences for photographs, from the files themselves.
//!
//! Here: which pictures, which model, and where captions go. Not here: how they are made (`generate::Captioner`), features
//! that are stored already (`predict`).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use data::picture::PictureError;
use generate::{BLOCK, Captioner, Options, Sentence, Source};
use indicatif::ProgressBar;
use serde_json::json;

use crate::bundled;
use crate::device::DeviceArgs;
use crate::exit::{Exit, Failure, cannot};
use crate::pictures::{self, DecodeArgs, Input};

/// Caption photographs
#[derive(clap::Args)]
#[command(after_help = "\
One line a picture: its name, a tab, its caption. A picture that fails is reported, listed with --failures, and never
stops the others; the exit code is then 1.

Examples:
  neuraltalk caption photo.jpg
  neuraltalk caption photos --recursive --sidecar txt
  neuraltalk caption @list.txt --n-best 3 --json --checkpoint best.safetensors --encoder lite0.safetensors")]
pub(crate) struct Args {
    /// Pictures: files, folders, @LIST (names, one a line), or - for standard input
    #[arg(value_name = "PICTURES", required = true)]
    pictures: Vec<String>,

    /// The model; several are an ensemble, whose probabilities are averaged [default: $NEURALTALK_MODEL, else the bundled
    /// one]
    #[arg(short, long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,

    /// The encoder's weights, for a checkpoint that holds none: .safetensors or PyTorch's .pth
    #[arg(short, long, value_name = "FILE")]
    encoder: Option<PathBuf>,

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
    let models = bundled::models(&args.checkpoint)?;
    let captioner = Captioner::load_all(&models, args.encoder.as_deref(), &device)?;
    let options = args.options(&captioner);
    let typed = match inputs.contains(&Input::Stdin) {
        true => pictures::stdin(&options.decode)?,
        false => Vec::new(),
    };
    let source = |input| match input {
        &Input::Stdin => Source::Bytes(&typed),
        Input::File(path) => Source::File(path),
    };
    let sources: Vec<Source<'_>> = inputs.iter().map(source).collect();
    let bar = pictures::progress(inputs.len(), "captions");
    let mut writer = Writer {
        args,
        out,
        bar: &bar,
        csv_head: args.csv,
        failures: Vec::new(),
    };
    captioner.caption_each(&sources, &options, |place, captions| {
        writer.write(&inputs[place], captions)?;
        if (place + 1) % BLOCK == 0 {
            writer.out.flush()?;
        }
        anyhow::Ok(())
    })?;
    let failures = writer.failures;
    out.flush()?;
    bar.finish_and_clear();
    pictures::report_failures(&failures, args.failures.as_deref())?;
    Ok(if failures.is_empty() {
        Exit::Done
    } else {
        Exit::Partial
    })
}

/// Where captions and failures go.
struct Writer<'a> {
    args: &'a Args,
    out: &'a mut dyn Write,
    bar: &'a ProgressBar,
    /// Whether the first line of a table is still to be written.
    csv_head: bool,
    /// Names of pictures with the reason.
    failures: Vec<(String, String)>,
}

impl Writer<'_> {
    fn write(
        &mut self,
        input: &Input,
        captions: Result<Vec<Sentence>, PictureError>,
    ) -> anyhow::Result<()> {
        self.bar.inc(1);
        let captions = match captions {
            Ok(captions) => captions,
            Err(error) => {
                let why = match input {
                    Input::File(_) => error.to_string(),
                    Input::Stdin => format!("`-`: {error}"),
                };
                self.fail(input, why);
                return Ok(());
            }
        };
        if let (Some(ending), Input::File(path)) = (&self.args.sidecar, input)
            && let Err(error) = write_sidecar(path, ending, self.args.existing, &captions[0].text)
        {
            self.fail(input, format!("{error:#}"));
        }
        let name = input.name();
        let line = match (self.args.csv, self.args.json) {
            (true, _) => {
                let head = match std::mem::take(&mut self.csv_head) {
                    true => "file,rank,caption,log_prob\n",
                    false => "",
                };
                head.to_owned() + &rows_of_csv(&name, &captions)
            }
            (_, true) => json_line(&name, &captions),
            _ => plain(&name, &captions),
        };
        // Through the bar, so that the two don't write over one another on a terminal.
        Ok(self.bar.suspend(|| self.out.write_all(line.as_bytes()))?)
    }

    fn fail(&mut self, input: &Input, why: String) {
        self.bar.suspend(|| eprintln!("{why}"));
        self.failures.push((input.name(), why));
    }
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

    fn options(&self, captioner: &Captioner) -> Options {
        for word in &self.forbid {
            let known = |word: &str| captioner.vocabulary().id(word).is_some();
            if !known(word) && !known(&word.to_lowercase()) {
                eprintln!("`{word}` is no word of the model: no caption can have it");
            }
        }
        Options {
            beam_size: self.beam_size,
            n_best: self.n_best,
            min_words: self.min_words,
            forbid: self.forbid.clone(),
            no_repeat_ngram: self.no_repeat_ngram,
            decode: self.decode.limits(),
            ..Options::default()
        }
    }
}

/// A name with a tab or newline in it would break the line.
fn plain(name: &str, captions: &[Sentence]) -> String {
    let name = name.replace(['\t', '\n', '\r'], " ");
    captions
        .iter()
        .map(|caption| format!("{name}\t{}\n", caption.text))
        .collect()
}

fn json_line(name: &str, captions: &[Sentence]) -> String {
    let all: Vec<_> = captions
        .iter()
        .map(|c| json!({"caption": c.text, "log_prob": c.log_prob}))
        .collect();
    let best = &captions[0];
    format!(
        "{}\n",
        json!({"file": name, "caption": best.text, "log_prob": best.log_prob, "captions": all})
    )
}

fn rows_of_csv(name: &str, captions: &[Sentence]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    (1..)
        .zip(captions)
        .map(|(rank, c)| {
            format!(
                "{},{rank},{},{}\n",
                quoted(name),
                quoted(&c.text),
                c.log_prob
            )
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
