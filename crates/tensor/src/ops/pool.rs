//! Pooling: the largest or the mean of a window, and the mean of a whole picture.
//!
//! Padding never wins a maximum. A mean divides by the window's size with the padding that it covers, as Caffe does.

use cuda::kernels;

use super::Padding;
use super::window::Window;
use crate::parallel::for_pieces;
use crate::{Element, Tape, Tensor, Var, gpu};

/// The largest of each window: x (B, H, W, C) → (B, H', W', C). The gradient goes to the first of equals.
///
/// # Panics
/// If there is no output.
pub fn max_pool<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    kernel: [usize; 2],
    stride: usize,
    padding: Padding,
) -> Var {
    let input = tape.value(x).clone();
    let window = Window::new(input.shape(), kernel, stride, padding);
    if let Some(gpu) = tape.device().gpu_for::<T>().cloned() {
        let [b, h, w] = window.outputs();
        let shape = [b, h, w, window.channels];
        let window = gpu::window(&window);
        let (y, winners) = kernels::max_pool(&gpu, &window, input.array().all());
        let value = Tensor::from_array(tape.device(), &shape, y);
        return tape.push(value, &[x], move |gradient, gradients| {
            let g = gradient.array().all();
            let dx = kernels::max_pool_backward(&gpu, &window, g, winners.all());
            gradients.add(x, Tensor::from_array(input.device(), input.shape(), dx));
        });
    }
    let (value, winners) = largest(&window, &input);
    tape.push(value, &[x], move |gradient, gradients| {
        let device = input.device().clone();
        let mut dx = device.zeros(input.len());
        let image = dx.len() / window.batch.max(1);
        let outputs = winners.len() / window.batch.max(1);
        for_pieces(&mut dx, image, |at, dx| {
            let from = at / image * outputs;
            let range = from..from + outputs;
            for (&winner, &g) in winners[range.clone()].iter().zip(&gradient.data()[range]) {
                dx[winner as usize] += g;
            }
        });
        gradients.add(x, Tensor::new(&device, input.shape(), dx));
    })
}

/// The maxima, and where in its picture each of them is.
fn largest<T: Element>(window: &Window, input: &Tensor<T>) -> (Tensor<T>, Vec<u32>) {
    let (device, c) = (input.device(), window.channels);
    let [b, h, w] = window.outputs();
    let mut found: Vec<(T, u32)> = vec![(T::ZERO, u32::MAX); b * h * w * c];
    device.install(|| {
        for_pieces(&mut found, w * c, |at, line| {
            let row = at / (w * c);
            for_window(window, row, |pixel, first, ox| {
                let seen = &input.data()[(first + pixel) * c..][..c];
                for (j, (best, &x)) in line[ox * c..][..c].iter_mut().zip(seen).enumerate() {
                    // Not (x <= best): NaN wins and stays, because nothing is larger than it.
                    let stays = best.1 != u32::MAX
                        && (x <= best.0 || best.0.partial_cmp(&best.0).is_none());
                    if !stays {
                        *best = (x, (pixel * c + j) as u32);
                    }
                }
            });
        });
    });
    let value = found.iter().map(|f| f.0).collect();
    let winners = found.iter().map(|f| f.1).collect();
    (Tensor::new(device, &[b, h, w, c], value), winners)
}

