//! A convolution with its frozen batch norm and activation as one operation: what an encoder is made of when it learns.
//!
//! Frozen statistics make the norm a scale s = γ / √(variance + ε) and a shift a channel, which go into the filters, as
//! they do for inference: y = act(x * (w s) + β - mean s). Only x and y are kept, and no pass over the numbers is left
//! but the convolution's own. Backward, with g the gradient where the activation let y through and D = ∂Σgu/∂w the plain
//! gradient of filters for u = x * w:
//!
//! dw = D s    dβ = Σ g    dγ = (Σ w ⊙ D - mean dβ) / √(variance + ε)    dx from g and w s
//!
//! because Σ g u = Σ w ⊙ D: u itself isn't needed. Held to the composed operations by a test. Not here: the convolutions
//! (`conv.rs`, `depthwise.rs`).

use std::any::Any;

use rayon::prelude::*;

use super::batch_norm::Statistics;
use super::window::Window;
use super::{Padding, conv, depthwise};
use crate::inference::{self, Activation, Affine};
use crate::simd::vectorized;
use crate::{Device, Element, Tape, Tensor, Var, gpu};

/// What a channel's numbers are scaled and shifted with.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a, T: Element> {
    /// γ (M).
    pub gamma: Var,
    /// β (M).
    pub beta: Var,
    /// Frozen.
    pub statistics: &'a Statistics<T>,
}

/// x (B, H, W, C) with filters w (KH, KW, C, M), normed, activated → (B, H', W', M).
///
/// # Panics
/// If the shapes don't fit or there is no output.
pub fn normed_conv2d<T: Element>(
    tape: &mut Tape<T>,
    (x, w): (Var, Var),
    norm: Norm<'_, T>,
    stride: usize,
    padding: Padding,
    activation: Activation,
) -> Var {
    let shape = tape.value(w).shape().to_vec();
    let &[kh, kw, channels, _] = shape.as_slice() else {
        panic!("filters (KH, KW, C, M) were expected, not {shape:?}");
    };
    let window = Window::new(tape.value(x).shape(), [kh, kw], stride, padding);
    assert_eq!(window.channels, channels, "channels of the filters");
    let layer = Layer {
        window,
        stride,
        padding,
        activation,
        depthwise: false,
    };
    normed(tape, (x, w), norm, layer)
}

/// x (B, H, W, C) with filters w (KH, KW, C), one a channel, normed, activated → (B, H', W', C).
///
/// # Panics
/// If the shapes don't fit or there is no output.
pub fn normed_depthwise_conv2d<T: Element>(
    tape: &mut Tape<T>,
    (x, w): (Var, Var),
    norm: Norm<'_, T>,
    stride: usize,
    padding: Padding,
    activation: Activation,
) -> Var {
    let shape = tape.value(w).shape().to_vec();
    let &[kh, kw, channels] = shape.as_slice() else {
        panic!("filters (KH, KW, C) were expected, not {shape:?}");
    };
    let window = Window::new(tape.value(x).shape(), [kh, kw], stride, padding);
    assert_eq!(window.channels, channels, "channels of the filters");
    let layer = Layer {
        window,
        stride,
        padding,
        activation,
        depthwise: true,
    };
    normed(tape, (x, w), norm, layer)
}

#[derive(Clone, Copy)]
struct Layer {
    window: Window,
    stride: usize,
    padding: Padding,
    activation: Activation,
    depthwise: bool,
}

