//! One step of an LSTM, pointwise.

use std::sync::Arc;

use super::{block_end, blocks, size};
use crate::array::half_stride;
use crate::{Gpu, In, Out};

/// Activates `gates` (n, 4H, pre-activations without `bias`), writes `cells` (n, H) and hidden rows, which lie `stride` apart,
/// and in bf16 to `half` where products need that. No `past` cells are zeros.
///
/// # Panics
/// If the lengths don't fit.
#[allow(clippy::too_many_arguments)]
pub fn lstm_gates(
    gpu: &Arc<Gpu>,
    gates: &mut Out<'_, f32>,
    bias: In<'_, f32>,
    past: Option<In<'_, f32>>,
    cells: &mut Out<'_, f32>,
    (hidden, stride): (&mut Out<'_, f32>, usize),
    mut half: Option<Out<'_, u16>>,
    tanh_c: bool,
) {
    let h = bias.len() / 4;
    let n = cells.len() / h.max(1);
    assert!(bias.len() == 4 * h && gates.len() == n * 4 * h && cells.len() == n * h);
    assert!(past.is_none_or(|p| p.len() == n * h), "cells before");
    let end = block_end(n, h, stride);
    assert!(h <= stride && end <= hidden.len(), "hidden rows");
    let half_rows = half_stride(h);
    assert!(half.as_ref().is_none_or(|x| x.len() >= n * half_rows));
    let arguments = [
        gates.into(),
        bias.into(),
        past.into(),
        cells.into(),
        hidden.into(),
        size(stride).into(),
        half.as_mut().into(),
        size(half_rows).into(),
        size(n).into(),
        size(h).into(),
        u32::from(tanh_c).into(),
    ];
    gpu.launch("lstm_gates", blocks(n * h), &arguments);
}

/// What [`lstm_gates_backward`] reads.
#[derive(Clone, Copy)]
pub struct GatesBackward<'a> {
    /// (n, 4H), activated.
    pub gates: In<'a, f32>,
    /// (n, H).
    pub cells: In<'a, f32>,
    /// (n, H); none at the first step.
    pub past: Option<In<'a, f32>>,
    /// Gradient of the hidden rows from above; rows `stride` apart.
    pub above: In<'a, f32>,
    /// Of those.
    pub stride: usize,
    /// (n, H): their gradient from the next step; none for zeros.
    pub next: Option<In<'a, f32>>,
    /// Whether h = o tanh(c).
    pub tanh_c: bool,
}

/// Writes `d_gates` (n, 4H), in bf16 too where `half` is given. `d_cells` (n, H) come in as the gradient from the next step and
/// go out as that for the step before.
///
/// # Panics
/// If the lengths don't fit.
pub fn lstm_gates_backward(
    gpu: &Arc<Gpu>,
    x: GatesBackward<'_>,
    d_cells: &mut Out<'_, f32>,
    d_gates: &mut Out<'_, f32>,
    mut half: Option<Out<'_, u16>>,
    h: usize,
) {
    let n = d_cells.len() / h.max(1);
    assert!(x.gates.len() == n * 4 * h && d_gates.len() == n * 4 * h && x.cells.len() == n * h);
    assert!(x.past.is_none_or(|p| p.len() == n * h), "cells before");
    assert!(
        x.next.is_none_or(|p| p.len() == n * h),
        "gradient from the next step"
    );
    let end = block_end(n, h, x.stride);
    assert!(h <= x.stride && end <= x.above.len(), "gradient from above");
    let half_rows = half_stride(4 * h);
    assert!(half.as_ref().is_none_or(|x| x.len() >= n * half_rows));
    let arguments = [
        x.gates.into(),
        x.cells.into(),
        x.past.into(),
        x.above.into(),
        size(x.stride).into(),
        x.next.into(),
        d_cells.into(),
        d_gates.into(),
        half.as_mut().into(),
        size(half_rows).into(),
        size(n).into(),
        size(h).into(),
        u32::from(x.tanh_c).into(),
    ];
    gpu.launch("lstm_gates_backward", blocks(n * h), &arguments);
}
