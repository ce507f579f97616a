//! Depthwise convolution: one filter a channel (Sifre 2014; the middle of every EfficientNet block).
//!
//! Forward and backward walk over rows of pixels with the channels innermost, which vectorise. Not here: the inference
//! path (`inference`).

use std::ops::Range;

use cuda::kernels;

use super::Padding;
use super::sums::sum_parts;
use super::window::Window;
use crate::inference::Activation;
use crate::parallel::for_pieces;
use crate::simd::vectorized;
use crate::{Device, Element, Tape, Tensor, Var, gpu};

/// x (B, H, W, C) with filters w (KH, KW, C), one a channel → (B, H', W', C).
///
/// # Panics
/// If the shapes don't fit or there is no output.
pub fn depthwise_conv2d<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    w: Var,
    stride: usize,
    padding: Padding,
) -> Var {
    let (input, filters) = (tape.value(x).clone(), tape.value(w).clone());
    let &[kh, kw, c] = filters.shape() else {
        panic!(
            "filters (KH, KW, C) were expected, not {:?}",
            filters.shape()
        );
    };
    let window = Window::new(input.shape(), [kh, kw], stride, padding);
    assert_eq!(window.channels, c, "channels of the filters");
    let device = tape.device().clone();
    let [b, h, across] = window.outputs();
    let shape = [b, h, across, c];
    if let Some(gpu) = device.gpu_for::<T>().cloned() {
        let window = gpu::window(&window);
        let limits = Activation::None.limits();
        let (seen, weights) = (input.array().all(), filters.array().all());
        let y = kernels::depthwise(&gpu, &window, seen, weights, None, limits);
        let value = Tensor::from_array(&device, &shape, y);
        return tape.push(value, &[x, w], move |gradient, gradients| {
            let (device, g) = (input.device(), gradient.array().all());
            if gradients.wants(w) {
                let dw = kernels::depthwise_to_filters(&gpu, &window, input.array().all(), g);
                gradients.add(w, Tensor::from_array(device, filters.shape(), dw));
            }
            if gradients.wants(x) {
                let dx = kernels::depthwise_to_input(&gpu, &window, g, filters.array().all());
                gradients.add(x, Tensor::from_array(device, input.shape(), dx));
            }
        });
    }
    let mut out = device.zeros(window.pixels() * c);
    device.install(|| filter(&window, input.data(), filters.data(), &mut out));
    let value = Tensor::new(&device, &shape, out);
    tape.push(value, &[x, w], move |gradient, gradients| {
        let device = input.device().clone();
        if gradients.wants(w) {
            let dw = to_filters(&device, &window, input.data(), gradient.data());
            gradients.add(w, Tensor::new(&device, filters.shape(), dw));
        }
        if gradients.wants(x) {
            let dx = to_input(&device, &window, gradient.data(), filters.data());
            gradients.add(x, Tensor::new(&device, input.shape(), dx));
        }
    })
}

/// Adds what the filters (KH, KW, C) say of x to `out` (B, H', W', C).
pub(super) fn filter<T: Element>(window: &Window, x: &[T], filters: &[T], out: &mut [T]) {
    let (c, across) = (window.channels, window.x.output);
    for_pieces(out, across * c, |at, line| {
        let row = at / (across * c);
        vectorized(
            #[inline(always)]
            || {
                for_taps(window, row, |tap, pixel, ox| {
                    let weights = &filters[tap * c..][..c];
                    let seen = &x[pixel * c..][..c];
                    let sums = &mut line[ox * c..][..c];
                    for j in 0..c {
                        sums[j] += weights[j] * seen[j];
                    }
                });
            },
        );
    });
}

/// The gradient of the filters (KH, KW, C) from that of the outputs.
///
/// A few rows of outputs at a time; the partial sums are added in order.
pub(super) fn to_filters<T: Element>(
    device: &Device,
    window: &Window,
    x: &[T],
    gradient: &[T],
) -> Vec<T> {
    let [b, h, _] = window.outputs();
    let width = window.y.kernel * window.x.kernel * window.channels;
    sum_parts(device, b * h, 32, width, |rows, sums| {
        vectorized(
            #[inline(always)]
            || match window.x.kernel {
                3 => add_to_filters::<T, 3>(window, x, gradient, rows, sums),
                5 => add_to_filters::<T, 5>(window, x, gradient, rows, sums),
                _ => {
                    let (c, across) = (window.channels, window.x.output);
                    for row in rows {
                        let line = &gradient[row * across * c..][..across * c];
                        for_taps(window, row, |tap, pixel, ox| {
                            let sums = &mut sums[tap * c..][..c];
                            let seen = &x[pixel * c..][..c];
                            let down = &line[ox * c..][..c];
                            for j in 0..c {
                                sums[j] += down[j] * seen[j];
                            }
                        });
                    }
                }
            },
        );
    })
}

