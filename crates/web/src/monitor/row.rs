//! One run as the page's grid shows it.
//!
//! Here: the fields and how the state follows from them. Not here: where they come from.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What a run is doing, as far as its files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// There is a folder, and no report yet.
    Starting,
    /// Reports come.
    Running,
    /// No end was reported, and nothing was heard for long: killed, hung, or the disk is gone.
    Silent,
    /// All epochs, early stopping or a limit.
    Finished,
    /// Stopped by its user; `resume` goes on.
    Interrupted,
    /// The cost grew or is no number.
    Diverged,
    /// Its files can't be read.
    Broken,
}

/// A caption of the last evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub(crate) struct Sample {
    pub(crate) path: String,
    pub(crate) caption: String,
    pub(crate) log_prob: Option<f64>,
}

/// A row of the grid. What isn't known is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// The path as it was found; the key of every request about this run.
    pub(crate) id: String,
    pub(crate) name: String,
    /// `run` or `status`.
    pub(crate) kind: &'static str,
    pub(crate) state: State,
    /// What is wrong with the run or its files.
    pub(crate) problem: Option<String>,
    pub(crate) dataset: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) epoch: Option<f64>,
    pub(crate) max_epochs: Option<f64>,
    pub(crate) iteration: Option<f64>,
    pub(crate) total_iterations: Option<f64>,
    pub(crate) seconds_per_batch: Option<f64>,
    pub(crate) captions_per_second: Option<f64>,
    pub(crate) eta_s: Option<f64>,
    pub(crate) train_ppl: Option<f64>,
    pub(crate) smooth_ppl: Option<f64>,
    pub(crate) val_ppl: Option<f64>,
    pub(crate) best_val_ppl: Option<f64>,
    /// Best of each caption score.
    pub(crate) scores: BTreeMap<String, f64>,
    /// Seconds since 1970 of the newest report.
    pub(crate) reported_s: Option<f64>,
    pub(crate) params: BTreeMap<String, Value>,
    pub(crate) samples: usize,
}

/// Seconds without a report after which a run counts as silent. NeuralTalk's workers report every
/// minute, and its monitor was fully red after fifteen.
const SILENT_S: f64 = 900.0;

/// For a run of ours, which reports every step: unless its steps or evaluations take long.
const SILENT_RUN_S: f64 = 180.0;

impl Row {
    pub(crate) fn new(id: &str, kind: &'static str) -> Self {
        let name = std::path::Path::new(id);
        let name = name.file_name().map_or(id.into(), |n| n.to_string_lossy());
        let name = name.trim_end_matches("_status.json").to_owned();
        Self {
            id: id.into(),
            name,
            kind,
            state: State::Starting,
            problem: None,
            dataset: None,
            model: None,
            epoch: None,
            max_epochs: None,
            iteration: None,
            total_iterations: None,
            seconds_per_batch: None,
            captions_per_second: None,
            eta_s: None,
            train_ppl: None,
            smooth_ppl: None,
            val_ppl: None,
            best_val_ppl: None,
            scores: BTreeMap::new(),
            reported_s: None,
            params: BTreeMap::new(),
            samples: 0,
        }
    }

    /// Turns a run that reports to one that doesn't, and back.
    pub(crate) fn age(&mut self, now_s: f64) {
        if !matches!(self.state, State::Running | State::Silent) {
            return;
        }
        let Some(reported_s) = self.reported_s else {
            return;
        };
        let patience_s = match (self.kind, self.seconds_per_batch) {
            ("run", Some(seconds)) => SILENT_RUN_S.max(50.0 * seconds),
            ("run", None) => SILENT_RUN_S,
            _ => SILENT_S,
        };
        self.state = match patience_s < now_s - reported_s {
            true => State::Silent,
            false => State::Running,
        };
        if self.state == State::Silent {
            self.eta_s = None;
        }
    }

    /// Names in one spelling, `hidden-size`, whoever wrote them; data and model under their own.
    pub(crate) fn set_params(&mut self, params: impl Iterator<Item = (String, Value)>) {
        let spell = |(name, value): (String, Value)| (name.replace('_', "-").to_lowercase(), value);
        self.params = params.map(spell).collect();
        let text = |name: &str| match self.params.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        };
        self.model = text("generator");
        // A path is where the data lies; its last part is what people call it.
        self.dataset = text("dataset").map(|path| {
            let path = std::path::Path::new(&path);
            path.file_stem()
                .map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy())
                .into_owned()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_last_report_and_ends_with_the_next() {
        let mut row = Row::new("runs/a", "run");
        row.state = State::Running;
        row.reported_s = Some(1000.0);
        row.seconds_per_batch = Some(0.1);
        for (now_s, state) in [
            (1179.0, State::Running),
            (1181.0, State::Silent),
            (1100.0, State::Running),
        ] {
            row.age(now_s);
            assert_eq!(row.state, state, "{now_s}");
        }
        row.seconds_per_batch = Some(10.0);
        row.age(1400.0);
        assert_eq!(row.state, State::Running, "a slow run reports seldom");
        row.state = State::Finished;
        row.age(9e9);
        assert_eq!(row.state, State::Finished);
        let mut worker = Row::new("status/host.example_status.json", "status");
        assert_eq!(worker.name, "host.example");
        (worker.state, worker.reported_s) = (State::Running, Some(0.0));
        worker.age(899.0);
        assert_eq!(worker.state, State::Running);
        worker.age(901.0);
        assert_eq!(worker.state, State::Silent);
    }

    #[test]
    fn parameters_have_one_spelling() {
        let mut row = Row::new("x", "status");
        let params = [
            ("tanhC_version", 1.into()),
            ("dataset", "/data/flickr8k".into()),
            ("generator", "lstm".into()),
        ];
        row.set_params(
            params
                .into_iter()
                .map(|(k, v): (&str, Value)| (k.into(), v)),
        );
        assert_eq!(row.params["tanhc-version"], 1);
        assert_eq!(row.dataset.as_deref(), Some("flickr8k"));
        assert_eq!(row.model.as_deref(), Some("lstm"));
    }
}
