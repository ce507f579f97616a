//! Where a dataset's files lie when only its folder or its name was given.
//!
//! NeuralTalk keeps a dataset NAME in `data/NAME`: `dataset.json`, `vgg_feats.mat`, `imgs/`. Here:
//! those conventions. Not here: what is in the files (`data`).

use std::path::{Path, PathBuf};

use checkpoint::Checkpoint;
use serde_json::Value;

use crate::exit::Failure;

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

/// `imgs` in the dataset's folder, or the folder itself if there is none.
pub(crate) fn pictures(dataset: &Path) -> PathBuf {
    let inside = folder(dataset).join("imgs");
    match inside.is_dir() || dataset.is_dir() {
        true => inside,
        false => folder(dataset).to_owned(),
    }
}

/// The dataset and the features of an evaluation: what was given, else what the checkpoint was
/// trained on if it is still there, else what NeuralTalk would look for.
pub(crate) fn of_checkpoint(
    checkpoint: &Checkpoint,
    given_dataset: Option<&str>,
    given_features: Option<&Path>,
) -> Result<(PathBuf, PathBuf), Failure> {
    let trained_on = |key: &str| checkpoint.params.get(key).and_then(Value::as_str);
    let place = match given_dataset {
        Some(given) => dataset(given),
        None => {
            let names = [trained_on("dataset"), Some(checkpoint.dataset.as_str())];
            let places = names.into_iter().flatten().map(dataset);
            let mut found = places.filter(|place| place.exists());
            found.next().ok_or_else(|| {
                Failure::data(format!(
                    "the checkpoint was trained on `{0}`, and there is no `data/{0}`",
                    checkpoint.dataset
                ))
                .hint("name the dataset's folder with --dataset")
            })?
        }
    };
    let features = match given_features {
        Some(given) => given.to_owned(),
        None => match trained_on("features").map(PathBuf::from) {
            // Only with its own dataset: columns are numbered by the pictures of one dataset.
            Some(path) if given_dataset.is_none() && path.exists() => path,
            _ => features(&place),
        },
    };
    Ok((place, features))
}
