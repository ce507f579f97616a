//! A depthwise convolution with bias and activation in the same pass.
//!
//! Here: rows of outputs in parallel; in each a vector of channels at a time, whose filter stays in registers while it
//! walks along the row, seven outputs at once. Not here: the gradient (`ops`).

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::{Activation, Affine};
use crate::ops::Padding;
use crate::ops::window::{Axis, Window};
use crate::parallel::for_pieces;
use crate::simd::dispatch;
use crate::{Tensor, gpu};

/// Filters (KH, KW, C), one a channel, ready for use.
#[derive(Debug, Clone)]
pub struct Depthwise {
    kernel: [usize; 2],
    channels: usize,
    stride: usize,
    padding: Padding,
    activation: Activation,
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Both for a GPU.
    on_gpu: Option<[Tensor; 2]>,
}

/// Outputs at once: pictures of side 7, 14, .. 112 divide by it.
const TILE: usize = 7;
/// Inputs that a tile sees in a row, at most: width 5, stride 2.
const SEEN: usize = (TILE - 1) * 2 + 5;

impl Depthwise {
    /// Takes filters (KH, KW, C) with their factors and biases.
    ///
    /// # Panics
    /// If the shapes don't fit.
    pub fn new(
        filters: &Tensor,
        affine: &Affine,
        stride: usize,
        padding: Padding,
        activation: Activation,
    ) -> Self {
        let &[kh, kw, channels] = filters.shape() else {
            panic!(
                "filters (KH, KW, C) were expected, not {:?}",
                filters.shape()
            );
        };
        affine.check(channels);
        let on_gpu = filters.device().gpu();
        let filters = affine.times(filters);
        let on_gpu = on_gpu.map(|_| [filters.clone(), affine.bias.clone()]);
        let [weights, bias] = match on_gpu {
            Some(_) => [Vec::new(), Vec::new()],
            None => [&filters, &affine.bias].map(|x| x.data().to_vec()),
        };
        Self {
            kernel: [kh, kw],
            channels,
            stride,
            padding,
            activation,
            weights,
            bias,
            on_gpu,
        }
    }

    /// Activation(x (B, H, W, C) * filters + bias) → (B, H', W', C).
    ///
    /// # Panics
    /// If the shapes don't fit or there is no output, or x lies on another device than the filters.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let window = Window::new(x.shape(), self.kernel, self.stride, self.padding);
        assert_eq!(window.channels, self.channels, "channels of the filters");
        let device = x.device().clone();
        let [b, h, w] = window.outputs();
        if let Some([filters, bias]) = &self.on_gpu {
            let gpu = device.gpu().expect("pictures on the filters' device");
            let layer = gpu::Layer {
                window,
                depthwise: true,
                limits: self.activation.limits(),
            };
            let (filters, bias) = (filters.array(), bias.array().all());
            let y = layer.forward(gpu, x.array(), filters, bias, None);
            return Tensor::from_array(&device, &[b, h, w, self.channels], y);
        }
        let line = w * self.channels;
        let mut out = device.buffer(b * h * line);
        // A few rows a piece: they share most of what they see.
        let rows = (crate::parallel::PIECE / line.max(1)).clamp(1, 4);
        device.install(|| {
            for_pieces(&mut out, rows * line, |at, out| {
                for (i, out) in out.chunks_exact_mut(line).enumerate() {
                    let row = at / line + i;
                    let (image, oy) = (row / h, row % h);
                    let (taps, top) = window.y.taps(oy);
                    dispatch(Row {
                        layer: self,
                        across: window.x,
                        x: x.data(),
                        taps,
                        top: image * window.y.input + top,
                        out,
                    });
                }
            });
        });
        Tensor::new(&device, &[b, h, w, self.channels], out)
    }
}

