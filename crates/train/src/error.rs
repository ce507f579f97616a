//! Why a run can't start, go on or be resumed.
//!
//! Divergence is no error but an [`Outcome`](crate::Outcome). Not here: printing.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why training failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// An option's value makes no sense.
    #[error("option `{option}` is {value}, expected {accepted}")]
    Option {
        /// Its name, kebab-case.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// A configuration file doesn't parse.
    #[error("`{}` is not a valid configuration: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        problem: String,
        /// The option that a misspelt one resembles most.
        meant: Option<String>,
    },
    /// Options given outside a file don't parse.
    #[error("options: {0}")]
    Flags(String),
    /// A run of this name is there already.
    #[error("`{}` belongs to a run that is there already", path.display())]
    RunExists {
        /// Its first file that was found.
        path: PathBuf,
    },
    /// The folder holds no run.
    #[error("`{}` is not a run: it has no config.toml", run.display())]
    NoRun {
        /// The folder.
        run: PathBuf,
    },
    /// Another process trains in the folder.
    #[error("another process is training in `{}`", run.display())]
    Locked {
        /// The folder.
        run: PathBuf,
    },
    /// A dataset or a feature file can't be read.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// Nobody named features, and there are none at the usual place.
    #[error("there are no features to train on: `{}` does not exist", path.display())]
    NoFeatures {
        /// The usual place.
        path: PathBuf,
    },
    /// A picture can't be read.
    #[error(transparent)]
    Picture(data::picture::PictureError),
    /// The dataset has no usable picture in a split.
    #[error("dataset `{dataset}` has {problem} in split `{split}`")]
    Split {
        /// The dataset's name.
        dataset: String,
        /// The split.
        split: data::Split,
        /// What is missing.
        problem: String,
    },
    /// Features that belong to other pictures or another model.
    #[error("features `{features}` don't fit {what}: {found}, expected {expected}")]
    Features {
        /// The feature file's name.
        features: String,
        /// The dataset or the checkpoint.
        what: String,
        /// Columns or widths needed.
        expected: String,
        /// Those there.
        found: String,
    },
    /// More columns than pictures: the file may be another dataset's, or hold rows for columns.
    #[error(
        "features `{features}` have {found} columns, the pictures of dataset `{dataset}` only need {wanted}"
    )]
    ExtraFeatures {
        /// The feature file's name.
        features: String,
        /// The dataset's name.
        dataset: String,
        /// Columns.
        found: usize,
        /// The largest imgid and 1.
        wanted: usize,
    },
    /// A picture's stored features hold what is no number.
    #[error("features `{features}`: number {at} of the picture with imgid {imgid} is {value}")]
    NonFinite {
        /// The feature file's name.
        features: String,
        /// The picture's number.
        imgid: u32,
        /// Index of the first such number.
        at: usize,
        /// NaN, inf or -inf.
        value: f32,
    },
    /// Two pictures that would have the same features.
    #[error("dataset `{dataset}` gives imgid {imgid} to two pictures, `{first}` and `{second}`")]
    SameImgid {
        /// The dataset's name.
        dataset: String,
        /// The number.
        imgid: u32,
        /// Path of one.
        first: String,
        /// Path of the other.
        second: String,
    },
    /// A model larger than memory.
    #[error("a model of these sizes needs {bytes} bytes to train, and the system refuses so many")]
    TooLarge {
        /// Weights, gradients and running averages.
        bytes: u64,
    },
    /// A checkpoint can't be loaded or saved.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::CheckpointError),
    /// A checkpoint that doesn't belong to this run or these options.
    #[error("checkpoint `{}` can't be continued: {problem}", path.display())]
    Mismatch {
        /// The checkpoint.
        path: PathBuf,
        /// Which part, with both values.
        problem: String,
    },
    /// The GPU can't be used.
    #[error(transparent)]
    Gpu(tensor::GpuError),
    /// A file can't be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl TrainError {
    /// What to try next; programs print it as `hint: ...`.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Option { .. } => return None,
            Self::Config {
                meant: Some(option),
                ..
            } => return Some(format!("did you mean `{option}`?")),
            Self::Config { .. } | Self::Flags(_) => {
                "options are spelt in kebab-case, as in `neuraltalk train --help`"
            }
            Self::RunExists { .. } => {
                "`neuraltalk resume` goes on with it; give another folder for a new run"
            }
            Self::NoRun { .. } => {
                "a run's folder is the one that `neuraltalk train` printed; one that was stopped before it had begun is started anew"
            }
            Self::Locked { .. } => "wait for it, or stop it; then `neuraltalk resume`",
            Self::Data(error) => return error.hint(),
            Self::NoFeatures { .. } => {
                "`neuraltalk features` makes them, `--features` names a file elsewhere, and `--encoder` trains on the pictures instead"
            }
            Self::Picture(error) => {
                let hint = error.hint()?;
                return Some(format!(
                    "{hint}; `neuraltalk check-data` lists all such pictures"
                ));
            }
            Self::Split { .. } => {
                "every picture names its split; `neuraltalk check-data` lists what is wrong"
            }
            Self::Features { .. } => {
                "was the feature file made for this dataset? `--features` names another one"
            }
            Self::ExtraFeatures { .. } => {
                "is it the file of another dataset, or the wrong way round? for a part of a dataset with the features of the whole: `--allow-extra-features`"
            }
            Self::NonFinite { .. } | Self::SameImgid { .. } => {
                "`neuraltalk check-data` lists everything that is wrong"
            }
            Self::TooLarge { .. } => "smaller sizes, or a higher word-count-threshold",
            Self::Checkpoint(error) => return error.hint(),
            Self::Mismatch { .. } => {
                "a run continues only with the data and the sizes that it was started with"
            }
            Self::Gpu(error) => return Some(error.hint()),
            Self::Read { source, .. } | Self::Write { source, .. } => return io_hint(source),
        };
        Some(text.to_owned())
    }

    /// The program's exit code: 2 usage, 3 bad data, 4 input or output.
    pub fn exit_code(&self) -> u8 {
        use checkpoint::CheckpointError as C;
        match self {
            Self::Option { .. }
            | Self::Config { .. }
            | Self::Flags(_)
            | Self::RunExists { .. }
            | Self::NoRun { .. }
            | Self::TooLarge { .. } => 2,
            Self::Gpu(error) if !error.is_refusal() => 2,
            Self::Data(error) if error.is_io() => 4,
            Self::Checkpoint(C::Read { .. } | C::Write { .. }) => 4,
            Self::Picture(data::picture::PictureError::Read { .. }) | Self::NoFeatures { .. } => 4,
            Self::Data(_)
            | Self::Picture(_)
            | Self::Split { .. }
            | Self::Features { .. }
            | Self::ExtraFeatures { .. }
            | Self::NonFinite { .. }
            | Self::SameImgid { .. }
            | Self::Checkpoint(_)
            | Self::Mismatch { .. } => 3,
            Self::Gpu(_) | Self::Locked { .. } | Self::Read { .. } | Self::Write { .. } => 4,
        }
    }

    /// A [`Read`](Self::Read) error of `path`, for `map_err`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    /// A [`Write`](Self::Write) error of `path`, for `map_err`.
    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn config(path: &Path, error: &toml::de::Error) -> Self {
        let text = error.to_string();
        let mut problem = text.trim_end();
        let mut meant = None;
        // serde lists all fields after an unknown one; the nearest is more use than the list.
        if let Some((said, fields)) = problem.split_once(", expected one of ")
            && let Some((_, unknown)) = error.message().split_once("unknown field `")
            && let Some((unknown, _)) = unknown.split_once('`')
        {
            problem = said;
            let likeness = |field: &&str| strsim::jaro_winkler(field, unknown);
            meant = fields
                .split('`')
                .filter(|field| 0.8 < likeness(field))
                .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
                .map(str::to_owned);
        }
        Self::Config {
            path: path.to_owned(),
            problem: problem.to_owned(),
            meant,
        }
    }
}

fn io_hint(source: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind as K;
    let text = match source.kind() {
        K::StorageFull | K::QuotaExceeded => "free some space; the checkpoints of before are whole",
        K::PermissionDenied | K::ReadOnlyFilesystem => "choose a folder that you may write to",
        K::NotFound => "check the spelling of the path and the folder it is relative to",
        _ => return None,
    };
    Some(text.to_owned())
}
