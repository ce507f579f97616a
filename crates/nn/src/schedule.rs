//! The learning rate as a function of the step.

use serde::{Deserialize, Serialize};

/// How the learning rate changes over training; a factor on the base rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case")]
pub enum Schedule {
    /// NeuralTalk's: the same rate throughout.
    Constant,
    /// Half a cosine from 1 to `floor` at the last step (Loshchilov & Hutter 2017).
    Cosine {
        /// Factor at the end.
        floor: f64,
    },
    /// Multiplied by `factor` every `every` steps.
    Step {
        /// Steps between two drops.
        every: u64,
        /// What each drop multiplies with.
        factor: f64,
    },
}

impl Schedule {
    /// The factor at `step` (from 0) of `total`, after a linear warm-up over `warmup` steps.
    pub fn factor(&self, step: u64, total: u64, warmup: u64) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / (warmup + 1) as f64;
        }
        match *self {
            Self::Constant => 1.0,
            Self::Cosine { floor } => {
                let span = total.saturating_sub(warmup).max(1) as f64;
                let done = ((step - warmup) as f64 / span).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Self::Step { every, factor } => factor.powf(((step - warmup) / every.max(1)) as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_meets_the_schedule_and_cosine_ends_at_its_floor() {
        let cosine = Schedule::Cosine { floor: 0.1 };
        assert!((cosine.factor(0, 100, 9) - 0.1).abs() < 1e-12);
        assert!((cosine.factor(8, 100, 9) - 0.9).abs() < 1e-12);
        assert!((cosine.factor(9, 100, 9) - 1.0).abs() < 1e-12);
        assert!((cosine.factor(50, 100, 0) - 0.55).abs() < 1e-12);
        assert!((cosine.factor(100, 100, 9) - 0.1).abs() < 1e-12);
        assert!((cosine.factor(1000, 100, 9) - 0.1).abs() < 1e-12);
        let mut last = f64::INFINITY;
        for step in 9..=100 {
            let now = cosine.factor(step, 100, 9);
            assert!(now < last, "falls at {step}");
            last = now;
        }
        assert_eq!(Schedule::Constant.factor(77, 100, 0), 1.0);
        let step = Schedule::Step {
            every: 10,
            factor: 0.5,
        };
        assert_eq!(
            [0, 9, 10, 25].map(|s| step.factor(s, 100, 0)),
            [1.0, 1.0, 0.5, 0.25]
        );
    }
}
