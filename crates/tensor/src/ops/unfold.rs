//! Patches of pictures as rows of a matrix ("im2col"; Chellapilla et al. 2006), and back.
//!
//! Here: copying. Not here: the products (`conv.rs`).

use std::ops::Range;

use super::window::Window;
use crate::Element;
use crate::parallel::for_pieces;

/// Writes what the output pixels `pixels` (counted through the batch) see: rows of (KH, KW, C), zeros beyond the border.
pub(crate) fn unfold<T: Element>(
    window: &Window,
    x: &[T],
    pixels: Range<usize>,
    patches: &mut [T],
) {
    let (y, across, c) = (window.y, window.x, window.channels);
    let run = across.kernel * c;
    for (pixel, patch) in pixels.zip(patches.chunks_exact_mut(window.patch())) {
        let (image, oy, ox) = place(window, pixel);
        let (rows, top) = y.taps(oy);
        let (columns, left) = across.taps(ox);
        for (k, line) in patch.chunks_exact_mut(run).enumerate() {
            if !rows.contains(&k) {
                line.fill(T::ZERO);
                continue;
            }
            let from = ((image * y.input + top + k - rows.start) * across.input + left) * c;
            let (start, end) = (columns.start * c, columns.end * c);
            line[..start].fill(T::ZERO);
            line[start..end].copy_from_slice(&x[from..from + end - start]);
            line[end..].fill(T::ZERO);
        }
    }
}

/// Adds rows of patches back onto the pixels that they came from: the transpose of [`unfold`].
///
/// In parallel over the rows of `x`; every pixel gets its sums in the order of outputs.
pub(crate) fn fold<T: Element>(window: &Window, patches: &[T], pixels: Range<usize>, x: &mut [T]) {
    let (y, across, c) = (window.y, window.x, window.channels);
    let (run, patch) = (across.kernel * c, window.patch());
    for_pieces(x, across.input * c, |at, line| {
        let row = at / (across.input * c);
        let (image, iy) = (row / y.input, row % y.input);
        for k in (0..y.kernel).rev() {
            let Some(oy) = y.output_of(iy, k) else {
                continue;
            };
            let first = (image * y.output + oy) * across.output;
            let (start, end) = (
                pixels.start.max(first),
                pixels.end.min(first + across.output),
            );
            for pixel in start..end {
                let (columns, left) = across.taps(pixel - first);
                let from = (pixel - pixels.start) * patch + k * run;
                let add = &patches[from + columns.start * c..from + columns.end * c];
                let sums = &mut line[left * c..][..add.len()];
                sums.iter_mut().zip(add).for_each(|(s, &a)| *s += a);
            }
        }
    });
}

/// Image, row and column of an output pixel.
#[inline(always)]
fn place(window: &Window, pixel: usize) -> (usize, usize, usize) {
    let row = pixel / window.x.output;
    (
        row / window.y.output,
        row % window.y.output,
        pixel % window.x.output,
    )
}
