//! Captions of many pictures from a file, with everything that the page shows of them.
//!
//! Here: `result_struct.json` (NeuralTalk, `eval`, `predict`), `vis.json` (NeuralTalk2, and COCO's
//! results, which look the same), the lines that `caption --json` prints; scores of each picture
//! where the file has references. Not here: the formulas (`metrics`).
//!
//! NeuralTalk2's `eval.lua` copies the n-th picture to `vis/imgs/imgN.jpg`, counted from 1.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use metrics::{Corpus, Metric, tokenizer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{WebError, picture_file};

/// One result file.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// The file's name, as it was given.
    name: String,
    /// `result_struct.json`, `vis.json` or `caption --json`.
    kind: &'static str,
    /// Options of the evaluation and, prefixed, of the model.
    params: Map<String, Value>,
    model: Map<String, Value>,
    /// Perplexity of the references, base 2.
    perplexity: Option<f64>,
    /// Of the whole file, in the order of the table.
    scores: Vec<(String, f64)>,
    items: Vec<Item>,
    #[serde(skip)]
    folder: PathBuf,
}

/// One picture.
#[derive(Debug, Clone, Serialize)]
struct Item {
    /// What the same picture has in another file: its id, else its name.
    key: String,
    /// As the file has it.
    path: String,
    caption: String,
    log_prob: Option<f64>,
    references: Vec<String>,
    scores: BTreeMap<String, f64>,
}

/// A line of `caption --json`.
#[derive(Deserialize)]
struct Captioned {
    file: String,
    caption: String,
    log_prob: Option<f64>,
}

/// An entry of `vis.json`.
#[derive(Deserialize)]
struct Visualised {
    image_id: Value,
    caption: String,
    file_name: Option<String>,
}

/// Reads a file and scores its pictures.
///
/// # Errors
/// The file can't be read, or is none of these kinds; with the place.
pub fn load(path: &Path) -> Result<Results, WebError> {
    let bytes = fs::read(path).map_err(|source| WebError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_lines = || {
        let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or(&[]);
        serde_json::from_slice::<Captioned>(first).is_ok()
    };
    let mut results = match start {
        Some(b'[') => visualised(&bytes, path)?,
        Some(b'{') if is_lines() => captioned(&bytes, path)?,
        _ => evaluated(&bytes, path)?,
    };
    results.score();
    Ok(results)
}

fn evaluated(bytes: &[u8], path: &Path) -> Result<Results, WebError> {
    let file = report::parse_result_struct(bytes, path)?;
    let mut results = Results::new(path, "result_struct.json");
    results.params = file.params;
    results.model = file.checkpoint_params;
    results.perplexity = file.gtppl.filter(|ppl| ppl.is_finite());
    results.items = file
        .imgblobs
        .into_iter()
        .map(|blob| Item {
            key: match blob.imgid {
                Some(id) => id.to_string(),
                None => own_name(&blob.img_path),
            },
            path: blob.img_path,
            caption: blob.candidate.text,
            log_prob: Some(blob.candidate.logprob).filter(|log_prob| log_prob.is_finite()),
            references: blob
                .references
                .unwrap_or_default()
                .into_iter()
                .map(|reference| reference.text)
                .collect(),
            scores: BTreeMap::new(),
        })
        .collect();
    Ok(results)
}

fn visualised(bytes: &[u8], path: &Path) -> Result<Results, WebError> {
    let entries: Vec<Visualised> =
        serde_json::from_slice(bytes).map_err(|error| WebError::Malformed {
            path: path.to_path_buf(),
            problem: format!("expected a list of {{image_id, caption}}: {error}"),
        })?;
    let mut results = Results::new(path, "vis.json");
    let item = |(n, entry): (usize, Visualised)| Item {
        key: match entry.image_id {
            Value::String(id) => id,
            id => id.to_string(),
        },
        path: entry.file_name.unwrap_or(format!("imgs/img{n}.jpg")),
        caption: entry.caption,
        log_prob: None,
        references: Vec::new(),
        scores: BTreeMap::new(),
    };
    results.items = (1..).zip(entries).map(item).collect();
    Ok(results)
}

fn captioned(bytes: &[u8], path: &Path) -> Result<Results, WebError> {
    let mut results = Results::new(path, "caption --json");
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line: Captioned = serde_json::from_slice(line).map_err(|error| {
            let column = error.column();
            WebError::Malformed {
                path: path.to_path_buf(),
                problem: format!(
                    "line {number}, column {column}: expected {{file, caption, log_prob}}: {error}"
                ),
            }
        })?;
        results.items.push(Item {
            key: own_name(&line.file),
            path: line.file,
            caption: line.caption,
            log_prob: line.log_prob,
            references: Vec::new(),
            scores: BTreeMap::new(),
        });
    }
    Ok(results)
}

/// What a file is called, wherever it lies.
fn own_name(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.to_owned()
}

