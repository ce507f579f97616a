//! Picking rows and columns: embedding lookup, packing, slices.

use std::ops::Range;
use std::sync::Arc;

use crate::parallel::{for_pieces, rows_per_piece};
use crate::{Element, Tape, Tensor, Var, gpu};

/// Rows `indices` of table (V, E) → (N, E); the same row may be picked many times.
///
/// Backward: a row's gradients are added in the order of `indices`; rows that were never picked
/// cost one write of zeros and nothing else.
///
/// # Panics
/// If an index is outside the table.
pub fn gather<T: Element>(tape: &mut Tape<T>, table: Var, indices: Arc<[usize]>) -> Var {
    let source = tape.value(table).clone();
    let (rows, width) = source.rows_cols();
    assert!(
        indices.iter().all(|&i| i < rows),
        "a row outside the table of {rows}"
    );
    let device = source.device().clone();
    if let Some(gpu) = device.gpu_for::<T>() {
        let rows_of = gpu::indices(gpu, &indices);
        let picked = cuda::kernels::gather(gpu, source.array().all(), rows_of.all(), width);
        let value = Tensor::from_array(&device, &[indices.len(), width], picked);
        return tape.push(value, &[table], move |gradient, gradients| {
            if gradients.wants(table) {
                gradients.add(table, scatter_add(&gradient, &indices, rows));
            }
        });
    }
    let mut picked = device.buffer(indices.len() * width);
    device.install(|| {
        let piece = rows_per_piece(width);
        for_pieces(&mut picked, piece * width.max(1), |at, out| {
            let first = at / width.max(1);
            for (i, line) in out.chunks_exact_mut(width.max(1)).enumerate() {
                let from = indices[first + i] * width;
                line.copy_from_slice(&source.data()[from..from + width]);
            }
        });
    });
    let value = Tensor::new(&device, &[indices.len(), width], picked);
    tape.push(value, &[table], move |gradient, gradients| {
        if gradients.wants(table) {
            gradients.add(table, scatter_add(&gradient, &indices, rows));
        }
    })
}

/// The sum over equal indices of the rows of `gradient` (N, E) → (rows, E).
fn scatter_add<T: Element>(gradient: &Tensor<T>, indices: &[usize], rows: usize) -> Tensor<T> {
    let (_, width) = gradient.rows_cols();
    let device = gradient.device();
    if let Some(gpu) = device.gpu_for::<T>() {
        let from = gradient.array().all();
        let sums = cuda::kernels::scatter_add(gpu, from, indices, (rows, width));
        return Tensor::from_array(device, &[rows, width], sums);
    }
    // Grouped by row, in order of occurrence within a row: any thread may take any rows.
    let mut order: Vec<usize> = (0..indices.len()).collect();
    order.sort_by_key(|&i| indices[i]);
    let mut sums = device.buffer(rows * width);
    device.install(|| {
        let piece = rows_per_piece(width);
        for_pieces(&mut sums, piece * width.max(1), |at, out| {
            out.fill(T::ZERO);
            let first = at / width.max(1);
            let last = first + out.len() / width.max(1);
            let start = order.partition_point(|&i| indices[i] < first);
            for &i in order[start..].iter().take_while(|&&i| indices[i] < last) {
                let line = &mut out[(indices[i] - first) * width..][..width];
                let add = &gradient.data()[i * width..(i + 1) * width];
                line.iter_mut().zip(add).for_each(|(a, &b)| *a += b);
            }
        });
    });
    Tensor::new(device, &[rows, width], sums)
}

/// Rows of x (N, M), then rows of y (K, M) → (N + K, M).
pub fn concat_rows<T: Element>(tape: &mut Tape<T>, x: Var, y: Var) -> Var {
    let (a, b) = (tape.value(x), tape.value(y));
    let ((n, width), (k, other)) = (a.rows_cols(), b.rows_cols());
    assert_eq!(width, other, "row widths");
    let device = tape.device().clone();
    let value = if let Some(gpu) = device.gpu_for::<T>() {
        let mut both = gpu.array((n + k) * width);
        let (mut first, mut second) = both.all_mut().split_at(n * width);
        gpu.copy(&mut first, a.array().all());
        gpu.copy(&mut second, b.array().all());
        Tensor::from_array(&device, &[n + k, width], both)
    } else {
        let mut both = device.buffer((n + k) * width);
        both[..n * width].copy_from_slice(a.data());
        both[n * width..].copy_from_slice(b.data());
        Tensor::new(&device, &[n + k, width], both)
    };
    tape.push(value, &[x, y], move |gradient, gradients| {
        for (var, range) in [(x, 0..n), (y, n..n + k)] {
            if gradients.wants(var) {
                gradients.add(var, copy_rows(&gradient, range));
            }
        }
    })
}

/// Rows `range` of x (N, M).
///
/// # Panics
/// If the range leaves the matrix.
pub fn slice_rows<T: Element>(tape: &mut Tape<T>, x: Var, range: Range<usize>) -> Var {
    let source = tape.value(x);
    let (rows, width) = source.rows_cols();
    let value = copy_rows(source, range.clone());
    let device = tape.device().clone();
    tape.push(value, &[x], move |gradient, gradients| {
        if let Some(gpu) = device.gpu_for::<T>() {
            let mut all = gpu.array(rows * width);
            let (mut before, rest) = all.all_mut().split_at(range.start * width);
            let (mut inside, mut after) = rest.split_at(range.len() * width);
            gpu.clear(&mut before);
            gpu.copy(&mut inside, gradient.array().all());
            gpu.clear(&mut after);
            gradients.add(x, Tensor::from_array(&device, &[rows, width], all));
            return;
        }
        let mut all = device.buffer(rows * width);
        all[..range.start * width].fill(T::ZERO);
        all[range.end * width..].fill(T::ZERO);
        all[range.start * width..range.end * width].copy_from_slice(gradient.data());
        gradients.add(x, Tensor::new(&device, &[rows, width], all));
    })
}

/// Columns `range` of x (N, M).
///
/// # Panics
/// If the range leaves the matrix.
pub fn slice_cols<T: Element>(tape: &mut Tape<T>, x: Var, range: Range<usize>) -> Var {
    let source = tape.value(x);
    let (rows, width) = source.rows_cols();
    let device = tape.device().clone();
    let picked: Vec<T> = source
        .data()
        .chunks_exact(width)
        .flat_map(|row| row[range.clone()].iter().copied())
        .collect();
    let value = Tensor::new(&device, &[rows, range.len()], picked);
    tape.push(value, &[x], move |gradient, gradients| {
        let mut all = device.zeros(rows * width);
        for (row, part) in all
            .chunks_exact_mut(width)
            .zip(gradient.data().chunks_exact(range.len()))
        {
            row[range.clone()].copy_from_slice(part);
        }
        gradients.add(x, Tensor::new(&device, &[rows, width], all));
    })
}

fn copy_rows<T: Element>(x: &Tensor<T>, range: Range<usize>) -> Tensor<T> {
    let (_, width) = x.rows_cols();
    if let Some(gpu) = x.device().gpu_for::<T>() {
        let mut copy = gpu.array(range.len() * width);
        let from = x.array().at(range.start * width..range.end * width);
        gpu.copy(&mut copy.all_mut(), from);
        return Tensor::from_array(x.device(), &[range.len(), width], copy);
    }
    let mut copy = x.device().buffer(range.len() * width);
    copy.copy_from_slice(&x.data()[range.start * width..range.end * width]);
    Tensor::new(x.device(), &[range.len(), width], copy)
}
