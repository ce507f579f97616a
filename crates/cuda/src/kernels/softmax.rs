//! Rows of logits over the vocabulary.

use std::sync::Arc;

use super::{filled, one_each, size};
use crate::array::half_stride;
use crate::{Array, Gpu, In, Out};

/// `logits` (n, V, without `bias`) with one word and one weight a row to `losses` (n, 2: of the word, and what is minimised);
/// with `gradient` the logits become their gradient, in bf16 too where `half` is given. The caller has checked the words.
///
/// # Panics
/// If the lengths don't fit.
#[allow(clippy::too_many_arguments)]
pub fn cross_entropy(
    gpu: &Arc<Gpu>,
    logits: &mut Out<'_, f32>,
    bias: In<'_, f32>,
    (words, weights): (In<'_, u32>, In<'_, f32>),
    smoothing: f32,
    losses: &mut Out<'_, f32>,
    mut half: Option<Out<'_, u16>>,
    gradient: bool,
) {
    let (n, v) = (words.len(), bias.len());
    assert!(logits.len() == n * v && weights.len() == n && losses.len() == 2 * n);
    let stride = half_stride(v);
    assert!(half.as_ref().is_none_or(|x| x.len() >= n * stride));
    let arguments = [
        logits.into(),
        bias.into(),
        words.into(),
        weights.into(),
        losses.into(),
        half.as_mut().into(),
        size(stride).into(),
        size(n).into(),
        size(v).into(),
        smoothing.into(),
        u32::from(gradient).into(),
    ];
    gpu.launch("cross_entropy", one_each(n), &arguments);
}

/// Σ weight · what is minimised, one number; `losses` (n, 2) as [`cross_entropy`] writes them.
///
/// # Panics
/// If the lengths don't fit.
pub fn total_loss(gpu: &Arc<Gpu>, losses: In<'_, f32>, weights: In<'_, f32>) -> Array<f32> {
    let n = weights.len();
    assert_eq!(losses.len(), 2 * n, "two numbers a row");
    filled(gpu, 1, |total| {
        let arguments = [losses.into(), weights.into(), total.into(), size(n).into()];
        gpu.launch("total_loss", 1, &arguments);
    })
}

/// In place: `logits` (n, V, without `bias`) to ln(1e-20 + softmax).
///
/// # Panics
/// If they are not whole rows.
pub fn log_probabilities(gpu: &Arc<Gpu>, logits: &mut Out<'_, f32>, bias: In<'_, f32>) {
    let v = bias.len();
    assert!(v > 0 && logits.len().is_multiple_of(v), "rows of logits");
    let n = logits.len() / v;
    let arguments = [logits.into(), bias.into(), size(n).into(), size(v).into()];
    gpu.launch("log_probabilities", one_each(n), &arguments);
}
