//! Convolution, batch norm and activation in one operation, against the three operations one after the other.

mod checks;

use checks::{close, mixed, random, run};
use proptest::prelude::*;
use tensor::inference::Activation;
use tensor::ops::{self, Norm, Padding, Statistics};
use tensor::{Device, Element, Tape, Tensor, Var};

#[derive(Debug, Clone, Copy)]
struct Case {
    shape: [usize; 4],
    kernel: usize,
    /// None for a depthwise convolution.
    filters: Option<usize>,
    stride: usize,
    padding: Padding,
    activation: Activation,
}

impl Case {
    fn channels(&self) -> usize {
        self.filters.unwrap_or(self.shape[3])
    }

    /// x, filters, γ, β.
    fn inputs<T: Element>(&self, device: &Device, seed: u64) -> Vec<Tensor<T>> {
        let (k, c, m) = (self.kernel, self.shape[3], self.channels());
        let filters = match self.filters {
            Some(m) => vec![k, k, c, m],
            None => vec![k, k, c],
        };
        let shapes = [self.shape.to_vec(), filters, vec![m], vec![m]];
        let shapes = shapes.iter().enumerate();
        shapes
            .map(|(n, shape)| random(device, shape, seed ^ n as u64))
            .collect()
    }

    fn fused<T: Element>(&self, tape: &mut Tape<T>, v: &[Var], s: &Statistics<T>) -> Var {
        let norm = Norm {
            gamma: v[2],
            beta: v[3],
            statistics: s,
        };
        let (stride, padding, act) = (self.stride, self.padding, self.activation);
        match self.filters {
            Some(_) => ops::normed_conv2d(tape, (v[0], v[1]), norm, stride, padding, act),
            None => ops::normed_depthwise_conv2d(tape, (v[0], v[1]), norm, stride, padding, act),
        }
    }

    fn composed<T: Element>(&self, tape: &mut Tape<T>, v: &[Var], s: &Statistics<T>) -> Var {
        let y = match self.filters {
            Some(_) => ops::conv2d(tape, v[0], v[1], self.stride, self.padding),
            None => ops::depthwise_conv2d(tape, v[0], v[1], self.stride, self.padding),
        };
        let y = ops::batch_norm(tape, y, (v[2], v[3]), s);
        match self.activation {
            Activation::None => y,
            Activation::Relu => ops::relu(tape, y),
            Activation::Relu6 => ops::relu6(tape, y),
        }
    }
}

fn statistics<T: Element>(device: &Device, channels: usize) -> Statistics<T> {
    let mut variance = random::<T>(device, &[channels], 8);
    // Small, so that the limits of the activation are met.
    let numbers = variance.data_mut().iter_mut();
    numbers.for_each(|v| *v = *v * *v * T::of(0.2) + T::of(0.05));
    Statistics {
        mean: random(device, &[channels], 9),
        variance,
        epsilon: 1e-3,
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let padding = prop_oneof![
        Just(Padding::Same),
        Just(Padding::Each(0)),
        Just(Padding::Each(1))
    ];
    let activation = prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Relu6)
    ];
    (
        [1usize..4, 5..12, 5..12, 1..40],
        prop_oneof![Just(1usize), Just(3), Just(5)],
        proptest::option::of(1usize..40),
        1usize..3,
        padding,
        activation,
    )
        .prop_map(
            |(shape, kernel, filters, stride, padding, activation)| Case {
                shape,
                kernel,
                filters,
                stride,
                padding: if kernel == 1 { Padding::Same } else { padding },
                activation,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn it_is_the_three_operations_one_after_the_other(case in cases(), seed: u64) {
        let device = Device::cpu(2);
        let s = statistics::<f64>(&device, case.channels());
        let inputs = case.inputs::<f64>(&device, seed);
        let fast = run(&inputs, &|tape, v| {
            let y = case.fused(tape, v, &s);
            mixed(tape, y)
        });
        let plain = run(&inputs, &|tape, v| {
            let y = case.composed(tape, v, &s);
            mixed(tape, y)
        });
        close("normed", &fast, &plain);
    }

    /// The paths of f32 alone: without an activation, whose corner rounding may fall on either side of.
    #[test]
    fn in_f32_too(case in cases(), seed: u64) {
        let case = Case { activation: Activation::None, ..case };
        let device = Device::cpu(2);
        let single = case.inputs::<f32>(&device, seed);
        let double: Vec<Tensor<f64>> = single
            .iter()
            .map(|x| Tensor::from_values(&device, x.shape(), x.data()))
            .collect();
        let s = statistics::<f32>(&device, case.channels());
        let wide = Statistics {
            mean: Tensor::from_values(&device, s.mean.shape(), s.mean.data()),
            variance: Tensor::from_values(&device, s.variance.shape(), s.variance.data()),
            epsilon: s.epsilon,
        };
        let (_, fast) = run(&single, &|tape, v| {
            let y = case.fused(tape, v, &s);
            mixed(tape, y)
        });
        let (_, plain) = run(&double, &|tape, v| {
            let y = case.composed(tape, v, &wide);
            mixed(tape, y)
        });
        for (fast, plain) in fast.iter().zip(&plain) {
            let largest = plain.data().iter().fold(1e-3f64, |a, x| a.max(x.abs()));
            for (a, b) in fast.data().iter().zip(plain.data()) {
                prop_assert!((f64::from(*a) - b).abs() < 2e-4 * largest, "{a} and {b}");
            }
        }
    }
}

#[test]
fn nothing_depends_on_the_number_of_threads() {
    let case = Case {
        shape: [5, 28, 28, 24],
        kernel: 1,
        filters: Some(48),
        stride: 1,
        padding: Padding::Same,
        activation: Activation::Relu6,
    };
    let deep = Case {
        shape: [5, 28, 28, 48],
        kernel: 5,
        filters: None,
        ..case
    };
    let step = |threads| {
        let device = Device::cpu(threads);
        let mut inputs = case.inputs::<f32>(&device, 1);
        inputs.extend(deep.inputs::<f32>(&device, 2).split_off(1));
        let s = statistics::<f32>(&device, 48);
        let (loss, gradients) = run(&inputs, &|tape, v| {
            let y = case.fused(tape, v, &s);
            let y = deep.fused(tape, &[y, v[4], v[5], v[6]], &s);
            mixed(tape, y)
        });
        let bits = gradients.iter().flat_map(|g| g.data()).map(|x| x.to_bits());
        (loss.to_bits(), bits.collect::<Vec<u32>>())
    };
    let one = step(1);
    for threads in [2, 3, 8] {
        assert!(one == step(threads), "{threads} threads");
    }
}
