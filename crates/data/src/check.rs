//! Every problem of a dataset, found in one pass before training.
//!
//! Here: [`check`], its [`Report`] of problems and a summary, both for people and as JSON.
//! Not here: files that cannot be read at all (`error.rs`), printing (`cli`).

mod picture;
mod problem;
mod summary;

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;

pub use self::problem::{Problem, ProblemKind, Severity};
pub use self::summary::{FeatureSummary, Lengths, PictureSummary, SplitSummary, Summary};
use crate::dataset::{Dataset, ImageRecord, RefusedRecord, Split};
use crate::features::Features;
use crate::vocabulary::Vocabulary;

/// What to check a dataset against.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Folder with the pictures; without it they are not looked for.
    pub picture_folder: Option<PathBuf>,
    /// D that the features must have, for example a checkpoint's.
    pub expected_dimension: Option<usize>,
    /// Words seen at least this often in training are in the vocabulary.
    pub word_count_threshold: u64,
    /// Count `restval` as training.
    pub restval_as_train: bool,
    /// Accept more feature vectors than the pictures need, as training does on request.
    pub allow_extra_features: bool,
    /// Only read the headers of pictures: a file that is cut off later is not found.
    pub headers_only: bool,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            picture_folder: None,
            expected_dimension: None,
            word_count_threshold: 5, // NeuralTalk's
            restval_as_train: false,
            allow_extra_features: false,
            headers_only: false,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// True where training would work.
    pub trainable: bool,
    /// All problems: of the whole dataset first, then picture by picture.
    pub problems: Vec<Problem>,
    /// What the dataset holds.
    pub summary: Summary,
}

impl Report {
    /// Problems of one severity.
    pub fn count(&self, severity: Severity) -> usize {
        let same = |problem: &&Problem| problem.severity == severity;
        self.problems.iter().filter(same).count()
    }
}

/// Lists every problem. Decodes each picture, where a folder is given, and reads every feature vector.
pub fn check(dataset: &Dataset, features: Option<&Features>, options: &CheckOptions) -> Report {
    check_watched(dataset, &[], features, options, &|| ())
}

/// As [`check`]. `refused` are the records that [`Dataset::open_each`] left out; `done` is called after each picture that was
/// looked at.
pub fn check_watched(
    dataset: &Dataset,
    refused: &[RefusedRecord],
    features: Option<&Features>,
    options: &CheckOptions,
    done: &(dyn Fn() + Sync),
) -> Report {
    let whole = refused.is_empty();
    let refused = refused.iter().map(|refused| {
        let kind = ProblemKind::RefusedRecord {
            record: refused.record,
            reason: refused.reason.clone(),
        };
        Problem::of_dataset(Severity::Error, kind)
    });
    let mut problems: Vec<_> = refused.collect();
    splits(dataset, options, &mut problems);
    if let Some(features) = features {
        whole_features(dataset, features, options, whole, &mut problems);
    }
    let mut seen = Seen::default();
    let mut readable = 0;
    let folder = options.picture_folder.as_ref();
    let mut unreadable = folder
        .map(|folder| picture::check_all(folder, &dataset.images, options.headers_only, done));
    for (n, image) in dataset.images.iter().enumerate() {
        seen.duplicates(image, &mut problems);
        sentences(image, &mut problems);
        if let Some(features) = features {
            vector(image, features, &mut problems);
        }
        if let Some(unreadable) = &mut unreadable {
            let problem = unreadable[n].take();
            readable += usize::from(problem.is_none());
            // With stored features nobody opens the pictures while training.
            let severity = match features {
                Some(_) => Severity::Warning,
                None => Severity::Error,
            };
            problems.extend(problem.map(|kind| Problem::of_image(severity, kind, image)));
        }
    }
    let training = dataset.images.iter().filter(|i| is_training(i, options));
    let captions = training.flat_map(|image| image.captions.iter().map(|c| &c.tokens));
    let vocabulary = Vocabulary::from_captions(captions, options.word_count_threshold);
    if vocabulary.len() == 1 {
        let kind = ProblemKind::EmptyVocabulary {
            threshold: options.word_count_threshold,
        };
        problems.insert(0, Problem::of_dataset(Severity::Error, kind));
    }
    // Stable: problems of the whole dataset were found at different moments, but stand together.
    problems.sort_by_key(|problem| problem.image.is_some());
    let pictures = options
        .picture_folder
        .as_ref()
        .map(|folder| PictureSummary {
            folder: folder.clone(),
            readable,
            count: dataset.images.len(),
        });
    Report {
        trainable: problems.iter().all(|p| p.severity != Severity::Error),
        summary: Summary::new(dataset, features, pictures, &vocabulary, options),
        problems,
    }
}

fn is_training(image: &ImageRecord, options: &CheckOptions) -> bool {
    image.split == Split::Train || options.restval_as_train && image.split == Split::Restval
}

