//! The description of a checkpoint as text entries of a safetensors header.
//!
//! Here: which entries there are and how they are rendered and parsed. Not here: the header
//! itself and the tensors (`save.rs`, `load.rs`).
//!
//! Every value is a string, as safetensors demands; structured ones are JSON inside it. Entries
//! that we don't know are ignored, so that other programs may add theirs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use models::DecoderConfig;
use models::encoder::StateDict;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::checkpoint::size_problem;
use crate::{Checkpoint, CheckpointError, EncoderAbout, EncoderPart};

/// Version that this program writes; it reads this one and all before it.
///
/// 2 adds the `encoder` entry with its arrays, and weights as F16. What holds neither is still written as 1, so that
/// programs that know no more can read it.
pub const FORMAT_VERSION: u64 = 2;

/// The `format` entry of our files.
pub(crate) const FORMAT: &str = "neuraltalk";

/// The entries of a checkpoint, in the order in which they are written: the same checkpoint
/// always gives the same bytes, so that files can be compared by their hash.
pub(crate) fn render(checkpoint: &Checkpoint, half: bool) -> Map<String, Value> {
    let scores: Map<String, Value> = checkpoint
        .scores
        .iter()
        .map(|(name, &score)| (name.clone(), render_number(score)))
        .collect();
    let mut entries = Map::new();
    let mut add = |key: &str, text: String| entries.insert(key.into(), Value::String(text));
    add("format", FORMAT.into());
    let version = match half || checkpoint.encoder.is_some() {
        true => FORMAT_VERSION,
        false => 1,
    };
    add("format_version", version.to_string());
    add("decoder", json!(checkpoint.decoder).to_string());
    add("vocabulary", json!(checkpoint.words).to_string());
    if let Some(counts) = &checkpoint.word_counts {
        add("word_counts", json!(counts).to_string());
    }
    add("features", json!(checkpoint.features).to_string());
    if let Some(encoder) = &checkpoint.encoder {
        // Straight to text: by way of `json!` every f32 would have the digits of an f64.
        let text = serde_json::to_string(&encoder.about).expect("numbers and names");
        add("encoder", text);
    }
    add("dataset", checkpoint.dataset.clone());
    add("params", json!(checkpoint.params).to_string());
    add("iteration", checkpoint.iteration.to_string());
    add("epoch", json!(checkpoint.epoch).to_string());
    add("scores", Value::Object(scores).to_string());
    if let Some(training) = &checkpoint.training {
        add("training", training.json.to_string());
    }
    entries
}

/// A checkpoint without its arrays, and the training state's JSON where there is one.
pub(crate) fn parse(
    entries: &HashMap<String, String>,
    path: &Path,
) -> Result<(Checkpoint, Option<Value>), CheckpointError> {
    let entries = Entries { entries, path };
    if entries.optional("format") != Some(FORMAT) {
        return Err(CheckpointError::NotACheckpoint {
            path: path.into(),
            found: entries.optional("format").map(str::to_owned),
        });
    }
    // Before anything else: a newer version may have renamed all the rest.
    let version: u64 = entries.json("format_version")?;
    if version > FORMAT_VERSION {
        return Err(CheckpointError::Version {
            path: path.into(),
            found: version,
            supported: FORMAT_VERSION,
        });
    }
    let decoder: DecoderConfig = entries.json("decoder")?;
    if let Some(problem) = size_problem(&decoder) {
        return Err(entries.error("decoder", problem));
    }
    let checkpoint = Checkpoint {
        decoder,
        words: entries.json("vocabulary")?,
        word_counts: match entries.optional("word_counts") {
            Some(_) => Some(entries.json("word_counts")?),
            None => None,
        },
        features: entries.json("features")?,
        dataset: entries.text("dataset")?.to_owned(),
        params: entries.json("params")?,
        iteration: entries.json("iteration")?,
        epoch: entries.json("epoch")?,
        scores: entries.scores()?,
        weights: Vec::new(),
        encoder: match entries.optional("encoder") {
            Some(_) => Some(EncoderPart {
                about: entries.json::<EncoderAbout>("encoder")?,
                state: StateDict::default(),
            }),
            None => None,
        },
        training: None,
    };
    let training = match entries.optional("training") {
        Some(_) => Some(entries.json("training")?),
        None => None,
    };
    Ok((checkpoint, training))
}

/// The metadata map together with the file's name, for errors.
struct Entries<'a> {
    entries: &'a HashMap<String, String>,
    path: &'a Path,
}

impl<'a> Entries<'a> {
    fn optional(&self, key: &str) -> Option<&'a str> {
        self.entries.get(key).map(String::as_str)
    }

    fn text(&self, key: &'static str) -> Result<&'a str, CheckpointError> {
        self.optional(key)
            .ok_or_else(|| self.error(key, "is missing".into()))
    }

    fn json<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, CheckpointError> {
        serde_json::from_str(self.text(key)?)
            .map_err(|error| self.error(key, format!("does not parse: {error}")))
    }

    fn scores(&self) -> Result<BTreeMap<String, f64>, CheckpointError> {
        let scores: Map<String, Value> = self.json("scores")?;
        let parse = |(name, value): (String, Value)| match parse_number(&value) {
            Some(score) => Ok((name, score)),
            None => Err(self.error("scores", format!("has {value} for `{name}`, not a number"))),
        };
        scores.into_iter().map(parse).collect()
    }

    fn error(&self, entry: &'static str, problem: String) -> CheckpointError {
        CheckpointError::Metadata {
            path: self.path.into(),
            entry,
            problem,
        }
    }
}

/// JSON has no infinities, and a perplexity can be one: those are written as strings.
pub(crate) fn render_number(number: f64) -> Value {
    match number.is_finite() {
        true => json!(number),
        false => json!(number.to_string()),
    }
}

fn parse_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}
