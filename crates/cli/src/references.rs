//! References from a caption file or from a dataset of any form.
//!
//! Here: which of the two a path is, and by which of a dataset's names candidates call its pictures. Not here: the readers
//! (`metrics::input`, `data::dataset`).

use std::collections::HashMap;
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
type Name<'a> = Box<dyn Fn(&ImageRecord) -> Option<String> + 'a>;

/// Likeliest first: a tie takes the earlier.
fn names(candidates: &Captions) -> [Name<'_>; 5] {
    // By file name, the candidates that have one to themselves, in whatever folder they say it is.
    let mut files: HashMap<&str, Option<&str>> = HashMap::new();
    for (id, _) in candidates.iter() {
        let file = files.entry(last_part(id));
        file.and_modify(|other| *other = None).or_insert(Some(id));
    }
    [
        Box::new(number),
        Box::new(|image| Some(image.path.clone())),
        Box::new(|image| Some(last_part(&image.path).to_owned())),
        Box::new(coco_id),
        Box::new(move |image| {
            let id = files.get(last_part(&image.path)).copied().flatten();
            Some(id.unwrap_or(&image.path).to_owned())
        }),
    ]
}

fn number(image: &ImageRecord) -> Option<String> {
    Some(image.imgid.to_string())
}

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
        let known = |name: &Name<'_>, image: &ImageRecord| {
            name(image).is_some_and(|name| candidates.get(&name).is_some())
        };
        let count = |name: &Name<'_>| dataset.images.iter().filter(|i| known(name, i)).count();
        // `max_by_key` takes the last of equals.
        let name = names(candidates).into_iter().rev().max_by_key(count);
        let name = name.expect("five names");
        let scored = |split: Split| dataset.of_split(split).any(|image| known(&name, image));
        let splits: Vec<Split> = Split::ALL.into_iter().filter(|&s| scored(s)).collect();
        captions(&dataset, &splits, &name, tokenization)
    }

    /// All captions under any name; of a dataset those of `splits`.
    pub(crate) fn all(self, splits: &[Split], tokenization: Tokenization) -> Captions {
        match self {
            Self::Captions(captions) => captions,
            Self::Dataset(dataset) => captions(&dataset, splits, &number, tokenization),
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
    name: &dyn Fn(&ImageRecord) -> Option<String>,
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

/// The file's name of a path.
fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// 391895 of `COCO_val2014_000000391895.jpg`: the id that COCO's results have.
fn coco_id(image: &ImageRecord) -> Option<String> {
    let stem = last_part(&image.path).split('.').next()?;
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
        // Somebody captioned the pictures in another folder.
        let elsewhere = "my/coco/COCO_val2014_000000391895.jpg";
        assert_eq!(
            found(&[elsewhere], ptb),
            test(elsewhere, "val2014/COCO_val2014_000000000007.jpg")
        );
        let twice = [
            "a/COCO_val2014_000000391895.jpg",
            "b/COCO_val2014_000000391895.jpg",
        ];
        assert_eq!(found(&twice, ptb), [], "which of the two?");
        assert_eq!(
            found(&["7", "9"], Tokenization::Whitespace)[0].1,
            ["a man", "men"]
        );
        assert_eq!(found(&["7", "9"], ptb).len(), 3, "two splits");
        assert_eq!(found(&["x"], ptb), [], "no picture of theirs");
    }
}
