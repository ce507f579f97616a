//! The innermost loops of a packed product: a few rows times a panel of columns, in registers.
//!
//! Here: bias, sums, residual and activation of one block of rows. Written against `pulp`'s vectors of whatever width the
//! processor has. Every sum runs over k in order from the bias, so how a product is cut changes no bit. Not here: which
//! rows and panels run where (`convolution.rs`).
//!
//! Source: the register blocking of Goto & van de Geijn 2008. Seven rows, because pictures of side 7, 14, .. 112 divide by
//! it: with 3 vectors of columns that makes 21 sums in 32 registers.

use pulp::{Simd, WithSimd};

use super::{LINE, Line};

/// Rows of one tile on processors with 32 vector registers.
pub(super) const ROWS: usize = 7;
/// Rows where there are 16.
const FEW_ROWS: usize = 4;
/// Lines of a panel, at most.
pub(super) const PANEL: usize = 3;

/// Some columns of packed weights: for each k the same few lines.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// First column.
    pub(super) column: usize,
    /// Columns that mean something; the others of the last line are zeros.
    pub(super) columns: usize,
    /// Lines for each k.
    pub(super) lines: usize,
    /// K · lines.
    pub(super) weights: Vec<Line>,
    /// One for each line.
    pub(super) bias: Vec<Line>,
}

/// Where results go: row by row.
pub(super) trait Rows {
    /// Columns from the first one of the panels in this call.
    fn row(&mut self, row: usize) -> &mut [f32];
}

/// Rows one after the other.
pub(super) struct Dense<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) width: usize,
}

impl Rows for Dense<'_> {
    #[inline(always)]
    fn row(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.width..][..self.width]
    }
}

/// Parts of rows.
impl Rows for Vec<&mut [f32]> {
    #[inline(always)]
    fn row(&mut self, row: usize) -> &mut [f32] {
        self[row]
    }
}

/// x (rows, K) times panels, into `out`.
pub(super) struct Block<'a, O: Rows> {
    pub(super) x: &'a [f32],
    pub(super) k: usize,
    pub(super) rows: usize,
    pub(super) panels: &'a [Panel],
    /// Row of `out` that the first row of `x` goes to.
    pub(super) to: usize,
    pub(super) out: &'a mut O,
    /// Added before the activation: all rows of the result, `(data, width, first row)`.
    pub(super) residual: Option<(&'a [f32], usize, usize)>,
    pub(super) limits: (f32, f32),
}

impl<O: Rows> WithSimd for Block<'_, O> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let first = self.panels.first().map_or(0, |p| p.column);
        for panel in self.panels {
            let vectors = panel.lines * LINE / S::F32_LANES;
            let mut at = 0;
            while at < vectors {
                let n = match vectors - at {
                    1 => 1,
                    2 | 4 => 2,
                    _ => 3,
                };
                let part = Part { panel, at, first };
                match n {
                    1 => self.part::<S, 1>(simd, part),
                    2 => self.part::<S, 2>(simd, part),
                    _ => self.part::<S, 3>(simd, part),
                }
                at += n;
            }
        }
    }
}

/// Vectors `at ..` of a panel.
#[derive(Clone, Copy)]
struct Part<'a> {
    panel: &'a Panel,
    at: usize,
    /// Column at which rows of the result begin.
    first: usize,
}

impl<O: Rows> Block<'_, O> {
    #[inline(always)]
    fn part<S: Simd, const V: usize>(&mut self, simd: S, part: Part<'_>) {
        if S::REGISTER_COUNT >= 32 {
            self.rows::<S, V, ROWS>(simd, part);
        } else {
            self.rows::<S, V, FEW_ROWS>(simd, part);
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const V: usize, const M: usize>(&mut self, simd: S, part: Part<'_>) {
        let mut row = 0;
        if self.rows < M {
            while row < self.rows {
                self.tile::<S, V, 1>(simd, part, row);
                row += 1;
            }
            return;
        }
        while row < self.rows {
            // The last tile does some rows a second time, which is cheaper than a smaller tile.
            row = row.min(self.rows - M);
            self.tile::<S, V, M>(simd, part, row);
            row += M;
        }
    }

    #[inline(always)]
    #[allow(
        clippy::manual_memcpy,
        reason = "loops of fixed bounds keep the sums in registers"
    )]
    fn tile<S: Simd, const V: usize, const M: usize>(
        &mut self,
        simd: S,
        part: Part<'_>,
        row: usize,
    ) {
        let (k, lanes) = (self.k, S::F32_LANES);
        let vectors = part.panel.lines * LINE / lanes;
        let weights = floats(&part.panel.weights);
        let (weights, _) = S::as_simd_f32s(weights);
        let (bias, _) = S::as_simd_f32s(floats(&part.panel.bias));
        let bias: [S::f32s; V] = std::array::from_fn(|v| bias[part.at + v]);
        let x: [&[f32]; M] = std::array::from_fn(|m| &self.x[(row + m) * k..][..k]);
        let mut sums = [bias; M];
        for (at, weights) in weights.chunks_exact(vectors).take(k).enumerate() {
            let weights: &[S::f32s; V] =
                weights[part.at..part.at + V].try_into().expect("V vectors");
            for m in 0..M {
                let a = simd.splat_f32s(x[m][at]);
                for v in 0..V {
                    sums[m][v] = simd.mul_add_e_f32s(a, weights[v], sums[m][v]);
                }
            }
        }
        // A pass of its own with fixed bounds: were the loops below to touch the sums, the compiler would keep them in
        // memory all along.
        let mut done = [bias; M];
        for m in 0..M {
            for v in 0..V {
                done[m][v] = sums[m][v];
            }
        }
        let (low, high) = (
            simd.splat_f32s(self.limits.0),
            simd.splat_f32s(self.limits.1),
        );
        let start = part.at * lanes;
        let width = part
            .panel
            .columns
            .min(start + V * lanes)
            .saturating_sub(start);
        let column = part.panel.column + start;
        for (m, sums) in done.iter().enumerate() {
            let out = self.out.row(self.to + row + m);
            let out = &mut out[column - part.first..][..width];
            let (whole, tail) = S::as_mut_simd_f32s(out);
            // In this order NaN stays.
            let limit = |sum| simd.min_f32s(high, simd.max_f32s(low, sum));
            if let Some((data, stride, first)) = self.residual {
                let residual = &data[(first + row + m) * stride + column..][..width];
                let (r_whole, r_tail) = S::as_simd_f32s(residual);
                for ((out, &sum), &r) in whole.iter_mut().zip(sums).zip(r_whole) {
                    *out = limit(simd.add_f32s(sum, r));
                }
                if !tail.is_empty() {
                    let r = simd.partial_load_f32s(r_tail);
                    let sum = simd.add_f32s(sums[whole.len()], r);
                    simd.partial_store_f32s(tail, limit(sum));
                }
            } else {
                for (out, &sum) in whole.iter_mut().zip(sums) {
                    *out = limit(sum);
                }
                if !tail.is_empty() {
                    simd.partial_store_f32s(tail, limit(sums[whole.len()]));
                }
            }
        }
    }
}

/// Lines as the numbers in them.
#[inline(always)]
pub(super) fn floats(lines: &[Line]) -> &[f32] {
    bytemuck::cast_slice(lines)
}
