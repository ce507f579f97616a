//! Convolutions, pooling and batch normalisation: central differences in f64, each large operation against its
//! composition from small ones, the same bits for any number of threads in f32, and the inference path against the tape.

mod checks;

use std::sync::Arc;

use checks::{close, disagreement, mixed, random, run};
use proptest::prelude::*;
use tensor::inference::{Activation, Affine, Convolution, Depthwise};
use tensor::ops::{self, Padding, Statistics, window_outputs};
use tensor::{Device, Element, Tape, Tensor, Var};

type Build = Box<dyn Fn(&mut Tape<f64>, &[Var]) -> Var>;

fn statistics<T: Element>(device: &Device, channels: usize) -> Statistics<T> {
    let mut variance = random::<T>(device, &[channels], 8);
    variance
        .data_mut()
        .iter_mut()
        .for_each(|v| *v = *v * *v + T::of(0.1));
    Statistics {
        mean: random(device, &[channels], 9),
        variance,
        epsilon: 1e-3,
    }
}

/// One line an operation: this table is the inventory of what is differentiated.
#[test]
fn every_operation_has_the_gradient_of_its_value() {
    let device = Device::cpu(2);
    let t = |shape: &[usize], seed| random::<f64>(&device, shape, seed);
    let conv = |stride, padding| -> Build {
        Box::new(move |tape, v| {
            let y = ops::conv2d(tape, v[0], v[1], stride, padding);
            mixed(tape, y)
        })
    };
    let depthwise = |stride, padding| -> Build {
        Box::new(move |tape, v| {
            let y = ops::depthwise_conv2d(tape, v[0], v[1], stride, padding);
            mixed(tape, y)
        })
    };
    let normalized = statistics::<f64>(&device, 3);
    let x = || t(&[2, 6, 5, 3], 1);
    let cases: Vec<(&str, Vec<Tensor<f64>>, Build)> = vec![
        (
            "conv2d 1x1",
            vec![x(), t(&[1, 1, 3, 4], 2)],
            conv(1, Padding::Same),
        ),
        (
            "conv2d 1x1, stride 2",
            vec![x(), t(&[1, 1, 3, 4], 2)],
            conv(2, Padding::Each(0)),
        ),
        (
            "conv2d 3x3",
            vec![x(), t(&[3, 3, 3, 4], 2)],
            conv(1, Padding::Each(1)),
        ),
        (
            "conv2d 3x3, stride 2, same",
            vec![x(), t(&[3, 3, 3, 4], 2)],
            conv(2, Padding::Same),
        ),
        (
            "conv2d 3x2, no padding",
            vec![x(), t(&[3, 2, 3, 4], 2)],
            conv(1, Padding::Each(0)),
        ),
        (
            "depthwise 3x3",
            vec![x(), t(&[3, 3, 3], 2)],
            depthwise(1, Padding::Same),
        ),
        (
            "depthwise 5x5, stride 2, same",
            vec![x(), t(&[5, 5, 3], 2)],
            depthwise(2, Padding::Same),
        ),
        (
            "depthwise 3x3, stride 2, padded",
            vec![x(), t(&[3, 3, 3], 2)],
            depthwise(2, Padding::Each(1)),
        ),
        (
            "batch_norm",
            vec![x(), t(&[3], 2), t(&[3], 3)],
            Box::new(move |tape, v| {
                let y = ops::batch_norm(tape, v[0], (v[1], v[2]), &normalized);
                mixed(tape, y)
            }),
        ),
        (
            "add_bias to a picture",
            vec![x(), t(&[3], 2)],
            Box::new(|tape, v| {
                let y = ops::add_bias(tape, v[0], v[1]);
                mixed(tape, y)
            }),
        ),
        (
            "relu6",
            vec![t(&[4, 6], 1)],
            Box::new(|tape, v| {
                let y = ops::scale(tape, v[0], 9.0);
                let y = ops::relu6(tape, y);
                mixed(tape, y)
            }),
        ),
        (
            "max_pool",
            vec![x()],
            Box::new(|tape, v| {
                let y = ops::max_pool(tape, v[0], [3, 3], 2, Padding::Each(1));
                mixed(tape, y)
            }),
        ),
        (
            "max_pool, rounded up",
            vec![x()],
            Box::new(|tape, v| {
                let y = ops::max_pool(tape, v[0], [2, 2], 2, Padding::Ceil(0));
                mixed(tape, y)
            }),
        ),
        (
            "average_pool",
            vec![x()],
            Box::new(|tape, v| {
                let y = ops::average_pool(tape, v[0], [3, 3], 2, Padding::Ceil(1));
                mixed(tape, y)
            }),
        ),
        (
            "global_average_pool",
            vec![x()],
            Box::new(|tape, v| {
                let y = ops::global_average_pool(tape, v[0]);
                mixed(tape, y)
            }),
        ),
    ];
    for (operation, inputs, build) in cases {
        let worst = disagreement(&inputs, &*build);
        assert!(worst < 1e-7, "{operation}: relative error {worst:.1e}");
    }
}

