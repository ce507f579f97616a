//! `neuraltalk caption`: sentences for photographs, from the files themselves.
//!
//! Here: which pictures, which model, and where captions go. Not here: how they are made (`generate::Captioner`), features
//! that are stored already (`predict`).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use data::picture::{PictureError, Preprocessing};
use generate::{BLOCK, Captioner, Options, Sampling, Sentence, Source};
use indicatif::ProgressBar;

use crate::caption_output::{Begun, CSV_HEAD, Existing, Form, write_sidecar};
use crate::device::DeviceArgs;
use crate::exit::{Exit, Failure, cannot};
use crate::pictures::{self, DecodeArgs, Input};
use crate::{attention_svg, bundled, place};

/// Caption photographs
#[derive(clap::Args)]
#[command(after_help = "\
One line a picture: its name, a tab, its caption. A picture that fails is reported, listed with
--failures, and never stops the others; the exit code is then 1.

Examples:
  neuraltalk caption photo.jpg
  neuraltalk caption photos --recursive --sidecar txt
  neuraltalk caption photo.jpg --require dog --start-with 'a photo of' --attention looked
  neuraltalk caption 'photos/*.jpg' --csv --out captions.csv --resume
  neuraltalk caption @list.txt --n-best 3 --json
  neuraltalk caption photo.jpg --checkpoint best.safetensors --encoder lite0.safetensors")]
pub(crate) struct Args {
    /// Pictures: files, folders, patterns ('photos/**/*.jpg'), @LIST (names, one a line), or - for standard input
    #[arg(value_name = "PICTURES", required = true)]
    pictures: Vec<String>,

    /// The model, a file or a run's folder; several are an ensemble, whose probabilities are averaged [default:
    /// $NEURALTALK_MODEL, else the bundled one]
    #[arg(short, long, value_name = "FILE", value_parser = place::checkpoint())]
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

    /// Begin every caption with these words
    #[arg(long, value_name = "TEXT", default_value = "", help_heading = "Search")]
    start_with: String,

    /// A word or phrase that every caption must have; may be given up to six times
    #[arg(long, value_name = "WORD", help_heading = "Search")]
    require: Vec<String>,

    /// A word that no caption may have; may be given several times
    #[arg(long, value_name = "WORD", help_heading = "Search")]
    forbid: Vec<String>,

    /// No run of N words twice in a caption, 0 to allow
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search")]
    no_repeat_ngram: usize,

    /// Fewest words of a caption
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search")]
    min_words: usize,

    /// Most words of a caption; one that hasn't ended by then is cut off there
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Search")]
    max_words: usize,

    /// Rank captions by log probability / words^A: 0 is the likeliest, 1 the likeliest by the word
    #[arg(long, value_name = "A", default_value_t = 0.0, help_heading = "Search")]
    length_penalty: f64,

    /// The caption that agrees most with the others of the beam first, instead of the likeliest
    #[arg(long, help_heading = "Search")]
    consensus: bool,

    /// Draw words at this temperature instead of searching: 1 is the model's own, towards 0 greedy
    #[arg(long, value_name = "T", conflicts_with_all = ["require", "length_penalty", "consensus"], help_heading = "Search")]
    temperature: Option<f64>,

    /// Draw from the N likeliest words only
    #[arg(
        long,
        value_name = "N",
        requires = "temperature",
        help_heading = "Search"
    )]
    top_k: Option<usize>,

    /// Draw from the fewest likeliest words that have this probability together
    #[arg(
        long,
        value_name = "P",
        requires = "temperature",
        help_heading = "Search"
    )]
    top_p: Option<f64>,

    /// What draws depend on, besides the picture
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Search")]
    seed: u64,

    /// Print one JSON object a picture
    #[arg(long, alias = "jsonl", conflicts_with = "csv", help_heading = "Output")]
    json: bool,

    /// Print comma-separated values: file, rank, caption, log probability
    #[arg(long, help_heading = "Output")]
    csv: bool,

    /// Write captions to this file, which must not be there, instead of standard output (-)
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    out: Option<PathBuf>,

    /// Go on with the file of --out: pictures that it has captions of are left out
    #[arg(long, requires = "out", help_heading = "Output")]
    resume: bool,

    /// Write each caption beside its picture, in a file of this ending (txt)
    #[arg(long, value_name = "ENDING", value_parser = sidecar_ending, help_heading = "Output")]
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

    /// Draw where the model looked for each word, one SVG file a caption, in this folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    attention: Option<PathBuf>,

    /// List pictures that failed in this file, with the reason
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    failures: Option<PathBuf>,

    #[command(flatten)]
    decode: DecodeArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// `--sidecar`: an ending that isn't a picture's, because pictures would be written over.
