//! The next words of rows, chosen from their log probabilities. Each comes as two numbers, itself and the bits of its log probability.

use std::sync::Arc;

use super::{one_each, size};
use crate::{Array, Gpu, In};

/// The `k` likeliest words of each row of log probabilities (n, V), (n, k, 2): best first, equal ones by their
/// number. What isn't a log probability comes first.
///
/// # Panics
/// If they are not whole rows of V, or k is not from 1 to V.
pub fn likeliest(gpu: &Arc<Gpu>, log_probs: In<'_, f32>, v: usize, k: usize) -> Array<u32> {
    assert!((1..=v).contains(&k), "{k} of {v} words");
    let n = rows(log_probs, v);
    let mut chosen = gpu.array(2 * n * k);
    let arguments = [
        log_probs.into(),
        (&mut chosen.all_mut()).into(),
        size(n).into(),
        size(v).into(),
        size(k).into(),
    ];
    gpu.launch("likeliest", one_each(n), &arguments);
    chosen
}

/// A word of each row of log probabilities (n, V), (n, 2): where the row's number of `uniforms` (n), each in [0, 1), falls when
/// every word has its probability's share. Word V, with the first word's value, where no word has any.
///
/// # Panics
/// If they are not n rows of V.
pub fn draw(gpu: &Arc<Gpu>, log_probs: In<'_, f32>, v: usize, uniforms: In<'_, f64>) -> Array<u32> {
    let n = rows(log_probs, v);
    assert_eq!(uniforms.len(), n, "a uniform number a row");
    let mut chosen = gpu.array(2 * n);
    let arguments = [
        log_probs.into(),
        uniforms.into(),
        (&mut chosen.all_mut()).into(),
        size(n).into(),
        size(v).into(),
    ];
    gpu.launch("draw", one_each(n), &arguments);
    chosen
}

fn rows(log_probs: In<'_, f32>, v: usize) -> usize {
    assert!(v > 0 && log_probs.len().is_multiple_of(v), "rows of {v}");
    log_probs.len() / v
}
