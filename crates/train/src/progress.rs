//! Where a run stands, besides weights and running averages.
//!
//! Here: the counters that decide what happens next, as pure functions of options and counters,
//! so that a resumed run decides as the first one did. Saved in `last`, bit for bit.

use serde::{Deserialize, Serialize};

use crate::event::Reason;
use crate::options::{Objective, Options, Select};
use crate::step::Cost;

/// Steps that the running average of the reward looks back.
const REWARD_STEPS: u64 = 100;

/// Counters of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Steps taken.
    pub(crate) iteration: u64,
    /// Running average of the batches' perplexity.
    pub(crate) smooth_ppl2: Option<f64>,
    /// Mean reward of about the last [`REWARD_STEPS`] steps, where there are rewards.
    #[serde(default)]
    pub(crate) smooth_reward: Option<f64>,
    /// The highest that it was after as many steps.
    #[serde(default)]
    pub(crate) best_reward: Option<f64>,
    /// Total cost of the first batch.
    pub(crate) first_cost: Option<f64>,
    /// Perplexity of the newest evaluation.
    pub(crate) val_ppl2: Option<f64>,
    /// Best value of what `select` names.
    pub(crate) best: Option<f64>,
    /// The best value that `best` was written for; NeuralTalk's `top_val_ppl2`.
    pub(crate) written: Option<f64>,
    /// Evaluations since `best` changed.
    pub(crate) since_best: u64,
}

/// How long a run is and when it evaluates; all in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) iterations_per_epoch: u64,
    pub(crate) total_iterations: u64,
    pub(crate) eval_every: u64,
}

impl Plan {
    pub(crate) fn new(options: &Options, iterations_per_epoch: u64) -> Self {
        // Python's int(): towards zero.
        let period = (iterations_per_epoch as f64 * options.eval_period) as u64;
        Self {
            iterations_per_epoch,
            total_iterations: iterations_per_epoch.saturating_mul(options.max_epochs),
            eval_every: period.max(1),
        }
    }

    /// Whether an evaluation follows step `it` (from 0). Source: `driver.py`; none in the last
    /// five steps but the last, because that one is evaluated anyway.
    pub(crate) fn evaluates_after(&self, it: u64) -> bool {
        let last = it + 1 == self.total_iterations;
        last || ((it + 1).is_multiple_of(self.eval_every) && it + 5 < self.total_iterations)
    }

    /// The epoch that ends with `iterations` steps, if it is one of the last `keep`.
    pub(crate) fn kept_epoch(&self, iterations: u64, keep: u64) -> Option<u64> {
        let epoch = iterations / self.iterations_per_epoch;
        let left = self.total_iterations.saturating_sub(iterations) / self.iterations_per_epoch;
        let kept = 0 < epoch && iterations.is_multiple_of(self.iterations_per_epoch) && left < keep;
        kept.then_some(epoch)
    }

    pub(crate) fn epoch(&self, iterations: u64) -> f64 {
        iterations as f64 / self.iterations_per_epoch as f64
    }
}

impl Progress {
    /// Takes note of a batch's cost before its update; what went wrong if the run has diverged.
    ///
    /// A self-critical cost is a difference of about 0 and says nothing; there the reward must not collapse.
    pub(crate) fn diverged(&mut self, options: &Options, cost: &Cost) -> Option<String> {
        let total = cost.total();
        let critical = options.objective == Objective::SelfCritical;
        let problem = match self.first_cost {
            _ if !total.is_finite() => format!("the cost of a batch is {total}"),
            _ if critical => {
                let (Some(now), Some(best)) = (self.smooth_reward, self.best_reward) else {
                    return None;
                };
                if now >= 0.5 * best {
                    return None;
                }
                format!("the mean reward is {now:.4}, less than half of the best, {best:.4}")
            }
            Some(first) if total > 2.0 * first => {
                format!(
                    "the cost of a batch is {total:.4}, more than twice its first value {first:.4}"
                )
            }
            _ => {
                self.first_cost.get_or_insert(total);
                return None;
            }
        };
        Some(format!("{problem}; {ADVICE}"))
    }

    /// Counts a step.
    pub(crate) fn step(&mut self, ppl2: f64, reward: Option<f64>) {
        self.iteration += 1;
        if let Some(reward) = reward {
            // The plain mean at first: one lucky batch must not be what later ones are measured by.
            let new = 1.0 / self.iteration.min(REWARD_STEPS) as f64;
            let smooth = (1.0 - new) * self.smooth_reward.unwrap_or(0.0) + new * reward;
            self.smooth_reward = Some(smooth);
            if self.iteration >= REWARD_STEPS {
                self.best_reward = Some(self.best_reward.map_or(smooth, |best| best.max(smooth)));
            }
        }
        self.smooth_ppl2 = Some(match self.smooth_ppl2 {
            Some(smooth) => 0.99 * smooth + 0.01 * ppl2,
            None => ppl2,
        });
    }

