//! Optimizers: which rule, its numbers, its running averages, gradient clipping.
//!
//! The arithmetic is one fused pass a parameter (`tensor::update`). NeuralTalk's four solvers and
//! its order of things (`solver.py`, `driver.py`): gradient + L2, divided by the batch size,
//! clipped elementwise, then the rule.

use serde::{Deserialize, Serialize};
use tensor::update::{self, Prepare, Rule};
use tensor::{Element, Tensor};

use crate::Parameters;

/// Which rule, with its numbers. The learning rate is given at each step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "solver", rename_all = "kebab-case")]
pub enum OptimizerConfig {
    /// NeuralTalk's `vanilla`: gradient descent with momentum (0 for none).
    Vanilla {
        /// Share of the last move that is repeated.
        momentum: f64,
    },
    /// Duchi et al. 2011.
    Adagrad {
        /// Smoothing inside the square root.
        smooth_eps: f64,
    },
    /// Zeiler 2012; ignores the learning rate, as NeuralTalk's does.
    Adadelta {
        /// Decay of both averages.
        decay_rate: f64,
        /// Smoothing inside the square roots.
        smooth_eps: f64,
    },
    /// Tieleman & Hinton 2012; NeuralTalk's default.
    Rmsprop {
        /// Decay of the average of squares.
        decay_rate: f64,
        /// Smoothing inside the square root.
        smooth_eps: f64,
    },
    /// Kingma & Ba 2015; AdamW (Loshchilov & Hutter 2019) if `weight_decay` is not 0.
    Adam {
        /// Decay of the average of gradients.
        beta1: f64,
        /// Decay of the average of squares.
        beta2: f64,
        /// Smoothing outside the square root.
        epsilon: f64,
        /// Decoupled decay of regularised weights, times the learning rate.
        weight_decay: f64,
    },
}

/// Limits on the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Clip {
    /// Each element into [-value, value] (NeuralTalk's `grad_clip`).
    pub value: Option<f64>,
    /// The norm of the whole gradient to at most this, before the elements (Pascanu et al. 2013).
    pub norm: Option<f64>,
}

/// A rule with its running averages, for one set of parameters.
#[derive(Debug, Clone)]
pub struct Optimizer<T: Element = f32> {
    config: OptimizerConfig,
    steps: u64,
    averages: Vec<Vec<Tensor<T>>>,
}

impl<T: Element> Optimizer<T> {
    /// All averages 0.
    pub fn new(config: OptimizerConfig, parameters: &Parameters<T>) -> Self {
        let count = config.rule(0.0, 1, false).averages();
        let averages = parameters
            .iter()
            .map(|p| {
                (0..count)
                    .map(|_| Tensor::zeros(p.value.device(), p.value.shape()))
                    .collect()
            })
            .collect();
        Self {
            config,
            steps: 0,
            averages,
        }
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Running averages by parameter and number, for a checkpoint: `name` is `output.weight.0`.
    pub fn state(&self, parameters: &Parameters<T>) -> Vec<(String, Tensor<T>)> {
        parameters
            .iter()
            .zip(&self.averages)
            .flat_map(|(p, averages)| {
                averages
                    .iter()
                    .enumerate()
                    .map(|(k, a)| (format!("{}.{k}", p.name), a.clone()))
            })
            .collect()
    }

    /// Continues from a saved state.
    ///
    /// # Errors
    /// The name of the first average that is missing or has another shape.
    pub fn restore(
        &mut self,
        parameters: &Parameters<T>,
        steps: u64,
        mut saved: impl FnMut(&str) -> Option<Tensor<T>>,
    ) -> Result<(), String> {
        for (p, averages) in parameters.iter().zip(&mut self.averages) {
            for (k, average) in averages.iter_mut().enumerate() {
                let name = format!("{}.{k}", p.name);
                match saved(&name) {
                    Some(value) if value.shape() == p.value.shape() => *average = value,
                    _ => return Err(name),
                }
            }
        }
        self.steps = steps;
        Ok(())
    }

    /// One step: every parameter moves along its gradient, scaled by `scale` (1 / batch size)
    /// after `l2` · w was added for regularised parameters. Returns the gradient's norm if a norm
    /// clip asked for it.
    ///
    /// # Panics
    /// If the gradients don't match the parameters.
    pub fn step(
        &mut self,
        parameters: &mut Parameters<T>,
        gradients: &[Tensor<T>],
        learning_rate: f64,
        scale: f64,
        l2: f64,
        clip: Clip,
    ) -> Option<f64> {
        assert_eq!(
            parameters.len(),
            gradients.len(),
            "one gradient a parameter"
        );
        self.steps += 1;
        let prepare = |scale, regularized: bool| Prepare {
            scale,
            l2: if regularized { l2 } else { 0.0 },
            clip: f64::INFINITY,
        };
        let norm = clip.norm.map(|_| {
            let all = parameters.iter().zip(gradients);
            let all = all.map(|(p, g)| (prepare(scale, p.regularized), &p.value, g));
            update::squared_norm(&all.collect::<Vec<_>>()).sqrt()
        });
        let shrink = match (norm, clip.norm) {
            (Some(norm), Some(limit)) if norm > limit => limit / norm,
            _ => 1.0,
        };
        for ((p, g), averages) in parameters.iter_mut().zip(gradients).zip(&mut self.averages) {
            let prepared = Prepare {
                clip: clip.value.unwrap_or(f64::INFINITY),
                ..prepare(scale * shrink, p.regularized)
            };
            let rule = self.config.rule(learning_rate, self.steps, p.regularized);
            update::apply(&rule, prepared, &mut p.value, g, averages);
        }
        norm
    }
}

impl OptimizerConfig {
    fn rule(&self, learning_rate: f64, step: u64, regularized: bool) -> Rule {
        match *self {
            Self::Vanilla { momentum } => Rule::Momentum {
                learning_rate,
                momentum,
            },
            Self::Adagrad { smooth_eps } => Rule::Adagrad {
                learning_rate,
                epsilon: smooth_eps,
            },
            Self::Adadelta {
                decay_rate,
                smooth_eps,
            } => Rule::Adadelta {
                decay: decay_rate,
                epsilon: smooth_eps,
            },
            Self::Rmsprop {
                decay_rate,
                smooth_eps,
            } => Rule::Rmsprop {
                learning_rate,
                decay: decay_rate,
                epsilon: smooth_eps,
            },
            Self::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            } => Rule::Adam {
                learning_rate,
                beta1,
                beta2,
                epsilon,
                weight_decay: if regularized { weight_decay } else { 0.0 },
                step,
            },
        }
    }
}