/// What a composed convolution is made of: sizes and how the window moves.
#[derive(Debug, Clone, Copy)]
struct Case {
    shape: [usize; 4],
    kernel: [usize; 2],
    stride: usize,
    padding: Padding,
}

impl Case {
    /// For the tap (ky, kx): the row of x (pixels, then one of zeros) that each output sees.
    fn seen(&self, ky: usize, kx: usize) -> Arc<[usize]> {
        let [b, h, w, _] = self.shape;
        let [oh, ow] = self.outputs();
        let before = |n: usize, o: usize, k: usize| match self.padding {
            Padding::Same => ((o - 1) * self.stride + k).saturating_sub(n) / 2,
            Padding::Each(p) | Padding::Ceil(p) => p,
        };
        let (top, left) = (before(h, oh, self.kernel[0]), before(w, ow, self.kernel[1]));
        let mut rows = Vec::new();
        for image in 0..b {
            for oy in 0..oh {
                for ox in 0..ow {
                    let (y, x) = (oy * self.stride + ky, ox * self.stride + kx);
                    let inside = y >= top && y - top < h && x >= left && x - left < w;
                    rows.push(if inside {
                        (image * h + y - top) * w + x - left
                    } else {
                        b * h * w
                    });
                }
            }
        }
        rows.into()
    }

    fn outputs(&self) -> [usize; 2] {
        [0, 1].map(|i| {
            window_outputs(self.shape[i + 1], self.kernel[i], self.stride, self.padding)
                .expect("outputs")
        })
    }

