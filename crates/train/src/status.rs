//! `<host>_status.json`, as NeuralTalk's training monitor (`monitor_master.html`) reads it.
//!
//! Source: `driver.py`: a report at the first step and then every minute; here also after every
//! evaluation. `iter` is [it, max_iters] with it from 0, `epoch` is [epoch, max_epochs]. Replaced
//! in one piece, so that a reader never sees half of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::TrainError;
use crate::{clock, folder};

/// Seconds between two reports.
const PERIOD_S: f64 = 60.0;

/// The file's contents.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Contents {
    params: Map<String, Value>,
    history: Vec<Report>,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) time: String,
    pub(crate) iter: (u64, u64),
    pub(crate) epoch: (f64, u64),
    pub(crate) time_per_batch: f64,
    pub(crate) smooth_train_ppl2: f64,
    pub(crate) val_ppl2: f64,
    pub(crate) train_ppl2: f64,
}

/// The status file of a run.
#[derive(Debug)]
pub(crate) struct Status {
    path: PathBuf,
    contents: Contents,
    written_s: f64,
}

impl Status {
    /// Goes on with the reports of the first `iteration` steps that `path` may hold.
    pub(crate) fn open(
        path: &Path,
        params: Map<String, Value>,
        iteration: u64,
    ) -> Result<Self, TrainError> {
        let history = match std::fs::read(path) {
            // Written by another program or edited: our reports start anew, training matters more.
            Ok(bytes) => serde_json::from_slice::<Contents>(&bytes)
                .map_or(Vec::new(), |contents| contents.history),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(TrainError::read(path)(e)),
        };
        let kept = |report: &Report| report.iter.0 < iteration;
        let history = history.into_iter().filter(kept).collect();
        Ok(Self {
            path: path.to_owned(),
            contents: Contents { params, history },
            written_s: f64::NEG_INFINITY,
        })
    }

    /// Adds a report if the last is a minute old, or `now` is asked for.
    pub(crate) fn report(&mut self, mut report: Report, now: bool) -> Result<(), TrainError> {
        let time_s = clock::unix_seconds();
        if !now && time_s < self.written_s + PERIOD_S {
            return Ok(());
        }
        self.written_s = time_s;
        report.time = clock::iso(time_s);
        // A step's evaluation replaces the report that the step itself made.
        self.contents
            .history
            .retain(|old| old.iter.0 < report.iter.0);
        self.contents.history.push(report);
        let bytes = serde_json::to_vec(&self.contents).expect("numbers and strings");
        folder::replace(&self.path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(it: u64) -> Report {
        Report {
            time: String::new(),
            iter: (it, 40),
            epoch: (it as f64 / 20.0, 2),
            time_per_batch: 0.5,
            smooth_train_ppl2: 3.0,
            val_ppl2: 4.0,
            train_ppl2: 5.0,
        }
    }

    #[test]
    fn the_schema_is_neuraltalks_and_resume_cuts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("status/host_status.json");
        let mut status = Status::open(&path, Map::new(), 0).expect("new");
        status
            .report(report(0), false)
            .expect("the first is written");
        status.report(report(1), false).expect("too early");
        status.report(report(9), true).expect("asked for");
        let text = std::fs::read_to_string(&path).expect("written");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let keys: Vec<&String> = value["history"][0]
            .as_object()
            .expect("object")
            .keys()
            .collect();
        assert_eq!(
            keys,
            [
                "time",
                "iter",
                "epoch",
                "time_per_batch",
                "smooth_train_ppl2",
                "val_ppl2",
                "train_ppl2"
            ]
        );
        assert_eq!(value["history"][1]["iter"], serde_json::json!([9, 40]));
        assert!(value["params"].is_object());
        let resumed = Status::open(&path, Map::new(), 9).expect("there");
        assert_eq!(resumed.contents.history.len(), 1);
        let resumed = Status::open(&path, Map::new(), 10).expect("there");
        assert_eq!(resumed.contents.history.len(), 2);
    }
}