fn sidecar_ending(text: &str) -> Result<String, String> {
    let ending = text.strip_prefix('.').unwrap_or(text);
    if ending.is_empty() || ending.contains(['/', '\\', '\0']) {
        return Err("expected the ending of a text file, such as txt".into());
    }
    match pictures::is_picture(Path::new(&format!("picture.{ending}"))) {
        true => Err(
            "it would write over the pictures; take the ending of a text file, such as txt".into(),
        ),
        false => Ok(ending.to_owned()),
    }
}

/// Freed buffers that are kept for the next pictures: enough for the encoder's own.
const KEPT_BYTES: usize = 32 << 20;

/// Captions, prints, reports.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    args.check()?;
    let mut inputs = pictures::inputs(&args.pictures, args.recursive)?;
    pictures::at_least_one(&inputs, &args.pictures)?;
    let given = inputs.len();
    if let Some(list) = &args.failures {
        place::writable(list)?;
    }
    let out_file = args.out.as_ref().filter(|path| path.as_os_str() != "-");
    let mut begun = match out_file {
        Some(path) => Some(Begun::open(path, args.form(), args.n_best, args.resume)?),
        None => None,
    };
    inputs.retain(|input| {
        let shown = || args.form().shown(&input.name());
        let written = begun
            .as_ref()
            .is_some_and(|begun| begun.done.contains(&shown()));
        !written && !args.has_sidecar(input)
    });
    if inputs.len() < given {
        eprintln!(
            "{} of {given} pictures are done already",
            given - inputs.len()
        );
    }
    let device = args.device.open()?;
    device.keep_at_most(KEPT_BYTES);
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
    let drawings = match &args.attention {
        Some(folder) => Some(Drawings::new(folder, &captioner)?),
        None => None,
    };
    let bar = pictures::progress(inputs.len(), "captions");
    let fresh = begun.as_ref().is_none_or(|begun| begun.fresh);
    let mut writer = Writer {
        args,
        out: match &mut begun {
            Some(begun) => &mut begun.file,
            None => out,
        },
        bar: &bar,
        head: fresh && args.csv,
        drawings,
        sidecars: HashMap::new(),
        failures: Vec::new(),
    };
    captioner.caption_each(&sources, &options, |place, captions| {
        writer.write(&inputs[place], sources[place], captions)?;
        if (place + 1) % BLOCK == 0 {
            writer.out.flush()?;
        }
        anyhow::Ok(())
    })?;
    writer.out.flush()?;
    let failures = writer.failures;
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
    head: bool,
    drawings: Option<Drawings<'a>>,
    /// Sidecars that were written, each with its picture: `a.jpg` and `a.png` have the same.
    sidecars: HashMap<PathBuf, PathBuf>,
    /// Names of pictures with the reason.
    failures: Vec<(String, String)>,
}

impl Writer<'_> {
    fn write(
        &mut self,
        input: &Input,
        source: Source<'_>,
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
            && let Err(error) = self.write_sidecar(path, ending, &captions[0].text)
        {
            self.fail(input, format!("{error:#}"));
        }
        if let Some(drawings) = &mut self.drawings {
            drawings.draw(input, source, &self.args.decode, &captions)?;
        }
        let mut lines = self.args.form().render(&input.name(), &captions);
        if std::mem::take(&mut self.head) {
            lines.insert_str(0, CSV_HEAD);
        }
        // Through the bar, so that the two don't write over one another on a terminal.
        Ok(self.bar.suspend(|| self.out.write_all(lines.as_bytes()))?)
    }

    fn write_sidecar(&mut self, picture: &Path, ending: &str, text: &str) -> anyhow::Result<()> {
        let path = picture.with_extension(ending);
        if let Some(other) = self.sidecars.get(&path) {
            let [picture, path, other] = [picture, &path, other].map(|p| p.display().to_string());
            anyhow::bail!("`{picture}`: its sidecar `{path}` is that of `{other}` already");
        }
        write_sidecar(&path, self.args.existing, text)?;
        self.sidecars.insert(path, picture.to_owned());
        Ok(())
    }

    fn fail(&mut self, input: &Input, why: String) {
        self.bar.suspend(|| eprintln!("error: {why}"));
        self.failures.push((input.name(), why));
    }
}

