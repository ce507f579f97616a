//! Matrix products on the CPU.
//!
//! Here: which product runs on which thread. Not here: the product itself, which is `faer`'s
//! (measured against gemm, matrixmultiply and OpenBLAS on this project's shapes, see
//! docs/speed.md) but for a few rows times a large matrix (`few_rows.rs`, `half_rows.rs`). The result is cut by
//! columns, or by rows where it is narrow, into pieces that depend on the shape alone. faer's
//! sequential product adds up every element in the same order wherever the cut is, and a test
//! holds it to that.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::{Device, Element, Tensor, few_rows, half_rows};

/// A row-major matrix, or the transpose of one, to be read.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl<'a, T> Matrix<'a, T> {
    /// `data` is (rows, cols), row-major.
    ///
    /// # Panics
    /// If the length is not rows * cols.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix of {rows} x {cols}");
        Self {
            data,
            rows,
            cols,
            transposed: false,
        }
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            transposed: !self.transposed,
        }
    }

    /// Rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// If this is a transpose, or has fewer rows.
    pub(crate) fn row_range(self, rows: std::ops::Range<usize>) -> Self {
        assert!(!self.transposed, "rows of a transpose aren't contiguous");
        let data = &self.data[rows.start * self.cols..rows.end * self.cols];
        Self::new(data, rows.len(), self.cols)
    }

    fn view(&self) -> MatRef<'a, T> {
        if self.transposed {
            MatRef::from_row_major_slice(self.data, self.cols, self.rows).transpose()
        } else {
            MatRef::from_row_major_slice(self.data, self.rows, self.cols)
        }
    }
}

/// Columns or rows of one piece: narrow enough for sixteen threads to share a layer.
const PIECE: usize = 64;
/// Products below this many multiplications aren't worth a second thread.
const SMALL: usize = 1 << 18;

/// c (M, N) = a (M, K) b (K, N), or c += a b with `accumulate`.
///
/// # Panics
/// If the shapes don't fit.
pub fn gemm<T: Element>(
    device: &Device,
    c: &mut [T],
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    accumulate: bool,
) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner sizes of a product");
    assert_eq!(
        c.len(),
        m * n,
        "result of a product of {m} x {k} and {k} x {n}"
    );
    if few_rows::suits(m) && !a.transposed && !b.transposed {
        return strips(device, c, (m, n, k), |(from, c)| {
            few_rows::multiply(c, from, (a.data, b.data), (k, n), accumulate);
        });
    }
    let (a, b) = (a.view(), b.view());
    let beta = if accumulate {
        Accum::Add
    } else {
        Accum::Replace
    };
    let c = MatMut::from_row_major_slice_mut(c, m, n);
    if m * n * k < SMALL {
        return matmul(c, beta, a, b, T::ONE, Par::Seq);
    }
    device.install(|| {
        if n >= m.min(2 * PIECE) {
            let pieces = cut(c, n, PIECE, MatMut::split_at_col_mut);
            pieces.into_par_iter().for_each(|(from, c)| {
                let b = b.subcols(from, c.ncols());
                matmul(c, beta, a, b, T::ONE, Par::Seq);
            });
        } else {
            let pieces = cut(c, m, PIECE, MatMut::split_at_row_mut);
            pieces.into_par_iter().for_each(|(from, c)| {
                let a = a.subrows(from, c.nrows());
                matmul(c, beta, a, b, T::ONE, Par::Seq);
            });
        }
    });
}

/// As [`gemm`] with the matrix `w` (K, N); a few rows read numbers that are kept in 16 bits as they are, to the same bits.
///
/// # Panics
/// As [`gemm`].
pub(crate) fn gemm_with<T: Element>(
    device: &Device,
    c: &mut [T],
    a: Matrix<'_, T>,
    w: &Tensor<T>,
    accumulate: bool,
) {
    let (k, n) = w.rows_cols();
    if few_rows::suits(a.rows)
        && half_rows::suits()
        && !a.transposed
        && let Some(halves) = w.halves()
    {
        let (c, a, m) = (T::singles_mut(c), T::singles(a.data), a.rows);
        let (c, a) = c.zip(a).expect("only f32 are kept in 16 bits");
        assert!(a.len() == m * k && c.len() == m * n, "sizes of a product");
        return strips(device, c, (m, n, k), |(from, c)| {
            half_rows::multiply(c, from, (a, halves), (k, n), accumulate);
        });
    }
    gemm(device, c, a, w.matrix(), accumulate);
}

/// `multiply` for each strip of c (M, N), of a product of the inner size K.
fn strips<T: Element>(
    device: &Device,
    c: &mut [T],
    (m, n, k): (usize, usize, usize),
    multiply: impl Fn((usize, MatMut<'_, T>)) + Sync + Send,
) {
    let c = MatMut::from_row_major_slice_mut(c, m, n);
    let pieces = cut(c, n, few_rows::STRIP, MatMut::split_at_col_mut);
    match m * n * k < SMALL {
        true => pieces.into_iter().for_each(multiply),
        false => device.install(|| pieces.into_par_iter().for_each(multiply)),
    }
}

type Pieces<'c, T> = Vec<(usize, MatMut<'c, T>)>;
/// Cuts a matrix in two at a column or row.
type Split<'c, T> = fn(MatMut<'c, T>, usize) -> (MatMut<'c, T>, MatMut<'c, T>);

