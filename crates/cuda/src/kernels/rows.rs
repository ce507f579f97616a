//! Rows of a table, the sum of their gradients; dropout masks.

use std::sync::Arc;

use super::{blocks, filled, one_each, size};
use crate::{Array, Gpu, In};

/// Rows `indices` of a table of rows of `width`; the caller has checked that they lie in the table.
///
/// # Panics
/// If the table is not whole rows.
pub fn gather(
    gpu: &Arc<Gpu>,
    table: In<'_, f32>,
    indices: In<'_, u32>,
    width: usize,
) -> Array<f32> {
    assert!(table.len().is_multiple_of(width.max(1)), "rows of {width}");
    let n = indices.len();
    filled(gpu, n * width, |picked| {
        let arguments = [
            table.into(),
            indices.into(),
            picked.into(),
            size(n).into(),
            size(width).into(),
        ];
        gpu.launch("gather", blocks(n * width), &arguments);
    })
}

/// (rows, width): the sum of the rows of `gradient` (n, width) that belong to each row of a table: row r has `indices` = r.
///
/// # Panics
/// If the lengths don't fit or an index is not below `rows`.
pub fn scatter_add(
    gpu: &Arc<Gpu>,
    gradient: In<'_, f32>,
    indices: &[usize],
    (rows, width): (usize, usize),
) -> Array<f32> {
    assert_eq!(gradient.len(), indices.len() * width, "gradient of rows");
    let (order, starts) = grouped(indices, rows);
    let (order, starts) = (gpu.array_of(&order), gpu.array_of(&starts));
    filled(gpu, rows * width, |sums| {
        let arguments = [
            gradient.into(),
            order.all().into(),
            starts.all().into(),
            sums.into(),
            size(rows).into(),
            size(width).into(),
        ];
        gpu.launch("scatter_add", one_each(rows), &arguments);
    })
}

/// Places 0.. grouped by their index, in order within a group; and where each of `groups` groups begins, with the end.
///
/// # Panics
/// If an index is not below `groups`.
pub fn grouped(indices: &[usize], groups: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; groups + 1];
    for &i in indices {
        assert!(i < groups, "row {i} of {groups}");
        starts[i + 1] += 1;
    }
    for i in 0..groups {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut order = vec![0u32; indices.len()];
    for (place, &i) in indices.iter().enumerate() {
        order[next[i] as usize] = size(place);
        next[i] += 1;
    }
    (order, starts)
}

/// `n` factors, 0 or `keep`, from Philox's stream: the CPU's bits (`tensor::ops::Mask`).
pub fn dropout_mask(
    gpu: &Arc<Gpu>,
    n: usize,
    (seed, stream): (u64, u64),
    threshold: u64,
    keep: f32,
) -> Array<f32> {
    filled(gpu, n, |mask| {
        let arguments = [
            mask.into(),
            (n as u64).into(),
            seed.into(),
            stream.into(),
            threshold.into(),
            keep.into(),
        ];
        gpu.launch("dropout_mask", blocks(n.div_ceil(4)), &arguments);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_grouped_in_order() {
        let (order, starts) = grouped(&[2, 0, 2, 3, 0], 5);
        assert_eq!(order, [1, 4, 0, 2, 3]);
        assert_eq!(starts, [0, 2, 2, 4, 5, 5]);
        assert_eq!(grouped(&[], 1), (vec![], vec![0, 0]));
    }
}
