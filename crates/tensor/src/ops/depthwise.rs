//! Depthwise convolution: one filter a channel (Sifre 2014; the middle of every EfficientNet block).
//!
//! Forward and backward walk over rows of pixels with the channels innermost, which vectorise. Not here: the inference
//! path (`inference`).

use super::Padding;
use super::sums::sum_parts;
use super::window::Window;
use crate::parallel::for_pieces;
use crate::simd::vectorized;
use crate::{Element, Tape, Tensor, Var};

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
    let mut out = device.zeros(window.pixels() * c);
    device.install(|| {
        for_pieces(&mut out, across * c, |at, line| {
            let row = at / (across * c);
            vectorized(
                #[inline(always)]
                || {
                    for_taps(&window, row, |tap, pixel, ox| {
                        let weights = &filters.data()[tap * c..][..c];
                        let seen = &input.data()[pixel * c..][..c];
                        let sums = &mut line[ox * c..][..c];
                        for j in 0..c {
                            sums[j] += weights[j] * seen[j];
                        }
                    });
                },
            );
        });
    });
    let value = Tensor::new(&device, &[b, h, across, c], out);
    tape.push(value, &[x, w], move |gradient, gradients| {
        let device = input.device().clone();
        if gradients.wants(w) {
            // A few rows of outputs at a time; the partial sums are added in order.
            let rows = b * h;
            let dw = sum_parts(&device, rows, 32, kh * kw * c, |rows, sums| {
                for row in rows {
                    let line = &gradient.data()[row * across * c..][..across * c];
                    vectorized(
                        #[inline(always)]
                        || {
                            for_taps(&window, row, |tap, pixel, ox| {
                                let sums = &mut sums[tap * c..][..c];
                                let seen = &input.data()[pixel * c..][..c];
                                let down = &line[ox * c..][..c];
                                for j in 0..c {
                                    sums[j] += down[j] * seen[j];
                                }
                            });
                        },
                    );
                }
            });
            gradients.add(w, Tensor::new(&device, filters.shape(), dw));
        }
        if gradients.wants(x) {
            let mut dx = device.zeros(input.data().len());
            let (y, columns) = (window.y, window.x);
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
                                let down = &gradient.data()[(first + ox) * c..][..c];
                                for kx in taps.clone() {
                                    let weights = &filters.data()[(ky * kw + kx) * c..][..c];
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
            gradients.add(x, Tensor::new(&device, input.shape(), dx));
        }
    })
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