fn normed<T: Element>(
    tape: &mut Tape<T>,
    (x, w): (Var, Var),
    norm: Norm<'_, T>,
    layer: Layer,
) -> Var {
    let (input, filters) = (tape.value(x).clone(), tape.value(w).clone());
    let (gamma, beta) = (norm.gamma, norm.beta);
    let (weight, bias) = (tape.value(gamma).clone(), tape.value(beta).clone());
    let mean = norm.statistics.mean.clone();
    let m = *filters.shape().last().expect("filters have sizes");
    let sizes = [&weight, &bias, &mean, &norm.statistics.variance].map(|v| v.len());
    assert_eq!(sizes, [m; 4], "one number a channel");
    if let Some(gpu) = tape.device().gpu_for::<T>().cloned() {
        let [b, h, across] = layer.window.outputs();
        let on = gpu::Layer {
            window: layer.window,
            depthwise: layer.depthwise,
            limits: layer.activation.limits(),
        };
        let on = gpu::Normed::new(&gpu, on, &filters, (&weight, &bias), norm.statistics);
        let y = on.forward(&gpu, input.array());
        let value = Tensor::from_array(tape.device(), &[b, h, across, m], y);
        let y = value.clone();
        return tape.push(value, &[x, w, gamma, beta], move |gradient, gradients| {
            let (seen, parts) = ((input.array(), y.array()), (filters.array(), mean.array()));
            let wants_x = gradients.wants(x);
            let all = on.backward(&gpu, seen, parts, gradient.array(), wants_x);
            let tensor = |shape: &[usize], array| Tensor::from_array(input.device(), shape, array);
            gradients.add(w, tensor(filters.shape(), all.filters));
            gradients.add(gamma, tensor(&[m], all.gamma));
            gradients.add(beta, tensor(&[m], all.beta));
            if let Some(dx) = all.x {
                gradients.add(x, tensor(input.shape(), dx));
            }
        });
    }
    let inverse = norm.statistics.inverse_deviation();
    let (slope, shift) = norm.statistics.slope_and_shift(&inverse, &weight, &bias);
    let folded = scaled(&filters, &slope);
    let value = layer.forward(tape.device(), &input, &folded, &shift);
    let y = value.clone();
    tape.push(
        value,
        &[x, w, gamma, beta],
        move |mut gradient, gradients| {
            let device = input.device().clone();
            let d_beta = stop(&device, &mut gradient, &y, layer.activation, m);
            drop(y);
            let (window, g) = (&layer.window, gradient.data());
            if gradients.wants(w) || gradients.wants(gamma) {
                let plain = match layer.depthwise {
                    true => depthwise::to_filters(&device, window, input.data(), g),
                    false => conv::to_filters(&device, window, input.data(), g),
                };
                let plain = Tensor::new(&device, filters.shape(), plain);
                let mut d_gamma = vec![T::ZERO; m];
                let rows = filters.data().chunks_exact(m);
                for (w, d) in rows.zip(plain.data().chunks_exact(m)) {
                    for ((sum, &w), &d) in d_gamma.iter_mut().zip(w).zip(d) {
                        *sum += w * d;
                    }
                }
                for (j, sum) in d_gamma.iter_mut().enumerate() {
                    *sum = (*sum - mean.data()[j] * d_beta[j]) * inverse[j];
                }
                gradients.add(w, scaled(&plain, &slope));
                gradients.add(gamma, Tensor::new(&device, &[m], d_gamma));
            }
            if gradients.wants(x) {
                let dx = match layer.depthwise {
                    true => layer.depthwise_to_input(&device, &gradient, &folded),
                    false => {
                        let dx = conv::to_input(&device, window, g, folded.data());
                        Tensor::new(&device, input.shape(), dx)
                    }
                };
                gradients.add(x, dx);
            }
            gradients.add(beta, Tensor::new(&device, &[m], d_beta));
        },
    )
}

impl Layer {
    /// act(x * filters + shift): for f32 in the one pass of inference.
    fn forward<T: Element>(
        &self,
        device: &Device,
        x: &Tensor<T>,
        filters: &Tensor<T>,
        shift: &[T],
    ) -> Tensor<T> {
        let any: [&dyn Any; 2] = [x, filters];
        if let [Some(x), Some(filters)] = any.map(|x| x.downcast_ref::<Tensor<f32>>()) {
            let bias = Affine::bias(Tensor::from_values(device, &[shift.len()], shift));
            let (stride, padding, act) = (self.stride, self.padding, self.activation);
            let y = match self.depthwise {
                true => inference::Depthwise::new(filters, &bias, stride, padding, act).forward(x),
                false => inference::Convolution::new(filters, &bias, stride, padding, act)
                    .forward(x, None),
            };
            return same_type(y);
        }
        let m = shift.len();
        let mut y = match self.depthwise {
            true => {
                let mut y = device.zeros(self.window.pixels() * m);
                depthwise::filter(&self.window, x.data(), filters.data(), &mut y);
                y
            }
            false => conv::products(device, &self.window, x.data(), filters.data()),
        };
        let (low, high) = self.activation.limits();
        let (low, high) = (T::of(low.into()), T::of(high.into()));
        for row in y.chunks_exact_mut(m) {
            for (y, &shift) in row.iter_mut().zip(shift) {
                let moved = *y + shift;
                let moved = if moved < low { low } else { moved };
                *y = if moved > high { high } else { moved };
            }
        }
        let [b, h, w] = self.window.outputs();
        Tensor::new(device, &[b, h, w, m], y)
    }

