//! NeuralTalk's `<host>_status.json`: the whole file again and again.
//!
//! Here: reading it into a row and curves. Source: `driver.py` writes {params, history: [{time, iter,
//! epoch, time_per_batch, smooth_train_ppl2, val_ppl2, train_ppl2}]} with `open(..., 'w')`, so that a
//! reader does meet half of it; the last whole version stays on the page then. Python writes NaN and
//! Infinity, which JSON doesn't have: they are read as nothing.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::row::{Row, State};
use super::series::{Evaluation, Point, Series};

/// Largest file that is read: a report a minute for a year is 100 MB.
const MOST_BYTES: u64 = 256 << 20;

#[derive(Deserialize)]
struct Contents {
    #[serde(default)]
    params: Map<String, Value>,
    history: Vec<Report>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Report {
    iter: (Option<f64>, Option<f64>),
    epoch: (Option<f64>, Option<f64>),
    time_per_batch: Option<f64>,
    smooth_train_ppl2: Option<f64>,
    val_ppl2: Option<f64>,
    train_ppl2: Option<f64>,
}

/// A worker's status file and what was read of it.
#[derive(Debug)]
pub(crate) struct Status {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
    pub(crate) row: Row,
    pub(crate) series: Series,
}

impl Status {
    pub(crate) fn new(id: &str, path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            seen: None,
            row: Row::new(id, "status"),
            series: Series::default(),
        }
    }

    /// Reads the file if it changed.
    pub(crate) fn look(&mut self) {
        let cannot = |error: std::io::Error| format!("cannot read it: {error}");
        let looked = (|| {
            let meta = self.path.metadata().map_err(cannot)?;
            let modified = meta.modified().map_err(cannot)?;
            if self.seen == Some((modified, meta.len())) {
                return Ok(None);
            }
            if MOST_BYTES < meta.len() {
                return Err(format!("it has {} bytes, too many to read", meta.len()));
            }
            let bytes = std::fs::read(&self.path).map_err(cannot)?;
            self.seen = Some((modified, bytes.len() as u64));
            let since = modified.duration_since(SystemTime::UNIX_EPOCH);
            self.row.reported_s = since.ok().map(|since| since.as_secs_f64());
            parse(&bytes).map(Some)
        })();
        match looked {
            Ok(None) => {}
            Ok(Some(contents)) => {
                self.row.problem = None;
                self.show(contents);
            }
            Err(problem) => {
                self.row.problem = Some(problem);
                // What was read before is still worth seeing.
                if self.series.points.is_empty() {
                    self.row.state = State::Broken;
                }
            }
        }
    }

    fn show(&mut self, contents: Contents) {
        self.row.set_params(contents.params.into_iter());
        self.series = Series::default();
        let size = self.row.params.get("batch-size").and_then(Value::as_f64);
        for report in &contents.history {
            let (iteration, epoch) = (report.iter.0.unwrap_or(0.0), report.epoch.0.unwrap_or(0.0));
            let number = |value: Option<f64>| value.unwrap_or(f64::NAN) as f32;
            self.series.push(Point {
                iteration,
                epoch,
                measures: [
                    None,
                    report.train_ppl2,
                    report.smooth_train_ppl2,
                    None,
                    None,
                    report.time_per_batch,
                ]
                .map(number),
            });
            // Every report repeats the last evaluation.
            let last = self.series.evaluations.last();
            if last.is_none_or(|last| last.ppl != report.val_ppl2) {
                self.series.evaluate(Evaluation {
                    iteration,
                    epoch,
                    ppl: report.val_ppl2,
                    scores: Default::default(),
                });
            }
        }
        // Before the first evaluation `driver.py` reports the size of the vocabulary.
        if 1 < self.series.evaluations.len() {
            self.series.evaluations.remove(0);
        }
        let Some(last) = contents.history.last() else {
            self.row.state = State::Starting;
            return;
        };
        let row = &mut self.row;
        (row.iteration, row.total_iterations) = last.iter;
        (row.epoch, row.max_epochs) = last.epoch;
        row.seconds_per_batch = last.time_per_batch;
        row.captions_per_second = match (size, last.time_per_batch) {
            (Some(size), Some(seconds)) if 0.0 < seconds => Some(size / seconds),
            _ => None,
        };
        row.train_ppl = last.train_ppl2;
        row.smooth_ppl = last.smooth_train_ppl2;
        row.val_ppl = last.val_ppl2;
        let evaluations = self.series.evaluations.iter();
        row.best_val_ppl = evaluations.filter_map(|e| e.ppl).reduce(f64::min);
        let left = match last.iter {
            (Some(done), Some(total)) => Some((total - 1.0 - done).max(0.0)),
            _ => None,
        };
        row.eta_s = left.zip(last.time_per_batch).map(|(left, s)| left * s);
        row.state = match left {
            Some(0.0) => State::Finished,
            _ => State::Running,
        };
    }
}

