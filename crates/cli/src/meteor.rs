//! METEOR for given captions, with its data if they are to be found.
//!
//! Here: where the data are looked for. Not here: METEOR (`metrics::meteor`).

use std::path::{Path, PathBuf};

use metrics::Corpus;
use metrics::meteor::{Loading, Meteor, MeteorError, SearchPlaces, find_installed};

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

/// Ends loading with what the captions of these corpora need.
pub(crate) fn finish<'c>(
    loading: Loading,
    corpora: impl IntoIterator<Item = &'c Corpus>,
) -> Result<Meteor, MeteorError> {
    loading.finish_for(corpora.into_iter().flat_map(|corpus| {
        (0..corpus.len()).flat_map(move |image| {
            corpus
                .spaced_references(image)
                .chain([corpus.spaced_candidate(image)])
                .map(|tokens| corpus.text(tokens))
        })
    }))
}
