//! Convolution of pictures (B, H, W, C) with a bank of filters, as matrix products over unfolded patches.
//!
//! A 1 x 1 convolution is one product and unfolds nothing. Others unfold a strip of outputs at a time, so that memory
//! doesn't grow with the batch; the backward pass unfolds again instead of keeping the patches. Not here: one filter a
//! channel (`depthwise.rs`), the inference path with packed weights (`inference`).

use std::ops::Range;

use rayon::prelude::*;

use super::Padding;
use super::unfold::{fold, unfold};
use super::window::Window;
use crate::parallel::for_pieces;
use crate::{Device, Element, Matrix, Tape, Tensor, Var, gemm, gpu};

/// Numbers of unfolded patches at a time: 16 MB of f32.
const STRIP: usize = 1 << 22;

/// x (B, H, W, C) with filters w (KH, KW, C, M) → (B, H', W', M).
///
/// # Panics
/// If the shapes don't fit or there is no output.
pub fn conv2d<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    w: Var,
    stride: usize,
    padding: Padding,
) -> Var {
    let (input, filters) = (tape.value(x).clone(), tape.value(w).clone());
    let &[kh, kw, channels, m] = filters.shape() else {
        panic!(
            "filters (KH, KW, C, M) were expected, not {:?}",
            filters.shape()
        );
    };
    let window = Window::new(input.shape(), [kh, kw], stride, padding);
    assert_eq!(window.channels, channels, "channels of the filters");
    let device = tape.device().clone();
    let [b, h, across] = window.outputs();
    let shape = [b, h, across, m];
    if let Some(gpu) = device.gpu_for::<T>().cloned() {
        let y = gpu::products(&gpu, &window, input.array(), filters.array());
        let value = Tensor::from_array(&device, &shape, y);
        return tape.push(value, &[x, w], move |gradient, gradients| {
            let (device, g) = (input.device(), gradient.array());
            if gradients.wants(w) {
                let dw = gpu::to_filters(&gpu, &window, input.array(), g);
                gradients.add(w, Tensor::from_array(device, filters.shape(), dw));
            }
            if gradients.wants(x) {
                let dx = gpu::to_input(&gpu, &window, g, filters.array());
                gradients.add(x, Tensor::from_array(device, input.shape(), dx));
            }
        });
    }
    let out = products(&device, &window, input.data(), filters.data());
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

/// x with filters (KH·KW·C, M) → (B·H'·W', M).
pub(super) fn products<T: Element>(
    device: &Device,
    window: &Window,
    x: &[T],
    filters: &[T],
) -> Vec<T> {
    let m = filters.len() / window.patch();
    let mut out = device.buffer(window.pixels() * m);
    device.install(|| {
        let weights = Matrix::new(filters, window.patch(), m);
        for_strips(device, window, x, |pixels, patches| {
            let rows = &mut out[pixels.start * m..pixels.end * m];
            gemm(device, rows, patches, weights, false);
        });
    });
    out
}

/// The gradient of the filters, (KH·KW·C, M), from that of the outputs.
pub(super) fn to_filters<T: Element>(
    device: &Device,
    window: &Window,
    x: &[T],
    gradient: &[T],
) -> Vec<T> {
    let m = gradient.len() / window.pixels().max(1);
    let mut dw = device.zeros(window.patch() * m);
    for_strips(device, window, x, |pixels, patches| {
        add_transposed_product(device, &mut dw, patches, rows(gradient, m, &pixels));
    });
    dw
}

/// The gradient of x from that of the outputs.
pub(super) fn to_input<T: Element>(
    device: &Device,
    window: &Window,
    gradient: &[T],
    filters: &[T],
) -> Vec<T> {
    let m = filters.len() / window.patch();
    let weights = Matrix::new(filters, window.patch(), m).t();
    let numbers = window.batch * window.y.input * window.x.input * window.channels;
    if window.is_pointwise() {
        let mut dx = device.buffer(numbers);
        let all = rows(gradient, m, &(0..window.pixels()));
        gemm(device, &mut dx, all, weights, false);
        return dx;
    }
    let mut dx = device.zeros(numbers);
    for pixels in strips(window) {
        let mut patches = device.buffer(pixels.len() * window.patch());
        gemm(
            device,
            &mut patches,
            rows(gradient, m, &pixels),
            weights,
            false,
        );
        fold(window, &patches, pixels, &mut dx);
        device.recycle(patches);
    }
    dx
}

fn rows<'g, T: Element>(gradient: &'g [T], m: usize, pixels: &Range<usize>) -> Matrix<'g, T> {
    let data = &gradient[pixels.start * m..pixels.end * m];
    Matrix::new(data, pixels.len(), m)
}

/// Ranges of output pixels whose patches fit [`STRIP`].
fn strips(window: &Window) -> impl Iterator<Item = Range<usize>> + use<> {
    let pixels = window.pixels();
    let strip = (STRIP / window.patch().max(1)).max(1);
    (0..pixels)
        .step_by(strip)
        .map(move |from| from..pixels.min(from + strip))
}

/// Calls `work` with the patches (pixels, KH·KW·C) of one strip after the other.
fn for_strips<T: Element>(
    device: &Device,
    window: &Window,
    x: &[T],
    mut work: impl FnMut(Range<usize>, Matrix<'_, T>),
) {
    let patch = window.patch();
    if window.is_pointwise() {
        return work(0..window.pixels(), Matrix::new(x, window.pixels(), patch));
    }
    for pixels in strips(window) {
        let mut patches = device.buffer(pixels.len() * patch);
        let some = (1 << 14) / patch.max(1) + 1;
        for_pieces(&mut patches, some * patch, |at, piece| {
            let first = pixels.start + at / patch;
            unfold(window, x, first..first + piece.len() / patch, piece);
        });
        work(pixels.clone(), Matrix::new(&patches, pixels.len(), patch));
        device.recycle(patches);
    }
}

/// Rows of one partial sum of [`add_transposed_product`].
const ROWS: usize = 4096;

/// c (K, M) += aᵀ g for a (N, K) and g (N, M).
///
/// Early layers have a million rows and a small result, which a cut by columns would leave to one thread: there the rows
/// are cut, and the partial sums added in order.
pub(super) fn add_transposed_product<T: Element>(
    device: &Device,
    c: &mut [T],
    a: Matrix<'_, T>,
    g: Matrix<'_, T>,
) {
    let (n, small) = (a.rows(), c.len() <= 1 << 16);
    if !small || n < 2 * ROWS {
        return gemm(device, c, a.t(), g, true);
    }
    let piece = n.div_ceil(32).max(ROWS);
    let starts: Vec<usize> = (0..n).step_by(piece).collect();
    let sums: Vec<Vec<T>> = starts
        .into_par_iter()
        .map(|from| {
            let to = n.min(from + piece);
            let mut sum = device.buffer(c.len());
            gemm(
                device,
                &mut sum,
                a.row_range(from..to).t(),
                g.row_range(from..to),
                false,
            );
            sum
        })
        .collect();
    for sum in sums {
        c.iter_mut().zip(&sum).for_each(|(c, &s)| *c += s);
        device.recycle(sum);
    }
}
