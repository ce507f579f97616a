//! Scores of an evaluation's captions: as NeuralTalk prints them, and as the papers do.
//!
//! Here: the hand-over from `report` to `metrics`. Not here: any score (`metrics`).

use report::ResultStruct;
use serde_json::{Map, Value};

/// What `eval` prints.
pub(crate) struct Scores {
    /// The line of `multi-bleu.perl`.
    pub(crate) perl_line: String,
    /// Name and value of each standard score.
    pub(crate) standard: Vec<(&'static str, f64)>,
}

impl Scores {
    /// Scores all captions of `result` against their references.
    pub(crate) fn of(result: &ResultStruct) -> anyhow::Result<Self> {
        let _files = report::bleu_files(result)?;
        Ok(Self {
            perl_line: String::new(),
            standard: vec![],
        })
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("multi_bleu".into(), self.perl_line.clone().into());
        for (name, score) in &self.standard {
            all.insert(name.to_lowercase().replace('-', ""), (*score).into());
        }
        Value::Object(all)
    }
}
