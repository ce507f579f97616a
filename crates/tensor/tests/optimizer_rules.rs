//! The fused optimizer pass against one number at a time, written as in `solver.py`.

use tensor::random::Random;
use tensor::update::{Prepare, Rule, apply, squared_norm, squared_sum};
use tensor::{Device, Tensor};

/// One weight, one gradient, its averages: NeuralTalk's formulas, plainly.
fn plain(rule: &Rule, w: f64, g: f64, c: &mut [f64]) -> f64 {
    match *rule {
        Rule::Momentum {
            learning_rate,
            momentum,
        } => {
            c[0] = momentum * c[0] - learning_rate * g;
            w + c[0]
        }
        Rule::Adagrad {
            learning_rate,
            epsilon,
        } => {
            c[0] += g * g;
            w - learning_rate * g / (c[0] + epsilon).sqrt()
        }
        Rule::Rmsprop {
            learning_rate,
            decay,
            epsilon,
        } => {
            c[0] = c[0] * decay + (1.0 - decay) * g * g;
            w - learning_rate * g / (c[0] + epsilon).sqrt()
        }
        Rule::Adadelta { decay, epsilon } => {
            c[0] = c[0] * decay + (1.0 - decay) * g * g;
            let d = -((c[1] + epsilon).sqrt() * g) / (c[0] + epsilon).sqrt();
            c[1] = c[1] * decay + (1.0 - decay) * d * d;
            w + d
        }
        Rule::Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            step,
        } => {
            c[0] = beta1 * c[0] + (1.0 - beta1) * g;
            c[1] = beta2 * c[1] + (1.0 - beta2) * g * g;
            let m = c[0] / (1.0 - beta1.powi(step as i32));
            let v = c[1] / (1.0 - beta2.powi(step as i32));
            w - learning_rate * weight_decay * w - learning_rate * m / (v.sqrt() + epsilon)
        }
    }
}

#[test]
fn every_rule_is_its_formula() {
    let device = Device::cpu(2);
    let n = 40_000;
    let mut random = Random::new(1, 1);
    let mut draw = |scale: f64| {
        (0..n)
            .map(|_| (random.uniform() - 0.5) * scale)
            .collect::<Vec<f64>>()
    };
    let start = draw(1.0);
    let gradients = [draw(30.0), draw(3.0), draw(0.1)];
    let rules = |step| {
        [
            Rule::Momentum {
                learning_rate: 0.1,
                momentum: 0.9,
            },
            Rule::Adagrad {
                learning_rate: 0.1,
                epsilon: 1e-8,
            },
            Rule::Rmsprop {
                learning_rate: 0.1,
                decay: 0.999,
                epsilon: 1e-8,
            },
            Rule::Adadelta {
                decay: 0.95,
                epsilon: 1e-6,
            },
            Rule::Adam {
                learning_rate: 0.1,
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-8,
                weight_decay: 0.01,
                step,
            },
        ]
    };
    let prepare = Prepare {
        scale: 0.5,
        l2: 0.3,
        clip: 2.0,
    };
    for which in 0..5 {
        let mut fused = Tensor::new(&device, &[n], start.clone());
        let count = rules(1)[which].averages();
        let mut averages = vec![Tensor::zeros(&device, &[n]); count];
        let mut weights = start.clone();
        let mut caches = vec![vec![0.0; count]; n];
        for (step, gradient) in gradients.iter().enumerate() {
            let rule = rules(step as u64 + 1)[which];
            let g = Tensor::new(&device, &[n], gradient.clone());
            apply(&rule, prepare, &mut fused, &g, &mut averages);
            for ((w, g), c) in weights.iter_mut().zip(gradient).zip(&mut caches) {
                let used = ((g + 0.3 * *w) * 0.5).clamp(-2.0, 2.0);
                *w = plain(&rule, *w, used, c);
            }
        }
        for (i, (a, b)) in fused.data().iter().zip(&weights).enumerate() {
            assert!(
                (a - b).abs() < 1e-12 * b.abs().max(1.0),
                "rule {which}, weight {i}: {a} and {b}"
            );
        }
    }
}

#[test]
fn norms_are_those_of_the_prepared_gradient() {
    let device = Device::cpu(2);
    let w = Tensor::new(&device, &[3], vec![1.0, -2.0, 3.0f64]);
    let g = Tensor::new(&device, &[3], vec![0.5, 0.0, -100.0]);
    let prepare = Prepare {
        scale: 2.0,
        l2: 0.5,
        clip: 10.0,
    };
    // 2·(0.5 + 0.5), 2·(0 - 1), clip(2·(-100 + 1.5))
    let found = squared_norm(&[(prepare, &w, &g)]);
    assert!((found - (4.0 + 4.0 + 100.0)).abs() < 1e-12);
    assert!((squared_norm(&[(prepare, &w, &g); 3]) - 3.0 * found).abs() < 1e-12);
    assert!((squared_sum([&w, &g]) - (14.0 + 0.25 + 1e4)).abs() < 1e-9);
}

#[test]
fn nan_is_not_clipped_away() {
    let device = Device::cpu(1);
    let mut w = Tensor::new(&device, &[1], vec![1.0f32]);
    let g = Tensor::new(&device, &[1], vec![f32::NAN]);
    let prepare = Prepare {
        scale: 1.0,
        l2: 0.0,
        clip: 5.0,
    };
    let rule = Rule::Momentum {
        learning_rate: 0.1,
        momentum: 0.0,
    };
    apply(
        &rule,
        prepare,
        &mut w,
        &g,
        &mut [Tensor::zeros(&device, &[1])],
    );
    assert!(w.item().is_nan());
}
