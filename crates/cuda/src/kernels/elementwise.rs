//! Elementwise operations, sums of columns, copies of blocks, means over regions.

use std::sync::Arc;

use super::{block_end, blocks, filled, size};
use crate::{Array, Gpu, In, Out};

/// y = f(x).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// x times a number; its gradient is the same operation.
    Scale(f32),
}

impl Unary {
    fn number(self) -> u32 {
        match self {
            Self::Relu => 0,
            Self::Relu6 => 1,
            Self::Sigmoid => 2,
            Self::Tanh => 3,
            Self::Scale(_) => 4,
        }
    }
}

/// f(x).
pub fn unary(gpu: &Arc<Gpu>, f: Unary, x: In<'_, f32>) -> Array<f32> {
    let n = x.len();
    let factor = match f {
        Unary::Scale(factor) => factor,
        _ => 1.0,
    };
    filled(gpu, n, |y| {
        let arguments = [
            f.number().into(),
            x.into(),
            y.into(),
            (n as u64).into(),
            factor.into(),
        ];
        gpu.launch("unary", blocks(n), &arguments);
    })
}

/// dx from dy and y = f(x).
///
/// # Panics
/// If the lengths differ.
pub fn unary_backward(gpu: &Arc<Gpu>, f: Unary, dy: In<'_, f32>, y: In<'_, f32>) -> Array<f32> {
    if let Unary::Scale(_) = f {
        return unary(gpu, f, dy);
    }
    let n = y.len();
    assert_eq!(dy.len(), n, "gradient of an elementwise operation");
    filled(gpu, n, |dx| {
        let arguments = [
            f.number().into(),
            dy.into(),
            y.into(),
            dx.into(),
            (n as u64).into(),
        ];
        gpu.launch("unary_backward", blocks(n), &arguments);
    })
}

/// x ⊙ y.
///
/// # Panics
/// If the lengths differ.
pub fn multiply(gpu: &Arc<Gpu>, x: In<'_, f32>, y: In<'_, f32>) -> Array<f32> {
    let n = x.len();
    assert_eq!(n, y.len(), "elementwise product");
    filled(gpu, n, |z| {
        let arguments = [x.into(), y.into(), z.into(), (n as u64).into()];
        gpu.launch("multiply", blocks(n), &arguments);
    })
}

/// x += y.
///
/// # Panics
/// If the lengths differ.
pub fn add_assign(gpu: &Arc<Gpu>, x: &mut Out<'_, f32>, y: In<'_, f32>) {
    let n = x.len();
    assert_eq!(n, y.len(), "sum of arrays");
    let arguments = [x.into(), y.into(), (n as u64).into()];
    gpu.launch("add_assign", blocks(n), &arguments);
}

/// x *= factor.
pub fn scale_assign(gpu: &Arc<Gpu>, x: &mut Out<'_, f32>, factor: f32) {
    let n = x.len();
    let arguments = [x.into(), factor.into(), (n as u64).into()];
    gpu.launch("scale_assign", blocks(n), &arguments);
}

/// x (rows, cols) + bias (cols).
///
/// # Panics
/// If x is not whole rows.
pub fn add_bias(gpu: &Arc<Gpu>, x: In<'_, f32>, bias: In<'_, f32>) -> Array<f32> {
    let (n, cols) = (x.len(), bias.len());
    assert!(cols > 0 && n.is_multiple_of(cols), "bias of {cols} to {n}");
    filled(gpu, n, |y| {
        let arguments = [
            x.into(),
            bias.into(),
            y.into(),
            (n as u64).into(),
            size(cols).into(),
        ];
        gpu.launch("add_bias", blocks(n), &arguments);
    })
}

/// Rows that one block adds up, at least, where there are many: then the rows are cut into parts.
const PART: usize = 512;
/// Parts at most.
const PARTS: usize = 256;

/// sums (cols) = column sums of x (rows, cols), or += with `accumulate`.
///
/// # Panics
/// If x is not whole rows.
pub fn sum_rows(gpu: &Arc<Gpu>, x: In<'_, f32>, sums: &mut Out<'_, f32>, accumulate: bool) {
    let cols = sums.len();
    assert!(cols > 0 && x.len().is_multiple_of(cols), "sums of columns");
    let rows = x.len() / cols;
    let each = rows.div_ceil(PARTS).max(PART);
    if rows <= 2 * PART {
        return sum_parts(gpu, x, sums, (rows, cols), rows, accumulate);
    }
    let parts = filled(gpu, rows.div_ceil(each) * cols, |parts| {
        sum_parts(gpu, x, parts, (rows, cols), each, false);
    });
    sum_rows(gpu, parts.all(), sums, accumulate);
}

/// The sums of every `each` rows.
fn sum_parts(
    gpu: &Arc<Gpu>,
    x: In<'_, f32>,
    sums: &mut Out<'_, f32>,
    (rows, cols): (usize, usize),
    each: usize,
    accumulate: bool,
) {
    let parts = sums.len() / cols;
    let arguments = [
        x.into(),
        sums.into(),
        size(rows).into(),
        size(cols).into(),
        size(each).into(),
        u32::from(accumulate).into(),
    ];
    gpu.launch("sum_rows", size(cols.div_ceil(32) * parts), &arguments);
}

/// A block of (rows, cols), whose rows lie `from.1` apart, to where rows lie `to.1` apart; added with `add`.
///
/// # Panics
/// If it leaves either side.
pub fn copy_block(
    gpu: &Arc<Gpu>,
    from: (In<'_, f32>, usize),
    to: (&mut Out<'_, f32>, usize),
    (rows, cols): (usize, usize),
    add: bool,
) {
    let ((from, from_stride), (to, to_stride)) = (from, to);
    for (len, stride) in [(from.len(), from_stride), (to.len(), to_stride)] {
        assert!(cols <= stride || rows <= 1, "{cols} columns of {stride}");
        let end = block_end(rows, cols, stride);
        assert!(end <= len, "a block of {rows} x {cols} in {len}");
    }
    let arguments = [
        from.into(),
        size(from_stride).into(),
        to.into(),
        size(to_stride).into(),
        size(rows).into(),
        size(cols).into(),
        u32::from(add).into(),
    ];
    gpu.launch("copy_block", blocks(rows * cols), &arguments);
}

/// x (images, regions, width) to its means over the regions (images, width).
///
/// # Panics
/// If x has another length.
pub fn region_means(
    gpu: &Arc<Gpu>,
    x: In<'_, f32>,
    [images, regions, width]: [usize; 3],
) -> Array<f32> {
    assert_eq!(x.len(), images * regions * width, "regions");
    filled(gpu, images * width, |means| {
        let arguments = [
            x.into(),
            means.into(),
            size(images).into(),
            size(regions).into(),
            size(width).into(),
        ];
        gpu.launch("region_means", blocks(images * width), &arguments);
    })
}

/// The gradient of [`region_means`], (images, regions, width).
///
/// # Panics
/// If `d_means` has another length than (images, width).
pub fn region_means_backward(
    gpu: &Arc<Gpu>,
    d_means: In<'_, f32>,
    [images, regions, width]: [usize; 3],
) -> Array<f32> {
    assert_eq!(d_means.len(), images * width, "gradient of means");
    let n = images * regions * width;
    filled(gpu, n, |dx| {
        let arguments = [
            d_means.into(),
            dx.into(),
            size(images).into(),
            size(regions).into(),
            size(width).into(),
        ];
        gpu.launch("region_means_backward", blocks(n), &arguments);
    })
}
