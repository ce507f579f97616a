//! What one step of a search is made of, without a tape: rows of states are picked, multiplied, put through an LSTM's cell and
//! shown the regions of a picture; the next words are chosen.
//!
//! On a device with a GPU each function queues kernels there and copies nothing but the words that were chosen; else it is the
//! CPU's loop. Not here: which steps a decoder takes (`models`), the same operations with gradients ([`crate::ops`]).

use std::sync::Arc;

use cuda::{Array, Gpu, kernels};

use crate::gemm::gemm_with;
use crate::ops::{self, Regions};
use crate::{Device, Element, Tensor, gpu};

fn gpu_of<T: Element>(x: &Tensor<T>) -> Option<&Arc<Gpu>> {
    x.device().gpu_for::<T>()
}

fn tensor<T: Element>(like: &Tensor<T>, shape: &[usize], array: Array<f32>) -> Tensor<T> {
    Tensor::from_array(like.device(), shape, array)
}

/// Rows `picked` of x (N, C): (n, C).
///
/// # Panics
/// If there is no such row.
pub fn rows<T: Element>(x: &Tensor<T>, picked: &[usize]) -> Tensor<T> {
    let (n, width) = x.rows_cols();
    assert!(picked.iter().all(|&row| row < n), "a row beyond {n}");
    let shape = [picked.len(), width];
    if let Some(gpu) = gpu_of(x) {
        let indices = gpu::indices(gpu, picked);
        let rows = kernels::gather(gpu, x.array().all(), indices.all(), width);
        return tensor(x, &shape, rows);
    }
    let mut rows = Vec::with_capacity(picked.len() * width);
    for &row in picked {
        let at = row * width..(row + 1) * width;
        match x.halves() {
            Some(halves) => rows.extend(halves[at].iter().map(|&half| T::of_half(half))),
            None => rows.extend_from_slice(&x.data()[at]),
        }
    }
    Tensor::new(x.device(), &shape, rows)
}

/// x (N, K) · w (K, M).
///
/// # Panics
/// If the shapes don't fit.
pub fn product<T: Element>(x: &Tensor<T>, w: &Tensor<T>) -> Tensor<T> {
    let (n, m) = (x.rows_cols().0, w.rows_cols().1);
    if let Some(gpu) = gpu_of(x) {
        let y = gpu::product(gpu, n, m, gpu::matrix(x), gpu::matrix(w));
        return tensor(x, &[n, m], y);
    }
    let mut y = vec![T::ZERO; n * m];
    gemm_with(x.device(), &mut y, x.matrix(), w, false);
    Tensor::new(x.device(), &[n, m], y)
}

/// sums (N, M) += x (N, K) · w (K, M).
///
/// # Panics
/// If the shapes don't fit.
pub fn add_product<T: Element>(sums: &mut Tensor<T>, x: &Tensor<T>, w: &Tensor<T>) {
    if let Some(gpu) = gpu_of(x) {
        let sums = &mut sums.array_mut().all_mut();
        return gpu.multiply(sums, gpu::matrix(x), gpu::matrix(w), true);
    }
    gemm_with(x.device(), sums.data_mut(), x.matrix(), w, true);
}

/// x (N, K) · w (K, M) + bias (M).
///
/// # Panics
/// If the shapes don't fit.
pub fn affine<T: Element>(x: &Tensor<T>, w: &Tensor<T>, bias: &Tensor<T>) -> Tensor<T> {
    let (n, m) = (x.rows_cols().0, w.rows_cols().1);
    if let Some(gpu) = gpu_of(x) {
        let y = gpu::product(gpu, n, m, gpu::matrix(x), gpu::matrix(w));
        let y = kernels::add_bias(gpu, y.all(), bias.array().all());
        return tensor(x, &[n, m], y);
    }
    let mut y = Vec::with_capacity(n * m);
    for _ in 0..n {
        y.extend_from_slice(bias.data());
    }
    gemm_with(x.device(), &mut y, x.matrix(), w, true);
    Tensor::new(x.device(), &[n, m], y)
}

/// max(x, 0).
pub fn relu<T: Element>(mut x: Tensor<T>) -> Tensor<T> {
    if let Some(gpu) = gpu_of(&x) {
        return gpu::unary(gpu, kernels::Unary::Relu, &x);
    }
    let negative = x.data_mut().iter_mut().filter(|x| **x < T::ZERO);
    negative.for_each(|x| *x = T::ZERO);
    x
}

