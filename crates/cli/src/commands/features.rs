//! `neuraltalk features`: what an encoder says of pictures, stored for training and prediction.
//!
//! Source: NeuralTalk's `matlab_features_reference` and `python_features` scripts, which wrote `vgg_feats.mat` with one
//! column for each line of `tasks.txt`. Numbers go to `OUT.partial` first, so that a run that was stopped goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use data::Dataset;
use data::features::WrittenForm;
use serde_json::json;

use crate::device::DeviceArgs;
use crate::exit::{Exit, Failure, cannot};
use crate::pictures::{self, BLOCK, DecodeArgs, Input, PictureEncoder};

/// Extract the features of pictures with an encoder
#[derive(clap::Args)]
#[command(after_help = "\
PICTURES is a dataset (a folder or file: row n is image n), a folder of pictures, or a list of
file names such as tasks.txt. For a folder, tasks.txt is written beside OUT. A picture that
fails is listed, and its row is not a number. The same command again goes on where it was
stopped.

Examples:
  neuraltalk features data/flickr8k --encoder lite0.safetensors --out data/flickr8k/vgg_feats.mat
  neuraltalk features photos --encoder resnet50.pth --out photos/vgg_feats.mat")]
pub(crate) struct Args {
    /// A dataset, a folder of pictures, or a list of file names
    #[arg(value_name = "PICTURES")]
    pictures: PathBuf,

    /// Weights of EfficientNet-Lite, ResNet or VGG-16 (.safetensors, PyTorch's .pth), a Caffe model, or a checkpoint with its
    /// encoder inside
    #[arg(long, value_name = "FILE")]
    encoder: PathBuf,

    /// Feature file to write: .mat, .npy or .safetensors
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,

    /// All regions of a picture, row by row, instead of one pooled vector
    #[arg(long)]
    regions: bool,

    /// Pictures in folders of the folder too
    #[arg(short, long)]
    recursive: bool,

    /// List pictures that failed in this file, with the reason
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,

    #[command(flatten)]
    decode: DecodeArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// Encodes, stores, reports.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let form = WrittenForm::of(&args.out).ok_or_else(|| {
        Failure::usage(format!("`{}` has no known ending", args.out.display()))
            .hint("name it .mat, .npy or .safetensors")
    })?;
    let inputs = listed(args)?;
    if args.regions && form == WrittenForm::Mat {
        let message = format!("`{}` holds one vector a picture", args.out.display());
        return Err(Failure::usage(message)
            .hint("regions go to .npy or .safetensors")
            .into());
    }
    pictures::at_least_one(&inputs, &[args.pictures.display().to_string()])?;
    let device = args.device.open()?;
    let encoder = PictureEncoder::load(&args.encoder, &device)?;
    let names: Vec<String> = inputs.iter().map(Input::name).collect();
    let description = json!({
        "encoder": args.encoder.to_string_lossy(),
        "encoder_bytes": fs::metadata(&args.encoder).map_err(cannot("read", &args.encoder))?.len(),
        "regions": args.regions,
        "pictures": names,
    })
    .to_string();
    let mut partial = Partial::open(&args.out, &description)?;
    if partial.rows > 0 {
        eprintln!(
            "goes on after {} of {} pictures",
            partial.rows,
            inputs.len()
        );
    }
    let limits = args.decode.limits();
    let bar = pictures::progress(inputs.len(), "features");
    bar.set_position(partial.rows as u64);
    let mut failures = Vec::new();
    while partial.rows < inputs.len() {
        let block = &inputs[partial.rows..inputs.len().min(partial.rows + BLOCK)];
        let rows = encoder.encode(block, &limits, args.regions);
        for (input, row) in block.iter().zip(&rows) {
            if let Err(error) = row {
                bar.suspend(|| eprintln!("{error}"));
                failures.push((input.name(), error.to_string()));
            }
        }
        partial.append(&rows)?;
        bar.set_position(partial.rows as u64);
    }
    bar.finish_and_clear();
    let width = partial.finish(&args.out, form, encoder.dimension(args.regions))?;
    pictures::report_failures(&failures, args.failures.as_deref())?;
    writeln!(
        out,
        "{} pictures, {width} numbers each, written to {}",
        inputs.len(),
        args.out.display()
    )?;
    Ok(if failures.is_empty() {
        Exit::Done
    } else {
        Exit::Partial
    })
}

