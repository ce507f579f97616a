//! What the tests of operations share: random inputs, a loss that tells all elements apart, central differences.

// Each test file is a program of its own and needs some of these.
#![allow(dead_code)]

use tensor::random::Random;
use tensor::{Device, Element, Tape, Tensor, Var, ops};

pub fn random<T: Element>(device: &Device, shape: &[usize], seed: u64) -> Tensor<T> {
    let mut random = Random::new(seed, 77);
    let count = shape.iter().product();
    let data = (0..count)
        .map(|_| T::of(2.0 * random.uniform() - 1.0))
        .collect();
    Tensor::new(device, shape, data)
}

/// A loss that depends on every element of `x` differently.
pub fn mixed<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let device = tape.device().clone();
    let shape = tape.value(x).shape().to_vec();
    let weights = tape.constant(random(&device, &shape, 4242));
    let weighted = ops::mul(tape, x, weights);
    ops::sum(tape, weighted)
}

/// Value of the loss and gradients of all inputs.
pub fn run<T: Element>(
    inputs: &[Tensor<T>],
    build: &dyn Fn(&mut Tape<T>, &[Var]) -> Var,
) -> (f64, Vec<Tensor<T>>) {
    let device = inputs[0].device();
    let mut tape = Tape::new(device);
    let vars: Vec<Var> = inputs.iter().map(|i| tape.parameter(i.clone())).collect();
    let loss = build(&mut tape, &vars);
    let value = tape.value(loss).item().to_f64();
    let mut gradients = tape.backward(loss);
    let gradients = vars
        .iter()
        .zip(inputs)
        .map(|(&v, i)| {
            gradients
                .take(v)
                .unwrap_or_else(|| Tensor::zeros(device, i.shape()))
        })
        .collect();
    (value, gradients)
}

/// Largest relative disagreement with central differences over all inputs.
pub fn disagreement(inputs: &[Tensor<f64>], build: &dyn Fn(&mut Tape<f64>, &[Var]) -> Var) -> f64 {
    let (_, gradients) = run(inputs, build);
    let largest = gradients
        .iter()
        .flat_map(|g| g.data())
        .fold(0.0f64, |a, g| a.max(g.abs()));
    assert!(largest > 1e-3, "gradients are all about zero");
    let mut worst = 0.0f64;
    for (which, input) in inputs.iter().enumerate() {
        for at in 0..input.data().len() {
            let epsilon = 1e-5;
            let shifted = |shift: f64| {
                let mut inputs = inputs.to_vec();
                inputs[which].data_mut()[at] += shift;
                run(&inputs, build).0
            };
            let numeric = (shifted(epsilon) - shifted(-epsilon)) / (2.0 * epsilon);
            let analytic = gradients[which].data()[at];
            let size = analytic.abs().max(numeric.abs()).max(1e-3 * largest);
            let error = (analytic - numeric).abs() / size;
            assert!(!error.is_nan());
            worst = worst.max(error);
        }
    }
    worst
}

pub fn close(name: &str, (a, da): &(f64, Vec<Tensor<f64>>), (b, db): &(f64, Vec<Tensor<f64>>)) {
    assert!(
        (a - b).abs() <= 1e-11 * b.abs().max(1.0),
        "{name}: {a} and {b}"
    );
    for (da, db) in da.iter().zip(db) {
        let size = db.data().iter().fold(1.0f64, |s, x| s.max(x.abs()));
        for (x, y) in da.data().iter().zip(db.data()) {
            assert!(
                (x - y).abs() <= 1e-11 * size,
                "{name}: gradients {x} and {y}"
            );
        }
    }
}