    /// With stride 1 and a symmetric margin that is the convolution with the filters turned around.
    fn depthwise_to_input<T: Element>(
        &self,
        device: &Device,
        gradient: &Tensor<T>,
        filters: &Tensor<T>,
    ) -> Tensor<T> {
        let window = &self.window;
        let symmetric = |axis: &super::window::Axis| {
            axis.stride == 1 && 2 * axis.before + 1 == axis.kernel && axis.input == axis.output
        };
        let square = window.y.before == window.x.before;
        if square && symmetric(&window.y) && symmetric(&window.x) {
            let any: [&dyn Any; 2] = [gradient, filters];
            if let [Some(gradient), Some(filters)] = any.map(|x| x.downcast_ref::<Tensor<f32>>()) {
                let c = window.channels;
                let taps = filters.data().chunks_exact(c).rev();
                let turned: Vec<f32> = taps.flatten().copied().collect();
                let turned = Tensor::new(device, filters.shape(), turned);
                let (none, zeros) = (Activation::None, Tensor::zeros(device, &[c]));
                let padding = Padding::Each(window.y.before);
                let layer =
                    inference::Depthwise::new(&turned, &Affine::bias(zeros), 1, padding, none);
                return same_type(layer.forward(gradient));
            }
        }
        let dx = depthwise::to_input(device, window, gradient.data(), filters.data());
        let (h, w) = (window.y.input, window.x.input);
        Tensor::new(device, &[window.batch, h, w, window.channels], dx)
    }
}

/// A tensor of f32 under the name of a type that is known to be f32.
fn same_type<T: Element>(x: Tensor<f32>) -> Tensor<T> {
    let any: Box<dyn Any> = Box::new(x);
    *any.downcast().expect("T is f32")
}

/// Each column times its number.
pub(crate) fn scaled<T: Element>(x: &Tensor<T>, slope: &[T]) -> Tensor<T> {
    let mut y = x.clone();
    for row in y.data_mut().chunks_exact_mut(slope.len().max(1)) {
        vectorized(
            #[inline(always)]
            || row.iter_mut().zip(slope).for_each(|(y, &s)| *y *= s),
        );
    }
    y
}

/// Rows of a piece of [`stop`], at least.
const ROWS: usize = 64;

/// Sets the gradient to 0 where the activation cut y off, and sums each column: in one pass, parts of rows in parallel,
/// their sums added in order.
fn stop<T: Element>(
    device: &Device,
    gradient: &mut Tensor<T>,
    y: &Tensor<T>,
    activation: Activation,
    m: usize,
) -> Vec<T> {
    let (low, high) = activation.limits();
    let (low, high) = (T::of(low.into()), T::of(high.into()));
    let rows = y.len() / m.max(1);
    let part = rows.div_ceil(32).max(ROWS) * m;
    let pieces = gradient.data_mut().par_chunks_mut(part);
    let parts: Vec<Vec<T>> = pieces
        .zip(y.data().par_chunks(part))
        .map(|(g, y)| {
            let mut sums = device.zeros(m);
            vectorized(
                #[inline(always)]
                || {
                    for (g, y) in g.chunks_exact_mut(m).zip(y.chunks_exact(m)) {
                        let sums = &mut sums[..m];
                        for j in 0..m {
                            let through = y[j] > low && y[j] < high;
                            g[j] = if through { g[j] } else { T::ZERO };
                            sums[j] += g[j];
                        }
                    }
                },
            );
            sums
        })
        .collect();
    let mut total = vec![T::ZERO; m];
    for sums in parts {
        total.iter_mut().zip(&sums).for_each(|(t, &s)| *t += s);
        device.recycle(sums);
    }
    total
}