/// The pictures in the order of the rows.
fn listed(args: &Args) -> anyhow::Result<Vec<Input>> {
    let given = &args.pictures;
    if given.extension().is_some_and(|ending| ending == "txt") {
        let text = fs::read_to_string(given).map_err(cannot("read", given))?;
        let folder = given.parent().unwrap_or(Path::new(""));
        let names = text.lines().filter(|line| !line.trim().is_empty());
        return Ok(names.map(|name| Input::File(folder.join(name))).collect());
    }
    if given.is_file() || given.join("dataset.json").is_file() {
        let dataset = Dataset::open(given)?;
        let folder = train::pictures_folder(given);
        let mut images: Vec<_> = dataset.images.iter().collect();
        images.sort_by_key(|image| image.imgid);
        if let Some((n, image)) = images
            .iter()
            .enumerate()
            .find(|(n, i)| i.imgid as usize != *n)
        {
            return Err(Failure::data(format!(
                "row {n} would belong to image {}: the dataset's imgid are not 0, 1, 2, ...",
                image.imgid
            ))
            .into());
        }
        return Ok(images
            .iter()
            .map(|i| Input::File(folder.join(&i.path)))
            .collect());
    }
    let found = pictures::in_folder(given, args.recursive)?;
    let tasks = args.out.with_file_name("tasks.txt");
    let names: String = found
        .iter()
        .map(|path| format!("{}\n", path.strip_prefix(given).unwrap_or(path).display()))
        .collect();
    fs::write(&tasks, names).map_err(cannot("write", &tasks))?;
    Ok(found.into_iter().map(Input::File).collect())
}

/// Rows done so far: raw little-endian f32 in `OUT.partial`, what they are of in `OUT.partial.json`.
struct Partial {
    path: PathBuf,
    description: PathBuf,
    file: File,
    width: Option<usize>,
    rows: usize,
}

impl Partial {
    /// Goes on with the rows of the same pictures and encoder, else begins.
    fn open(out: &Path, description: &str) -> anyhow::Result<Self> {
        let beside = |ending: &str| {
            let mut name = out.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let (path, note) = (beside(".partial"), beside(".partial.json"));
        let old = fs::read_to_string(&note).unwrap_or_default();
        // The first line is the rows' width, the second what they are of.
        let width = match old.split_once('\n') {
            Some((width, same)) if same == description => width.parse().ok(),
            _ => None,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(width.is_none())
            .open(&path)
            .map_err(cannot("write", &path))?;
        let length = file.seek(SeekFrom::End(0)).map_err(cannot("read", &path))?;
        let rows = match width {
            Some(width @ 1..) => length / (4 * width as u64),
            _ => 0,
        };
        // A row that a crash cut off is done again.
        let whole = rows * 4 * width.unwrap_or(0) as u64;
        file.set_len(whole).map_err(cannot("write", &path))?;
        file.seek(SeekFrom::Start(whole))
            .map_err(cannot("write", &path))?;
        fs::write(&note, format!("{}\n{description}", width.unwrap_or(0)))
            .map_err(cannot("write", &note))?;
        Ok(Self {
            path,
            description: note,
            file,
            width: width.filter(|&w| w > 0),
            rows: rows as usize,
        })
    }

    fn append<E>(&mut self, rows: &[Result<Vec<f32>, E>]) -> anyhow::Result<()> {
        if self.width.is_none()
            && let Some(width) = rows.iter().flatten().map(Vec::len).next()
        {
            self.width = Some(width);
            let note =
                fs::read_to_string(&self.description).map_err(cannot("read", &self.description))?;
            let same = note.split_once('\n').map_or("", |(_, same)| same);
            fs::write(&self.description, format!("{width}\n{same}"))
                .map_err(cannot("write", &self.description))?;
            // Pictures that failed before the first one that didn't.
            let missing = self.rows;
            self.write(missing, width)?;
        }
        for row in rows {
            match (row, self.width) {
                (Ok(row), _) => {
                    let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
                    self.file
                        .write_all(&bytes)
                        .map_err(cannot("write", &self.path))?;
                }
                (Err(_), Some(width)) => self.write(1, width)?,
                // Nothing is known of the width yet.
                (Err(_), None) => {}
            }
        }
        self.rows += rows.len();
        Ok(())
    }

    /// Rows of pictures that failed.
    fn write(&mut self, rows: usize, width: usize) -> anyhow::Result<()> {
        let bytes = f32::NAN.to_le_bytes().repeat(rows * width);
        self.file
            .write_all(&bytes)
            .map_err(cannot("write", &self.path))
    }

    /// Turns the rows, of vectors of `dimension`, into the file that was asked for; returns their width.
    fn finish(mut self, out: &Path, form: WrittenForm, dimension: usize) -> anyhow::Result<usize> {
        let Some(width) = self.width else {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.description);
            return Err(Failure::data("every picture failed: no features were written").into());
        };
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(cannot("read", &self.path))?;
        let mut rows = io::BufReader::new(&self.file);
        checkpoint::replace(&mut checkpoint::LocalDisk, out, |out| {
            let mut out = BufWriter::new(out);
            form.begin(&mut out, self.rows, [width / dimension, dimension])?;
            let count = 4 * self.rows as u64 * width as u64;
            io::copy(&mut rows.by_ref().take(count), &mut out)?;
            form.end(&mut out, self.rows, width)?;
            out.flush()
        })
        .map_err(cannot("write", out))?;
        for path in [&self.path, &self.description] {
            fs::remove_file(path).map_err(cannot("remove", path))?;
        }
        Ok(width)
    }
}
