//! A run's folder as it grows: `config.toml` once, `events.jsonl` line by line.
//!
//! Here: reading on from where the last look ended, and what every event means for the grid. Not
//! here: the events' definition (`train::event`; a test holds the two together).
//!
//! Everything is optional: a JSON file has no NaN (it is null), older and newer programs have other
//! fields, and a line may be half-written. A resumed run cuts its file: lines that turn up where
//! they don't belong make the reader start again.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::row::{Row, Sample, State};
use super::series::{Evaluation, Point, Series};

/// Steps over which speed is averaged.
const RECENT: usize = 50;

/// Longest line that is read; an evaluation with its samples has a few thousand bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// A line of `events.jsonl`, as far as the monitor needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    event: String,
    iteration: Option<f64>,
    epoch: Option<f64>,
    total_iterations: Option<f64>,
    max_epochs: Option<f64>,
    total_cost: Option<f64>,
    ppl2: Option<f64>,
    smooth_ppl2: Option<f64>,
    learning_rate: Option<f64>,
    gradient_norm: Option<f64>,
    captions: Option<f64>,
    seconds: Option<f64>,
    scores: BTreeMap<String, Option<f64>>,
    samples: Vec<Sample>,
    message: Option<String>,
}

/// A run's folder and what was read of it.
#[derive(Debug)]
pub(crate) struct Run {
    root: PathBuf,
    read: u64,
    lines: usize,
    recent: VecDeque<(f64, f64)>,
    config: Option<std::time::SystemTime>,
    /// A line in the middle that is no event, by its number.
    damaged: Option<String>,
    warning: Option<String>,
    pub(crate) row: Row,
    pub(crate) series: Series,
    pub(crate) samples: Vec<Sample>,
    /// Where the pictures of the samples may lie.
    pub(crate) pictures: Vec<PathBuf>,
}

