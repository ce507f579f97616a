//! What `score` prints: a table, a comparison of two systems, JSON, CSV.
//!
//! Not here: the scores (`metrics`), which files they are of (`commands::score`).

use std::fmt::Write as _;

use metrics::Scores;
use metrics::input::Problem;
use metrics::significance::{Bootstrap, Comparison};
use report::ScoreTable;
use serde_json::{Map, Value, json};

use crate::shortened::shortened;
use crate::variety::Variety;

/// One candidate file.
pub(crate) struct System {
    pub(crate) scores: Scores,
    pub(crate) variety: Option<Variety>,
}

/// All that was found out.
pub(crate) struct Report {
    pub(crate) this: System,
    /// The system that this one is compared with.
    pub(crate) against: Option<System>,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) problems: Vec<Problem>,
}

impl Report {
    /// What a reader must know; nothing twice.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let problems = shortened(&self.problems, std::mem::discriminant).into_iter();
        let mut all: Vec<String> = Vec::new();
        for warning in problems.chain(self.this.scores.warnings.iter().cloned()) {
            if !all.contains(&warning) {
                all.push(warning);
            }
        }
        all.into_iter()
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = match &self.against {
            None => self.this.scores.to_string(),
            Some(against) => self.comparison(against),
        };
        if self.this.variety.is_some() {
            text.push('\n');
            text += &self.variety();
        }
        text
    }

    /// What `--against` names came first in time: the difference is new minus old.
    fn differences(&self, against: &System) -> Vec<(String, Comparison)> {
        against.scores.compare(&self.this.scores, &self.bootstrap)
    }

    fn comparison(&self, against: &System) -> String {
        let names = self.this.scores.scores.iter().map(|score| score.name.len());
        let width = names.max().unwrap_or(0);
        let mut text = format!(
            "{:width$}  against     this  difference  95 % interval             p\n",
            ""
        );
        for (name, Comparison { difference, p }) in self.differences(against) {
            let value = |of: &System| of.scores.get(&name).unwrap_or(f64::NAN);
            let _ = writeln!(
                text,
                "{name:width$}  {:>7.4}  {:>7.4}  {:>+10.4}  {:>+8.4} to {:>+8.4}  {p:.4}",
                value(against),
                value(&self.this),
                difference.value,
                difference.low,
                difference.high,
            );
        }
        let _ = writeln!(
            text,
            "{} pictures; intervals and p (two-sided) from {} bootstrap samples",
            self.this.scores.ids.len(),
            self.bootstrap.draws
        );
        text
    }

    fn variety(&self) -> String {
        let systems: Vec<&Variety> = self
            .against
            .iter()
            .chain([&self.this])
            .filter_map(|system| system.variety.as_ref())
            .collect();
        let mut table = match systems.len() {
            1 => ScoreTable::new([""]),
            _ => ScoreTable::new(["against", "this"]),
        };
        let mut row = |name: &str, decimals, value: &dyn Fn(&Variety) -> Option<f64>| {
            let values: Vec<_> = systems.iter().map(|variety| value(variety)).collect();
            if values.iter().any(Option::is_some) {
                table.row(name, &values, decimals);
            }
        };
        for n in 0..2 {
            row(&format!("distinct-{}", n + 1), 4, &|v| {
                Some(v.captions.distinct[n])
            });
        }
        row("vocabulary", 0, &|v| Some(v.captions.vocabulary as f64));
        row("mean length", 2, &|v| Some(v.captions.mean_length));
        row("different captions", 0, &|v| Some(v.captions.unique as f64));
        row("novel captions", 4, &|v| v.captions.novel);
        row("self-CIDEr", 4, &|v| v.self_cider);
        row("of pictures", 0, &|v| {
            v.self_cider.map(|_| v.several as f64)
        });
        table.render()
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let corpus = |system: &System| -> Map<String, Value> {
            let scores = system.scores.scores.iter();
            scores
                .map(|score| (score.name.clone(), score.corpus.into()))
                .collect()
        };
        let differences = self.against.as_ref().map(|against| -> Map<String, Value> {
            let all = self.differences(against).into_iter();
            all.map(|(name, found)| (name, json!(found))).collect()
        });
        let mut report = json!({
            "images": self.this.scores.ids.len(), "scores": corpus(&self.this),
            "against": self.against.as_ref().map(corpus), "differences": differences,
            "problems": self.problems, "warnings": self.this.scores.warnings,
        });
        if let Some(variety) = &self.this.variety {
            report["diversity"] = json!(variety);
        }
        if let Some(variety) = self.against.as_ref().and_then(|a| a.variety.as_ref()) {
            report["diversity_against"] = json!(variety);
        }
        report
    }

    /// One line a picture, its scores in columns.
    pub(crate) fn csv(&self) -> String {
        let scores = &self.this.scores;
        let mut csv = "image".to_owned();
        for score in &scores.scores {
            csv.push(',');
            push_quoted(&mut csv, &score.name);
        }
        csv.push('\n');
        for (i, id) in scores.ids.iter().enumerate() {
            push_quoted(&mut csv, id);
            for score in &scores.scores {
                let _ = write!(csv, ",{}", score.images[i]);
            }
            csv.push('\n');
        }
        csv
    }
}

fn push_quoted(csv: &mut String, text: &str) {
    match text.contains(['"', ',', '\n', '\r']) {
        true => {
            let _ = write!(csv, "\"{}\"", text.replace('"', "\"\""));
        }
        false => csv.push_str(text),
    }
}