/// Cuts a matrix of `len` columns (or rows) into pieces of `piece`, each with where it starts.
fn cut<'c, T>(
    mut rest: MatMut<'c, T>,
    len: usize,
    piece: usize,
    split: Split<'c, T>,
) -> Pieces<'c, T> {
    let piece = piece.min(len);
    let mut pieces = Vec::new();
    let mut from = 0;
    while from + piece < len {
        let (head, tail) = split(rest, piece);
        pieces.push((from, head));
        rest = tail;
        from += piece;
    }
    pieces.push((from, rest));
    pieces
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::Numbers;
    use crate::random::Random;

    fn naive(
        m: usize,
        n: usize,
        k: usize,
        a: impl Fn(usize, usize) -> f64,
        b: impl Fn(usize, usize) -> f64,
    ) -> Vec<f64> {
        let mut c = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                c[i * n + j] = (0..k).map(|l| a(i, l) * b(l, j)).sum();
            }
        }
        c
    }

    #[test]
    fn every_orientation_matches_the_naive_product() {
        let device = Device::cpu(2);
        for (m, n, k) in [
            (1, 1, 1),
            (3, 5, 7),
            (130, 300, 33),
            (700, 20, 40),
            (20, 700, 40),
            (2, 0, 3),
            (2, 3, 0),
        ] {
            let mut random = Random::new(1, 0);
            let a: Vec<f64> = (0..m * k).map(|_| random.uniform() - 0.5).collect();
            let b: Vec<f64> = (0..k * n).map(|_| random.uniform() - 0.5).collect();
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                let av = if ta {
                    Matrix::new(&a, k, m).t()
                } else {
                    Matrix::new(&a, m, k)
                };
                let bv = if tb {
                    Matrix::new(&b, n, k).t()
                } else {
                    Matrix::new(&b, k, n)
                };
                let want = naive(
                    m,
                    n,
                    k,
                    |i, l| if ta { a[l * m + i] } else { a[i * k + l] },
                    |l, j| if tb { b[j * k + l] } else { b[l * n + j] },
                );
                let mut c = vec![1.0; m * n];
                gemm(&device, &mut c, av, bv, false);
                assert!(
                    c.iter().zip(&want).all(|(x, y)| (x - y).abs() < 1e-12),
                    "{m} {n} {k} {ta} {tb}"
                );
                gemm(&device, &mut c, av, bv, true);
                assert!(
                    c.iter()
                        .zip(&want)
                        .all(|(x, y)| (x - 2.0 * y).abs() < 1e-12),
                    "accumulate {m} {n} {k}"
                );
            }
        }
    }

    #[test]
    fn numbers_in_16_bits_give_the_bits_that_they_give_in_32() {
        let device = Device::cpu(2);
        for (m, n, k) in [
            (1, 300, 70),
            (3, 2048, 515),
            (4, 256, 602),
            (5, 44, 9),
            (12, 257, 4),
            (13, 300, 40),
            (2, 0, 3),
            (2, 3, 0),
        ] {
            let mut random = Random::new(3, 0);
            let a: Vec<f32> = (0..m * k).map(|_| random.uniform() as f32 - 0.5).collect();
            // Every fourth below the normal ones of 16 bits.
            let halves =
                (0..k * n).map(|i| (random.uniform() - 0.5) * if i % 4 == 0 { 1e-5 } else { 1.0 });
            let halves: Vec<f16> = halves.map(f16::from_f64).collect();
            let wide: Vec<f32> = halves.iter().map(|h| h.to_f32()).collect();
            let w = Tensor::stored(&device, &[k, n], Numbers::from(halves));
            assert!(w.halves().is_some());
            let (mut one, mut other) = (vec![1.0; m * n], vec![1.0; m * n]);
            for accumulate in [false, true] {
                let a = Matrix::new(&a, m, k);
                gemm_with(&device, &mut one, a, &w, accumulate);
                gemm(&device, &mut other, a, Matrix::new(&wide, k, n), accumulate);
                assert!(
                    one.iter()
                        .zip(&other)
                        .all(|(x, y)| x.to_bits() == y.to_bits()),
                    "{m} {n} {k} {accumulate}"
                );
            }
        }
    }

    #[test]
    fn a_piece_of_a_product_has_the_bits_of_the_whole() {
        let device = Device::cpu(3);
        for (m, n, k) in [
            (100, 2048, 512),
            (37, 1000, 129),
            (513, 300, 64),
            (1000, 24, 300),
            (8, 4096, 1000),
            (1, 2536, 512),
            (1, 100, 2000),
            (2, 600, 1024),
            (3, 2048, 1409),
            (4, 1000, 513),
            (5, 1000, 515),
            (12, 255, 300),
            (12, 257, 300),
            (13, 257, 300),
        ] {
            let mut random = Random::new(2, 0);
            // faer has another order for a single row; here it is the first row of two.
            let rows = m.max(2);
            let a: Vec<f32> = (0..rows * k)
                .map(|_| random.uniform() as f32 - 0.5)
                .collect();
            let b: Vec<f32> = (0..k * n).map(|_| random.uniform() as f32 - 0.5).collect();
            let (mut whole, mut cut) = (vec![0.0; rows * n], vec![0.0; m * n]);
            for (beta, accumulate) in [(Accum::Replace, false), (Accum::Add, true)] {
                let (all, b) = (Matrix::new(&a, rows, k), Matrix::new(&b, k, n));
                let c = MatMut::from_row_major_slice_mut(&mut whole, rows, n);
                matmul(c, beta, all.view(), b.view(), 1.0, Par::Seq);
                gemm(
                    &device,
                    &mut cut,
                    Matrix::new(&a[..m * k], m, k),
                    b,
                    accumulate,
                );
                assert!(
                    whole
                        .iter()
                        .zip(&cut)
                        .all(|(x, y)| x.to_bits() == y.to_bits()),
                    "{m} {n} {k} {accumulate}"
                );
            }
        }
    }
}
