//! NeuralTalk's own checkpoints: what `driver.py` pickles, under our names.
//!
//! Here: the dictionary's layout, the model's matrices and the check of their sizes. Not here:
//! the pickle itself (`pickle.rs`), writing one (`export.rs`).
//!
//! | NeuralTalk | here | shape |
//! |---|---|---|
//! | `We`, `be` | `projection.weight`, `.bias` | (D, E), (E) |
//! | `Ws` | `embedding.weight` | (V, E) |
//! | `WLSTM` | `lstm.bias` (row 0), `lstm.input`, `lstm.hidden` | (1 + E + H, 4H) |
//! | `Wxh`, `bxh` | `rnn.input.weight`, `.bias` | (E, H), (H) |
//! | `Whh`, `bhh` | `rnn.hidden.weight`, `.bias` | (H, H), (H) |
//! | `Wd`, `bd` | `output.weight`, `.bias` | (H, V), (V) |
//!
//! Source: NeuralTalk `driver.py`, `imagernn/lstm_generator.py`, `imagernn/rnn_generator.py`.

use std::collections::BTreeMap;
use std::path::Path;

use models::{DecoderConfig, LstmConfig, RnnConfig};
use serde_json::{Map, Value as Json};

use super::params::parse_params;
use super::pickle::{Pickle, Value};
use crate::error::read_error;
use crate::{Checkpoint, CheckpointError, FeaturesInfo, NamedArray};

/// [`read_neuraltalk`] and [`NeuralTalkCheckpoint::into_checkpoint`] together allocate at most
/// this many bytes for every byte of the file (and 64 KiB): the pickle's own factor, and the
/// numbers, of which one byte can become nine doubles if nine keys share a byte array.
pub const NEURALTALK_MEMORY_FACTOR: usize = 320;

/// NeuralTalk has one name for its features, whatever they are.
const FEATURES_NAME: &str = "vgg_feats";

/// An array with a name: row-major, f64 as NeuralTalk computes.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedArray64 {
    /// Our name, as in [`DecoderConfig::parameters`].
    pub name: String,
    /// Rows first.
    pub shape: Vec<usize>,
    /// As many values as the product of `shape`.
    pub data: Vec<f64>,
}

/// What a NeuralTalk `.p` file holds, before its weights are rounded to f32.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuralTalkCheckpoint {
    /// Generator and sizes, taken from the matrices; switches, from `params`.
    pub decoder: DecoderConfig,
    /// `ixtoword` in index order; 0 is `.`.
    pub words: Vec<String>,
    /// The command line of `driver.py`.
    pub params: Map<String, Json>,
    /// `it`, 0 where the file has none.
    pub iteration: u64,
    /// `epoch`, 0 where the file has none.
    pub epoch: f64,
    /// `perplexity` as `val_ppl2`, and every other number at the top of the file by its name.
    pub scores: BTreeMap<String, f64>,
    /// The decoder's parameters, in its order.
    pub arrays: Vec<NamedArray64>,
}

/// Reads a NeuralTalk checkpoint.
///
/// # Errors
/// [`CheckpointError::Read`], [`CheckpointError::Pickle`] with the byte offset, or
/// [`CheckpointError::NeuralTalk`] with the key that is missing or has another size.
pub fn read_neuraltalk(path: &Path) -> Result<NeuralTalkCheckpoint, CheckpointError> {
    let bytes = std::fs::read(path).map_err(|source| read_error(path, source))?;
    NeuralTalkCheckpoint::parse(&bytes, path)
}

impl NeuralTalkCheckpoint {
    /// As [`read_neuraltalk`], from the file's bytes; `path` is for messages only.
    ///
    /// # Errors
    /// As [`read_neuraltalk`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let pickle = Pickle::parse(bytes).map_err(|source| CheckpointError::Pickle {
            path: path.into(),
            source,
        })?;
        Self::from_value(pickle.root()).map_err(|problem| CheckpointError::NeuralTalk {
            path: path.into(),
            problem,
        })
    }

    fn from_value(root: Value<'_>) -> Result<Self, String> {
        let words = parse_words(root)?;
        let params = parse_params(required(root, "params")?)?;
        let model = Model {
            dictionary: required(root, "model")?,
            words: words.len(),
        };
        let lstm = match params.get("generator").and_then(Json::as_str) {
            Some("lstm") => true,
            Some("rnn") => false,
            Some(other) => {
                return Err(format!(
                    "params.generator is `{other}`, expected lstm or rnn"
                ));
            }
            None => model.dictionary.get("WLSTM").is_some(),
        };
        let (decoder, arrays) = match lstm {
            true => model.lstm(&params)?,
            false => model.rnn(&params)?,
        };
        let iteration = match root.get("it") {
            None => 0,
            Some(it) => it
                .as_i64()
                .and_then(|it| u64::try_from(it).ok())
                .ok_or_else(|| format!("`it` is {}, expected a count", it.kind_name()))?,
        };
        let epoch = match root.get("epoch") {
            None => 0.0,
            Some(epoch) => epoch
                .as_f64()
                .filter(|epoch| epoch.is_finite() && *epoch >= 0.0)
                .ok_or_else(|| format!("`epoch` is {}, expected a number", epoch.kind_name()))?,
        };
        Ok(Self {
            decoder,
            words,
            params,
            iteration,
            epoch,
            scores: parse_scores(root),
            arrays,
        })
    }

    /// The same as one of our checkpoints: weights rounded to f32, nothing to resume from.
    pub fn into_checkpoint(self) -> Checkpoint {
        let dataset = self.params.get("dataset").and_then(Json::as_str);
        let round = |array: NamedArray64| NamedArray {
            name: array.name,
            shape: array.shape,
            data: array.data.into_iter().map(|value| value as f32).collect(),
        };
        Checkpoint {
            features: FeaturesInfo {
                name: FEATURES_NAME.into(),
                dimension: self.decoder.feature(),
            },
            dataset: dataset.unwrap_or_default().to_owned(),
            decoder: self.decoder,
            words: self.words,
            word_counts: None,
            params: self.params,
            iteration: self.iteration,
            epoch: self.epoch,
            scores: self.scores,
            weights: self.arrays.into_iter().map(round).collect(),
            encoder: None,
            training: None,
        }
    }
}

