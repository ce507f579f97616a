//! Picture files as commands take them, and from there to an encoder's features.
//!
//! Here: which files a word on the command line means, and a block of files decoded, resized and encoded on all
//! threads; a picture that fails is an error in its own place. Not here: formats and resizing (`data::picture`), layers
//! (`models::encoder`).

use std::collections::HashSet;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use checkpoint::EncoderPart;
use data::picture::{DecodeLimits, PictureError, Preprocessing, decode, open};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use models::encoder::{Encoder, FoldedEncoder, pixels_from_planes};
use rayon::prelude::*;
use tensor::Device;

use crate::exit::{Failure, cannot};
use crate::shortened::counted;

/// Files that are decoded and encoded together: enough for all threads, few enough to stay small.
pub(crate) const BLOCK: usize = 32;

/// Endings of files that a folder is searched for.
const ENDINGS: [&str; 12] = [
    "jpg", "jpeg", "jpe", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "pnm",
];

/// Limits of decoding.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DecodeArgs {
    /// Use the part that is there of pictures that are cut off
    #[arg(long, help_heading = "Pictures")]
    allow_truncated: bool,

    /// Largest picture in megapixels
    #[arg(
        long,
        value_name = "N",
        default_value_t = 178.9,
        help_heading = "Pictures"
    )]
    max_megapixels: f64,

    /// Most memory for decoding one picture, in MiB
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 2048,
        help_heading = "Pictures"
    )]
    max_memory: u64,
}

impl DecodeArgs {
    /// The decoder's limits.
    pub(crate) fn limits(&self) -> DecodeLimits {
        let usual = DecodeLimits::default();
        DecodeLimits {
            allow_truncated: self.allow_truncated,
            max_pixels: (self.max_megapixels * 1e6) as u64,
            max_bytes: self.max_memory.saturating_mul(1 << 20),
            ..usual
        }
    }
}

/// One picture to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// A file.
    File(PathBuf),
    /// The bytes of a picture on standard input.
    Stdin,
}

impl Input {
    /// As it is printed.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "-".into(),
        }
    }
}

/// The pictures that words on the command line mean: a file, a folder's pictures by name, a pattern (`*`, `?`, `[ab]`, `**`
/// for folders of any depth), `@list` (a file of names, one a line), `-` for standard input.
pub(crate) fn inputs(words: &[String], recursive: bool) -> anyhow::Result<Vec<Input>> {
    let mut found = Vec::new();
    for word in words {
        if word == "-" {
            found.push(Input::Stdin);
        } else if let Some(list) = word.strip_prefix('@') {
            let list = Path::new(list);
            let file = std::fs::File::open(list).map_err(cannot("read", list))?;
            for line in BufReader::new(file).lines() {
                let line = line.map_err(cannot("read", list))?;
                if !line.trim().is_empty() {
                    found.push(Input::File(line.into()));
                }
            }
        } else {
            let path = PathBuf::from(word);
            match path.is_dir() {
                true => found.extend(in_folder(&path, recursive)?.into_iter().map(Input::File)),
                false if !path.exists() && word.contains(['*', '?', '[']) => {
                    found.extend(matching(word)?.into_iter().map(Input::File));
                }
                false => found.push(Input::File(path)),
            }
        }
    }
    // A picture that two words mean is one picture.
    let mut seen = HashSet::new();
    found.retain(|input| seen.insert(input.clone()));
    Ok(found)
}

/// Files that a pattern matches, sorted by name. Shells do that themselves unless the pattern is quoted; some don't.
fn matching(pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let found = glob::glob(pattern).map_err(|error| {
        Failure::usage(format!("`{pattern}`: {}, at byte {}", error.msg, error.pos))
    })?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            let place = error.path().to_owned();
            cannot("read", &place)(error.into())
        })?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Pictures of a folder, by their endings, sorted by name.
pub(crate) fn in_folder(folder: &Path, recursive: bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(cannot("read", &folder))? {
            let entry = entry.map_err(cannot("read", &folder))?;
            let (path, kind) = (entry.path(), entry.file_type());
            // Links to folders are not followed: they can lead round in circles.
            if kind.is_ok_and(|kind| kind.is_dir()) {
                folders.extend(recursive.then_some(path));
            } else if is_picture(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|e| e.eq_ignore_ascii_case(ending)))
}

/// An encoder with what it wants of a picture.
pub(crate) struct PictureEncoder {
    encoder: FoldedEncoder,
    preprocessing: Preprocessing,
    /// D of a region, and of the pooled vector.
    dimensions: [usize; 2],
}

