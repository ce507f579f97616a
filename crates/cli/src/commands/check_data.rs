//! `neuraltalk check-data`: every problem of a dataset before training starts.

use std::io::Write;
use std::path::{Path, PathBuf};

use data::check::{CheckOptions, Report, Severity, check_watched};
use data::{DataError, Dataset, Features};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::pictures::progress;
use crate::place;
use crate::shortened::{counted, shortened};

/// List every problem of a dataset, with a summary
#[derive(clap::Args)]
#[command(after_help = "\
Exit code 0 only if training would work, 3 if not.

Examples:
  neuraltalk check-data data/flickr8k
  neuraltalk check-data captions.csv --features feats.npy --pictures photos --json")]
pub(crate) struct Args {
    /// Folder or file with a dataset, or a name under data/
    #[arg(value_name = "DATASET")]
    dataset: String,

    /// Stored picture features [default: vgg_feats.mat beside the dataset]
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,

    /// Folder of the pictures [default: imgs in the dataset's folder, or the one that a dataset's file lies in, where they are there]
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,

    /// A checkpoint that the features must fit (a run's folder for its best)
    #[arg(long, value_name = "CHECKPOINT", value_parser = place::checkpoint())]
    checkpoint: Option<PathBuf>,

    /// Words seen less often in training are left out of the vocabulary
    #[arg(long, value_name = "N", default_value_t = 5)]
    word_count_threshold: u64,

    /// Count pictures of the split `restval` as training pictures
    #[arg(long)]
    restval_as_train: bool,

    /// Accept more feature vectors than the pictures need, as `train --allow-extra-features` does
    #[arg(long)]
    allow_extra_features: bool,

    /// Only read the headers of pictures: much quicker, but a picture that is cut off isn't found
    #[arg(long)]
    headers_only: bool,

    /// Print JSON instead of a list and a table
    #[arg(long)]
    json: bool,
}

/// Checks and prints.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if let Some(folder) = args.pictures.as_deref().filter(|folder| !folder.is_dir()) {
        let message = format!("`{}` is no folder", folder.display());
        return Err(Failure::data(message)
            .hint("--pictures names the folder of the pictures")
            .into());
    }
    let place = place::dataset(&args.dataset);
    let read = Dataset::open_each(&place);
    if let (Err(error), true) = (&read, args.json) {
        let report = json!({"trainable": false, "dataset_error": error.to_string()});
        writeln!(out, "{report:#}")?;
    }
    let (dataset, refused_records) = read?;
    let pictures = picture_folder(args.pictures.as_deref(), &place, &dataset);
    let file = match &args.features {
        Some(file) => file.clone(),
        None => place::features(&place),
    };
    // With pictures features are one way of two; those that nobody asked for may be missing.
    let from_pictures = args.features.is_none() && pictures.is_some() && !file.exists();
    // A bad feature file is one problem among others: the sentences are still checked.
    let (features, refused) = match Features::open(&file) {
        Ok(features) => (Some(features), None),
        Err(_) if from_pictures => (None, None),
        Err(error) => (None, Some(error)),
    };
    let expected_dimension = match &args.checkpoint {
        Some(file) => Some(checkpoint::load_any(file)?.features.dimension),
        None => None,
    };
    let options = CheckOptions {
        picture_folder: pictures,
        expected_dimension,
        word_count_threshold: args.word_count_threshold,
        restval_as_train: args.restval_as_train,
        allow_extra_features: args.allow_extra_features,
        headers_only: args.headers_only,
    };
    let bar = progress(dataset.images.len(), "pictures");
    let done = || bar.inc(1);
    let report = check_watched(
        &dataset,
        &refused_records,
        features.as_ref(),
        &options,
        &done,
    );
    bar.finish_and_clear();
    let trainable = report.trainable && refused.is_none();
    if args.json {
        let refused = refused.as_ref().map(ToString::to_string);
        let report = json!({
            "trainable": trainable,
            "features_error": refused,
            "problems": report.problems,
            "summary": report.summary,
        });
        writeln!(out, "{report:#}")?;
    } else {
        list(&report, refused.as_ref(), out)?;
        writeln!(
            out,
            "{}",
            match (trainable, from_pictures) {
                (true, false) => "training would work",
                (true, true) => "training from the pictures would work: `train --encoder FILE`",
                (false, _) => "training would NOT work",
            }
        )?;
    }
    Ok(if trainable { Exit::Done } else { Exit::BadData })
}

/// The folder that was named; else `imgs`, or the one in which the dataset's file lies if any of its pictures does.
fn picture_folder(given: Option<&Path>, place: &Path, dataset: &Dataset) -> Option<PathBuf> {
    if let Some(folder) = given {
        return Some(folder.to_owned());
    }
    let folder = train::pictures_folder(place);
    let any = || {
        dataset
            .images
            .iter()
            .any(|image| folder.join(&image.path).is_file())
    };
    let meant = folder.is_dir() && (folder.ends_with("imgs") || any());
    meant.then_some(folder)
}

fn list(report: &Report, refused: Option<&DataError>, out: &mut dyn Write) -> anyhow::Result<()> {
    if let Some(error) = refused {
        writeln!(out, "error: features: {error}")?;
        let hint = "`neuraltalk features` makes them; `train --encoder` learns from the pictures and needs none";
        writeln!(out, "hint: {hint}")?;
    }
    for line in shortened(&report.problems, |p| std::mem::discriminant(&p.kind)) {
        writeln!(out, "{line}")?;
    }
    let errors = report.count(Severity::Error) + usize::from(refused.is_some());
    let warnings = report.count(Severity::Warning);
    if 0 < errors + warnings {
        writeln!(out)?;
    }
    let about = &report.summary;
    writeln!(out, "dataset     {}", about.name)?;
    for split in &about.splits {
        writeln!(
            out,
            "{:<11} {} pictures, {} sentences",
            split.split, split.images, split.sentences
        )?;
    }
    let lengths = &about.lengths;
    writeln!(
        out,
        "sentences   {} to {} words, mean {:.1}, median {}, 95 % up to {}",
        lengths.min, lengths.max, lengths.mean, lengths.median, lengths.percentile_95
    )?;
    writeln!(
        out,
        "vocabulary  {} words seen at least {} times, of {} in training",
        about.vocabulary, about.word_count_threshold, about.words
    )?;
    if let Some(features) = &about.features {
        writeln!(
            out,
            "features    {}: {} pictures of {} numbers",
            features.name, features.count, features.dimension
        )?;
    }
    if let Some(pictures) = &about.pictures {
        writeln!(
            out,
            "pictures    {}: {} of {} can be read",
            pictures.folder.display(),
            pictures.readable,
            pictures.count
        )?;
    }
    let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
    writeln!(out, "problems    {errors}, {warnings}")?;
    Ok(())
}