/// The value under a key of the outermost dictionary.
fn required<'p>(root: Value<'p>, key: &str) -> Result<Value<'p>, String> {
    root.get(key).ok_or_else(|| match keys(root) {
        Some(keys) => format!("key `{key}` is missing, there is {keys}"),
        None => format!(
            "expected a dictionary with `{key}`, found {}",
            root.kind_name()
        ),
    })
}

/// The first keys of a dictionary, for messages.
fn keys(dictionary: Value<'_>) -> Option<String> {
    let names = dictionary
        .pairs()?
        .take(20)
        .map(|(key, _)| match key.as_str() {
            Some(name) => super::escapes::shorten(name),
            None => key.kind_name().into(),
        });
    let names: Vec<String> = names.collect();
    Some(match names.is_empty() {
        true => "nothing".into(),
        false => names.join(", "),
    })
}

/// `ixtoword` as a list: every index from 0 to V - 1 must be there. `wordtoix`, where there is
/// one, must say the same; START (`#START#`) shares index 0 with END (`.`).
fn parse_words(root: Value<'_>) -> Result<Vec<String>, String> {
    let dictionary = required(root, "ixtoword")?;
    let pairs = dictionary.pairs().ok_or_else(|| {
        format!(
            "`ixtoword` is {}, expected a dictionary",
            dictionary.kind_name()
        )
    })?;
    let mut words: BTreeMap<i64, &str> = BTreeMap::new();
    for (index, word) in pairs {
        let number = index
            .as_i64()
            .ok_or_else(|| format!("`ixtoword` has {} as an index", index.kind_name()))?;
        let text = word.as_str().ok_or_else(|| {
            format!(
                "`ixtoword` {number} is {}, not UTF-8 text",
                word.kind_name()
            )
        })?;
        words.insert(number, text);
    }
    if let Some((expected, &found)) = (0..).zip(words.keys()).find(|(e, f)| e != *f) {
        return Err(format!(
            "`ixtoword` has no index {expected}, the next is {found}"
        ));
    }
    if let Some(inverse) = root.get("wordtoix").and_then(|inverse| inverse.pairs()) {
        for (word, index) in inverse {
            let (word, index) = (word.as_str().unwrap_or_default(), index.as_i64());
            let named = index.and_then(|index| words.get(&index).copied());
            if index != Some(0) && named != Some(word) {
                return Err(format!(
                    "`wordtoix` has `{}` at {index:?}, `ixtoword` has {named:?} there",
                    super::escapes::shorten(word),
                ));
            }
        }
    }
    Ok(words.into_values().map(str::to_owned).collect())
}

/// Every number at the top of the file but the counters.
fn parse_scores(root: Value<'_>) -> BTreeMap<String, f64> {
    let mut scores = BTreeMap::new();
    for (key, value) in root.pairs().into_iter().flatten() {
        match (key.as_str(), value.as_f64()) {
            (Some("it" | "epoch"), _) | (None, _) | (_, None) => {}
            (Some("perplexity"), Some(score)) => drop(scores.insert("val_ppl2".into(), score)),
            (Some(name), Some(score)) => drop(scores.insert(name.into(), score)),
        }
    }
    scores
}

/// `checkpoint['model']`, and how many words there are.
struct Model<'p> {
    dictionary: Value<'p>,
    words: usize,
}

type Parts = (DecoderConfig, Vec<NamedArray64>);