impl Results {
    fn new(path: &Path, kind: &'static str) -> Self {
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        Self {
            name: path.to_string_lossy().into_owned(),
            kind,
            params: Map::new(),
            model: Map::new(),
            perplexity: None,
            scores: Vec::new(),
            items: Vec::new(),
            folder,
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the file names no picture.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The file of the n-th picture: in the given folders, then where the result itself says.
    pub(crate) fn picture(&self, n: usize, folders: &[PathBuf]) -> Option<PathBuf> {
        let text = |params: &Map<String, Value>, name: &str| match params.get(name) {
            Some(Value::String(text)) => Some(PathBuf::from(text)),
            _ => None,
        };
        let mut places = folders.to_vec();
        places.push(self.folder.clone());
        // `predict`'s folder; a dataset is a folder, or the name of one under `data`.
        places.extend(text(&self.params, "root_path"));
        for params in [&self.params, &self.model] {
            if let Some(dataset) = text(params, "dataset") {
                places.push(match dataset.extension() {
                    Some(_) => dataset.parent().map_or_else(PathBuf::new, Path::to_owned),
                    None => dataset.clone(),
                });
                places.push(Path::new("data").join(dataset));
            }
        }
        picture_file::find(&self.items.get(n)?.path, &places)
    }

    /// BLEU-4, ROUGE-L and CIDEr on coco-caption's tokens, of the pictures that have references.
    fn score(&mut self) {
        let scored: Vec<usize> = (0..self.items.len())
            .filter(|&i| !self.items[i].references.is_empty())
            .collect();
        if scored.is_empty() {
            return;
        }
        let items = scored.iter().map(|&i| &self.items[i]);
        let lines: Vec<&str> = items
            .flat_map(|item| std::iter::once(&item.caption).chain(&item.references))
            .map(String::as_str)
            .collect();
        let mut tokens = tokenizer::captions(&lines).into_iter();
        let mut corpus = Corpus::new();
        for &i in &scored {
            let item = &self.items[i];
            let mut line = || tokens.next().expect("a line for each caption");
            let candidate = line();
            let references: Vec<String> = item.references.iter().map(|_| line()).collect();
            corpus.push(item.key.clone(), &candidate, &references);
        }
        let options = metrics::Options {
            metrics: vec![Metric::Bleu, Metric::Rouge, Metric::Cider],
            ..metrics::Options::default()
        };
        for score in metrics::score(&corpus, &options).scores {
            // One number about short runs of words is enough to sort by.
            let shown = matches!(score.name.as_str(), "BLEU-4" | "ROUGE-L" | "CIDEr");
            if shown {
                for (&i, &value) in scored.iter().zip(&score.images) {
                    self.items[i].scores.insert(score.name.clone(), value);
                }
            }
            self.scores.push((score.name, score.corpus));
        }
        self.scores.retain(|(_, value)| value.is_finite());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Results, WebError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file.json");
        fs::write(&path, text).expect("written");
        load(&path)
    }

    #[test]
    fn a_result_struct_is_scored_picture_by_picture() {
        let text = r#"{"imgblobs": [
            {"imgid": 3, "img_path": "x/a.jpg", "references": [{"text": "a dog runs on grass"}, {"text": "a brown dog"}],
             "candidate": {"text": "a dog runs on grass", "logprob": -2.5}},
            {"imgid": 4, "img_path": "b.jpg", "references": [{"text": "two men talk"}],
             "candidate": {"text": "a cat sleeps", "logprob": -4}}],
            "params": {"beam_size": 3}, "checkpoint_params": {"dataset": "flickr8k"}, "gtppl": 15.5}"#;
        let results = read(text).expect("read");
        assert_eq!((results.len(), results.perplexity), (2, Some(15.5)));
        let [first, second] = &results.items[..] else {
            panic!("two")
        };
        assert_eq!((first.key.as_str(), first.log_prob), ("3", Some(-2.5)));
        assert!((first.scores["BLEU-4"] - 1.0).abs() < 1e-6);
        assert!((first.scores["ROUGE-L"] - 1.0).abs() < 1e-9);
        assert!(first.scores["CIDEr"] > second.scores["CIDEr"]);
        assert_eq!(second.scores["CIDEr"], 0.0);
        let names: Vec<&str> = results
            .scores
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            names,
            ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"]
        );
    }

    #[test]
    fn neuraltalk2s_file_and_its_pictures() {
        let text = r#"[{"image_id": 391895, "caption": "a man riding a horse"}, {"image_id": "x", "caption": "two",
            "file_name": "/data/x.jpg"}]"#;
        let results = read(text).expect("read");
        let keys: Vec<(&str, &str)> = results
            .items
            .iter()
            .map(|i| (i.key.as_str(), i.path.as_str()))
            .collect();
        assert_eq!(keys, [("391895", "imgs/img1.jpg"), ("x", "/data/x.jpg")]);
        assert!(results.scores.is_empty());
    }

    #[test]
    fn lines_of_the_caption_command() {
        let text = "{\"file\":\"p/a.jpg\",\"caption\":\"a dog\",\"log_prob\":-1.5,\"captions\":[]}\n\n{\"file\":\"b.jpg\",\"caption\":\"b\",\"log_prob\":null}\n";
        let results = read(text).expect("read");
        assert_eq!(results.items[0].key, "a.jpg");
        assert_eq!((results.len(), results.items[1].log_prob), (2, None));
        let broken = text.replace("\"caption\":\"b\"", "\"caption\":7");
        let error = read(&broken).expect_err("line 3").to_string();
        assert!(error.contains("line 3, column"), "{error}");
    }

    #[test]
    fn other_files_are_refused_with_the_place() {
        for (text, place) in [
            ("", "line 1"),
            ("[1]", "line 1 column 2"),
            ("{\"imgblobs\": 3}", "line 1, column"),
            ("[{\"image_id\": 1}]", "missing field `caption`"),
            ("\u{0}\u{0}", "line 1"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.to_string().contains(place), "{text}: {error}");
            assert!(error.hint().is_some() && !error.is_io(), "{text}");
        }
        let error = load(Path::new("no/such.json")).expect_err("missing");
        assert!(error.is_io() && error.to_string().starts_with("cannot read `no/such.json`"));
    }
}
