//! Matrix products in the GPU's precision.

use std::sync::Arc;

use crate::array::half_stride;
use crate::raw::{Operand, Operands, Product};
use crate::{Gpu, In, Out, Precision, kernels};

/// A row-major matrix to be read, or the transpose of one.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    numbers: In<'a, f32>,
    rows: usize,
    cols: usize,
    stride: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// `numbers` are (rows, cols).
    ///
    /// # Panics
    /// If they are more or fewer.
    pub fn new(numbers: In<'a, f32>, rows: usize, cols: usize) -> Self {
        assert_eq!(numbers.len(), rows * cols, "matrix of {rows} x {cols}");
        Self {
            numbers,
            rows,
            cols,
            stride: cols,
            transposed: false,
        }
    }

    /// Some columns of a wider matrix: `numbers` begin at the first of them, rows lie `stride` apart.
    ///
    /// # Panics
    /// If the matrix leaves the numbers.
    pub fn columns(numbers: In<'a, f32>, rows: usize, cols: usize, stride: usize) -> Self {
        assert!(cols <= stride, "{cols} columns of {stride}");
        assert!(
            rows == 0 || (rows - 1) * stride + cols <= numbers.len(),
            "columns of a matrix"
        );
        Self {
            numbers,
            rows,
            cols,
            stride,
            transposed: false,
        }
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    /// Rows and columns as they lie in memory.
    fn stored(&self) -> (usize, usize) {
        if self.transposed {
            (self.cols, self.rows)
        } else {
            (self.rows, self.cols)
        }
    }
}

impl Gpu {
    /// c (M, N; rows `c_stride` apart) = a (M, K) b (K, N), or += with `accumulate`.
    ///
    /// # Panics
    /// If the sizes don't fit.
    pub fn multiply(
        self: &Arc<Self>,
        c: &mut Out<'_, f32>,
        a: Matrix<'_>,
        b: Matrix<'_>,
        accumulate: bool,
    ) {
        let (m, n, k) = (a.rows, b.cols, a.cols);
        assert_eq!(k, b.rows, "inner sizes of a product");
        assert_eq!(c.len(), m * n, "product of {m} x {k} and {k} x {n}");
        if m * n == 0 {
            return;
        }
        if k == 0 {
            if !accumulate {
                self.clear(c);
            }
            return;
        }
        // Converted operands must live until the call that reads them is queued.
        let (mut kept_a, mut kept_b) = (None, None);
        let (operands, a, b) = match self.precision() {
            Precision::Single => (Operands::Single, single(&a), single(&b)),
            Precision::Tf32 => (Operands::Tf32, single(&a), single(&b)),
            Precision::Bf16 => (
                Operands::Half,
                self.halved(&a, &mut kept_a),
                self.halved(&b, &mut kept_b),
            ),
        };
        self.multiply_raw(&Product {
            m,
            n,
            k,
            a,
            b,
            c: c.address(),
            c_stride: n,
            accumulate,
            operands,
        });
    }

    /// The operand in bf16: what is there already, or a conversion kept in `room`.
    fn halved(self: &Arc<Self>, x: &Matrix<'_>, room: &mut Option<crate::Array<u16>>) -> Operand {
        let (rows, cols) = x.stored();
        let whole_rows = x.stride == cols;
        if let Some((address, stride)) = x.numbers.half(cols).filter(|_| whole_rows) {
            return Operand {
                address,
                stride,
                transposed: x.transposed,
            };
        }
        let stride = half_stride(cols);
        let numbers = room.insert(self.array(rows * stride));
        let mut to = numbers.all_mut();
        kernels::to_half(self, x.numbers, x.stride, &mut to, stride, (rows, cols));
        Operand {
            address: to.address(),
            stride,
            transposed: x.transposed,
        }
    }
}

fn single(x: &Matrix<'_>) -> Operand {
    Operand {
        address: x.numbers.address(),
        stride: x.stride,
        transposed: x.transposed,
    }
}
