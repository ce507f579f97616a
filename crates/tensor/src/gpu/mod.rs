//! Operations on a device with a GPU: which kernels, in which order.
//!
//! Every function here does on [`cuda::Array`]s what its namesake in `ops` does on slices, and `ops` is its oracle
//! (`tests/gpu.rs`). Not here: the tape, shapes' checks, and what has no kernels and runs on the CPU (`ops`); the kernels
//! themselves (`cuda`).

mod convolution;
mod cross_entropy;
mod lstm;
mod rnn;
mod top_down;
mod update;

use std::sync::Arc;

use cuda::kernels::{self, Unary};
use cuda::{Array, Gpu, Matrix};

pub(crate) use convolution::{Layer, Normed, norm_factors, products, to_filters, to_input, window};
pub(crate) use cross_entropy::{OutputLayer, log_probabilities};
pub(crate) use lstm::Lstm;
pub(crate) use rnn::Rnn;
pub(crate) use top_down::TopDown;
pub(crate) use update::{apply, squared_norm};

use crate::{Element, Tensor};

/// A tensor as a matrix for products.
pub(crate) fn matrix<T: Element>(x: &Tensor<T>) -> Matrix<'_> {
    let (rows, cols) = x.rows_cols();
    Matrix::new(x.array().for_products(cols), rows, cols)
}

/// a (M, K) · b (K, N), either possibly a transpose.
pub(crate) fn product(
    gpu: &Arc<Gpu>,
    m: usize,
    n: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
) -> Array<f32> {
    let mut c = gpu.array(m * n);
    gpu.multiply(&mut c.all_mut(), a, b, false);
    c
}

/// f(x), elementwise.
pub(crate) fn unary<T: Element>(gpu: &Arc<Gpu>, f: Unary, x: &Tensor<T>) -> Tensor<T> {
    Tensor::from_array(
        x.device(),
        x.shape(),
        kernels::unary(gpu, f, x.array().all()),
    )
}

/// x ⊙ y.
pub(crate) fn multiply<T: Element>(gpu: &Arc<Gpu>, x: &Tensor<T>, y: &Tensor<T>) -> Tensor<T> {
    assert_eq!(x.shape(), y.shape(), "elementwise operation");
    let product = kernels::multiply(gpu, x.array().all(), y.array().all());
    Tensor::from_array(x.device(), x.shape(), product)
}

/// Sums over all but the last size.
pub(crate) fn sum_rows<T: Element>(gpu: &Arc<Gpu>, x: &Tensor<T>) -> Tensor<T> {
    let cols = *x.shape().last().expect("at least one size");
    Tensor::from_array(x.device(), &[cols], column_sums(gpu, x.array(), cols))
}

fn column_sums(gpu: &Arc<Gpu>, x: &Array<f32>, cols: usize) -> Array<f32> {
    let mut sums = gpu.array(cols);
    kernels::sum_rows(gpu, x.all(), &mut sums.all_mut(), false);
    sums
}

/// Numbers of rows as kernels take them.
pub(crate) fn indices(gpu: &Arc<Gpu>, rows: &[usize]) -> Array<u32> {
    let narrow: Vec<u32> = rows
        .iter()
        .map(|&r| u32::try_from(r).expect("a row below 2^32"))
        .collect();
    gpu.array_of(&narrow)
}
