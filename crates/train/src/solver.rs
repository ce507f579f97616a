//! Options to the optimizer, the limits on the gradient, the learning rate and the decoder.
//!
//! Here: the names of `driver.py` to the types of `nn` and `models`. Not here: their arithmetic.

use models::{AttentionConfig, DecoderConfig, LstmConfig, RnnConfig};
use nn::{Clip, OptimizerConfig, Schedule};

use crate::options::{Generator, Options, ScheduleKind, Solver};
use crate::progress::Plan;

impl Options {
    /// The decoder's optimizer with its numbers.
    pub fn optimizer(&self) -> OptimizerConfig {
        self.rule(self.solver, self.weight_decay)
    }

    /// The encoder's.
    pub fn encoder_optimizer(&self) -> OptimizerConfig {
        self.rule(self.encoder_solver, self.encoder_weight_decay)
    }

    fn rule(&self, solver: Solver, weight_decay: f64) -> OptimizerConfig {
        let (decay_rate, smooth_eps) = (self.decay_rate, self.smooth_eps);
        let adam = |weight_decay| OptimizerConfig::Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: smooth_eps,
            weight_decay,
        };
        match solver {
            Solver::Vanilla => OptimizerConfig::Vanilla {
                momentum: self.momentum,
            },
            Solver::Adagrad => OptimizerConfig::Adagrad { smooth_eps },
            Solver::Adadelta => OptimizerConfig::Adadelta {
                decay_rate,
                smooth_eps,
            },
            Solver::Rmsprop => OptimizerConfig::Rmsprop {
                decay_rate,
                smooth_eps,
            },
            Solver::Adam => adam(0.0),
            Solver::Adamw => adam(weight_decay),
        }
    }

    /// The limits on the gradient.
    pub fn clip(&self) -> Clip {
        let positive = |limit: f64| (limit > 0.0).then_some(limit);
        Clip {
            value: positive(self.grad_clip),
            norm: positive(self.grad_clip_norm),
        }
    }

    /// The limit on the encoder's gradient.
    pub fn encoder_clip(&self) -> Clip {
        let limit = self.encoder_grad_clip_norm;
        Clip {
            value: None,
            norm: (limit > 0.0).then_some(limit),
        }
    }

    /// The decoder for D = `feature` and V = `vocabulary`.
    pub fn decoder(&self, feature: usize, vocabulary: usize) -> DecoderConfig {
        let (embedding, hidden) = (self.word_encoding_size, self.hidden_size);
        match self.generator {
            Generator::Lstm => DecoderConfig::Lstm(LstmConfig {
                feature,
                embedding,
                hidden,
                vocabulary,
                tanh_c: self.tanhc_version == 1,
            }),
            Generator::Rnn => DecoderConfig::Rnn(RnnConfig {
                feature,
                embedding,
                hidden,
                vocabulary,
                relu_encoders: self.rnn_relu_encoders == 1,
                feed_once: self.rnn_feed_once == 1,
            }),
            Generator::Attention => DecoderConfig::Attention(AttentionConfig {
                feature,
                projection: self.image_encoding_size,
                embedding,
                hidden,
                attention: self.attention_size,
                vocabulary,
            }),
        }
    }

    /// Takes over the sizes and switches of a decoder; returns the options that change, as text.
    pub(crate) fn adopt(&mut self, decoder: &DecoderConfig) -> Vec<String> {
        let before = self.clone();
        match decoder {
            DecoderConfig::Lstm(c) => {
                self.generator = Generator::Lstm;
                self.image_encoding_size = c.embedding;
                self.word_encoding_size = c.embedding;
                self.hidden_size = c.hidden;
                self.tanhc_version = c.tanh_c.into();
            }
            DecoderConfig::Rnn(c) => {
                self.generator = Generator::Rnn;
                self.image_encoding_size = c.hidden;
                self.word_encoding_size = c.embedding;
                self.hidden_size = c.hidden;
                self.rnn_relu_encoders = c.relu_encoders.into();
                self.rnn_feed_once = c.feed_once.into();
            }
            DecoderConfig::Attention(c) => {
                self.generator = Generator::Attention;
                self.image_encoding_size = c.projection;
                self.word_encoding_size = c.embedding;
                self.hidden_size = c.hidden;
                self.attention_size = c.attention;
            }
        }
        let (was, now) = (before.params(), self.params());
        now.iter()
            .filter(|(name, value)| was.get(*name) != Some(*value))
            .map(|(name, value)| format!("{} = {value}", name.replace('_', "-").to_lowercase()))
            .collect()
    }

    /// The learning rate of step `it` (from 0).
    pub(crate) fn learning_rate_at(&self, it: u64, plan: &Plan) -> f64 {
        let schedule = match self.learning_rate_schedule {
            ScheduleKind::Constant => Schedule::Constant,
            ScheduleKind::Cosine => Schedule::Cosine {
                floor: self.learning_rate_floor,
            },
            ScheduleKind::Step => Schedule::Step {
                every: ((self.learning_rate_step_epochs * plan.iterations_per_epoch as f64) as u64)
                    .max(1),
                factor: self.learning_rate_factor,
            },
        };
        let total = match self.learning_rate_epochs > 0.0 {
            true => (self.learning_rate_epochs * plan.iterations_per_epoch as f64) as u64,
            false => plan.total_iterations,
        };
        self.learning_rate * schedule.factor(it, total, self.warmup_steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_drops_by_epochs_and_warms_up_by_steps() {
        let options = Options {
            learning_rate: 0.1,
            learning_rate_schedule: ScheduleKind::Step,
            learning_rate_step_epochs: 2.0,
            learning_rate_factor: 0.5,
            warmup_steps: 3,
            ..Options::default()
        };
        let plan = Plan::new(&options, 10);
        let rates = [0, 2, 3, 22, 23].map(|it| options.learning_rate_at(it, &plan));
        for (rate, want) in rates.iter().zip([0.025, 0.075, 0.1, 0.1, 0.05]) {
            assert!((rate - want).abs() < 1e-15, "{rates:?}");
        }
    }

    #[test]
    fn a_schedule_may_be_longer_or_shorter_than_the_run() {
        let mut options = Options {
            learning_rate: 1.0,
            learning_rate_schedule: ScheduleKind::Cosine,
            max_epochs: 2,
            ..Options::default()
        };
        let plan = Plan::new(&options, 10);
        for (epochs, at_10, at_20) in [
            (0.0, 0.5, 0.0),
            (2.0, 0.5, 0.0),
            (4.0, 0.853_553, 0.5),
            (1.0, 0.0, 0.0),
        ] {
            options.learning_rate_epochs = epochs;
            let rates = [10, 20].map(|it| options.learning_rate_at(it, &plan));
            let right = (rates[0] - at_10).abs() < 1e-6 && (rates[1] - at_20).abs() < 1e-6;
            assert!(right, "{epochs}: {rates:?}");
        }
    }

    #[test]
    fn a_checkpoint_decides_the_sizes() {
        let mut options = Options::default();
        let decoder = DecoderConfig::Lstm(LstmConfig {
            feature: 7,
            embedding: 24,
            hidden: 24,
            vocabulary: 9,
            tanh_c: true,
        });
        let changes = options.adopt(&decoder);
        assert_eq!(options.decoder(7, 9), decoder);
        assert_eq!(
            changes.join(", "),
            "image-encoding-size = 24, word-encoding-size = 24, hidden-size = 24, tanhc-version = 1"
        );
        assert!(options.adopt(&decoder).is_empty());
    }
}
