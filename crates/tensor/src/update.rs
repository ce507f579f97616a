//! The optimizer's arithmetic: one fused, parallel pass over a parameter.
//!
//! A pass reads the weight, its gradient and its running averages once and writes them once:
//! scaling, L2, elementwise clipping and the rule itself need no pass of their own. Not here:
//! which parameters there are, schedules, the norm clip's bookkeeping (`nn::optimizer`).
//!
//! Rules as in NeuralTalk's `solver.py` (smoothing *inside* the square root, no warm start of
//! the averages); Adam of Kingma & Ba 2015, AdamW of Loshchilov & Hutter 2019.

use rayon::prelude::*;

use crate::parallel::PIECE;
use crate::simd::vectorized;
use crate::{Element, Tensor, gpu};

/// How a raw gradient becomes the one that a rule sees: clip((g + l2 · w) · scale).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prepare {
    /// 1 / batch size, or the factor of a norm clip, or both.
    pub scale: f64,
    /// Weight of 0.5 Σ w² in the loss, before scaling; 0 for parameters without regularisation.
    pub l2: f64,
    /// Largest absolute value of an element; infinity for none.
    pub clip: f64,
}

/// How a weight moves; every number is plain, every average starts at 0.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Rule {
    /// v ← momentum · v - lr · g; w += v.
    Momentum { learning_rate: f64, momentum: f64 },
    /// a += g²; w -= lr · g / √(a + ε).
    Adagrad { learning_rate: f64, epsilon: f64 },
    /// a ← ρ a + (1-ρ) g²; w -= lr · g / √(a + ε).
    Rmsprop {
        learning_rate: f64,
        decay: f64,
        epsilon: f64,
    },
    /// a as in RMSprop; d = -√(b + ε) · g / √(a + ε); b ← ρ b + (1-ρ) d²; w += d.
    Adadelta { decay: f64, epsilon: f64 },
    /// Adam with decoupled weight decay (0 for plain Adam); `step` counts from 1.
    Adam {
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        weight_decay: f64,
        step: u64,
    },
}

impl Rule {
    /// How many running averages the rule keeps for each weight.
    pub fn averages(&self) -> usize {
        match self {
            Self::Momentum { .. } | Self::Adagrad { .. } | Self::Rmsprop { .. } => 1,
            Self::Adadelta { .. } | Self::Adam { .. } => 2,
        }
    }
}

/// Moves `weight` along `gradient` by `rule`, updating its `averages`.
///
/// # Panics
/// If the shapes differ or the number of averages is not [`Rule::averages`].
pub fn apply<T: Element>(
    rule: &Rule,
    prepare: Prepare,
    weight: &mut Tensor<T>,
    gradient: &Tensor<T>,
    averages: &mut [Tensor<T>],
) {
    assert_eq!(weight.shape(), gradient.shape(), "gradient of a parameter");
    assert_eq!(
        averages.len(),
        rule.averages(),
        "running averages of a rule"
    );
    if let Some(gpu) = weight.device().gpu_for::<T>().cloned() {
        return gpu::apply(&gpu, rule, prepare, weight, gradient, averages);
    }
    match *rule {
        Rule::Momentum {
            learning_rate,
            momentum,
        } => {
            let (lr, m) = (T::of(learning_rate), T::of(momentum));
            pass(prepare, weight, gradient, averages, move |w, g, [v]| {
                let v = m * v - lr * g;
                (w + v, [v])
            });
        }
        Rule::Adagrad {
            learning_rate,
            epsilon,
        } => {
            let (lr, eps) = (T::of(learning_rate), T::of(epsilon));
            pass(prepare, weight, gradient, averages, move |w, g, [a]| {
                let a = a + g * g;
                (w - lr * g / (a + eps).square_root(), [a])
            });
        }
        Rule::Rmsprop {
            learning_rate,
            decay,
            epsilon,
        } => {
            let (lr, eps) = (T::of(learning_rate), T::of(epsilon));
            let (rho, rest) = (T::of(decay), T::of(1.0 - decay));
            pass(prepare, weight, gradient, averages, move |w, g, [a]| {
                let a = rho * a + rest * (g * g);
                (w - lr * g / (a + eps).square_root(), [a])
            });
        }
        Rule::Adadelta { decay, epsilon } => {
            let eps = T::of(epsilon);
            let (rho, rest) = (T::of(decay), T::of(1.0 - decay));
            pass(prepare, weight, gradient, averages, move |w, g, [a, b]| {
                let a = rho * a + rest * (g * g);
                let d = -((b + eps).square_root() * g) / (a + eps).square_root();
                let b = rho * b + rest * (d * d);
                (w + d, [a, b])
            });
        }
        Rule::Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            step,
        } => {
            let AdamStep { rate, unbias, keep } =
                AdamStep::new(learning_rate, [beta1, beta2], weight_decay, step);
            let (lr, unbias, keep) = (T::of(rate), T::of(unbias), T::of(keep));
            let eps = T::of(epsilon);
            let (b1, r1) = (T::of(beta1), T::of(1.0 - beta1));
            let (b2, r2) = (T::of(beta2), T::of(1.0 - beta2));
            pass(prepare, weight, gradient, averages, move |w, g, [m, v]| {
                let m = b1 * m + r1 * g;
                let v = b2 * v + r2 * (g * g);
                (
                    keep * w - lr * m / ((v * unbias).square_root() + eps),
                    [m, v],
                )
            });
        }
    }
}

