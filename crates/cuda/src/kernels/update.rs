//! The optimizers' pass over one parameter, and norms.

use std::sync::Arc;

use super::blocks;
use crate::{Gpu, In, Out};

/// Which rule, as the kernel numbers them (`update.cu`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Rule {
    Momentum = 0,
    Adagrad = 1,
    Rmsprop = 2,
    Adadelta = 3,
    Adam = 4,
}

/// Moves `weight` along `gradient`; (scale, l2, clip) prepare it. What the numbers c1, c2 .. of a rule are, the kernel says. `b`
/// is the second average of the rules that have one.
///
/// # Panics
/// If the lengths differ, there are more than eight numbers, or a second average is missing.
pub fn update(
    gpu: &Arc<Gpu>,
    (rule, numbers): (Rule, &[f64]),
    [scale, l2, clip]: [f32; 3],
    weight: &mut Out<'_, f32>,
    gradient: In<'_, f32>,
    a: &mut Out<'_, f32>,
    b: Option<&mut Out<'_, f32>>,
) {
    let n = weight.len();
    assert!(gradient.len() == n && a.len() == n, "a parameter's arrays");
    let mut c = [0f32; 8];
    assert!(numbers.len() <= c.len(), "numbers of a rule");
    for (c, &x) in c.iter_mut().zip(numbers) {
        *c = x as f32;
    }
    let has_two = matches!(rule, Rule::Adadelta | Rule::Adam);
    match &b {
        Some(b) => assert_eq!(b.len(), n, "second average"),
        None => assert!(!has_two, "a second average"),
    }
    let mut arguments = vec![
        (rule as u32).into(),
        weight.into(),
        gradient.into(),
        a.into(),
        b.into(),
        (n as u64).into(),
        scale.into(),
        l2.into(),
        clip.into(),
    ];
    arguments.extend(c.map(crate::raw::Argument::from));
    gpu.launch("update", blocks(n), &arguments);
}

/// Parts that [`squared_norm`] writes for `n` numbers: as many as the length says, never as the GPU has multiprocessors, so that
/// every GPU gives the same bits.
pub fn norm_parts(n: usize) -> usize {
    blocks(n).min(1024) as usize
}

/// Squares of the prepared gradient, summed up to [`norm_parts`] numbers.
///
/// # Panics
/// If the lengths differ.
pub fn squared_norm(
    gpu: &Arc<Gpu>,
    [scale, l2, clip]: [f32; 3],
    weight: In<'_, f32>,
    gradient: In<'_, f32>,
    parts: &mut Out<'_, f64>,
) {
    let n = weight.len();
    assert_eq!(gradient.len(), n, "a parameter's gradient");
    assert_eq!(parts.len(), norm_parts(n), "parts of a norm");
    let grid = parts.len() as u32;
    let arguments = [
        weight.into(),
        gradient.into(),
        parts.into(),
        (n as u64).into(),
        scale.into(),
        l2.into(),
        clip.into(),
    ];
    gpu.launch("squared_norm", grid, &arguments);
}
