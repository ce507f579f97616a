//! A convolution whose filters were packed once, with bias, residual and activation in the same pass.
//!
//! Here: packing, unfolding block by block, and what runs on which thread. Not here: the innermost loops (`tile.rs`).
//!
//! Many pixels are cut into rows, few pixels with many filters into columns, so that every weight is read once.

use rayon::prelude::*;

use super::tile::{Block, Dense, PANEL, Panel, ROWS};
use super::{Activation, Affine, LINE, Line};
use crate::ops::Padding;
use crate::ops::unfold::unfold;
use crate::ops::window::Window;
use crate::simd::dispatch;
use crate::{Device, Tensor, gpu};

/// Filters (KH, KW, C, M) ready for use.
#[derive(Debug, Clone)]
pub struct Convolution {
    kernel: [usize; 2],
    channels: usize,
    filters: usize,
    stride: usize,
    padding: Padding,
    activation: Activation,
    panels: Vec<Panel>,
    /// Filters and bias as they are, for a GPU; then nothing is packed.
    on_gpu: Option<[Tensor; 2]>,
}

/// Numbers of input and output of a block of rows that a core's first two caches should hold.
const BLOCK: usize = 1 << 14;
/// The same where the weights are too large to be read again for every few rows.
const LARGE_BLOCK: usize = 1 << 17;
/// Weights from which on that is so.
const LARGE_WEIGHTS: usize = 1 << 17;
/// Multiplications of one piece of work, at least.
const PIECE: usize = 1 << 18;
/// Pieces of a layer: enough for a few threads to end at the same time.
const PIECES: usize = 16;

impl Convolution {
    /// Packs filters (KH, KW, C, M) with their factors and biases.
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
        let &[kh, kw, channels, m] = filters.shape() else {
            panic!(
                "filters (KH, KW, C, M) were expected, not {:?}",
                filters.shape()
            );
        };
        affine.check(m);
        let on_gpu = filters.device().gpu();
        let on_gpu = on_gpu.map(|_| [affine.times(filters), affine.bias.clone()]);
        let panels = match on_gpu {
            Some(_) => Vec::new(),
            None => Self::panels(filters, affine, m),
        };
        Self {
            kernel: [kh, kw],
            channels,
            filters: m,
            stride,
            padding,
            activation,
            panels,
            on_gpu,
        }
    }

    fn panels(filters: &Tensor, affine: &Affine, m: usize) -> Vec<Panel> {
        let rows: Vec<&[f32]> = filters.data().chunks_exact(m.max(1)).collect();
        let slope = affine.slope.as_ref().map(Tensor::data);
        let mut cuts = Vec::new();
        let mut left = m.div_ceil(LINE);
        while left > 0 {
            let lines = match left {
                // Two and two are faster than three and one.
                4 | 2 => 2,
                n => n.min(PANEL),
            };
            cuts.push(((m.div_ceil(LINE) - left) * LINE, lines));
            left -= lines;
        }
        let panel = |&(column, lines): &(usize, usize)| {
            let columns = (m - column).min(lines * LINE);
            let pack = |row: &[f32], slope: Option<&[f32]>, packed: &mut Vec<Line>| {
                packed.extend((0..lines).map(|line| {
                    let from = column + (line * LINE).min(columns);
                    let to = column + ((line + 1) * LINE).min(columns);
                    let mut values = [0.0; LINE];
                    values[..to - from].copy_from_slice(&row[from..to]);
                    if let Some(slope) = slope {
                        let scaled = values.iter_mut().zip(&slope[from..to]);
                        scaled.for_each(|(value, factor)| *value *= factor);
                    }
                    Line(values)
                }));
            };
            let mut weights = Vec::with_capacity(rows.len() * lines);
            rows.iter().for_each(|row| pack(row, slope, &mut weights));
            let mut biases = Vec::with_capacity(lines);
            pack(affine.bias.data(), None, &mut biases);
            Panel {
                column,
                columns,
                lines,
                weights,
                bias: biases,
            }
        };
        let device = filters.device();
        device.install(|| cuts.par_iter().map(panel).collect())
    }

    /// Activation(x (B, H, W, C) * filters + bias + residual) → (B, H', W', M).
    ///
    /// # Panics
    /// If the shapes don't fit or there is no output, or x lies on another device than the filters.
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> Tensor {
        let window = Window::new(x.shape(), self.kernel, self.stride, self.padding);
        assert_eq!(window.channels, self.channels, "channels of the filters");
        let device = x.device().clone();
        let [b, h, w] = window.outputs();
        let shape = [b, h, w, self.filters];
        if let Some(residual) = residual {
            assert_eq!(residual.shape(), shape, "shape of the residual");
        }
        if let Some([filters, bias]) = &self.on_gpu {
            let gpu = device.gpu().expect("pictures on the filters' device");
            let layer = gpu::Layer {
                window,
                depthwise: false,
                limits: self.activation.limits(),
            };
            let residual = residual.map(|r| r.array().all());
            let (filters, bias) = (filters.array(), bias.array().all());
            let y = layer.forward(gpu, x.array(), filters, bias, residual);
            return Tensor::from_array(&device, &shape, y);
        }
        let mut out = device.buffer(window.pixels() * self.filters);
        let work = Work {
            convolution: self,
            window,
            x: x.data(),
            residual: residual.map(Tensor::data),
        };
        device.install(|| work.run(&device, &mut out));
        Tensor::new(&device, &shape, out)
    }
}