fn parse(bytes: &[u8]) -> Result<Contents, String> {
    let place =
        |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    let first = match serde_json::from_slice(bytes) {
        Ok(contents) => return Ok(contents),
        Err(error) => error,
    };
    let bare = without_nan(bytes);
    serde_json::from_slice(&bare).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => {
            format!("half-written: it ends at {}", place(&error))
        }
        serde_json::error::Category::Data => {
            format!("not a status file of NeuralTalk: {first}")
        }
        _ => format!("damaged: no JSON at {}", place(&first)),
    })
}

/// Python's `NaN` and `Infinity` outside of strings as `null`.
fn without_nan(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut at, mut inside) = (Vec::with_capacity(bytes.len()), 0, false);
    while let Some(&byte) = bytes.get(at) {
        let word = [&b"-Infinity"[..], b"Infinity", b"NaN"]
            .into_iter()
            .find(|word| !inside && bytes[at..].starts_with(word));
        if let Some(word) = word {
            out.extend(b"null");
            at += word.len();
            continue;
        }
        if inside && byte == b'\\' {
            out.push(byte);
            at += 1;
        } else if byte == b'"' {
            inside = !inside;
        }
        out.extend(bytes.get(at));
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `driver.py` writes it.
    const FILE: &str = r#"{"params": {"dataset": "flickr8k", "generator": "lstm", "batch_size": 100,
"fappend": "a \"NaN\" \\"}, "history": [
{"time": "2014-11-28T00:00:00.000001", "iter": [0, 1000], "epoch": [0.0, 50], "time_per_batch": 0.5,
 "smooth_train_ppl2": NaN, "val_ppl2": 2538, "train_ppl2": 2000.5},
{"time": "2014-11-28T00:01:00.000001", "iter": [99, 1000], "epoch": [4.95, 50], "time_per_batch": 0.25,
 "smooth_train_ppl2": 30.5, "val_ppl2": 25.5, "train_ppl2": -Infinity}]}"#;

    fn look(bytes: &[u8]) -> Status {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("visionlab1.stanford.edu_status.json");
        std::fs::write(&path, bytes).expect("written");
        let mut status = Status::new(&path.to_string_lossy(), &path);
        status.look();
        status
    }

    #[test]
    fn a_file_of_the_original_program() {
        let status = look(FILE.as_bytes());
        let row = &status.row;
        assert_eq!((row.state, &row.problem), (State::Running, &None));
        assert_eq!(row.name, "visionlab1.stanford.edu");
        assert_eq!(
            (row.iteration, row.total_iterations),
            (Some(99.0), Some(1000.0))
        );
        assert_eq!((row.val_ppl, row.best_val_ppl), (Some(25.5), Some(25.5)));
        assert_eq!((row.smooth_ppl, row.train_ppl), (Some(30.5), None));
        assert_eq!(
            (row.captions_per_second, row.eta_s),
            (Some(400.0), Some(225.0))
        );
        assert_eq!(row.params["fappend"], "a \"NaN\" \\");
        let curves = status.series.curves(0.0, 1e9, 100);
        assert_eq!(curves.measures["ppl"], [Some(2000.5), None]);
        assert_eq!(curves.measures["smooth_ppl"], [None, Some(30.5)]);
    }

    #[test]
    fn the_last_report_ends_it() {
        let done = FILE.replace("[99, 1000]", "[999, 1000]");
        assert_eq!(look(done.as_bytes()).row.state, State::Finished);
    }

    /// Every prefix is half-written, and says so; none takes away what was there before.
    #[test]
    fn half_a_file_is_called_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("h_status.json");
        std::fs::write(&path, FILE).expect("written");
        let mut status = Status::new("h", &path);
        status.look();
        for cut in 0..FILE.len() {
            let half = look(&FILE.as_bytes()[..cut]).row;
            assert_eq!(half.state, State::Broken, "{cut}");
            // A cut inside `NaN` leaves letters that are no JSON.
            let problem = half.problem.expect("a problem");
            let named = ["half-written", "damaged"]
                .iter()
                .any(|w| problem.starts_with(w));
            assert!(named, "{cut}: {problem}");
        }
        std::fs::write(&path, &FILE.as_bytes()[..FILE.len() / 2]).expect("written");
        status.look();
        assert_eq!(status.row.iteration, Some(99.0));
        assert!(status.row.problem.is_some());
        std::fs::remove_file(&path).expect("removed");
        status.look();
        assert!(
            status
                .row
                .problem
                .expect("gone")
                .starts_with("cannot read it")
        );
    }

    #[test]
    fn other_json_is_no_status() {
        for text in [
            "[1]",
            "{}",
            r#"{"history": 3}"#,
            r#"{"history": [{"iter": "x"}]}"#,
        ] {
            let row = look(text.as_bytes()).row;
            assert_eq!(row.state, State::Broken, "{text}");
            assert!(
                row.problem.expect("why").starts_with("not a status file"),
                "{text}"
            );
        }
        let row = look(br#"{"params": {}, "history": []}"#).row;
        assert_eq!((row.state, row.problem), (State::Starting, None));
    }
}