/// One row of outputs (W', C).
struct Row<'a> {
    layer: &'a Depthwise,
    across: Axis,
    x: &'a [f32],
    /// Rows of the kernel that meet an input.
    taps: Range<usize>,
    /// The line of inputs that the first of them meets.
    top: usize,
    out: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let c = self.layer.channels;
        let across = self.across;
        let wide = across.output >= TILE;
        let mut from = 0;
        while from < c {
            let lanes = S::F32_LANES.min(c - from);
            match (lanes == S::F32_LANES, across.kernel, across.stride) {
                (true, 3, 1) if wide => self.tiles::<S, 3, 1>(simd, from),
                (true, 3, 2) if wide => self.tiles::<S, 3, 2>(simd, from),
                (true, 5, 1) if wide => self.tiles::<S, 5, 1>(simd, from),
                (true, 5, 2) if wide => self.tiles::<S, 5, 2>(simd, from),
                _ => self.one_by_one(simd, from, lanes),
            }
            from += lanes;
        }
    }
}

impl Row<'_> {
    /// The first pixel of the line of inputs that the kernel's row `ky` meets.
    fn line(&self, ky: usize) -> usize {
        (self.top + ky - self.taps.start) * self.across.input
    }

    /// A vector of channels, kernels of width K: every input is loaded once for all outputs of a tile that see it, and beyond
    /// the picture's edge it is 0.
    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "loops of fixed bounds keep the sums in registers"
    )]
    fn tiles<S: Simd, const K: usize, const STRIDE: usize>(&mut self, simd: S, from: usize) {
        let (across, c) = (self.across, self.layer.channels);
        let load = |data: &[f32], at: usize| -> S::f32s {
            S::as_simd_f32s(&data[at..at + S::F32_LANES]).0[0]
        };
        let zero = simd.splat_f32s(0.0);
        let bias = load(&self.layer.bias, from);
        let limit = limit(simd, self.layer.activation);
        let mut ox = 0;
        while ox < across.output {
            // The last tile does some outputs a second time.
            ox = ox.min(across.output - TILE);
            let mut sums = [bias; TILE];
            for ky in self.taps.clone() {
                let line = &self.x[self.line(ky) * c..][..across.input * c];
                let mut seen = [zero; SEEN];
                for pixel in 0..(TILE - 1) * STRIDE + K {
                    let at = (ox * STRIDE + pixel).wrapping_sub(across.before);
                    if at < across.input {
                        seen[pixel] = load(line, at * c + from);
                    }
                }
                for kx in 0..K {
                    let w = load(&self.layer.weights, (ky * K + kx) * c + from);
                    for t in 0..TILE {
                        sums[t] = simd.mul_add_e_f32s(seen[t * STRIDE + kx], w, sums[t]);
                    }
                }
            }
            for t in 0..TILE {
                let out = &mut self.out[(ox + t) * c + from..][..S::F32_LANES];
                S::as_mut_simd_f32s(out).0[0] = limit(sums[t]);
            }
            ox += TILE;
        }
    }

    /// Channels `from .. from + lanes`, any kernel.
    #[inline(always)]
    fn one_by_one<S: Simd>(&mut self, simd: S, from: usize, lanes: usize) {
        let (across, c) = (self.across, self.layer.channels);
        let load = |data: &[f32], at: usize| simd.partial_load_f32s(&data[at..at + lanes]);
        let bias = load(&self.layer.bias, from);
        let limit = limit(simd, self.layer.activation);
        for ox in 0..across.output {
            let (columns, left) = across.taps(ox);
            let mut sum = bias;
            for ky in self.taps.clone() {
                for kx in columns.clone() {
                    let w = load(&self.layer.weights, (ky * across.kernel + kx) * c + from);
                    let pixel = self.line(ky) + left + kx - columns.start;
                    sum = simd.mul_add_e_f32s(load(self.x, pixel * c + from), w, sum);
                }
            }
            simd.partial_store_f32s(&mut self.out[ox * c + from..][..lanes], limit(sum));
        }
    }
}

/// Cuts sums off at the activation's limits; in this order NaN stays.
#[inline(always)]
fn limit<S: Simd>(simd: S, activation: Activation) -> impl Fn(S::f32s) -> S::f32s {
    let (low, high) = activation.limits();
    let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
    move |sum| simd.min_f32s(high, simd.max_f32s(low, sum))
}