impl Run {
    pub(crate) fn new(id: &str, root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            read: 0,
            lines: 0,
            recent: VecDeque::new(),
            config: None,
            damaged: None,
            warning: None,
            row: Row::new(id, "run"),
            series: Series::default(),
            samples: Vec::new(),
            pictures: Vec::new(),
        }
    }

    /// Reads what is new.
    pub(crate) fn look(&mut self) {
        self.row.problem = None;
        let config = self.look_at_config();
        let events = self.look_at_events();
        let ended = matches!(self.row.state, State::Diverged);
        let problems = [events.err(), self.damaged.clone(), config.err()];
        let problem = problems.into_iter().flatten().next();
        self.row.problem = match (problem, &self.warning) {
            (Some(problem), _) if !ended => Some(problem),
            (_, warning) => warning.clone(),
        };
    }

    fn look_at_config(&mut self) -> Result<(), String> {
        let path = self.root.join("config.toml");
        let modified = match path.metadata().and_then(|meta| meta.modified()) {
            Ok(modified) => modified,
            Err(error) => return Err(format!("cannot read config.toml: {error}")),
        };
        if self.config == Some(modified) {
            return Ok(());
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read config.toml: {error}"))?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| {
            let why = error.message().to_owned();
            format!("config.toml is half-written or damaged: {why}")
        })?;
        let value = |(name, value)| Some((name, serde_json::to_value::<toml::Value>(value).ok()?));
        self.row.set_params(table.into_iter().filter_map(value));
        if let Some(Value::String(dataset)) = self.row.params.get("dataset") {
            let dataset = PathBuf::from(dataset);
            let folder = match dataset.extension() {
                Some(_) => dataset.parent().map(Path::to_owned).unwrap_or_default(),
                None => dataset,
            };
            self.pictures = vec![folder];
        }
        self.config = Some(modified);
        Ok(())
    }

    fn look_at_events(&mut self) -> Result<(), String> {
        let path = self.root.join("events.jsonl");
        let cannot = |error: std::io::Error| format!("cannot read events.jsonl: {error}");
        let file = match File::open(&path) {
            Ok(file) => file,
            // Just started, or its data is still being read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(cannot(error)),
        };
        let meta = file.metadata().map_err(cannot)?;
        if meta.len() < self.read {
            self.start_again();
        }
        if meta.len() == self.read {
            return Ok(());
        }
        let modified = meta.modified().map_err(cannot)?;
        let since = modified.duration_since(std::time::UNIX_EPOCH);
        self.row.reported_s = since.ok().map(|since| since.as_secs_f64());
        let lines_before = self.lines;
        if !self.read_on(file).map_err(cannot)? && 0 < lines_before {
            // The file was cut and has grown since: nothing that was read before is certain.
            self.start_again();
            let file = File::open(&path).map_err(cannot)?;
            self.read_on(file).map_err(cannot)?;
        }
        Ok(())
    }

    fn start_again(&mut self) {
        let mut row = Row::new(&self.row.id, "run");
        row.params = std::mem::take(&mut self.row.params);
        row.dataset = self.row.dataset.take();
        row.model = self.row.model.take();
        row.reported_s = self.row.reported_s;
        *self = Self {
            config: self.config,
            pictures: std::mem::take(&mut self.pictures),
            row,
            ..Self::new("", &self.root)
        };
    }

    /// Whole lines from `self.read` on. False if the first of them is no event.
    fn read_on(&mut self, mut file: File) -> std::io::Result<bool> {
        file.seek(SeekFrom::Start(self.read))?;
        let (mut reader, mut line) = (BufReader::new(file), Vec::new());
        let first = self.lines;
        loop {
            line.clear();
            let mut limited = std::io::Read::take(&mut reader, LONGEST_LINE);
            let bytes = limited.read_until(b'\n', &mut line)? as u64;
            if !line.ends_with(b"\n") && bytes < LONGEST_LINE {
                // The end, or a line that is being written.
                return Ok(true);
            }
            self.lines += 1;
            // Without its end, which would count as a line of its own in the error's place.
            match serde_json::from_slice::<Line>(line.trim_ascii_end()) {
                Ok(event) => self.hear(event),
                Err(_) if self.lines == first + 1 && 0 < first => return Ok(false),
                Err(error) => {
                    let place = format!("line {}, column {}", self.lines, error.column());
                    self.damaged = Some(format!("events.jsonl is damaged: {place} is no event"));
                }
            }
            self.read += bytes;
        }
    }

    fn hear(&mut self, line: Line) {
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN) as f32;
        let iteration = line.iteration.unwrap_or(0.0);
        self.row.iteration = line.iteration.or(self.row.iteration);
        self.row.epoch = line.epoch.or(self.row.epoch);
        match line.event.as_str() {
            "started" => {
                self.row.total_iterations = line.total_iterations;
                self.row.max_epochs = line.max_epochs;
                self.row.state = State::Running;
                self.warning = None;
            }
            "step" => {
                self.row.state = State::Running;
                self.row.train_ppl = line.ppl2;
                self.row.smooth_ppl = line.smooth_ppl2;
                self.speed(line.captions, line.seconds);
                self.series.push(Point {
                    iteration,
                    epoch: line.epoch.unwrap_or(0.0),
                    measures: [
                        line.total_cost,
                        line.ppl2,
                        line.smooth_ppl2,
                        line.learning_rate,
                        line.gradient_norm,
                        line.seconds,
                    ]
                    .map(number),
                });
            }
            "evaluated" => self.evaluated(iteration, line),
            "warning" => self.warning = line.message,
            "finished" => self.row.state = State::Finished,
            "interrupted" => self.row.state = State::Interrupted,
            "diverged" => {
                self.row.state = State::Diverged;
                self.warning = line.message;
            }
            // Checkpoints, and what later versions may tell.
            _ => {}
        }
        if !matches!(self.row.state, State::Running | State::Silent) {
            self.row.eta_s = None;
        }
    }

    fn evaluated(&mut self, iteration: f64, line: Line) {
        self.row.val_ppl = line.ppl2;
        self.series.evaluate(Evaluation {
            iteration,
            epoch: line.epoch.unwrap_or(0.0),
            ppl: line.ppl2,
            scores: line
                .scores
                .into_iter()
                .filter_map(|(name, score)| Some((name, score?)))
                .collect(),
        });
        let evaluations = &self.series.evaluations;
        let lowest = evaluations.iter().filter_map(|e| e.ppl).reduce(f64::min);
        self.row.best_val_ppl = lowest;
        self.row.scores.clear();
        for (name, &score) in evaluations.iter().flat_map(|e| &e.scores) {
            let best = self.row.scores.entry(name.clone()).or_insert(score);
            *best = best.max(score);
        }
        self.row.samples = line.samples.len();
        self.samples = line.samples;
    }

    fn speed(&mut self, captions: Option<f64>, seconds: Option<f64>) {
        let (Some(captions), Some(seconds)) = (captions, seconds) else {
            return;
        };
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((captions, seconds));
        let total = |of: fn(&(f64, f64)) -> f64| self.recent.iter().map(of).sum::<f64>();
        let (captions, seconds) = (total(|r| r.0), total(|r| r.1));
        let each = seconds / self.recent.len() as f64;
        self.row.seconds_per_batch = Some(each);
        self.row.captions_per_second = (0.0 < seconds).then(|| captions / seconds);
        let left = match (self.row.total_iterations, self.row.iteration) {
            (Some(total), Some(done)) => Some((total - done).max(0.0)),
            _ => None,
        };
        self.row.eta_s = left.map(|left| left * each);
    }
}

#[cfg(test)]
mod tests;
