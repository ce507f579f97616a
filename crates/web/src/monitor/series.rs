//! Numbers over the steps of a run, and fewer of them for a screen.
//!
//! Here: columns of a fixed set of measures, cutting back after a resume, means over stretches. Not
//! here: smoothing, which is the page's.

use serde::Serialize;
use std::collections::BTreeMap;

/// Measures of a step, in the order of [`STEP`].
pub(crate) const STEP: [&str; 6] = [
    "loss",
    "ppl",
    "smooth_ppl",
    "learning_rate",
    "gradient_norm",
    "seconds",
];

/// One row: steps taken, epochs, a number for each measure (NaN where there is none).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) iteration: f64,
    pub(crate) epoch: f64,
    pub(crate) measures: [f32; STEP.len()],
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Evaluation {
    pub(crate) iteration: f64,
    pub(crate) epoch: f64,
    pub(crate) ppl: Option<f64>,
    pub(crate) scores: BTreeMap<String, f64>,
}

/// All that was measured in a run, in the order of the steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    pub(crate) points: Vec<Point>,
    pub(crate) evaluations: Vec<Evaluation>,
}

/// What the page draws: columns of equal length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Curves {
    pub(crate) iteration: Vec<f64>,
    pub(crate) epoch: Vec<f64>,
    pub(crate) measures: BTreeMap<&'static str, Vec<Option<f32>>>,
    pub(crate) evaluations: Vec<Evaluation>,
}

impl Series {
    /// Adds a step. A resumed run does steps again: what came after is forgotten.
    pub(crate) fn push(&mut self, point: Point) {
        self.cut(point.iteration);
        self.points.push(point);
    }

    /// Adds an evaluation, which comes after the step of the same number.
    pub(crate) fn evaluate(&mut self, evaluation: Evaluation) {
        let old = |e: &Evaluation| evaluation.iteration <= e.iteration;
        while self.evaluations.last().is_some_and(old) {
            self.evaluations.pop();
        }
        self.evaluations.push(evaluation);
    }

    fn cut(&mut self, iteration: f64) {
        while self.points.last().is_some_and(|p| iteration <= p.iteration) {
            self.points.pop();
        }
        let old = |e: &Evaluation| iteration <= e.iteration;
        while self.evaluations.last().is_some_and(old) {
            self.evaluations.pop();
        }
    }

    /// At most `most` points of the steps from `from` to `to`, each the mean of a stretch; all
    /// evaluations (there are few).
    pub(crate) fn curves(&self, from: f64, to: f64, most: usize) -> Curves {
        let start = self.points.partition_point(|p| p.iteration < from);
        let end = self.points.partition_point(|p| p.iteration <= to);
        let points = &self.points[start..end.max(start)];
        let stretch = points.len().div_ceil(most.max(1)).max(1);
        let mut curves = Curves {
            iteration: Vec::new(),
            epoch: Vec::new(),
            measures: STEP.map(|name| (name, Vec::new())).into(),
            evaluations: self.evaluations.clone(),
        };
        for chunk in points.chunks(stretch) {
            let last = chunk[chunk.len() - 1];
            curves.iteration.push(last.iteration);
            curves.epoch.push(last.epoch);
            for (m, name) in STEP.iter().enumerate() {
                let column = curves.measures.get_mut(name).expect("made above");
                column.push(mean(chunk.iter().map(|point| point.measures[m])));
            }
        }
        curves
    }
}

/// Of the numbers that are finite; none if there are none.
fn mean(values: impl Iterator<Item = f32>) -> Option<f32> {
    let finite = values.filter(|value| value.is_finite());
    let (sum, n) = finite.fold((0.0, 0.0), |(sum, n), v| (sum + f64::from(v), n + 1.0));
    (0.0 < n).then(|| (sum / n) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(iteration: f64, value: f32) -> Point {
        Point {
            iteration,
            epoch: iteration / 10.0,
            measures: [value; STEP.len()],
        }
    }

    fn evaluation(iteration: f64) -> Evaluation {
        Evaluation {
            iteration,
            epoch: iteration / 10.0,
            ppl: Some(2.0),
            scores: BTreeMap::new(),
        }
    }

    #[test]
    fn steps_that_are_done_again_replace_the_old_ones() {
        let mut series = Series::default();
        for i in 1..=6 {
            series.push(point(f64::from(i), i as f32));
            if i % 2 == 0 {
                series.evaluate(evaluation(f64::from(i)));
            }
        }
        series.push(point(4.0, 40.0));
        let curves = series.curves(0.0, f64::INFINITY, 100);
        assert_eq!(curves.iteration, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(curves.measures["loss"][3], Some(40.0));
        assert_eq!(curves.evaluations, [evaluation(2.0)]);
    }

    /// The oracle: every stretch summed by hand, for all lengths and widths that matter.
    #[test]
    fn fewer_points_are_means_of_stretches() {
        for n in 0..40u32 {
            let mut series = Series::default();
            for i in 1..=n {
                let value = if i % 7 == 0 { f32::NAN } else { i as f32 };
                series.push(point(f64::from(i), value));
            }
            for most in 1..12 {
                let curves = series.curves(3.0, 30.0, most);
                let kept: Vec<u32> = (3..=30).filter(|i| *i <= n).collect();
                assert!(curves.iteration.len() <= most);
                let mut at = 0;
                for (k, &iteration) in curves.iteration.iter().enumerate() {
                    let mut values = Vec::new();
                    while at < kept.len() && f64::from(kept[at]) <= iteration {
                        if !kept[at].is_multiple_of(7) {
                            values.push(f64::from(kept[at]));
                        }
                        at += 1;
                    }
                    let want = match values.len() {
                        0 => None,
                        n => Some((values.iter().sum::<f64>() / n as f64) as f32),
                    };
                    assert_eq!(curves.measures["ppl"][k], want, "n {n} most {most} k {k}");
                }
                assert_eq!(at, kept.len(), "every step is in a stretch");
            }
        }
    }
}