/// Channels whose sums stay in registers while a row is walked along: one or two vectors.
const LANES: usize = 16;

/// As above for filters K wide: the K sums of a row of the filter stay in registers along a row of outputs.
#[inline(always)]
fn add_to_filters<T: Element, const K: usize>(
    window: &Window,
    x: &[T],
    gradient: &[T],
    outputs: Range<usize>,
    sums: &mut [T],
) {
    let (y, across, c) = (window.y, window.x, window.channels);
    for row in outputs {
        let (image, oy) = (row / y.output, row % y.output);
        let (taps, top) = y.taps(oy);
        for ky in taps.clone() {
            let line = (image * y.input + top + ky - taps.start) * across.input;
            let mut from = 0;
            while from + LANES <= c {
                let mut kept = [[T::ZERO; LANES]; K];
                for ox in 0..across.output {
                    let down = &gradient[(row * across.output + ox) * c + from..][..LANES];
                    let (columns, left) = across.taps(ox);
                    if columns.len() == K {
                        let seen = &x[(line + left) * c + from..];
                        for (kx, kept) in kept.iter_mut().enumerate() {
                            let seen = &seen[kx * c..][..LANES];
                            for j in 0..LANES {
                                kept[j] += down[j] * seen[j];
                            }
                        }
                    } else {
                        for kx in columns.clone() {
                            let pixel = line + left + kx - columns.start;
                            let seen = &x[pixel * c + from..][..LANES];
                            for j in 0..LANES {
                                kept[kx][j] += down[j] * seen[j];
                            }
                        }
                    }
                }
                for (kx, kept) in kept.iter().enumerate() {
                    let sums = &mut sums[(ky * K + kx) * c + from..][..LANES];
                    sums.iter_mut().zip(kept).for_each(|(s, &k)| *s += k);
                }
                from += LANES;
            }
            // The channels beyond the last whole vector.
            for ox in 0..across.output {
                let down = &gradient[(row * across.output + ox) * c..][..c];
                let (columns, left) = across.taps(ox);
                for kx in columns.clone() {
                    let seen = &x[(line + left + kx - columns.start) * c..][..c];
                    let sums = &mut sums[(ky * K + kx) * c..][..c];
                    for j in from..c {
                        sums[j] += down[j] * seen[j];
                    }
                }
            }
        }
    }
}

/// The gradient of x from that of the outputs.
pub(super) fn to_input<T: Element>(
    device: &Device,
    window: &Window,
    gradient: &[T],
    filters: &[T],
) -> Vec<T> {
    let (y, columns, c) = (window.y, window.x, window.channels);
    let (kh, kw, h, across) = (y.kernel, columns.kernel, y.output, columns.output);
    let mut dx = device.zeros(window.batch * y.input * columns.input * c);
    for_pieces(&mut dx, columns.input * c, |at, line| {
        let row = at / (columns.input * c);
        let (image, iy) = (row / y.input, row % y.input);
        vectorized(
            #[inline(always)]
            || {
                for ky in 0..kh {
                    let Some(oy) = y.output_of(iy, ky) else {
                        continue;
                    };
                    let first = (image * h + oy) * across;
                    for ox in 0..across {
                        let (taps, left) = columns.taps(ox);
                        let down = &gradient[(first + ox) * c..][..c];
                        for kx in taps.clone() {
                            let weights = &filters[(ky * kw + kx) * c..][..c];
                            let sums = &mut line[(left + kx - taps.start) * c..][..c];
                            for j in 0..c {
                                sums[j] += down[j] * weights[j];
                            }
                        }
                    }
                }
            },
        );
    });
    dx
}

/// Calls `visit(tap, input pixel, output column)` for everything that row `row` (counted through the batch) of the
/// outputs sees.
#[inline(always)]
fn for_taps(window: &Window, row: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (image, oy) = (row / window.y.output, row % window.y.output);
    let (rows, top) = window.y.taps(oy);
    for ky in rows.clone() {
        let line = (image * window.y.input + top + ky - rows.start) * window.x.input;
        for ox in 0..window.x.output {
            let (columns, left) = window.x.taps(ox);
            for kx in columns.clone() {
                let pixel = line + left + kx - columns.start;
                visit(ky * window.x.kernel + kx, pixel, ox);
            }
        }
    }
}
