//! A dense row-major array on a device.
//!
//! Clones share the numbers; the first write to a shared tensor copies it. On a device with a GPU the numbers lie on the host,
//! on the GPU or on both, and are copied when they are asked for where they aren't. Numbers that a file has in 16 bits are kept
//! so too, and converted when somebody asks for them. Here: shape and storage. Not here: arithmetic (`ops`, `gpu`).

use std::fmt;
use std::sync::{Arc, OnceLock};

use cuda::Array;
use half::f16;

use crate::numbers::widen;
use crate::{Device, Element, Numbers};

/// A dense, contiguous, row-major array.
#[derive(Clone)]
pub struct Tensor<T: Element = f32> {
    shape: Vec<usize>,
    buffer: Arc<Buffer<T>>,
}

/// Numbers that return to their device's cache when the last tensor is gone. They are in at least one of the three places.
struct Buffer<T: Element> {
    len: usize,
    host: OnceLock<Vec<T>>,
    /// For f32 on a device with a GPU.
    remote: OnceLock<Array<f32>>,
    /// For f32 of a file that has them in 16 bits.
    halves: Option<Vec<f16>>,
    device: Device,
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Some(data) = self.host.take() {
            self.device.recycle(data);
        }
    }
}

impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let (host, remote) = (OnceLock::new(), OnceLock::new());
        // One place is enough, that where the numbers are used.
        if let Some(array) = self.remote.get() {
            let _ = remote.set(array.duplicate());
        } else {
            let mut data = self.device.buffer(self.len);
            data.copy_from_slice(self.data());
            let _ = host.set(data);
        }
        Self {
            len: self.len,
            host,
            remote,
            halves: None,
            device: self.device.clone(),
        }
    }
}

impl<T: Element> Buffer<T> {
    fn data(&self) -> &Vec<T> {
        self.host.get_or_init(|| {
            if let Some(halves) = &self.halves {
                let mut data = self.device.buffer(self.len);
                widen(halves, &mut data);
                return data;
            }
            let array = self.remote.get().expect("numbers are somewhere");
            T::from_singles(array.to_vec()).expect("only f32 are on a GPU")
        })
    }

    fn array(&self) -> &Array<f32> {
        self.remote.get_or_init(|| {
            let data = self.data();
            let gpu = self.device.gpu().expect("a device with a GPU");
            gpu.array_of(T::singles(data).expect("only f32 go to a GPU"))
        })
    }
}

impl<T: Element> Tensor<T> {
    /// A tensor of `data`, which is `shape` in row-major order.
    ///
    /// # Panics
    /// If the length is not the product of the shape.
    pub fn new(device: &Device, shape: &[usize], data: Vec<T>) -> Self {
        let len = data.len();
        Self::from_places(device, shape, len, |buffer| buffer.host = data.into())
    }

    /// A tensor of numbers that are on the device's GPU.
    ///
    /// # Panics
    /// If the length is not the product of the shape.
    pub(crate) fn from_array(device: &Device, shape: &[usize], array: Array<f32>) -> Self {
        let len = array.len();
        Self::from_places(device, shape, len, |buffer| buffer.remote = array.into())
    }

    /// A tensor of `len` numbers, which `put` puts in one of the places.
    fn from_places(
        device: &Device,
        shape: &[usize],
        len: usize,
        put: impl FnOnce(&mut Buffer<T>),
    ) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            len,
            "numbers for the shape {shape:?}"
        );
        let mut buffer = Buffer {
            len,
            host: OnceLock::new(),
            remote: OnceLock::new(),
            halves: None,
            device: device.clone(),
        };
        put(&mut buffer);
        Self {
            shape: shape.to_vec(),
            buffer: Arc::new(buffer),
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

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.buffer.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.buffer.len == 0
    }

    /// The numbers, row-major.
    pub fn data(&self) -> &[T] {
        self.buffer.data()
    }

    /// The numbers for writing; copied first if another tensor shares them.
    pub fn data_mut(&mut self) -> &mut [T] {
        let buffer = Arc::make_mut(&mut self.buffer);
        buffer.data();
        buffer.remote.take();
        buffer.halves = None;
        buffer.host.get_mut().expect("just put there")
    }

    /// The numbers on the device's GPU.
    ///
    /// # Panics
    /// If the device has none, or the numbers are not f32: `Device::gpu_for` says so first.
    pub(crate) fn array(&self) -> &Array<f32> {
        self.buffer.array()
    }

    /// The numbers on the device's GPU for writing; copied first if another tensor shares them.
    ///
    /// # Panics
    /// As [`Tensor::array`].
    pub(crate) fn array_mut(&mut self) -> &mut Array<f32> {
        let buffer = Arc::make_mut(&mut self.buffer);
        buffer.array();
        buffer.halves = None;
        if let Some(data) = buffer.host.take() {
            buffer.device.recycle(data);
        }
        buffer.remote.get_mut().expect("just put there")
    }

    /// The numbers in 16 bits, where they are kept so.
    pub(crate) fn halves(&self) -> Option<&[f16]> {
        self.buffer.halves.as_deref()
    }

    /// The same numbers under another shape.
    ///
    /// # Panics
    /// If the new shape holds another number of elements.
    pub fn reshape(mut self, shape: &[usize]) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            self.len(),
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
        assert_eq!(self.len(), 1, "item() of the shape {:?}", self.shape);
        self.data()[0]
    }

    /// A matrix for products.
    pub fn matrix(&self) -> crate::Matrix<'_, T> {
        let (rows, cols) = self.rows_cols();
        crate::Matrix::new(self.data(), rows, cols)
    }
}

impl Tensor<f32> {
    /// A tensor of numbers that come from a file.
    ///
    /// # Panics
    /// If their count is not the product of the shape.
    pub fn stored(device: &Device, shape: &[usize], numbers: Numbers) -> Self {
        let halves = match numbers {
            Numbers::Singles(data) => return Self::new(device, shape, data),
            Numbers::Halves(halves) => halves,
        };
        let len = halves.len();
        Self::from_places(device, shape, len, |buffer| buffer.halves = Some(halves))
    }
}

impl<T: Element> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.data()[..self.len().min(8)];
        write!(f, "Tensor {:?} {shown:?}", self.shape)
    }
}
