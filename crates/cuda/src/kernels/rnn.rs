//! One step of NeuralTalk's multimodal RNN, pointwise.

use std::sync::Arc;

use super::{blocks, size};
use crate::array::half_stride;
use crate::{Gpu, In, Out};

/// `x` (n, H), projected words plus the recurrent product, becomes hidden rows, written in bf16 to `half` too where products
/// need that. No `picture` (n, H) is zeros.
///
/// # Panics
/// If the lengths don't fit.
pub fn rnn_step(
    gpu: &Arc<Gpu>,
    x: &mut Out<'_, f32>,
    bias: In<'_, f32>,
    picture: Option<In<'_, f32>>,
    mut half: Option<Out<'_, u16>>,
) {
    let h = bias.len();
    let n = x.len() / h.max(1);
    assert!(x.len() == n * h && picture.is_none_or(|p| p.len() == n * h));
    let half_rows = half_stride(h);
    assert!(half.as_ref().is_none_or(|x| x.len() >= n * half_rows));
    let arguments = [
        x.into(),
        bias.into(),
        picture.into(),
        half.as_mut().into(),
        size(half_rows).into(),
        size(n).into(),
        size(h).into(),
    ];
    gpu.launch("rnn_step", blocks(n * h), &arguments);
}

/// `d` (n, H), the gradient of `hidden` rows (n, H), becomes that of the sum inside their ReLU, in bf16 too where `half` is
/// given, and is added to `d_picture` (n, H).
///
/// # Panics
/// If the lengths don't fit.
pub fn rnn_step_backward(
    gpu: &Arc<Gpu>,
    d: &mut Out<'_, f32>,
    hidden: In<'_, f32>,
    mut d_picture: Option<Out<'_, f32>>,
    mut half: Option<Out<'_, u16>>,
    h: usize,
) {
    let n = d.len() / h.max(1);
    assert!(d.len() == n * h && hidden.len() == n * h);
    assert!(d_picture.as_ref().is_none_or(|p| p.len() == n * h));
    let half_rows = half_stride(h);
    assert!(half.as_ref().is_none_or(|x| x.len() >= n * half_rows));
    let arguments = [
        d.into(),
        hidden.into(),
        d_picture.as_mut().into(),
        half.as_mut().into(),
        size(half_rows).into(),
        size(n).into(),
        size(h).into(),
    ];
    gpu.launch("rnn_step_backward", blocks(n * h), &arguments);
}
