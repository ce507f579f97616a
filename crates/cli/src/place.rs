//! Where a dataset's files lie when only its folder or its name was given.
//!
//! NeuralTalk keeps a dataset NAME in `data/NAME`: `dataset.json`, `vgg_feats.mat`, `imgs/`. Here:
//! those conventions. Not here: what is in the files (`data`).

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

use crate::exit::{Failure, cannot};
use checkpoint::Checkpoint;
use train::Kind;

/// NeuralTalk's name for a feature file, whatever made the features.
pub(crate) const FEATURES: &str = "vgg_feats.mat";

/// A folder or file as it is, or a name under `data/`.
pub(crate) fn dataset(given: &str) -> PathBuf {
    let path = PathBuf::from(given);
    let named = Path::new("data").join(given);
    match !path.exists() && named.exists() {
        true => named,
        false => path,
    }
}

/// The folder that a dataset lies in.
fn folder(dataset: &Path) -> &Path {
    match dataset.is_dir() {
        true => dataset,
        false => dataset.parent().unwrap_or(Path::new("")),
    }
}

/// `vgg_feats.mat` beside the dataset.
pub(crate) fn features(dataset: &Path) -> PathBuf {
    folder(dataset).join(FEATURES)
}

/// A CHECKPOINT argument.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// The checkpoint.
    pub(crate) file: PathBuf,
    /// The folder of the run that was named, or the one that the file lies in.
    pub(crate) folder: PathBuf,
}

/// Reads a CHECKPOINT argument: a file, or the folder of a run for its best checkpoint (its last where there is no best yet).
pub(crate) fn chosen() -> impl TypedValueParser<Value = Chosen> {
    PathBufValueParser::new().try_map(|given| {
        if !given.is_dir() {
            let folder = given.with_file_name("");
            return Ok(Chosen {
                file: given,
                folder,
            });
        }
        let kinds = [Kind::Best, Kind::Last].into_iter();
        let found = kinds
            .filter_map(|kind| train::run_checkpoint(&given, kind))
            .next();
        let file = found.ok_or("a folder that holds no run with a best or last checkpoint")?;
        let folder = given;
        Ok::<_, &str>(Chosen { file, folder })
    })
}

/// As [`chosen`], where only the file matters.
pub(crate) fn checkpoint() -> impl TypedValueParser<Value = PathBuf> {
    chosen().map(|chosen| chosen.file)
}

/// What an evaluation reads.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Folder or file of the dataset.
    pub(crate) dataset: PathBuf,
    /// Stored features; none where the checkpoint's own encoder looks at the pictures.
    pub(crate) features: Option<PathBuf>,
    /// Folder of the pictures.
    pub(crate) pictures: PathBuf,
}

/// Dataset, features and pictures of an evaluation: what was given, else what the run in `folder` was trained on, else what NeuralTalk would look for. A checkpoint with an encoder needs no features.
pub(crate) fn of_checkpoint(
    folder: &Path,
    checkpoint: &Checkpoint,
    given_dataset: Option<&str>,
    given_features: Option<&Path>,
    given_pictures: Option<&Path>,
) -> anyhow::Result<Place> {
    let config = folder.join("config.toml");
    let run = match given_dataset.is_none() && config.exists() {
        true => Some(train::Options::load(&config)?),
        false => None,
    };
    let place = match (given_dataset, &run) {
        (Some(given), _) => dataset(given),
        (None, Some(options)) if dataset(&options.dataset).exists() => dataset(&options.dataset),
        (None, _) => {
            let name = &checkpoint.dataset;
            let named = Path::new("data").join(name);
            if !named.exists() {
                return Err(Failure::data(format!(
                    "the checkpoint was trained on `{name}`, and there is no `data/{name}`"
                ))
                .hint("name the dataset's folder with --dataset")
                .into());
            }
            named
        }
    };
    // Only with its own dataset: columns are numbered by the pictures of one dataset.
    let (trained, folder) = run.map_or((None, None), |run| (run.features, run.pictures));
    let features = match (given_features, trained) {
        (Some(given), _) => Some(given.to_owned()),
        (None, Some(trained)) if trained.exists() => Some(trained),
        (None, _) if checkpoint.encoder.is_some() => None,
        _ => Some(features(&place)),
    };
    let folder = folder.filter(|folder| folder.is_dir());
    let folder = given_pictures.map(Path::to_owned).or(folder);
    Ok(Place {
        pictures: folder.unwrap_or_else(|| train::pictures_folder(&place)),
        features,
        dataset: place,
    })
}

/// Refuses a file that can't be written, before hours of work whose result it is to hold; leaves it as it is.
pub(crate) fn writable(path: &Path) -> anyhow::Result<()> {
    let new = !path.exists();
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    opened.map_err(cannot("write", path))?;
    if new {
        std::fs::remove_file(path).map_err(cannot("write", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_beside_dataset_json_and_in_the_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("dataset.json");
        std::fs::write(&file, "{}").unwrap();
        for given in [temporary.path(), &file] {
            assert_eq!(features(given), temporary.path().join("vgg_feats.mat"));
        }
        assert_eq!(train::pictures_folder(&file), temporary.path());
        assert_eq!(
            train::pictures_folder(temporary.path()),
            temporary.path().join("imgs")
        );
        std::fs::create_dir(temporary.path().join("imgs")).unwrap();
        assert_eq!(train::pictures_folder(&file), temporary.path().join("imgs"));
    }
}