/// The mean of each window: x (B, H, W, C) → (B, H', W', C).
///
/// # Panics
/// If there is no output.
pub fn average_pool<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    kernel: [usize; 2],
    stride: usize,
    padding: Padding,
) -> Var {
    let input = tape.value(x).clone();
    let window = Window::new(input.shape(), kernel, stride, padding);
    let (device, c) = (tape.device().clone(), window.channels);
    let [b, h, w] = window.outputs();
    if let Some(gpu) = device.gpu_for::<T>().cloned() {
        let window = gpu::window(&window);
        let y = kernels::average_pool(&gpu, &window, input.array().all());
        let value = Tensor::from_array(&device, &[b, h, w, c], y);
        return tape.push(value, &[x], move |gradient, gradients| {
            let dx = kernels::average_pool_backward(&gpu, &window, gradient.array().all());
            gradients.add(x, Tensor::from_array(input.device(), input.shape(), dx));
        });
    }
    let mut out = device.zeros(b * h * w * c);
    device.install(|| {
        for_pieces(&mut out, w * c, |at, line| {
            let row = at / (w * c);
            for_window(&window, row, |pixel, first, ox| {
                let share = share::<T>(&window, row, ox);
                let seen = &input.data()[(first + pixel) * c..][..c];
                let sums = line[ox * c..][..c].iter_mut().zip(seen);
                sums.for_each(|(s, &x)| *s += x * share);
            });
        });
    });
    let value = Tensor::new(&device, &[b, h, w, c], out);
    tape.push(value, &[x], move |gradient, gradients| {
        let device = input.device().clone();
        let mut dx = device.zeros(input.len());
        let image = dx.len() / b.max(1);
        for_pieces(&mut dx, image, |at, dx| {
            for row in at / image * h..(at / image + 1) * h {
                for_window(&window, row, |pixel, _, ox| {
                    let share = share::<T>(&window, row, ox);
                    let down = &gradient.data()[(row * w + ox) * c..][..c];
                    let sums = dx[pixel * c..][..c].iter_mut().zip(down);
                    sums.for_each(|(d, &g)| *d += g * share);
                });
            }
        });
        gradients.add(x, Tensor::new(&device, input.shape(), dx));
    })
}

/// The mean over all pixels of each picture: x (B, H, W, C) → (B, C).
pub fn global_average_pool<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let input = tape.value(x).clone();
    let &[b, h, w, c] = input.shape() else {
        panic!("(B, H, W, C) was expected, not {:?}", input.shape());
    };
    let device = tape.device().clone();
    if let Some(gpu) = device.gpu_for::<T>().cloned() {
        let sizes = [b, h * w, c];
        let means = cuda::kernels::region_means(&gpu, input.array().all(), sizes);
        let value = Tensor::from_array(&device, &[b, c], means);
        return tape.push(value, &[x], move |gradient, gradients| {
            let dx = cuda::kernels::region_means_backward(&gpu, gradient.array().all(), sizes);
            gradients.add(x, Tensor::from_array(&device, &[b, h, w, c], dx));
        });
    }
    let share = T::of(1.0 / (h * w) as f64);
    let mut means = device.zeros(b * c);
    device.install(|| {
        for_pieces(&mut means, c.max(1), |at, sums| {
            let image = &input.data()[at * h * w..][..h * w * c];
            for pixel in image.chunks_exact(c) {
                sums.iter_mut().zip(pixel).for_each(|(s, &x)| *s += x);
            }
            sums.iter_mut().for_each(|s| *s *= share);
        });
    });
    let value = Tensor::new(&device, &[b, c], means);
    tape.push(value, &[x], move |gradient, gradients| {
        let mut dx = device.buffer(b * h * w * c);
        for_pieces(&mut dx, (h * w * c).max(1), |at, image| {
            let down = &gradient.data()[at / (h * w).max(1)..][..c];
            for pixel in image.chunks_exact_mut(c) {
                let parts = pixel.iter_mut().zip(down);
                parts.for_each(|(d, &g)| *d = g * share);
            }
        });
        gradients.add(x, Tensor::new(&device, &[b, h, w, c], dx));
    })
}

/// Calls `visit(pixel in its picture, first pixel of the picture, output column)` for what a row of outputs sees.
fn for_window(window: &Window, row: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (y, x) = (window.y, window.x);
    let (image, oy) = (row / y.output, row % y.output);
    let (rows, top) = y.taps(oy);
    for iy in top..top + rows.len() {
        for ox in 0..x.output {
            let (columns, left) = x.taps(ox);
            for ix in left..left + columns.len() {
                visit(iy * x.input + ix, image * y.input * x.input, ox);
            }
        }
    }
}

/// 1 / the size of a window, the padding on both sides included but nothing beyond it.
fn share<T: Element>(window: &Window, row: usize, ox: usize) -> T {
    let size = |axis: super::window::Axis, o: usize| {
        let start = o * axis.stride;
        axis.kernel.min(axis.input + 2 * axis.before - start)
    };
    let pixels = size(window.y, row % window.y.output) * size(window.x, ox);
    T::ONE / T::of(pixels as f64)
}
