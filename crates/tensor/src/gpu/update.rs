//! The optimizers' passes; formulas in `update.rs` above.

use std::sync::Arc;

use cuda::{Gpu, kernels};

use crate::update::{Prepare, Rule};
use crate::{Element, Tensor};

fn numbers(prepare: Prepare) -> [f32; 3] {
    [prepare.scale, prepare.l2, prepare.clip].map(|x| x as f32)
}

/// The rule with the numbers c1 .. c8 that the kernel reads.
fn rule(rule: &Rule) -> kernels::Rule {
    let c = |numbers: [f64; 8]| numbers.map(|x| x as f32);
    match *rule {
        Rule::Momentum {
            learning_rate,
            momentum,
        } => kernels::Rule::Momentum(c([learning_rate, momentum, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])),
        Rule::Adagrad {
            learning_rate,
            epsilon,
        } => kernels::Rule::Adagrad(c([learning_rate, epsilon, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])),
        Rule::Rmsprop {
            learning_rate,
            decay,
            epsilon,
        } => kernels::Rule::Rmsprop(c([
            learning_rate,
            epsilon,
            decay,
            1.0 - decay,
            0.0,
            0.0,
            0.0,
            0.0,
        ])),
        Rule::Adadelta { decay, epsilon } => {
            kernels::Rule::Adadelta(c([0.0, epsilon, decay, 1.0 - decay, 0.0, 0.0, 0.0, 0.0]))
        }
        Rule::Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            step,
        } => {
            let t = step as f64;
            kernels::Rule::Adam(c([
                learning_rate / (1.0 - beta1.powf(t)),
                epsilon,
                beta1,
                beta2,
                1.0 / (1.0 - beta2.powf(t)),
                1.0 - beta1,
                1.0 - beta2,
                1.0 - learning_rate * weight_decay,
            ]))
        }
    }
}

/// As [`crate::update::apply`], which has checked the shapes.
pub(crate) fn apply<T: Element>(
    gpu: &Arc<Gpu>,
    by: &Rule,
    prepare: Prepare,
    weight: &mut Tensor<T>,
    gradient: &Tensor<T>,
    averages: &mut [Tensor<T>],
) {
    let mut averages = averages.iter_mut().map(|a| a.array_mut().all_mut());
    let (a, mut b) = (averages.next(), averages.next());
    let mut a = a.expect("every rule has an average");
    kernels::update(
        gpu,
        rule(by),
        numbers(prepare),
        &mut weight.array_mut().all_mut(),
        gradient.array().all(),
        &mut a,
        b.as_mut(),
    );
}

/// As [`crate::update::squared_norm`].
pub(crate) fn squared_norm<T: Element>(
    gpu: &Arc<Gpu>,
    prepare: Prepare,
    weight: &Tensor<T>,
    gradient: &Tensor<T>,
) -> f64 {
    kernels::squared_norm(
        gpu,
        numbers(prepare),
        weight.array().all(),
        gradient.array().all(),
    )
}
