//! `result_struct.json`: the captions of many pictures, with what made them.
//!
//! The form of NeuralTalk's `eval_sentence_predictions.py` (with imgid, references and gtppl) and
//! `predict_on_images.py` (without). Its own viewer, `visualize_result_struct.html`, reads both.
//! Fields that other versions of it added (`bleu`, `final_result`) are skipped on reading.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ReportError;
use crate::error::write_file;
use crate::python_json::PythonJson;

/// Reading takes at most this many bytes of memory per byte of the file. The worst are
/// `params` with a list of one-digit numbers.
pub const MEMORY_FACTOR: usize = 128;

/// Captions of many pictures and the options that gave them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultStruct {
    /// Options with which the model was trained.
    #[serde(default)]
    pub checkpoint_params: Map<String, Value>,
    /// One for each picture.
    pub imgblobs: Vec<ImageBlob>,
    /// Options of the evaluation or the prediction.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Perplexity (base 2, END included) of the reference sentences; evaluation only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtppl: Option<f64>,
}

/// One picture with its caption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageBlob {
    /// Column of the picture's features; evaluation only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imgid: Option<u64>,
    /// What people wrote, tokenized and joined by blanks; evaluation only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Vec<Reference>>,
    /// The picture's file, as a path from where the program ran or from the root folder.
    pub img_path: String,
    /// What the model wrote.
    pub candidate: Candidate,
}

/// One sentence that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Tokens joined by blanks.
    pub text: String,
}

/// The sentence that the model wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Words joined by blanks, END left out.
    pub text: String,
    /// Natural log probability, END included.
    pub logprob: f64,
}

/// Reads a result file.
///
/// # Errors
/// The file cannot be read, or it is not such a file; with line and column.
pub fn read_result_struct(path: &Path) -> Result<ResultStruct, ReportError> {
    let bytes = fs::read(path).map_err(|source| ReportError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    parse_result_struct(&bytes, path)
}

/// Parses a result file; `path` is named in errors only.
///
/// # Errors
/// The bytes are not such a file; with line and column.
pub fn parse_result_struct(bytes: &[u8], path: &Path) -> Result<ResultStruct, ReportError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        // serde_json puts the place behind the problem; we put it in front.
        let place = format!(" at line {line} column {column}");
        let problem = message.strip_suffix(&place).unwrap_or(&message).to_string();
        ReportError::Malformed {
            path: path.to_path_buf(),
            line,
            column,
            problem,
        }
    })
}

/// The text of a result file, as Python's `json.dump` would write it.
///
/// # Errors
/// A log probability or the perplexity is NaN or infinite.
pub fn render_result_struct(result: &ResultStruct) -> Result<String, ReportError> {
    let finite = |what: String, value: f64| match value.is_finite() {
        true => Ok(()),
        false => Err(ReportError::NotFinite { what, value }),
    };
    finite("gtppl".into(), result.gtppl.unwrap_or(0.0))?;
    for blob in &result.imgblobs {
        finite(
            format!("the log probability of `{}`", blob.img_path),
            blob.candidate.logprob,
        )?;
    }
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, PythonJson);
    result
        .serialize(&mut serializer)
        .expect("strings, finite numbers, and memory cannot fail");
    Ok(String::from_utf8(out).expect("the formatter writes ASCII"))
}

/// Writes a result file in one piece.
///
/// # Errors
/// A number that is not finite, or what the operating system refused.
pub fn write_result_struct(path: &Path, result: &ResultStruct) -> Result<(), ReportError> {
    let text = render_result_struct(result)?;
    write_file(path, |out| out.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_factor_covers_a_list_of_digits() {
        // `0,` is one value in two bytes; a list that grows has its old and its doubled memory
        // at once, three times its length. The text itself is one more.
        let worst = 3 * size_of::<Value>() / 2 + 1;
        assert!(worst <= MEMORY_FACTOR, "{worst}");
        // The smallest picture and the smallest reference take less per byte.
        let blob = r#"{"img_path":"","candidate":{"text":"","logprob":0}},"#;
        assert!(3 * size_of::<ImageBlob>() / blob.len() < worst);
        assert!(3 * size_of::<Reference>() / r#"{"text":""},"#.len() < worst);
    }
}
