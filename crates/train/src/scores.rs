//! Scores of validation captions during training, where `select` asks for them.
//!
//! References are the dataset's own tokens, as NeuralTalk scores. Not here: the scores' definitions
//! (`metrics`), the captions (`captions.rs`), METEOR, whose data are not part of a run.

use std::collections::BTreeMap;

use generate::Caption;
use metrics::{Corpus, Metric, Options};

use crate::job::Job;

/// `bleu1` to `bleu4` and `cider` (CIDEr-D times 10) of the captions of validation pictures, which
/// are given by their index.
pub(crate) fn score(job: &Job, captions: &[(usize, Caption)]) -> BTreeMap<String, f64> {
    let mut corpus = Corpus::new();
    for (index, caption) in captions {
        let record = &job.val_records[*index];
        let references: Vec<String> = record.captions.iter().map(|c| c.tokens.join(" ")).collect();
        if !references.is_empty() {
            let candidate = job.vocabulary.decode(&caption.tokens);
            corpus.push(record.imgid.to_string(), &candidate, &references);
        }
    }
    let options = Options {
        metrics: vec![Metric::Bleu, Metric::Cider],
        ..Options::default()
    };
    let scores = metrics::score(&corpus, &options).scores;
    let key = |name: &str| name.to_lowercase().replace('-', "");
    scores
        .into_iter()
        .map(|score| (key(&score.name), score.corpus))
        .collect()
}