impl Model<'_> {
    fn lstm(&self, params: &Map<String, Json>) -> Result<Parts, String> {
        let (we, ws) = (self.matrix("We")?, self.matrix("Ws")?);
        let wlstm = self.matrix("WLSTM")?;
        let (feature, embedding) = (we.rows, ws.columns);
        let hidden = wlstm.columns / 4;
        let config = LstmConfig {
            feature,
            embedding,
            hidden,
            vocabulary: self.words,
            tanh_c: switch(params, "tanhC_version")?,
        };
        wlstm.expect(1 + embedding + hidden, 4 * hidden, "1 + E + H, 4H")?;
        we.expect(feature, embedding, "D, E")?;
        ws.expect(self.words, embedding, "V, E")?;
        // Row 0 is the bias, then come the input's rows, then the hidden state's.
        let mut bias = wlstm.data;
        let mut input = bias.split_off(4 * hidden);
        let recurrent = input.split_off(embedding * 4 * hidden);
        let data = vec![
            we.data,
            self.bias("be", embedding)?,
            ws.data,
            input,
            recurrent,
            bias,
            self.sized("Wd", hidden, self.words, "H, V")?,
            self.bias("bd", self.words)?,
        ];
        name(DecoderConfig::Lstm(config), data)
    }

    fn rnn(&self, params: &Map<String, Json>) -> Result<Parts, String> {
        let (we, ws) = (self.matrix("We")?, self.matrix("Ws")?);
        let (feature, hidden, embedding) = (we.rows, we.columns, ws.columns);
        let config = RnnConfig {
            feature,
            embedding,
            hidden,
            vocabulary: self.words,
            relu_encoders: switch(params, "rnn_relu_encoders")?,
            feed_once: switch(params, "rnn_feed_once")?,
        };
        ws.expect(self.words, embedding, "V, E")?;
        let data = vec![
            we.data,
            self.bias("be", hidden)?,
            ws.data,
            self.sized("Wxh", embedding, hidden, "E, H")?,
            self.bias("bxh", hidden)?,
            self.sized("Whh", hidden, hidden, "H, H")?,
            self.bias("bhh", hidden)?,
            self.sized("Wd", hidden, self.words, "H, V")?,
            self.bias("bd", self.words)?,
        ];
        name(DecoderConfig::Rnn(config), data)
    }

    fn matrix<'k>(&self, key: &'k str) -> Result<Matrix<'k>, String> {
        let value = self.dictionary.get(key).ok_or_else(|| {
            let there = keys(self.dictionary).unwrap_or_else(|| self.dictionary.kind_name().into());
            format!("`model` has no `{key}`, there is {there}")
        })?;
        let array = value
            .as_array()
            .ok_or_else(|| format!("model `{key}` is {}, expected an array", value.kind_name()))?;
        let (rows, columns) = match *array.shape() {
            [rows, columns] => (rows, columns),
            [columns] => (1, columns),
            ref other => return Err(format!("model `{key}` is {other:?}, expected a matrix")),
        };
        if rows == 0 || columns == 0 {
            return Err(format!("model `{key}` is ({rows}, {columns}), it is empty"));
        }
        Ok(Matrix {
            key,
            rows,
            columns,
            data: array.values(),
        })
    }

    fn sized(
        &self,
        key: &str,
        rows: usize,
        columns: usize,
        names: &str,
    ) -> Result<Vec<f64>, String> {
        let matrix = self.matrix(key)?;
        matrix.expect(rows, columns, names)?;
        Ok(matrix.data)
    }

    /// NeuralTalk's biases are matrices of one row.
    fn bias(&self, key: &str, length: usize) -> Result<Vec<f64>, String> {
        self.sized(key, 1, length, "one row")
    }
}

struct Matrix<'k> {
    key: &'k str,
    rows: usize,
    columns: usize,
    data: Vec<f64>,
}

impl Matrix<'_> {
    fn expect(&self, rows: usize, columns: usize, names: &str) -> Result<(), String> {
        match (self.rows, self.columns) == (rows, columns) {
            true => Ok(()),
            false => Err(format!(
                "model `{}` is ({}, {}), expected ({rows}, {columns}) = ({names})",
                self.key, self.rows, self.columns
            )),
        }
    }
}

/// Gives the arrays the decoder's names and shapes, in its order.
fn name(decoder: DecoderConfig, data: Vec<Vec<f64>>) -> Result<Parts, String> {
    let parameters = decoder.parameters();
    let named = |((name, shape), data): ((&str, Vec<usize>), Vec<f64>)| NamedArray64 {
        name: name.into(),
        shape,
        data,
    };
    let arrays = parameters.into_iter().zip(data).map(named).collect();
    Ok((decoder, arrays))
}

/// A parameter that is 0 or 1, and 0 where an old file has none.
fn switch(params: &Map<String, Json>, key: &str) -> Result<bool, String> {
    match params.get(key) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(on)) => Ok(*on),
        Some(Json::Number(n)) if n.as_f64() == Some(0.0) => Ok(false),
        Some(Json::Number(n)) if n.as_f64() == Some(1.0) => Ok(true),
        Some(other) => Err(format!("params.{key} is {other}, expected 0 or 1")),
    }
}
