//! Sliding windows over pictures: patches, one filter a channel, pooling.

use std::sync::Arc;

use super::{blocks, filled, size};
use crate::raw::Argument;
use crate::{Array, Gpu, In, Out};

/// One axis of a window: `before` numbers of padding lie in front of the first input.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Axis {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub before: usize,
}

/// A window over the rows (y) and columns (x) of pictures (B, H, W, C) with outputs (B, H', W', C).
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Window {
    pub batch: usize,
    pub channels: usize,
    pub y: Axis,
    pub x: Axis,
}

impl Window {
    /// B·H·W·C.
    fn inputs(&self) -> usize {
        small(self.batch * self.y.input * self.x.input * self.channels)
    }

    /// B·H'·W'.
    fn pixels(&self) -> usize {
        self.batch * self.y.output * self.x.output
    }

    /// B·H'·W'·C.
    fn outputs(&self) -> usize {
        small(self.pixels() * self.channels)
    }

    /// KH·KW·C.
    fn patch(&self) -> usize {
        self.y.kernel * self.x.kernel * self.channels
    }

    /// The arguments of every kernel here, after those of its own.
    fn with<const N: usize>(&self, own: [Argument; N]) -> Vec<Argument> {
        let axis = |a: &Axis| [a.input, a.output, a.kernel, a.stride, a.before];
        let axes = [axis(&self.y), axis(&self.x)];
        let sizes = [self.batch, self.channels]
            .into_iter()
            .chain(axes.into_iter().flatten());
        own.into_iter()
            .chain(sizes.map(|n| size(n).into()))
            .collect()
    }
}

/// Numbers that the kernels here can count.
///
/// # Panics
/// If there are more than 2^31.
fn small(n: usize) -> usize {
    assert!(n <= 1 << 31, "{n} numbers in one array of pictures");
    n
}

/// Patches (`pixels`, KH, KW, C): what the output pixels from `first` on see of x; zeros beyond the border.
///
/// # Panics
/// If the lengths don't fit, or there are not so many pixels.
pub fn unfold(
    gpu: &Arc<Gpu>,
    window: &Window,
    x: In<'_, f32>,
    first: usize,
    pixels: usize,
) -> Array<f32> {
    assert_eq!(x.len(), window.inputs(), "pictures");
    assert!(first + pixels <= window.pixels(), "output pixels");
    let n = small(pixels * window.patch());
    filled(gpu, n, |patches| {
        let own = [
            x.into(),
            patches.into(),
            size(first).into(),
            size(pixels).into(),
        ];
        gpu.launch("unfold", blocks(n), &window.with(own));
    })
}

/// x += patches of the output pixels from `first` on, each number at the input that it came from.
///
/// # Panics
/// If the lengths don't fit, or there are not so many pixels.
pub fn fold(
    gpu: &Arc<Gpu>,
    window: &Window,
    patches: In<'_, f32>,
    x: &mut Out<'_, f32>,
    first: usize,
) {
    assert_eq!(x.len(), window.inputs(), "pictures");
    let pixels = small(patches.len()) / window.patch().max(1);
    assert_eq!(patches.len(), pixels * window.patch(), "whole patches");
    assert!(first + pixels <= window.pixels(), "output pixels");
    let n = x.len();
    let own = [
        patches.into(),
        x.into(),
        size(first).into(),
        size(pixels).into(),
    ];
    gpu.launch("fold", blocks(n), &window.with(own));
}

/// x with one filter a channel, w (KH, KW, C), plus `shift` (C), limited: (B, H', W', C).
///
/// # Panics
/// If the lengths don't fit.
pub fn depthwise(
    gpu: &Arc<Gpu>,
    window: &Window,
    x: In<'_, f32>,
    w: In<'_, f32>,
    shift: Option<In<'_, f32>>,
    (low, high): (f32, f32),
) -> Array<f32> {
    assert_eq!(x.len(), window.inputs(), "pictures");
    assert_eq!(w.len(), window.patch(), "filters");
    assert!(shift.is_none_or(|s| s.len() == window.channels), "shifts");
    let n = window.outputs();
    filled(gpu, n, |y| {
        let own = [
            x.into(),
            w.into(),
            shift.into(),
            low.into(),
            high.into(),
            y.into(),
        ];
        gpu.launch("depthwise", blocks(n), &window.with(own));
    })
}

