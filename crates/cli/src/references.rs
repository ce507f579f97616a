//! References from a caption file or from a dataset of any form.
//!
//! Here: which of the two a path is, and by which of a dataset's names candidates call its pictures. Not here: the readers
//! (`metrics::input`, `data::dataset`).

use std::path::Path;

use data::{Dataset, ImageRecord, Split};
use metrics::input::{Captions, InputError, ParseError, Tokenization, read_references};

/// What a path held.
pub(crate) enum References {
    /// A caption file: its pictures have one name.
    Captions(Captions),
    /// A dataset: its pictures have a number, a path and a file name.
    Dataset(Dataset),
}

/// A picture's name as candidates may write it.
type Name = fn(&ImageRecord) -> Option<String>;

/// Likeliest first: a tie takes the earlier.
const NAMES: [Name; 4] = [
    |image| Some(image.imgid.to_string()),
    |image| Some(image.path.clone()),
    |image| Some(file_name(image).to_owned()),
    coco_id,
];

impl References {
    /// Reads a folder or a file; a file that is no caption file may still be a dataset.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() || path.is_file() && Dataset::is_told_by_name(path) {
            return Ok(Self::Dataset(Dataset::open(path)?));
        }
        match read_references(path) {
            Ok(captions) => Ok(Self::Captions(captions)),
            Err(error) => match of_another_kind(&error).then(|| Dataset::open(path)) {
                Some(Ok(dataset)) => Ok(Self::Dataset(dataset)),
                // The place in a damaged `dataset.json` is what its own reader says.
                Some(Err(error)) if path.ends_with("dataset.json") => Err(error.into()),
                _ => Err(error.into()),
            },
        }
    }

    /// Captions under the names that most candidates use; of a dataset only the splits that a candidate is from.
    pub(crate) fn of(self, candidates: &Captions, tokenization: Tokenization) -> Captions {
        let dataset = match self {
            Self::Captions(captions) => return captions,
            Self::Dataset(dataset) => dataset,
        };
        let known = |name: Name, image: &ImageRecord| {
            name(image).is_some_and(|name| candidates.get(&name).is_some())
        };
        let count = |name: Name| dataset.images.iter().filter(|i| known(name, i)).count();
        // `max_by_key` takes the last of equals.
        let name = NAMES.into_iter().rev().max_by_key(|&name| count(name));
        let name = name.expect("four names");
        let scored = |split: Split| dataset.of_split(split).any(|image| known(name, image));
        let splits: Vec<Split> = Split::ALL.into_iter().filter(|&s| scored(s)).collect();
        captions(&dataset, &splits, name, tokenization)
    }

    /// All captions under any name; of a dataset those of `splits`.
    pub(crate) fn all(self, splits: &[Split], tokenization: Tokenization) -> Captions {
        match self {
            Self::Captions(captions) => captions,
            Self::Dataset(dataset) => captions(&dataset, splits, NAMES[0], tokenization),
        }
    }
}

/// Whether the file is JSON, but of no kind of caption file; what is not JSON at all is no dataset either.
fn of_another_kind(error: &InputError) -> bool {
    match error {
        InputError::Parse { source, .. } => match source {
            ParseError::Json(error) => error.is_data(),
            ParseError::Line { source, .. } => source.is_data(),
            ParseError::MissingKey { .. } | ParseError::Incomplete { .. } => true,
            _ => false,
        },
        _ => false,
    }
}

fn captions(
    dataset: &Dataset,
    splits: &[Split],
    name: Name,
    tokenization: Tokenization,
) -> Captions {
    let mut captions = Captions::default();
    let chosen = dataset.images.iter().filter(|i| splits.contains(&i.split));
    for (image, id) in chosen.filter_map(|image| Some((image, name(image)?))) {
        captions.image(id.clone());
        for caption in &image.captions {
            let tokens = tokenization == Tokenization::Whitespace || caption.raw.is_empty();
            let text = match tokens {
                true => caption.tokens.join(" "),
                false => caption.raw.clone(),
            };
            captions.push(id.clone(), text);
        }
    }
    captions
}

fn file_name(image: &ImageRecord) -> &str {
    image.path.rsplit('/').next().unwrap_or(&image.path)
}

/// 391895 of `COCO_val2014_000000391895.jpg`: the id that COCO's results have.
fn coco_id(image: &ImageRecord) -> Option<String> {
    let stem = file_name(image).split('.').next()?;
    let digits = stem.rsplit('_').next()?;
    let number: u64 = digits.parse().ok()?;
    (digits.len() == 12).then(|| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATASET: &str = r#"{"dataset": "coco", "images": [
      {"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg", "imgid": 7, "split": "test", "sentences":
        [{"tokens": ["a", "man"], "raw": "A man.", "sentid": 0}, {"tokens": ["men"], "sentid": 1}]},
      {"filepath": "val2014", "filename": "COCO_val2014_000000000007.jpg", "imgid": 8, "split": "test", "sentences": []},
      {"filepath": "train2014", "filename": "COCO_train2014_000000000009.jpg", "imgid": 9, "split": "train", "sentences":
        [{"tokens": ["a", "dog"], "raw": "A dog!", "sentid": 2}]}]}"#;

    fn found(ids: &[&str], tokenization: Tokenization) -> Vec<(String, Vec<String>)> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("dataset.json");
        std::fs::write(&path, DATASET).expect("file");
        let mut candidates = Captions::default();
        for id in ids {
            candidates.push((*id).to_owned(), "a".into());
        }
        let references = References::read(&path).expect("a dataset");
        let references = references.of(&candidates, tokenization);
        let owned = |(id, captions): (&str, &[String])| (id.to_owned(), captions.to_vec());
        references.iter().map(owned).collect()
    }

    #[test]
    fn candidates_choose_the_name_and_the_splits() {
        let raw = vec!["A man.".to_owned(), "men".into()];
        let test = |first: &str, second: &str| {
            vec![(first.to_owned(), raw.clone()), (second.to_owned(), vec![])]
        };
        let ptb = Tokenization::Ptb;
        assert_eq!(found(&["7", "8"], ptb), test("7", "8"));
        // 7 is a number of one picture and COCO's id of another: what most candidates say counts.
        assert_eq!(found(&["391895", "7"], ptb), test("391895", "7"));
        let file = "COCO_val2014_000000391895.jpg";
        assert_eq!(
            found(&[file], ptb),
            test(file, "COCO_val2014_000000000007.jpg")
        );
        let path = "val2014/COCO_val2014_000000391895.jpg";
        assert_eq!(
            found(&[path], ptb),
            test(path, "val2014/COCO_val2014_000000000007.jpg")
        );
        assert_eq!(
            found(&["7", "9"], Tokenization::Whitespace)[0].1,
            ["a man", "men"]
        );
        assert_eq!(found(&["7", "9"], ptb).len(), 3, "two splits");
        assert_eq!(found(&["x"], ptb), [], "no picture of theirs");
    }
}
