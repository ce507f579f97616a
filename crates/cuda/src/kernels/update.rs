//! The optimizers' pass over one parameter, and norms.

use std::sync::Arc;

use super::blocks;
use crate::{Gpu, In, Out};

/// Which rule, and its numbers c1 .. c8 as the kernel reads them (`update.cu`).
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Rule {
    Momentum([f32; 8]),
    Adagrad([f32; 8]),
    Rmsprop([f32; 8]),
    Adadelta([f32; 8]),
    Adam([f32; 8]),
}

/// Moves `weight` along `gradient`; (scale, l2, clip) prepare it. `b` is the second average of the rules that have one.
///
/// # Panics
/// If the lengths differ, or a second average is missing.
pub fn update(
    gpu: &Arc<Gpu>,
    rule: Rule,
    [scale, l2, clip]: [f32; 3],
    weight: &mut Out<'_, f32>,
    gradient: In<'_, f32>,
    a: &mut Out<'_, f32>,
    b: Option<&mut Out<'_, f32>>,
) {
    let n = weight.len();
    assert!(gradient.len() == n && a.len() == n, "a parameter's arrays");
    let (number, c) = match rule {
        Rule::Momentum(c) => (0u32, c),
        Rule::Adagrad(c) => (1, c),
        Rule::Rmsprop(c) => (2, c),
        Rule::Adadelta(c) => (3, c),
        Rule::Adam(c) => (4, c),
    };
    match &b {
        Some(b) => assert_eq!(b.len(), n, "second average"),
        None => assert!(number < 3, "a second average"),
    }
    let mut arguments = vec![
        number.into(),
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

/// Σ of squares of the prepared gradient; waits for it.
///
/// # Panics
/// If the lengths differ.
pub fn squared_norm(
    gpu: &Arc<Gpu>,
    [scale, l2, clip]: [f32; 3],
    weight: In<'_, f32>,
    gradient: In<'_, f32>,
) -> f64 {
    let n = weight.len();
    assert_eq!(gradient.len(), n, "a parameter's gradient");
    // As many parts as the length says, never as the GPU has multiprocessors: the same bits on every GPU.
    let grid = blocks(n).min(1024);
    let mut parts = gpu.array(grid as usize);
    let arguments = [
        weight.into(),
        gradient.into(),
        (&mut parts.all_mut()).into(),
        (n as u64).into(),
        scale.into(),
        l2.into(),
        clip.into(),
    ];
    gpu.launch("squared_norm", grid, &arguments);
    parts.to_vec().iter().sum()
}