/// The gradient of [`depthwise`]'s x from g (B, H', W', C).
///
/// # Panics
/// If the lengths don't fit.
pub fn depthwise_to_input(
    gpu: &Arc<Gpu>,
    window: &Window,
    g: In<'_, f32>,
    w: In<'_, f32>,
) -> Array<f32> {
    assert_eq!(g.len(), window.outputs(), "gradient");
    assert_eq!(w.len(), window.patch(), "filters");
    let n = window.inputs();
    filled(gpu, n, |dx| {
        let own = [g.into(), w.into(), dx.into()];
        gpu.launch("depthwise_to_input", blocks(n), &window.with(own));
    })
}

/// Threads that [`depthwise_to_filters`] should keep busy.
const THREADS: usize = 1 << 18;
/// Output pixels that one of them adds up, at least.
const EACH: usize = 64;

/// The gradient of [`depthwise`]'s w from g (B, H', W', C).
///
/// # Panics
/// If the lengths don't fit.
pub fn depthwise_to_filters(
    gpu: &Arc<Gpu>,
    window: &Window,
    x: In<'_, f32>,
    g: In<'_, f32>,
) -> Array<f32> {
    assert_eq!(x.len(), window.inputs(), "pictures");
    assert_eq!(g.len(), window.outputs(), "gradient");
    let (pixels, width) = (window.pixels(), window.patch());
    // As many parts as keep a GPU busy; by the sizes alone, so that the sum has one order.
    let each = pixels.div_ceil(THREADS.div_ceil(width.max(1))).max(EACH);
    let parts = pixels.div_ceil(each);
    let n = small(parts * width);
    let parts = filled(gpu, n, |to| {
        let own = [
            x.into(),
            g.into(),
            to.into(),
            size(parts).into(),
            size(each).into(),
        ];
        gpu.launch("depthwise_to_filters", blocks(n), &window.with(own));
    });
    filled(gpu, width, |sums| {
        super::sum_rows(gpu, parts.all(), sums, false)
    })
}

/// The largest of each window (B, H', W', C), and where in its picture it is: the first of equals; NaN wins.
///
/// # Panics
/// If the lengths don't fit.
pub fn max_pool(gpu: &Arc<Gpu>, window: &Window, x: In<'_, f32>) -> (Array<f32>, Array<u32>) {
    assert_eq!(x.len(), window.inputs(), "pictures");
    let n = window.outputs();
    let mut winners = gpu.array(n);
    let largest = filled(gpu, n, |y| {
        let own = [x.into(), y.into(), (&mut winners.all_mut()).into()];
        gpu.launch("max_pool", blocks(n), &window.with(own));
    });
    (largest, winners)
}

/// The gradient of [`max_pool`]'s x.
///
/// # Panics
/// If the lengths don't fit.
pub fn max_pool_backward(
    gpu: &Arc<Gpu>,
    window: &Window,
    g: In<'_, f32>,
    winners: In<'_, u32>,
) -> Array<f32> {
    assert_eq!([g.len(), winners.len()], [window.outputs(); 2], "gradient");
    let n = window.inputs();
    filled(gpu, n, |dx| {
        let own = [g.into(), winners.into(), dx.into()];
        gpu.launch("max_pool_backward", blocks(n), &window.with(own));
    })
}

/// The mean of each window (B, H', W', C), padding on both sides included.
///
/// # Panics
/// If the lengths don't fit.
pub fn average_pool(gpu: &Arc<Gpu>, window: &Window, x: In<'_, f32>) -> Array<f32> {
    assert_eq!(x.len(), window.inputs(), "pictures");
    let n = window.outputs();
    filled(gpu, n, |y| {
        gpu.launch(
            "average_pool",
            blocks(n),
            &window.with([x.into(), y.into()]),
        );
    })
}

/// The gradient of [`average_pool`]'s x.
///
/// # Panics
/// If the lengths don't fit.
pub fn average_pool_backward(gpu: &Arc<Gpu>, window: &Window, g: In<'_, f32>) -> Array<f32> {
    assert_eq!(g.len(), window.outputs(), "gradient");
    let n = window.inputs();
    filled(gpu, n, |dx| {
        gpu.launch(
            "average_pool_backward",
            blocks(n),
            &window.with([g.into(), dx.into()]),
        );
    })
}
