//! Scores of an evaluation's captions: as NeuralTalk prints them, and as the papers do.
//!
//! Here: the hand-over from `report` to `metrics`. Not here: any score (`metrics`).

use metrics::input::{Captions, Tokenization, pair};
use metrics::meteor::Loading;
use metrics::multi_bleu::multi_bleu;
use metrics::{Metric, Options};

use report::ResultStruct;
use serde_json::{Map, Value};

use crate::meteor;

/// What `eval` prints.
pub(crate) struct Scores {
    /// The line of `multi-bleu.perl` for files as `eval_sentence_predictions.py` writes them.
    pub(crate) perl_line: String,
    /// coco-caption's scores; METEOR under another name if its data aren't there.
    pub(crate) standard: metrics::Scores,
}

impl Scores {
    /// Scores all captions of `result` against their references.
    pub(crate) fn of(result: &ResultStruct) -> anyhow::Result<Self> {
        let files = report::bleu_files(result)?;
        let perl_line = multi_bleu(files.output.as_bytes(), &files.references, false).to_string();
        let (mut candidates, mut references) = (Captions::default(), Captions::default());
        for (n, blob) in result.imgblobs.iter().enumerate() {
            // Not the path: two pictures of a dataset may name the same file.
            candidates.push(n.to_string(), blob.candidate.text.clone());
            for reference in blob.references.iter().flatten() {
                references.push(n.to_string(), reference.text.clone());
            }
        }
        let loading = Loading::start(meteor::data(None).as_deref())?;
        let corpora = [pair(&candidates, &references, false)?.corpus(Tokenization::Ptb)];
        let options = Options {
            metrics: Metric::COCO.to_vec(),
            ..Options::default()
        };
        let load = || loading.finish_for_corpora(&corpora).map(Some);
        let [standard] = metrics::score_while_loading(&corpora, &options, load)?
            .try_into()
            .expect("one table for one corpus");
        Ok(Self {
            perl_line,
            standard,
        })
    }

    /// For `--json`: `bleu1` ... `meteor`, `rougel`, `cider`, and the Perl line.
    pub(crate) fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("multi_bleu".into(), self.perl_line.clone().into());
        for score in &self.standard.scores {
            all.insert(
                score.name.to_lowercase().replace('-', ""),
                score.corpus.into(),
            );
        }
        Value::Object(all)
    }
}
