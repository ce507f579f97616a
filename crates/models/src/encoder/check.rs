//! What the tests of encoders share: central differences through a whole network, and the folded version against the tape.

use tensor::random::Random;
use tensor::{Device, Element, Tape, Tensor};

use super::{Encoder, FeatureVars, Layer, Network, ops};

/// Layers alone, with the mean as head.
pub(super) fn network(trunk: Vec<Layer>) -> Network {
    Network {
        trunk,
        head: vec![Layer::GlobalAverage],
        epsilon: 1e-3,
    }
}

/// An encoder with random batch norms and statistics.
fn encoder<T: Element>(network: Network) -> Encoder<T> {
    let device = Device::cpu(2);
    let mut encoder = Encoder::<T>::new(network, 5, &device);
    let mut random = Random::new(3, 3);
    for parameter in encoder.parameters_mut().iter_mut() {
        if parameter.value.shape().len() == 1 {
            let values = parameter.value.data_mut().iter_mut();
            values.for_each(|x| *x += T::of(0.6 * random.uniform() - 0.2));
        }
    }
    let mut names: Vec<String> = encoder.statistics.keys().cloned().collect();
    names.sort();
    for name in names {
        let measured = encoder.statistics.get_mut(&name).expect("its own name");
        let means = measured.mean.data_mut().iter_mut();
        means.for_each(|x| *x = T::of(0.4 * random.uniform() - 0.2));
        let variances = measured.variance.data_mut().iter_mut();
        variances.for_each(|x| *x = T::of(0.5 + random.uniform()));
    }
    encoder
}

fn pictures<T: Element>(shape: &[usize]) -> Tensor<T> {
    let mut random = Random::new(8, 1);
    let count = shape.iter().product();
    let values = (0..count).map(|_| T::of(2.0 * random.uniform() - 1.0));
    Tensor::new(&Device::cpu(2), shape, values.collect())
}

/// Weighted sum of regions and vectors, and the gradients of pixels and parameters.
fn loss<T: Element>(encoder: &Encoder<T>, x: &Tensor<T>) -> (f64, Vec<Tensor<T>>) {
    let mut tape = Tape::new(encoder.device());
    let pixels = tape.parameter(x.clone());
    let bound = encoder.parameters().bind(&mut tape);
    let FeatureVars { regions, pooled } = encoder.forward(&mut tape, &bound, pixels);
    let mut sums = [regions, pooled].map(|var| {
        let shape = tape.value(var).shape().to_vec();
        let weights = tape.constant(pictures::<T>(&shape));
        let weighted = ops::mul(&mut tape, var, weights);
        ops::sum(&mut tape, weighted)
    });
    sums[0] = ops::add(&mut tape, sums[0], sums[1]);
    let value = tape.value(sums[0]).item().to_f64();
    let mut gradients = tape.backward(sums[0]);
    let mut all = vec![gradients.take(pixels).expect("pixels matter")];
    all.extend(bound.gradients(&mut gradients));
    (value, all)
}

/// Central differences in f64 for a sample of the numbers of every parameter and of the pixels.
pub(super) fn gradients_agree(trunk: Vec<Layer>, shape: [usize; 4]) {
    let mut encoder = encoder::<f64>(network(trunk));
    let mut x = pictures::<f64>(&shape);
    let (_, gradients) = loss(&encoder, &x);
    let names: Vec<String> = encoder
        .parameters()
        .iter()
        .map(|p| p.name.clone())
        .collect();
    for (which, gradient) in gradients.iter().enumerate() {
        let largest = gradient.data().iter().fold(0.0f64, |a, g| a.max(g.abs()));
        assert!(
            largest > 1e-6,
            "gradients of input {which} are all about zero"
        );
        let step = gradient.len().div_ceil(24);
        for at in (0..gradient.len()).step_by(step) {
            let mut shifted = |shift: f64| {
                let number = match which {
                    0 => &mut x.data_mut()[at],
                    _ => {
                        let mut all = encoder.parameters_mut().iter_mut();
                        &mut all.nth(which - 1).expect("a parameter").value.data_mut()[at]
                    }
                };
                *number += shift;
                let value = loss(&encoder, &x).0;
                let number = match which {
                    0 => &mut x.data_mut()[at],
                    _ => {
                        let mut all = encoder.parameters_mut().iter_mut();
                        &mut all.nth(which - 1).expect("a parameter").value.data_mut()[at]
                    }
                };
                *number -= shift;
                value
            };
            let epsilon = 1e-6;
            let numeric = (shifted(epsilon) - shifted(-epsilon)) / (2.0 * epsilon);
            let analytic = gradient.data()[at];
            let error = (numeric - analytic).abs() / largest;
            let name = which.checked_sub(1).map_or("pixels", |i| &names[i]);
            assert!(error < 1e-6, "{name}[{at}]: {analytic} and {numeric}");
        }
    }
}

/// The folded encoder gives what the tape gives.
pub(super) fn folded_agrees(network: Network, shape: [usize; 4]) {
    let encoder = encoder::<f32>(network);
    let x = pictures::<f32>(&shape);
    let mut tape = Tape::new(encoder.device());
    let pixels = tape.constant(x.clone());
    let bound = encoder.parameters().bind_frozen(&mut tape);
    let FeatureVars { regions, pooled } = encoder.forward(&mut tape, &bound, pixels);
    let folded = encoder.fold().encode(&x);
    for (fast, slow) in [(&folded.regions, regions), (&folded.pooled, pooled)] {
        let slow = tape.value(slow);
        assert_eq!(fast.shape(), slow.shape());
        let largest = slow.data().iter().fold(1e-3f32, |a, x| a.max(x.abs()));
        for (a, b) in fast.data().iter().zip(slow.data()) {
            assert!((a - b).abs() < 2e-5 * largest, "{a} and {b}");
        }
    }
}