    /// Counts an evaluation; true if `best` is to be written.
    pub(crate) fn evaluated(&mut self, options: &Options, ppl2: f64, selected: f64) -> bool {
        self.val_ppl2 = Some(ppl2);
        let beats = |old: Option<f64>| match (old, options.select) {
            (None, _) => true,
            (Some(old), Select::Ppl) => selected < old,
            (Some(old), Select::Bleu4 | Select::Cider) => selected > old,
        };
        if beats(self.best) {
            self.best = Some(selected);
            self.since_best = 0;
        } else {
            self.since_best += 1;
        }
        let threshold = options.write_checkpoint_ppl_threshold;
        let write = beats(self.written) && (threshold < 0.0 || ppl2 < threshold);
        if write {
            self.written = Some(selected);
        }
        write
    }

    /// Why the run is over, if it is.
    pub(crate) fn ended(&self, options: &Options, plan: &Plan) -> Option<Reason> {
        let limit = options.min_ppl_or_abort;
        if limit > 0.0 && self.val_ppl2.is_some_and(|ppl2| ppl2 > limit) {
            return Some(Reason::MinPplOrAbort);
        }
        if options.early_stopping > 0 && self.since_best >= options.early_stopping {
            return Some(Reason::EarlyStopping);
        }
        (self.iteration >= plan.total_iterations).then_some(Reason::MaxEpochs)
    }
}

/// What a user can do about divergence.
pub(crate) const ADVICE: &str = "try a lower learning-rate, a smaller grad-clip or grad-clip-norm, \
     or warmup-steps; check that the features have no extreme numbers";

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(total: f64) -> Cost {
        Cost {
            loss: total,
            regularization: 0.0,
            ppl2: 2.0,
        }
    }

    #[test]
    fn evaluations_follow_driver_py() {
        // The golden traces: 20 steps an epoch, two epochs, eval_period 0.5.
        let options = Options {
            max_epochs: 2,
            eval_period: 0.5,
            ..Options::default()
        };
        let plan = Plan::new(&options, 20);
        let due: Vec<u64> = (0..40).filter(|&it| plan.evaluates_after(it)).collect();
        assert_eq!(due, [9, 19, 29, 39]);
        // it < max_iters - 5 leaves out 35, and the last step is always evaluated.
        let plan = Plan {
            eval_every: 6,
            ..plan
        };
        let due: Vec<u64> = (0..40).filter(|&it| plan.evaluates_after(it)).collect();
        assert_eq!(due, [5, 11, 17, 23, 29, 39]);
        let short = Plan::new(&options, 1);
        assert_eq!(
            (0..2)
                .filter(|&it| short.evaluates_after(it))
                .collect::<Vec<_>>(),
            [1]
        );
    }

    #[test]
    fn the_cost_may_double_but_not_more() {
        let options = Options::default();
        let mut progress = Progress::default();
        assert_eq!(progress.diverged(&options, &cost(10.0)), None);
        assert_eq!(progress.diverged(&options, &cost(20.0)), None);
        let message = progress.diverged(&options, &cost(20.5)).expect("diverged");
        assert!(
            message.contains("20.5") && message.contains("10.0"),
            "{message}"
        );
        assert!(progress.diverged(&options, &cost(f64::NAN)).is_some());
        assert!(
            Progress::default()
                .diverged(&options, &cost(f64::INFINITY))
                .is_some()
        );
        assert_eq!(progress.first_cost, Some(10.0));
    }

    #[test]
    fn smoothing_starts_at_the_first_value() {
        let mut progress = Progress::default();
        progress.step(100.0, None);
        assert_eq!(progress.smooth_ppl2, Some(100.0));
        progress.step(50.0, None);
        assert_eq!(progress.smooth_ppl2, Some(0.99 * 100.0 + 0.01 * 50.0));
    }

    #[test]
    fn best_threshold_patience_and_abort() {
        let options = Options {
            write_checkpoint_ppl_threshold: 8.0,
            early_stopping: 2,
            min_ppl_or_abort: 50.0,
            ..Options::default()
        };
        let plan = Plan::new(&options, 10);
        let mut p = Progress::default();
        assert!(!p.evaluated(&options, 9.0, 9.0), "above the threshold");
        assert_eq!((p.best, p.written), (Some(9.0), None));
        assert!(p.evaluated(&options, 7.0, 7.0));
        assert!(!p.evaluated(&options, 7.0, 7.0), "as good is not better");
        assert_eq!(p.ended(&options, &plan), None);
        assert!(!p.evaluated(&options, 7.5, 7.5));
        assert_eq!(p.ended(&options, &plan), Some(Reason::EarlyStopping));
        assert!(!p.evaluated(&options, 50.1, 50.1));
        assert_eq!(p.ended(&options, &plan), Some(Reason::MinPplOrAbort));
        let done = Progress {
            iteration: plan.total_iterations,
            ..Progress::default()
        };
        assert_eq!(done.ended(&options, &plan), Some(Reason::MaxEpochs));
    }

    #[test]
    fn a_score_is_better_when_it_is_higher() {
        let options = Options {
            select: Select::Bleu4,
            ..Options::default()
        };
        let mut p = Progress::default();
        assert!(p.evaluated(&options, 5.0, 0.1));
        assert!(p.evaluated(&options, 6.0, 0.2));
        assert!(!p.evaluated(&options, 4.0, 0.15));
        assert_eq!(p.best, Some(0.2));
    }
}