struct Work<'a> {
    convolution: &'a Convolution,
    window: Window,
    x: &'a [f32],
    residual: Option<&'a [f32]>,
}

impl Work<'_> {
    fn run(&self, device: &Device, out: &mut [f32]) {
        let m = self.convolution.filters;
        let (pixels, patch) = (self.window.pixels(), self.window.patch());
        // Some rows a piece, or some panels of all rows.
        let least = (PIECE / (patch * m).max(1)).max(1);
        let rows = least.max(pixels.div_ceil(PIECES)).next_multiple_of(ROWS);
        let by_columns = pixels <= 64 || (pixels < 512 && patch * m >= LARGE_WEIGHTS);
        if pixels * patch * m <= PIECE {
            let dense = &mut Dense {
                data: out,
                width: m,
            };
            return self.rows(device, 0..pixels, &self.convolution.panels, dense, 0);
        }
        if !by_columns {
            out.par_chunks_mut(rows * m)
                .enumerate()
                .for_each(|(i, data)| {
                    let first = i * rows;
                    let range = first..first + data.len() / m;
                    let dense = &mut Dense { data, width: m };
                    self.rows(device, range, &self.convolution.panels, dense, first);
                });
            return;
        }
        let mut groups: Vec<(&[Panel], Vec<&mut [f32]>)> = self
            .convolution
            .panels
            .chunks(self.convolution.panels.len().div_ceil(PIECES))
            .map(|panels| (panels, Vec::with_capacity(pixels)))
            .collect();
        for mut row in out.chunks_exact_mut(m) {
            for (panels, rows) in &mut groups {
                let columns = panels.iter().map(|p| p.columns).sum();
                let (part, rest) = row.split_at_mut(columns);
                rows.push(part);
                row = rest;
            }
        }
        groups.into_par_iter().for_each(|(panels, mut rows)| {
            self.rows(device, 0..pixels, panels, &mut rows, 0);
        });
    }

    /// Output pixels `range`, block by block; `offset` is the pixel of the first row of `out`.
    fn rows(
        &self,
        device: &Device,
        range: std::ops::Range<usize>,
        panels: &[Panel],
        out: &mut impl super::tile::Rows,
        offset: usize,
    ) {
        let patch = self.window.patch();
        let columns: usize = panels.iter().map(|p| p.columns).sum();
        let numbers = if patch * columns > LARGE_WEIGHTS {
            LARGE_BLOCK / patch.max(1)
        } else {
            BLOCK / (patch + columns).max(1)
        };
        let step = (numbers / ROWS).max(1) * ROWS;
        let pointwise = self.window.is_pointwise();
        let mut patches = match pointwise {
            true => Vec::new(),
            false => device.buffer(step.min(range.len()) * patch),
        };
        for first in range.clone().step_by(step) {
            let rows = step.min(range.end - first);
            let x = if pointwise {
                &self.x[first * patch..][..rows * patch]
            } else {
                let patches = &mut patches[..rows * patch];
                unfold(&self.window, self.x, first..first + rows, patches);
                &*patches
            };
            dispatch(Block {
                x,
                k: patch,
                rows,
                panels,
                to: first - offset,
                out: &mut *out,
                residual: self
                    .residual
                    .map(|data| (data, self.convolution.filters, first)),
                limits: self.convolution.activation.limits(),
            });
        }
        device.recycle(patches);
    }
}