/// A folder of pictures of attention.
struct Drawings<'a> {
    folder: &'a Path,
    preprocessing: &'a Preprocessing,
    /// Names that are taken: pictures of two folders may be called the same.
    names: HashSet<String>,
}

impl<'a> Drawings<'a> {
    fn new(folder: &'a Path, captioner: &'a Captioner) -> anyhow::Result<Self> {
        let Some(preprocessing) = captioner.attentive() else {
            return Err(Failure::usage("the model has no attention to draw")
                .hint("train one with `--generator attention`")
                .into());
        };
        fs::create_dir_all(folder).map_err(cannot("create", folder))?;
        Ok(Self {
            folder,
            preprocessing,
            names: HashSet::new(),
        })
    }

    fn draw(
        &mut self,
        input: &Input,
        source: Source<'_>,
        decode: &DecodeArgs,
        captions: &[Sentence],
    ) -> anyhow::Result<()> {
        let picture = source.decode(&decode.limits())?;
        let stem = match input {
            Input::File(path) => path.file_name().unwrap_or_default().to_string_lossy(),
            Input::Stdin => "stdin".into(),
        };
        for caption in captions {
            let numbers = (2..).map(|n| format!("{stem}.{n}.svg"));
            let mut names = std::iter::once(format!("{stem}.svg")).chain(numbers);
            let name = names.find(|name| self.names.insert(name.clone()));
            let path = self.folder.join(name.expect("numbers don't end"));
            if let Some(svg) = attention_svg::render(&picture, self.preprocessing, caption)? {
                fs::write(&path, svg).map_err(cannot("write", &path))?;
            }
        }
        Ok(())
    }
}

impl Args {
    /// What clap can't compare.
    fn check(&self) -> Result<(), Failure> {
        if self.temperature.is_none() && (self.n_best == 0 || self.beam_size < self.n_best) {
            let message = format!(
                "--n-best {} with --beam-size {}",
                self.n_best, self.beam_size
            );
            return Err(Failure::usage(message).hint("a beam of N finds at most N captions"));
        }
        if self.max_words <= self.min_words {
            let message = format!(
                "--min-words {} with --max-words {}",
                self.min_words, self.max_words
            );
            return Err(Failure::usage(message)
                .hint("the most words must be more than the fewest, and at least 1"));
        }
        let same = |word: &&String| self.forbid.contains(word);
        if let Some(word) = self.require.iter().find(same) {
            return Err(Failure::usage(format!(
                "`{word}` is both required and forbidden"
            )));
        }
        match self.n_best {
            0 => Err(Failure::usage("--n-best 0 leaves nothing to write")),
            _ => Ok(()),
        }
    }

    fn form(&self) -> Form {
        match (self.csv, self.json) {
            (true, _) => Form::Csv,
            (_, true) => Form::Json,
            _ => Form::Plain,
        }
    }

    fn has_sidecar(&self, input: &Input) -> bool {
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
                eprintln!("warning: `{word}` is no word of the model: no caption can have it");
            }
        }
        Options {
            beam_size: self.beam_size,
            n_best: self.n_best,
            sampling: self.temperature.map(|temperature| Sampling {
                temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                seed: self.seed,
            }),
            max_words: self.max_words,
            min_words: self.min_words,
            length_penalty: self.length_penalty,
            consensus: self.consensus,
            start_with: self.start_with.clone(),
            require: self.require.clone(),
            forbid: self.forbid.clone(),
            no_repeat_ngram: self.no_repeat_ngram,
            decode: self.decode.limits(),
            attention: self.attention.is_some(),
        }
    }
}