impl PictureEncoder {
    /// Loads weights; their names tell which encoder it is.
    pub(crate) fn load(path: &Path, device: &Device) -> anyhow::Result<Self> {
        Self::of_checkpoint(&EncoderPart::load(path)?, device)
    }

    /// The encoder inside a checkpoint.
    pub(crate) fn of_checkpoint(part: &EncoderPart, device: &Device) -> anyhow::Result<Self> {
        let preprocessing = part.about.preprocessing.clone();
        Ok(Self::new(&part.build(device)?, preprocessing))
    }

    fn new(encoder: &Encoder, preprocessing: Preprocessing) -> Self {
        let size = preprocessing.size;
        let outputs = encoder.network().outputs(size, size);
        let (regions, pooled) = outputs.expect("a size that was checked when it was loaded");
        Self {
            dimensions: [regions[2], pooled],
            encoder: encoder.fold(),
            preprocessing,
        }
    }

    /// D, numbers of a region or of the pooled vector.
    pub(crate) fn dimension(&self, regions: bool) -> usize {
        self.dimensions[usize::from(!regions)]
    }

    /// The features of each picture, pooled or of all regions (row by row), in order.
    pub(crate) fn encode(
        &self,
        inputs: &[Input],
        limits: &DecodeLimits,
        regions: bool,
    ) -> Vec<Result<Vec<f32>, PictureError>> {
        let device = self.encoder.device();
        let decoded: Vec<Result<Vec<f32>, PictureError>> = device.install(|| {
            inputs
                .par_iter()
                .map(|input| Ok(self.preprocessing.apply(&read(input, limits)?)))
                .collect()
        });
        let planes: Vec<f32> = decoded.iter().flatten().flatten().copied().collect();
        if planes.is_empty() {
            return decoded;
        }
        let pixels = pixels_from_planes(device, &planes, self.preprocessing.size);
        let features = self.encoder.encode(&pixels);
        let features = if regions {
            features.regions
        } else {
            features.pooled
        };
        let width = features.len() / pixels.shape()[0];
        let mut rows = features.data().chunks_exact(width);
        let row = |planes: Result<Vec<f32>, PictureError>| {
            planes.map(|_| rows.next().expect("one row a picture").to_vec())
        };
        decoded.into_iter().map(row).collect()
    }
}

fn read(input: &Input, limits: &DecodeLimits) -> Result<data::picture::Picture, PictureError> {
    match input {
        Input::File(path) => open(path, limits),
        Input::Stdin => decode(&stdin(limits)?, limits),
    }
}

/// The bytes of the picture on standard input.
pub(crate) fn stdin(limits: &DecodeLimits) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    let most = limits.max_file_bytes.saturating_add(1);
    if let Err(source) = std::io::stdin().lock().take(most).read_to_end(&mut bytes) {
        let path = PathBuf::from("-");
        return Err(PictureError::Read { path, source });
    }
    match limits.max_file_bytes < bytes.len() as u64 {
        false => Ok(bytes),
        true => Err(PictureError::TooManyBytes {
            limit: limits.max_file_bytes,
        }),
    }
}

/// What to say of pictures that failed, and where to list them.
pub(crate) fn report_failures(
    failures: &[(String, String)],
    list: Option<&Path>,
) -> anyhow::Result<()> {
    if let Some(list) = list {
        let lines: String = failures
            .iter()
            .map(|(name, why)| {
                // Some decoders' messages have several lines.
                let [name, why] = [name, why].map(|text| text.replace(['\t', '\n', '\r'], " "));
                format!("{name}\t{why}\n")
            })
            .collect();
        std::fs::write(list, lines).map_err(cannot("write", list))?;
    }
    if !failures.is_empty() {
        eprintln!("{} failed", counted(failures.len(), "picture"));
    }
    Ok(())
}

/// No picture at all is a mistake in the command line.
pub(crate) fn at_least_one<T>(inputs: &[T], words: &[String]) -> Result<(), Failure> {
    match inputs.is_empty() {
        false => Ok(()),
        true => Err(Failure::usage(format!("no pictures in {}", words.join(", ")))
            .hint("folders are searched for JPEG, PNG, WebP, GIF, BMP, TIFF and PNM; --recursive enters their folders")),
    }
}

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn progress(pictures: usize, what: &str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let template =
        format!("{what} {{bar:30.cyan/blue}} {{pos}}/{{len}}  {{per_sec}}  {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("a template of constants");
    ProgressBar::with_draw_target(Some(pictures as u64), target).with_style(style)
}