/// sums (N, M) += x, which is (N, M) too, or (M) for every row.
///
/// # Panics
/// If the shapes don't fit.
pub fn add<T: Element>(sums: &mut Tensor<T>, x: &Tensor<T>) {
    let (_, width) = sums.rows_cols();
    let row = x.shape() == [width];
    assert!(
        row || x.shape() == sums.shape(),
        "{:?} to {:?}",
        x.shape(),
        sums.shape()
    );
    if let Some(gpu) = gpu_of(x) {
        if row {
            let y = kernels::add_bias(gpu, sums.array().all(), x.array().all());
            *sums = tensor(x, sums.shape(), y);
        } else {
            kernels::add_assign(gpu, &mut sums.array_mut().all_mut(), x.array().all());
        }
        return;
    }
    for sums in sums.data_mut().chunks_exact_mut(x.len().max(1)) {
        sums.iter_mut().zip(x.data()).for_each(|(s, &x)| *s += x);
    }
}

/// The means of x (I, R, P) over the regions: (I, P).
///
/// # Panics
/// If x has another number of sizes.
pub fn region_means<T: Element>(x: &Tensor<T>) -> Tensor<T> {
    let &[images, regions, width] = x.shape() else {
        panic!("regions are (I, R, P), not {:?}", x.shape());
    };
    if let Some(gpu) = gpu_of(x) {
        let means = kernels::region_means(gpu, x.array().all(), [images, regions, width]);
        return tensor(x, &[images, width], means);
    }
    let share = T::ONE / T::of(regions as f64);
    let mut means = vec![T::ZERO; images * width];
    let pictures = x.data().chunks_exact((regions * width).max(1));
    for (mean, picture) in means.chunks_exact_mut(width.max(1)).zip(pictures) {
        for region in picture.chunks_exact(width) {
            let sums = mean.iter_mut().zip(region);
            sums.for_each(|(m, &x)| *m += x * share);
        }
    }
    Tensor::new(x.device(), &[images, width], means)
}

/// Cells and hidden rows, (n, H) each, from gates (n, 4H) before bias and activation; no cells before are zeros.
///
/// # Panics
/// If the shapes don't fit.
pub fn lstm_cell<T: Element>(
    mut gates: Tensor<T>,
    bias: &Tensor<T>,
    past: Option<&Tensor<T>>,
    tanh_c: bool,
) -> [Tensor<T>; 2] {
    let (n, h) = (gates.rows_cols().0, bias.len() / 4);
    let shape = [n, h];
    assert_eq!(gates.shape(), [n, 4 * h], "gates");
    assert!(
        past.is_none_or(|past| past.shape() == shape),
        "cells before"
    );
    let device = gates.device().clone();
    if let Some(gpu) = device.gpu_for::<T>() {
        let [mut cells, mut hidden] = [(); 2].map(|()| gpu.array(n * h));
        kernels::lstm_gates(
            gpu,
            &mut gates.array_mut().all_mut(),
            bias.array().all(),
            past.map(|past| past.array().all()),
            &mut cells.all_mut(),
            (&mut hidden.all_mut(), h),
            None,
            tanh_c,
        );
        return [cells, hidden].map(|array| Tensor::from_array(&device, &shape, array));
    }
    let (mut cells, mut hidden) = (vec![T::ZERO; n * h], vec![T::ZERO; n * h]);
    let past = past.map(Tensor::data);
    ops::lstm_gates(
        gates.data_mut(),
        bias.data(),
        past,
        &mut cells,
        &mut hidden,
        tanh_c,
    );
    [cells, hidden].map(|numbers| Tensor::new(&device, &shape, numbers))
}

