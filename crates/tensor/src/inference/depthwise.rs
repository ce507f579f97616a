//! A depthwise convolution with bias and activation in the same pass.
//!
//! Here: rows of outputs in parallel; in each a vector of channels at a time, whose filter stays in registers while it
//! walks along the row, seven outputs at once. Not here: the gradient (`ops`).

use pulp::{Simd, WithSimd};

use super::{Activation, Affine};
use crate::ops::Padding;
use crate::ops::window::Window;
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

/// Outputs at once.
const TILE: usize = 7;
/// The same in narrow rows: of 7 outputs a filter of width 5 has 3 inside.
const SHORT_TILE: usize = 3;

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
                    dispatch(Row {
                        layer: self,
                        window: &window,
                        x: x.data(),
                        row: at / line + i,
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
    window: &'a Window,
    x: &'a [f32],
    row: usize,
    out: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let c = self.layer.channels;
        let mut from = 0;
        while from < c {
            let lanes = S::F32_LANES.min(c - from);
            match (self.window.x.kernel, lanes == S::F32_LANES) {
                (3, true) => self.channels::<S, 3, true>(simd, from, lanes),
                (5, true) => self.channels::<S, 5, true>(simd, from, lanes),
                (_, true) => self.channels::<S, 0, true>(simd, from, lanes),
                (_, false) => self.channels::<S, 0, false>(simd, from, lanes),
            }
            from += lanes;
        }
    }
}

impl Row<'_> {
    /// Channels `from .. from + lanes`; `K` is the kernel's width where it is known.
    #[inline(always)]
    fn channels<S: Simd, const K: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        from: usize,
        lanes: usize,
    ) {
        let (y, across) = (self.window.y, self.window.x);
        let (c, stride) = (self.layer.channels, across.stride);
        let (image, oy) = (self.row / y.output, self.row % y.output);
        let (rows, top) = y.taps(oy);
        let load = |data: &[f32], at: usize| -> S::f32s {
            if WHOLE {
                S::as_simd_f32s(&data[at..at + S::F32_LANES]).0[0]
            } else {
                simd.partial_load_f32s(&data[at..at + lanes])
            }
        };
        let weights = &self.layer.weights;
        let bias = load(&self.layer.bias, from);
        let (low, high) = self.layer.activation.limits();
        let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
        let x = self.x;
        let line = |ky: usize| (image * y.input + top + ky - rows.start) * across.input;
        // In this order NaN stays.
        let limit = |sum| simd.min_f32s(high, simd.max_f32s(low, sum));
        // Outputs `first .. end` see no padding on the left or right.
        let first = across.before.div_ceil(stride);
        let end = (across.input + across.before)
            .checked_sub(across.kernel)
            .map_or(0, |last| (last / stride + 1).min(across.output));
        let tile = match end.saturating_sub(first) {
            TILE.. => TILE,
            SHORT_TILE.. => SHORT_TILE,
            _ => 0,
        };
        let mut ox = 0;
        while ox < across.output {
            if tile > 0 && (first..end).contains(&ox) {
                // The last tile does some outputs a second time.
                ox = ox.min(end - tile);
                let inside = Inside {
                    weights: &weights[from..],
                    seen: &x[(ox * stride - across.before) * c + from..],
                    out: &mut self.out[ox * c + from..],
                    rows: rows.clone(),
                    line: |ky: usize| line(ky) * c,
                    width: across.kernel,
                    step: stride * c,
                    c,
                    bias,
                };
                if tile == TILE {
                    inside.run::<S, K, TILE, WHOLE>(simd, load, limit, lanes);
                } else {
                    inside.run::<S, K, SHORT_TILE, WHOLE>(simd, load, limit, lanes);
                }
                ox += tile;
                continue;
            }
            let (columns, left) = across.taps(ox);
            let mut sum = bias;
            for ky in rows.clone() {
                for kx in columns.clone() {
                    let w = load(weights, (ky * across.kernel + kx) * c + from);
                    let pixel = line(ky) + left + kx - columns.start;
                    sum = simd.mul_add_e_f32s(load(x, pixel * c + from), w, sum);
                }
            }
            let out = &mut self.out[ox * c + from..][..lanes];
            store::<S, WHOLE>(simd, out, limit(sum));
            ox += 1;
        }
    }
}

/// Neighbouring outputs that see no padding on the left or right; everything from their first channel on.
struct Inside<'a, V, L: Fn(usize) -> usize> {
    weights: &'a [f32],
    seen: &'a [f32],
    out: &'a mut [f32],
    /// Rows of the kernel that meet an input, and where in `seen` each begins.
    rows: std::ops::Range<usize>,
    line: L,
    width: usize,
    /// From one output's input to the next one's.
    step: usize,
    c: usize,
    bias: V,
}

impl<V: Copy, L: Fn(usize) -> usize> Inside<'_, V, L> {
    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "loops of fixed bounds keep the sums in registers"
    )]
    fn run<S: Simd<f32s = V>, const K: usize, const T: usize, const WHOLE: bool>(
        self,
        simd: S,
        load: impl Fn(&[f32], usize) -> V,
        limit: impl Fn(V) -> V,
        lanes: usize,
    ) {
        let width = if K == 0 { self.width } else { K };
        let mut sums = [self.bias; T];
        for ky in self.rows.clone() {
            let seen = &self.seen[(self.line)(ky)..];
            for kx in 0..width {
                let w = load(self.weights, (ky * width + kx) * self.c);
                for t in 0..T {
                    let value = load(seen, t * self.step + kx * self.c);
                    sums[t] = simd.mul_add_e_f32s(value, w, sums[t]);
                }
            }
        }
        for t in 0..T {
            store::<S, WHOLE>(simd, &mut self.out[t * self.c..][..lanes], limit(sums[t]));
        }
    }
}

#[inline(always)]
fn store<S: Simd, const WHOLE: bool>(simd: S, out: &mut [f32], value: S::f32s) {
    if WHOLE {
        S::as_mut_simd_f32s(out).0[0] = value;
    } else {
        simd.partial_store_f32s(out, value);
    }
}
