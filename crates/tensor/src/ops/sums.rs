//! Sums over the many pixels of a batch that come out the same for any number of threads.
//!
//! Rows are cut into at most a few dozen parts by their number alone, each part is summed in order, and so are the parts.

use std::ops::Range;

use rayon::prelude::*;

use crate::{Device, Element};

/// Σ over `rows` rows of `width` numbers; `add(rows of a part, sums)` adds what the rows give. A part has at least
/// `least` rows.
pub(super) fn sum_parts<T: Element>(
    device: &Device,
    rows: usize,
    least: usize,
    width: usize,
    add: impl Fn(Range<usize>, &mut [T]) + Sync,
) -> Vec<T> {
    let part = rows.div_ceil(32).max(least);
    let starts: Vec<usize> = (0..rows).step_by(part).collect();
    let parts: Vec<Vec<T>> = starts
        .into_par_iter()
        .map(|from| {
            let mut sums = device.zeros(width);
            add(from..rows.min(from + part), &mut sums);
            sums
        })
        .collect();
    let mut total = device.zeros(width);
    for sums in parts {
        total.iter_mut().zip(&sums).for_each(|(t, &s)| *t += s);
        device.recycle(sums);
    }
    total
}