/// Weights α (n, R) and contexts Σ α value (n, P) of queries (n, A), row r looking at picture `image_of[r]`, with `score` (A).
///
/// # Panics
/// If the shapes don't fit, or there is no such picture.
pub fn attend<T: Element>(
    regions: &Regions<T>,
    score: &Tensor<T>,
    queries: &Tensor<T>,
    image_of: &[usize],
) -> [Tensor<T>; 2] {
    let [images, r, a, p] = regions.sizes();
    assert!(
        image_of.iter().all(|&image| image < images),
        "a picture beyond {images}"
    );
    let (n, device) = (image_of.len(), queries.device());
    if let Some(gpu) = gpu_of(queries) {
        let [mut weights, mut contexts] = [n * r, n * p].map(|len| gpu.array(len));
        kernels::attend(
            gpu,
            kernels::AttendSizes { images, r, a, p },
            (regions.keys.array().all(), regions.values.array().all()),
            score.array().all(),
            queries.array().all(),
            gpu::indices(gpu, image_of).all(),
            &mut weights.all_mut(),
            (&mut contexts.all_mut(), p),
        );
        return [(weights, r), (contexts, p)]
            .map(|(array, width)| tensor(queries, &[n, width], array));
    }
    let (mut weights, mut contexts) = (vec![T::ZERO; n * r], vec![T::ZERO; n * p]);
    let (score, queries) = (score.data(), queries.data());
    ops::attend(
        regions,
        score,
        queries,
        image_of,
        &mut weights,
        &mut contexts,
    );
    [(weights, r), (contexts, p)].map(|(numbers, width)| Tensor::new(device, &[n, width], numbers))
}

/// The columns of all parts (n, _), side by side.
///
/// # Panics
/// If there are no parts, or their rows differ in number.
pub fn beside<T: Element>(parts: &[&Tensor<T>]) -> Tensor<T> {
    let (first, n) = (parts[0], parts[0].rows_cols().0);
    let widths: Vec<usize> = parts.iter().map(|part| part.rows_cols().1).collect();
    assert!(
        parts.iter().all(|part| part.rows_cols().0 == n),
        "as many rows"
    );
    let width = widths.iter().sum();
    if let Some(gpu) = gpu_of(first) {
        let mut all = gpu.array(n * width);
        let mut at = 0;
        for (part, &columns) in parts.iter().zip(&widths) {
            if n * columns > 0 {
                let to = &mut all.at_mut(at..(n - 1) * width + at + columns);
                let from = (part.array().all(), columns);
                kernels::copy_block(gpu, from, (to, width), (n, columns), false);
            }
            at += columns;
        }
        return tensor(first, &[n, width], all);
    }
    let mut all = Vec::with_capacity(n * width);
    for row in 0..n {
        for (part, &columns) in parts.iter().zip(&widths) {
            all.extend_from_slice(&part.data()[row * columns..][..columns]);
        }
    }
    Tensor::new(first.device(), &[n, width], all)
}

/// How the next words of rows are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice<'a> {
    /// So many likeliest words of each row, best first, equal ones by their number.
    Likeliest(usize),
    /// One word a row: where the row's number in [0, 1) falls when every word has its probability's share, the words one after another.
    Drawn(&'a [f64]),
}

/// Most likeliest words that a GPU looks for: for more it would read the row too often.
const MOST_LIKELIEST: usize = 32;

impl Choice<'_> {
    /// Words that it takes from each row of V.
    pub fn each(self, v: usize) -> usize {
        match self {
            Self::Likeliest(k) => k.min(v),
            Self::Drawn(_) => 1,
        }
    }
}

/// True if [`choose`] can: on a device with a GPU, for few words a row.
pub fn chooses(device: &Device, choice: Choice<'_>) -> bool {
    let few = match choice {
        Choice::Likeliest(k) => (1..=MOST_LIKELIEST).contains(&k),
        Choice::Drawn(_) => true,
    };
    few && device.gpu_for::<f32>().is_some()
}

/// The words that the output layer, hidden (N, H) · weight (H, V) + bias (V), offers for each row and their natural log
/// probabilities ln(1e-20 + p), at most 0, `choice.each(V)` a row; a number that is no log probability (NaN) is among them if there is
/// one. Where there is no word of any probability to draw, it is V.
///
/// # Panics
/// If it can't ([`chooses`]), or the shapes don't fit.
pub fn choose(
    hidden: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    choice: Choice<'_>,
) -> Vec<(u32, f32)> {
    assert!(chooses(hidden.device(), choice), "{choice:?} on a CPU");
    let (gpu, v) = (gpu_of(hidden).expect("a GPU"), bias.len());
    let log_probs = gpu::log_probabilities(gpu, hidden, weight, bias);
    let chosen = match choice {
        Choice::Likeliest(_) => kernels::likeliest(gpu, log_probs.all(), v, choice.each(v)),
        Choice::Drawn(uniforms) => {
            let uniforms = gpu.array_of(uniforms);
            kernels::draw(gpu, log_probs.all(), v, uniforms.all())
        }
    };
    let pairs = chosen.to_vec();
    let pairs = pairs.chunks_exact(2);
    pairs
        .map(|pair| (pair[0], f32::from_bits(pair[1])))
        .collect()
}
