//! A dense row-major array on a device.
//!
//! Clones share the numbers; the first write to a shared tensor copies it. Here: shape and
//! storage. Not here: arithmetic (`ops`).

use std::fmt;
use std::sync::Arc;

use crate::{Device, Element};

/// A dense, contiguous, row-major array.
#[derive(Clone)]
pub struct Tensor<T: Element = f32> {
    shape: Vec<usize>,
    buffer: Arc<Buffer<T>>,
}

/// Numbers that return to their device's cache when the last tensor is gone.
struct Buffer<T: Element> {
    data: Vec<T>,
    device: Device,
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.device.recycle(std::mem::take(&mut self.data));
    }
}

impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut data = self.device.buffer(self.data.len());
        data.copy_from_slice(&self.data);
        Self {
            data,
            device: self.device.clone(),
        }
    }
}

impl<T: Element> Tensor<T> {
    /// A tensor of `data`, which is `shape` in row-major order.
    ///
    /// # Panics
    /// If the length is not the product of the shape.
    pub fn new(device: &Device, shape: &[usize], data: Vec<T>) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            data.len(),
            "numbers for the shape {shape:?}"
        );
        let buffer = Arc::new(Buffer {
            data,
            device: device.clone(),
        });
        Self {
            shape: shape.to_vec(),
            buffer,
        }
    }

    /// All zeros.
    pub fn zeros(device: &Device, shape: &[usize]) -> Self {
        Self::new(device, shape, device.zeros(shape.iter().product()))
    }

    /// A copy of numbers of any of the two types, rounded to this one.
    ///
    /// # Panics
    /// If the length is not the product of the shape.
    pub fn from_values<S: Element>(device: &Device, shape: &[usize], values: &[S]) -> Self {
        let data = values.iter().map(|v| T::of(v.to_f64())).collect();
        Self::new(device, shape, data)
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The sizes of a matrix: rows, columns.
    ///
    /// # Panics
    /// If this is not a matrix.
    pub fn rows_cols(&self) -> (usize, usize) {
        match self.shape[..] {
            [rows, cols] => (rows, cols),
            _ => panic!("a matrix was expected, the shape is {:?}", self.shape),
        }
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.buffer.device
    }

    /// The numbers, row-major.
    pub fn data(&self) -> &[T] {
        &self.buffer.data
    }

    /// The numbers for writing; copied first if another tensor shares them.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut Arc::make_mut(&mut self.buffer).data
    }

    /// The same numbers under another shape.
    ///
    /// # Panics
    /// If the new shape holds another number of elements.
    pub fn reshape(mut self, shape: &[usize]) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            self.data().len(),
            "reshape {:?} to {shape:?}",
            self.shape
        );
        self.shape = shape.to_vec();
        self
    }

    /// The single number of a tensor of one element.
    ///
    /// # Panics
    /// If there are more or fewer.
    pub fn item(&self) -> T {
        assert_eq!(self.data().len(), 1, "item() of the shape {:?}", self.shape);
        self.data()[0]
    }

    /// A matrix for products.
    pub fn matrix(&self) -> crate::Matrix<'_, T> {
        let (rows, cols) = self.rows_cols();
        crate::Matrix::new(self.data(), rows, cols)
    }
}

impl<T: Element> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.data()[..self.data().len().min(8)];
        write!(f, "Tensor {:?} {shown:?}", self.shape)
    }
}
