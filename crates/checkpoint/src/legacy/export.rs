//! Writes a checkpoint that the original program loads.
//!
//! Here: the dictionary that `driver.py` pickles, from our names back to NeuralTalk's (the table
//! is in `neuraltalk.rs`). Not here: opcodes (`pickle_writer.rs`).
//!
//! Words are `unicode` and keys are `str`, as in the original's files; weights are f64, as there.
//! Python 3 needs `pickle.load(file, encoding='latin1')`, as for the original's files.

use std::io::{self, Write};
use std::path::Path;

use models::DecoderConfig;
use serde_json::{Map, Value as Json, json};

use super::pickle_writer::PickleWriter;
use crate::replace::{LocalDisk, replace};
use crate::{Checkpoint, CheckpointError};

/// Writes `checkpoint` as a NeuralTalk `.p` file, in one piece as [`save`](crate::save) does.
///
/// # Errors
/// [`CheckpointError::Inconsistent`] if the parts don't fit together,
/// [`CheckpointError::NotForNeuralTalk`] if the original program has no such model,
/// [`CheckpointError::Write`] if the disk refuses.
pub fn export_neuraltalk(checkpoint: &Checkpoint, path: &Path) -> Result<(), CheckpointError> {
    let inconsistent = |problem| CheckpointError::Inconsistent {
        path: path.into(),
        problem,
    };
    if let Some(problem) = checkpoint.inconsistency() {
        return Err(inconsistent(problem));
    }
    if let DecoderConfig::Attention(_) = &checkpoint.decoder {
        return Err(CheckpointError::NotForNeuralTalk {
            path: path.into(),
            problem: "it has no decoder with attention".into(),
        });
    }
    if let DecoderConfig::Lstm(config) = &checkpoint.decoder
        && config.embedding != config.hidden
    {
        return Err(CheckpointError::NotForNeuralTalk {
            path: path.into(),
            problem: format!(
                "its LSTM needs E = H, here E = {} and H = {}",
                config.embedding, config.hidden
            ),
        });
    }
    replace(&mut LocalDisk, path, |out| write_to(checkpoint, out)).map_err(|source| {
        CheckpointError::Write {
            path: path.into(),
            source,
        }
    })
}

/// The pickle's bytes.
fn write_to(checkpoint: &Checkpoint, out: &mut dyn Write) -> io::Result<()> {
    let mut pickle = PickleWriter::new(out)?;
    pickle.dictionary(|pickle| {
        pickle.string("it")?;
        pickle.integer(i64::try_from(checkpoint.iteration).unwrap_or(i64::MAX))?;
        pickle.string("epoch")?;
        pickle.float(checkpoint.epoch)?;
        pickle.string("params")?;
        pickle.json(&Json::Object(params(checkpoint)))?;
        if let Some(&perplexity) = checkpoint.scores.get("val_ppl2") {
            pickle.string("perplexity")?;
            pickle.float(perplexity)?;
        }
        pickle.string("wordtoix")?;
        pickle.dictionary(|pickle| write_words(pickle, &checkpoint.words, false))?;
        pickle.string("ixtoword")?;
        pickle.dictionary(|pickle| write_words(pickle, &checkpoint.words, true))?;
        pickle.string("model")?;
        pickle.dictionary(|pickle| write_model(pickle, checkpoint))
    })?;
    pickle.finish()
}

/// The training parameters, with those that the original reads from a checkpoint taken from the
/// decoder itself: it must find them even if the model was trained here with other options.
fn params(checkpoint: &Checkpoint) -> Map<String, Json> {
    let mut params = checkpoint.params.clone();
    let mut set = |key: &str, value: Json| params.insert(key.into(), value);
    set("dataset", json!(checkpoint.dataset));
    match &checkpoint.decoder {
        DecoderConfig::Lstm(config) => {
            set("generator", json!("lstm"));
            set("image_encoding_size", json!(config.embedding));
            set("word_encoding_size", json!(config.embedding));
            set("hidden_size", json!(config.hidden));
            set("tanhC_version", json!(u8::from(config.tanh_c)));
        }
        DecoderConfig::Rnn(config) => {
            set("generator", json!("rnn"));
            set("image_encoding_size", json!(config.hidden));
            set("word_encoding_size", json!(config.embedding));
            set("hidden_size", json!(config.hidden));
            set("rnn_relu_encoders", json!(u8::from(config.relu_encoders)));
            set("rnn_feed_once", json!(u8::from(config.feed_once)));
        }
        DecoderConfig::Attention(_) => unreachable!("refused before anything is written"),
    }
    params
}

/// `ixtoword` if `by_index`, else `wordtoix`, where index 0 is called `#START#`.
fn write_words(pickle: &mut PickleWriter<'_>, words: &[String], by_index: bool) -> io::Result<()> {
    for (index, word) in (0..).zip(words) {
        match (by_index, index) {
            (true, 0) => {
                pickle.integer(0)?;
                pickle.string(word)?;
            }
            (true, _) => {
                pickle.integer(index)?;
                pickle.unicode(word)?;
            }
            (false, 0) => {
                pickle.string("#START#")?;
                pickle.integer(0)?;
            }
            (false, _) => {
                pickle.unicode(word)?;
                pickle.integer(index)?;
            }
        }
    }
    Ok(())
}

fn write_model(pickle: &mut PickleWriter<'_>, checkpoint: &Checkpoint) -> io::Result<()> {
    // `inconsistency` has compared the weights with the decoder's parameters.
    let weight = |name: &str| {
        let array = checkpoint.weight(name);
        array.expect("the weights were checked").data.singles()
    };
    let mut matrix = |key: &str, rows: usize, columns: usize, parts: &[&str]| {
        pickle.string(key)?;
        let parts: Vec<_> = parts.iter().map(|name| weight(name)).collect();
        let parts: Vec<&[f32]> = parts.iter().map(|part| &part[..]).collect();
        pickle.matrix(rows, columns, &parts)
    };
    match &checkpoint.decoder {
        DecoderConfig::Lstm(c) => {
            let (d, e, h, v) = (c.feature, c.embedding, c.hidden, c.vocabulary);
            let lstm = ["lstm.bias", "lstm.input", "lstm.hidden"];
            matrix("We", d, e, &["projection.weight"])?;
            matrix("be", 1, e, &["projection.bias"])?;
            matrix("Ws", v, e, &["embedding.weight"])?;
            matrix("WLSTM", 1 + e + h, 4 * h, &lstm)?;
            matrix("Wd", h, v, &["output.weight"])?;
            matrix("bd", 1, v, &["output.bias"])
        }
        DecoderConfig::Rnn(c) => {
            let (d, e, h, v) = (c.feature, c.embedding, c.hidden, c.vocabulary);
            matrix("We", d, h, &["projection.weight"])?;
            matrix("be", 1, h, &["projection.bias"])?;
            matrix("Ws", v, e, &["embedding.weight"])?;
            matrix("Wxh", e, h, &["rnn.input.weight"])?;
            matrix("bxh", 1, h, &["rnn.input.bias"])?;
            matrix("Whh", h, h, &["rnn.hidden.weight"])?;
            matrix("bhh", 1, h, &["rnn.hidden.bias"])?;
            matrix("Wd", h, v, &["output.weight"])?;
            matrix("bd", 1, v, &["output.bias"])
        }
        DecoderConfig::Attention(_) => unreachable!("refused before anything is written"),
    }
}