/// Splits without a single sentence.
fn splits(dataset: &Dataset, options: &CheckOptions, problems: &mut Vec<Problem>) {
    let mut empty = |severity, split, holds: &dyn Fn(&ImageRecord) -> bool| {
        let some = |image: &ImageRecord| holds(image) && !image.captions.is_empty();
        if !dataset.images.iter().any(some) {
            let kind = ProblemKind::EmptySplit { split };
            problems.push(Problem::of_dataset(severity, kind));
        }
    };
    let of = |split| move |image: &ImageRecord| image.split == split;
    empty(Severity::Error, Split::Train, &|image| {
        is_training(image, options)
    });
    // Checkpoints are chosen by the validation perplexity.
    empty(Severity::Error, Split::Val, &of(Split::Val));
    empty(Severity::Warning, Split::Test, &of(Split::Test));
}

/// The feature file as a whole.
fn whole_features(
    dataset: &Dataset,
    features: &Features,
    options: &CheckOptions,
    whole: bool,
    problems: &mut Vec<Problem>,
) {
    let found = features.dimension();
    if let Some(expected) = options.expected_dimension.filter(|&d| d != found) {
        let kind = ProblemKind::DimensionMismatch { expected, found };
        problems.push(Problem::of_dataset(Severity::Error, kind));
    }
    if dataset.images.len() < features.len() {
        let wanted = dataset.columns();
        let kind = ProblemKind::MoreVectorsThanPictures {
            vectors: features.len(),
            needed: wanted,
            pictures: dataset.images.len(),
        };
        // What a record that was refused would have needed, nobody knows.
        let too_many = features.len() > wanted && whole;
        let severity = match too_many && !options.allow_extra_features {
            true => Severity::Error,
            false => Severity::Warning,
        };
        problems.push(Problem::of_dataset(severity, kind));
    }
}

/// Identifiers met so far, each with the first picture that has it.
#[derive(Default)]
struct Seen<'a> {
    imgids: HashMap<u32, &'a str>,
    paths: HashMap<&'a str, u32>,
    sentids: HashMap<u32, &'a str>,
}

impl<'a> Seen<'a> {
    fn duplicates(&mut self, image: &'a ImageRecord, problems: &mut Vec<Problem>) {
        use std::collections::hash_map::Entry;
        match self.imgids.entry(image.imgid) {
            Entry::Vacant(entry) => {
                entry.insert(&image.path);
            }
            Entry::Occupied(first) => {
                let kind = ProblemKind::DuplicateImgid {
                    first: first.get().to_string(),
                };
                // Two pictures would be trained on the same vector.
                problems.push(Problem::of_image(Severity::Error, kind, image));
            }
        }
        match self.paths.entry(&image.path) {
            Entry::Vacant(entry) => {
                entry.insert(image.imgid);
            }
            Entry::Occupied(first) => {
                let kind = ProblemKind::DuplicatePath {
                    first_imgid: *first.get(),
                };
                problems.push(Problem::of_image(Severity::Warning, kind, image));
            }
        }
        for caption in &image.captions {
            match self.sentids.entry(caption.sentid) {
                Entry::Vacant(entry) => {
                    entry.insert(&image.path);
                }
                Entry::Occupied(first) => {
                    let kind = ProblemKind::DuplicateSentid {
                        sentid: caption.sentid,
                        first: first.get().to_string(),
                    };
                    problems.push(Problem::of_image(Severity::Warning, kind, image));
                }
            }
        }
    }
}

fn sentences(image: &ImageRecord, problems: &mut Vec<Problem>) {
    if image.captions.is_empty() {
        let kind = ProblemKind::NoSentences;
        problems.push(Problem::of_image(Severity::Warning, kind, image));
    }
    for caption in image
        .captions
        .iter()
        .filter(|c| c.tokens.iter().all(|t| t.trim().is_empty()))
    {
        let kind = ProblemKind::EmptySentence {
            sentid: caption.sentid,
        };
        problems.push(Problem::of_image(Severity::Warning, kind, image));
    }
}

fn vector(image: &ImageRecord, features: &Features, problems: &mut Vec<Problem>) {
    let Some(row) = features.row(image.imgid) else {
        let kind = ProblemKind::NoVector {
            vectors: features.len(),
        };
        problems.push(Problem::of_image(Severity::Error, kind, image));
        return;
    };
    if let Some(at) = row.iter().position(|x| !x.is_finite()) {
        let kind = ProblemKind::NonFiniteFeature {
            at,
            value: row[at].to_string(),
        };
        problems.push(Problem::of_image(Severity::Error, kind, image));
    } else if row.iter().all(|&x| x == 0.0) {
        problems.push(Problem::of_image(
            Severity::Warning,
            ProblemKind::ZeroVector,
            image,
        ));
    }
}