    fn pixels(&self) -> usize {
        self.shape[..3].iter().product()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let padding = prop_oneof![
        Just(Padding::Same),
        Just(Padding::Each(0)),
        Just(Padding::Each(1)),
        Just(Padding::Ceil(1))
    ];
    (
        [1usize..3, 3..9, 3..9, 1..6],
        [2usize..4, 2..4],
        1usize..3,
        padding,
    )
        .prop_map(|(shape, kernel, stride, padding)| Case {
            shape,
            kernel,
            stride,
            padding,
        })
}

/// x (pixels, C) with a row of zeros below, and the rows that one tap sees.
fn tap<T: Element>(tape: &mut Tape<T>, x: Var, case: &Case, ky: usize, kx: usize) -> Var {
    let device = tape.device().clone();
    let zeros = tape.constant(Tensor::zeros(&device, &[1, case.shape[3]]));
    let padded = ops::concat_rows(tape, x, zeros);
    ops::gather(tape, padded, case.seen(ky, kx))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_convolution_is_a_sum_of_products_over_its_taps(case in cases(), m in 1usize..5, seed: u64) {
        let device = Device::cpu(2);
        let [kh, kw] = case.kernel;
        let c = case.shape[3];
        let x = random::<f64>(&device, &case.shape, seed);
        let w = random::<f64>(&device, &[kh, kw, c, m], seed ^ 1);
        let fast = run(&[x.clone(), w.clone()], &|tape, v| {
            let y = ops::conv2d(tape, v[0], v[1], case.stride, case.padding);
            mixed(tape, y)
        });
        let flat = [x.reshape(&[case.pixels(), c]), w.reshape(&[kh * kw * c, m])];
        let plain = run(&flat, &|tape, v| {
            let mut sum = None;
            for ky in 0..kh {
                for kx in 0..kw {
                    let seen = tap(tape, v[0], &case, ky, kx);
                    let at = (ky * kw + kx) * c;
                    let filter = ops::slice_rows(tape, v[1], at..at + c);
                    let product = ops::matmul(tape, seen, filter);
                    sum = Some(match sum { Some(sum) => ops::add(tape, sum, product), None => product });
                }
            }
            mixed(tape, sum.expect("taps"))
        });
        close("conv2d", &fast, &plain);
    }

    #[test]
    fn a_depthwise_convolution_is_a_sum_of_scaled_taps(case in cases(), seed: u64) {
        let device = Device::cpu(2);
        let [kh, kw] = case.kernel;
        let c = case.shape[3];
        let x = random::<f64>(&device, &case.shape, seed);
        let w = random::<f64>(&device, &[kh, kw, c], seed ^ 1);
        let fast = run(&[x.clone(), w.clone()], &|tape, v| {
            let y = ops::depthwise_conv2d(tape, v[0], v[1], case.stride, case.padding);
            mixed(tape, y)
        });
        let flat = [x.reshape(&[case.pixels(), c]), w.reshape(&[kh * kw, c])];
        let plain = run(&flat, &|tape, v| {
            let mut sum = None;
            for at in 0..kh * kw {
                let seen = tap(tape, v[0], &case, at / kw, at % kw);
                let rows = tape.value(seen).shape()[0];
                let filter = ops::gather(tape, v[1], vec![at; rows].into());
                let product = ops::mul(tape, seen, filter);
                sum = Some(match sum { Some(sum) => ops::add(tape, sum, product), None => product });
            }
            mixed(tape, sum.expect("taps"))
        });
        close("depthwise", &fast, &plain);
    }

    #[test]
    fn batch_norm_is_a_scale_and_a_shift(rows in 1usize..2000, c in 1usize..9, seed: u64) {
        let device = Device::cpu(2);
        let s = statistics::<f64>(&device, c);
        let inputs = [random::<f64>(&device, &[rows, c], seed), random(&device, &[1, c], seed ^ 1), random(&device, &[1, c], seed ^ 2)];
        let fast = run(&[inputs[0].clone(), inputs[1].clone().reshape(&[c]), inputs[2].clone().reshape(&[c])], &|tape, v| {
            let y = ops::batch_norm(tape, v[0], (v[1], v[2]), &s);
            mixed(tape, y)
        });
        let plain = run(&inputs, &|tape, v| {
            let down = s.mean.data().iter().map(|m| -m).collect();
            let down = tape.constant(Tensor::new(&device, &[c], down));
            let inverse = s.variance.data().iter().map(|v| 1.0 / (v + s.epsilon).sqrt()).collect();
            let inverse = tape.constant(Tensor::new(&device, &[1, c], inverse));
            let all: Arc<[usize]> = vec![0; rows].into();
            let centred = ops::add_bias(tape, v[0], down);
            let slope = ops::mul(tape, v[1], inverse);
            let slope = ops::gather(tape, slope, all.clone());
            let shift = ops::gather(tape, v[2], all);
            let scaled = ops::mul(tape, centred, slope);
            let y = ops::add(tape, scaled, shift);
            mixed(tape, y)
        });
        close("batch_norm", &fast, &plain);
    }

    #[test]
    fn a_maximum_is_the_largest_tap_and_a_mean_counts_the_padding(case in cases(), seed: u64) {
        let device = Device::cpu(2);
        let c = case.shape[3];
        let x = random::<f64>(&device, &case.shape, seed);
        let mut tape = Tape::new(&device);
        let v = tape.constant(x.clone());
        let largest = ops::max_pool(&mut tape, v, case.kernel, case.stride, case.padding);
        let mean = ops::average_pool(&mut tape, v, case.kernel, case.stride, case.padding);
        let [kh, kw] = case.kernel;
        let outputs = tape.value(largest).data().len() / c;
        let taps: Vec<Arc<[usize]>> = (0..kh * kw).map(|at| case.seen(at / kw, at % kw)).collect();
        for o in 0..outputs {
            for j in 0..c {
                let seen: Vec<f64> = taps.iter().filter(|t| t[o] < case.pixels()).map(|t| x.data()[t[o] * c + j]).collect();
                let want = seen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                prop_assert_eq!(tape.value(largest).data()[o * c + j], want);
                let got = tape.value(mean).data()[o * c + j];
                let sum: f64 = seen.iter().sum();
                // A divisor between what is seen and the whole window.
                let (low, high) = (sum.abs() / (kh * kw) as f64, sum.abs() / seen.len() as f64);
                prop_assert!(low - 1e-12 <= got.abs() && got.abs() <= high + 1e-12, "{got} of {sum}");
            }
        }
    }

    /// Shapes on both sides of every tile: rows, columns, vectors.
    #[test]
    fn the_inference_convolution_is_the_one_of_the_tape(
        (b, h, w, c, m) in (1usize..3, 1usize..18, 1usize..18, 1usize..40, 1usize..120),
        k in prop_oneof![Just(1usize), Just(3)], stride in 1usize..3, same: bool, residual: bool, seed: u64,
    ) {
        let device = Device::cpu(2);
        let padding = if same { Padding::Same } else { Padding::Each(k / 2) };
        let x = random::<f32>(&device, &[b, h, w, c], seed);
        let filters = random::<f32>(&device, &[k, k, c, m], seed ^ 1);
        let bias = random::<f32>(&device, &[m], seed ^ 2);
        let mut tape = Tape::new(&device);
        let [vx, vw, vb] = [&x, &filters, &bias].map(|t| tape.constant(t.clone()));
        let y = ops::conv2d(&mut tape, vx, vw, stride, padding);
        let mut y = ops::add_bias(&mut tape, y, vb);
        let shape = tape.value(y).shape().to_vec();
        let other = residual.then(|| random::<f32>(&device, &shape, seed ^ 3));
        if let Some(other) = &other {
            let other = tape.constant(other.clone());
            y = ops::add(&mut tape, y, other);
        }
        let y = ops::relu6(&mut tape, y);
        let packed = Convolution::new(&filters, &Affine::bias(bias), stride, padding, Activation::Relu6);
        let fast = packed.forward(&x, other.as_ref());
        prop_assert_eq!(fast.shape(), tape.value(y).shape());
        let scale = (k * k * c) as f32;
        for (a, b) in fast.data().iter().zip(tape.value(y).data()) {
            prop_assert!((a - b).abs() <= 1e-6 * scale.max(4.0), "{a} and {b}");
        }
    }

    #[test]
    fn the_inference_depthwise_is_the_one_of_the_tape(
        (b, h, w, c) in (1usize..3, 1usize..20, 1usize..20, 1usize..70),
        k in prop_oneof![Just(3usize), Just(5)], stride in 1usize..3, same: bool, seed: u64,
    ) {
        let device = Device::cpu(2);
        let padding = if same { Padding::Same } else { Padding::Each(k / 2) };
        let x = random::<f32>(&device, &[b, h, w, c], seed);
        let filters = random::<f32>(&device, &[k, k, c], seed ^ 1);
        let bias = random::<f32>(&device, &[c], seed ^ 2);
        let mut tape = Tape::new(&device);
        let [vx, vw, vb] = [&x, &filters, &bias].map(|t| tape.constant(t.clone()));
        let y = ops::depthwise_conv2d(&mut tape, vx, vw, stride, padding);
        let y = ops::add_bias(&mut tape, y, vb);
        let y = ops::relu(&mut tape, y);
        let packed = Depthwise::new(&filters, &Affine::bias(bias), stride, padding, Activation::Relu);
        let fast = packed.forward(&x);
        prop_assert_eq!(fast.shape(), tape.value(y).shape());
        for (a, b) in fast.data().iter().zip(tape.value(y).data()) {
            prop_assert!((a - b).abs() <= 1e-5, "{a} and {b}");
        }
    }
}

#[test]
fn nothing_depends_on_the_number_of_threads() {
    let step = |threads| {
        let device = Device::cpu(threads);
        let inputs = [
            random::<f32>(&device, &[3, 57, 61, 3], 1),
            random(&device, &[3, 3, 3, 16], 2),
            random(&device, &[5, 5, 16], 3),
            random(&device, &[1, 1, 16, 40], 4),
            random(&device, &[40], 5),
            random(&device, &[40], 6),
        ];
        let s = statistics::<f32>(&device, 40);
        let (loss, gradients) = run(&inputs, &|tape, v| {
            let y = ops::conv2d(tape, v[0], v[1], 1, Padding::Same);
            let y = ops::depthwise_conv2d(tape, y, v[2], 1, Padding::Same);
            let y = ops::conv2d(tape, y, v[3], 1, Padding::Same);
            let y = ops::batch_norm(tape, y, (v[4], v[5]), &s);
            let y = ops::relu6(tape, y);
            let y = ops::max_pool(tape, y, [3, 3], 2, Padding::Each(1));
            let y = ops::average_pool(tape, y, [2, 2], 2, Padding::Ceil(0));
            let y = ops::global_average_pool(tape, y);
            mixed(tape, y)
        });
        let bias = inputs[4].data()[..16].to_vec();
        let bias = Affine::bias(Tensor::new(&device, &[16], bias));
        let fused = Convolution::new(&inputs[1], &bias, 2, Padding::Same, Activation::Relu6);
        let middle = fused.forward(&inputs[0], None);
        let wide = Depthwise::new(&inputs[2], &bias, 2, Padding::Same, Activation::None);
        let last = wide.forward(&middle);
        let bits: Vec<Vec<u32>> = gradients
            .iter()
            .chain([&middle, &last])
            .map(|g| g.data().iter().map(|x| x.to_bits()).collect())
            .collect();
        (loss.to_bits(), bits)
    };
    let one = step(1);
    for threads in [2, 3, 8] {
        assert!(one == step(threads), "{threads} threads");
    }
}

#[test]
fn nan_reaches_the_end() {
    let device = Device::cpu(1);
    let mut x = random::<f32>(&device, &[1, 4, 4, 2], 1);
    x.data_mut()[9] = f32::NAN;
    let mut tape = Tape::new(&device);
    let v = tape.constant(x.clone());
    let pooled = ops::max_pool(&mut tape, v, [2, 2], 2, Padding::Each(0));
    assert!(tape.value(pooled).data().iter().any(|x| x.is_nan()));
    let filters = random::<f32>(&device, &[1, 1, 2, 3], 2);
    let nothing = Affine::bias(Tensor::zeros(&device, &[3]));
    let conv = Convolution::new(&filters, &nothing, 1, Padding::Same, Activation::Relu6);
    assert!(conv.forward(&x, None).data().iter().any(|x| x.is_nan()));
}