/// What is the same for all weights of one step of Adam.
pub(crate) struct AdamStep {
    /// The learning rate over what the first average lacks.
    pub(crate) rate: f64,
    /// What the second average is to be multiplied with.
    pub(crate) unbias: f64,
    /// What decay leaves of a weight.
    pub(crate) keep: f64,
}

impl AdamStep {
    pub(crate) fn new(learning_rate: f64, betas: [f64; 2], weight_decay: f64, step: u64) -> Self {
        let [first, second] = betas.map(|beta| 1.0 - beta.powf(step as f64));
        Self {
            rate: learning_rate / first,
            unbias: 1.0 / second,
            keep: 1.0 - learning_rate * weight_decay,
        }
    }
}

fn pass<T: Element, const K: usize>(
    prepare: Prepare,
    weight: &mut Tensor<T>,
    gradient: &Tensor<T>,
    averages: &mut [Tensor<T>],
    rule: impl Fn(T, T, [T; K]) -> (T, [T; K]) + Sync,
) {
    assert_eq!(averages.len(), K, "running averages of a rule");
    let device = weight.device().clone();
    let mut averages = averages.iter_mut();
    let averages: [&mut [T]; K] = std::array::from_fn(|_| {
        averages
            .next()
            .expect("their number was checked")
            .data_mut()
    });
    let gradient = gradient.data();
    let ready = Ready::new(prepare);
    let mut jobs = Vec::new();
    let mut rests = averages;
    for (i, w) in weight.data_mut().chunks_mut(PIECE).enumerate() {
        let heads = rests.each_mut().map(|rest| {
            let (head, tail) = std::mem::take(rest).split_at_mut(w.len());
            *rest = tail;
            head
        });
        jobs.push((w, &gradient[i * PIECE..], heads));
    }
    device.install(|| {
        jobs.into_par_iter().for_each(|(w, g, averages)| {
            vectorized(
                #[inline(always)]
                || {
                    // Equal lengths, stated once: a bounds check within the loop would keep it from being vectorised.
                    let n = w.len();
                    let g = &g[..n];
                    let averages = averages.map(|average| &mut average[..n]);
                    for j in 0..n {
                        let used = ready.gradient(w[j], g[j]);
                        let now = std::array::from_fn(|k| averages[k][j]);
                        let (moved, next) = rule(w[j], used, now);
                        w[j] = moved;
                        for k in 0..K {
                            averages[k][j] = next[k];
                        }
                    }
                },
            );
        });
    });
}

/// [`Prepare`] in the weights' own type.
#[derive(Clone, Copy)]
struct Ready<T> {
    scale: T,
    l2: T,
    clip: T,
}

impl<T: Element> Ready<T> {
    fn new(prepare: Prepare) -> Self {
        Self {
            scale: T::of(prepare.scale),
            l2: T::of(prepare.l2),
            clip: T::of(prepare.clip),
        }
    }

    /// NaN passes through, so that divergence is seen.
    #[inline(always)]
    fn gradient(self, w: T, g: T) -> T {
        let g = (g + self.l2 * w) * self.scale;
        let g = if g > self.clip { self.clip } else { g };
        if g < -self.clip { -self.clip } else { g }
    }
}

/// A parameter's gradient as a rule would see it: how it is prepared, weight, raw gradient.
pub type Prepared<'a, T> = (Prepare, &'a Tensor<T>, &'a Tensor<T>);

/// Σ of squares of the prepared gradients of all parameters: what a norm clip needs. Pieces are summed in order; a GPU is waited
/// for once.
pub fn squared_norm<T: Element>(parameters: &[Prepared<'_, T>]) -> f64 {
    let gpu = parameters
        .first()
        .and_then(|(_, w, _)| w.device().gpu_for::<T>());
    if let Some(gpu) = gpu {
        return gpu::squared_norm(gpu, parameters);
    }
    let each = parameters.iter();
    each.map(|&(prepare, weight, gradient)| squares(prepare, weight, gradient))
        .sum()
}

fn squares<T: Element>(prepare: Prepare, weight: &Tensor<T>, gradient: &Tensor<T>) -> f64 {
    let ready = Ready::new(prepare);
    weight.device().install(|| {
        let pieces: Vec<f64> = weight
            .data()
            .par_chunks(PIECE)
            .zip(gradient.data().par_chunks(PIECE))
            .map(|(w, g)| {
                vectorized(
                    #[inline(always)]
                    || {
                        let mut lanes = [0.0f64; 16];
                        for (w, g) in w.chunks(16).zip(g.chunks(16)) {
                            for ((lane, &w), &g) in lanes.iter_mut().zip(w).zip(g) {
                                let x = ready.gradient(w, g).to_f64();
                                *lane += x * x;
                            }
                        }
                        lanes.iter().sum()
                    },
                )
            })
            .collect();
        pieces.iter().sum()
    })
}

/// Σ w² over all weights, for the reported cost of regularisation; a GPU is waited for once.
pub fn squared_sum<'a, T: Element>(weights: impl IntoIterator<Item = &'a Tensor<T>>) -> f64 {
    let as_it_is = Prepare {
        scale: 1.0,
        l2: 0.0,
        clip: f64::INFINITY,
    };
    // A weight in its gradient's place.
    let all: Vec<_> = weights.into_iter().map(|w| (as_it_is, w, w)).collect();
    squared_norm(&all)
}

/// sum += one: gradients of the parts of a batch.
///
/// # Panics
/// If the shapes differ.
pub fn add<T: Element>(sum: &mut Tensor<T>, one: &Tensor<T>) {
    crate::ops::add_assign(sum, one);
}
