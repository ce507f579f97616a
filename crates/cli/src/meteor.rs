//! METEOR's data, if they are to be found.
//!
//! Here: where the data are looked for. Not here: METEOR (`metrics::meteor`).

use std::path::{Path, PathBuf};

use metrics::meteor::{SearchPlaces, find_installed};

/// METEOR's data: what was given, else what the environment or an installed pycocoevalcap has.
pub(crate) fn data(given: Option<&Path>) -> Option<PathBuf> {
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
    match given {
        Some(path) => Some(path.to_owned()),
        None => find_installed(places),
    }
}
