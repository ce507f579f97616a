//! Decoded pictures to what an encoder reads.

use std::sync::Arc;

use super::{blocks, one_each, size};
use crate::{Array, Gpu, In};

/// Pictures on the GPU, and from which of their pixels each pixel of the result is made (`pictures.cu`).
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Pictures<'a> {
    /// Red, green, blue; row by row; picture after picture.
    pub bytes: In<'a, u8>,
    /// (P, 3): where a picture's bytes begin, its width, where its lines begin.
    pub heads: In<'a, u32>,
    /// (2 P S + 1).
    pub starts: In<'a, u32>,
    pub sources: In<'a, u32>,
    pub weights: In<'a, f32>,
    /// Numbers in the lines of all pictures.
    pub lines: usize,
    /// S, side of the result.
    pub size: usize,
}

/// What is done with the values of a result.
#[derive(Debug, Clone, Copy)]
pub struct Values {
    /// Whether they are rounded to 0..=255.
    pub round: bool,
    /// Whether blue comes first.
    pub reversed: bool,
    /// Subtracted from each channel, in the result's order.
    pub mean: [f32; 3],
    /// What each channel is multiplied with afterwards.
    pub scale: [f32; 3],
}

/// Pixels (P, S, S, 3). `colours` (P, 2) are contrast and brightness. What the heads and lists say is the caller's to check.
///
/// # Panics
/// If the lengths don't fit each other.
pub fn pictures(
    gpu: &Arc<Gpu>,
    all: Pictures<'_>,
    colours: In<'_, f64>,
    values: Values,
) -> Array<f32> {
    let count = colours.len() / 2;
    let side = all.size;
    assert_eq!(all.heads.len(), 3 * count, "heads of pictures");
    assert_eq!(all.starts.len(), 2 * count * side + 1, "lists of pictures");
    assert_eq!(all.sources.len(), all.weights.len(), "weights of lists");
    let [n, s] = [count, side].map(size);
    let mut lines: Array<f32> = gpu.array(all.lines);
    let arguments = [
        all.bytes.into(),
        all.heads.into(),
        all.starts.into(),
        all.sources.into(),
        all.weights.into(),
        (&mut lines.all_mut()).into(),
        n.into(),
        s.into(),
    ];
    gpu.launch("picture_lines", one_each(count * side), &arguments);

    let mut pixels: Array<f32> = gpu.array(count * side * side * 3);
    let arguments = [
        lines.all().into(),
        all.heads.into(),
        all.starts.into(),
        all.sources.into(),
        all.weights.into(),
        (&mut pixels.all_mut()).into(),
        n.into(),
        s.into(),
        u32::from(values.round).into(),
    ];
    gpu.launch("picture_columns", blocks(pixels.len()), &arguments);

    let ([m0, m1, m2], [s0, s1, s2]) = (values.mean, values.scale);
    let arguments = [
        (&mut pixels.all_mut()).into(),
        colours.into(),
        n.into(),
        s.into(),
        u32::from(values.reversed).into(),
        m0.into(),
        m1.into(),
        m2.into(),
        s0.into(),
        s1.into(),
        s2.into(),
    ];
    gpu.launch("picture_colours", one_each(count), &arguments);
    pixels
}
