//! The optimizers' passes; formulas in `update.rs` above.

use std::sync::Arc;

use cuda::Gpu;
use cuda::kernels::{self, norm_parts};

use crate::update::{AdamStep, Prepare, Prepared, Rule};
use crate::{Element, Tensor};

fn numbers(prepare: Prepare) -> [f32; 3] {
    [prepare.scale, prepare.l2, prepare.clip].map(|x| x as f32)
}

/// The rule with the numbers that its kernel reads.
fn rule(rule: &Rule) -> (kernels::Rule, Vec<f64>) {
    match *rule {
        Rule::Momentum {
            learning_rate,
            momentum,
        } => (kernels::Rule::Momentum, vec![learning_rate, momentum]),
        Rule::Adagrad {
            learning_rate,
            epsilon,
        } => (kernels::Rule::Adagrad, vec![learning_rate, epsilon]),
        Rule::Rmsprop {
            learning_rate,
            decay,
            epsilon,
        } => (
            kernels::Rule::Rmsprop,
            vec![learning_rate, epsilon, decay, 1.0 - decay],
        ),
        Rule::Adadelta { decay, epsilon } => (
            kernels::Rule::Adadelta,
            vec![0.0, epsilon, decay, 1.0 - decay],
        ),
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
            let (r1, r2) = (1.0 - beta1, 1.0 - beta2);
            let numbers = vec![rate, epsilon, beta1, beta2, unbias, r1, r2, keep];
            (kernels::Rule::Adam, numbers)
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
    let (by, numbers_of_rule) = rule(by);
    kernels::update(
        gpu,
        (by, &numbers_of_rule),
        numbers(prepare),
        &mut weight.array_mut().all_mut(),
        gradient.array().all(),
        &mut a,
        b.as_mut(),
    );
}

/// As [`crate::update::squared_norm`].
pub(crate) fn squared_norm<T: Element>(gpu: &Arc<Gpu>, parameters: &[Prepared<'_, T>]) -> f64 {
    let counts = parameters.iter().map(|(_, w, _)| norm_parts(w.len()));
    let mut parts = gpu.array(counts.clone().sum());
    let mut from = 0;
    for (&(prepare, weight, gradient), count) in parameters.iter().zip(counts.clone()) {
        let mut parts = parts.at_mut(from..from + count);
        let (weight, gradient) = (weight.array().all(), gradient.array().all());
        kernels::squared_norm(gpu, numbers(prepare), weight, gradient, &mut parts);
        from += count;
    }
    let parts = parts.to_vec(); // waits, once for all parameters
    let (mut sum, mut from) = (0.0, 0);
    for count in counts {
        sum += parts[from..from + count].iter().sum::<f64>();
        from += count;
    }
    sum
}
