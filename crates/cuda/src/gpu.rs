//! A GPU that was opened: its backend, its memory, its precision.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::allocator::Allocator;
use crate::array::Number;
use crate::raw::driver::Driver;
use crate::raw::{Backend, Queue};
use crate::{Array, Description, Error, Folder};

/// In what matrix products are computed; everything else is f32, and so are the results and the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32 throughout: the CPU's results but for the order of sums.
    Single,
    /// Products of f32 numbers of whose mantissa ten bits are used; sums in f32. Needs compute capability 8.0.
    #[default]
    Tf32,
    /// Products of bf16 numbers (seven bits), sums in f32.
    Bf16,
}

impl std::str::FromStr for Precision {
    type Err = String;

    /// `f32`, `tf32` or `bf16`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::Single),
            "tf32" => Ok(Self::Tf32),
            "bf16" => Ok(Self::Bf16),
            other => Err(format!(
                "`{other}` is no precision: `f32`, `tf32` or `bf16`"
            )),
        }
    }
}

/// Numbers for an array.
pub struct Part<'a> {
    pub(crate) address: u64,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Part<'a> {
    /// All of `array` is to become `values`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn new<E: Number>(array: &'a mut Array<E>, values: &'a [E]) -> Self {
        assert_eq!(array.len(), values.len(), "numbers of an array");
        Self {
            address: array.all_mut().address(),
            bytes: bytemuck::cast_slice(values),
        }
    }
}

/// A GPU that was opened.
pub struct Gpu {
    backend: Box<dyn Backend>,
    memory: Mutex<Allocator>,
    /// Held by whoever asks for something and by whoever waits: always before the queue.
    gate: Mutex<()>,
    queue: Mutex<Queue>,
    precision: Precision,
    name: String,
}

impl Gpu {
    /// Opens GPU `number`, counted from 0. Compiled kernels are kept in `folder`.
    ///
    /// # Errors
    /// If there is no such GPU, or something that it needs is missing or too old.
    pub fn open(number: usize, precision: Precision, folder: &Folder) -> Result<Arc<Self>, Error> {
        let (driver, Description { name, .. }) = Driver::open(number, folder)?;
        Ok(Self::with_backend(Box::new(driver), precision, name))
    }

    /// Any other backend, as that of the tests.
    pub fn with_backend(
        backend: Box<dyn Backend>,
        precision: Precision,
        name: impl Into<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            backend,
            memory: Mutex::default(),
            gate: Mutex::default(),
            queue: Mutex::default(),
            precision,
            name: name.into(),
        })
    }

    /// In what matrix products are computed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Room for `len` numbers; what is in it is anything.
    pub fn array<E: Number>(self: &Arc<Self>, len: usize) -> Array<E> {
        Array::fresh(self, len)
    }

    /// Zeros.
    pub fn zeros<E: Number>(self: &Arc<Self>, len: usize) -> Array<E> {
        let mut array = self.array(len);
        self.clear(&mut array.all_mut());
        array
    }

    /// A copy of `values`.
    pub fn array_of<E: Number>(self: &Arc<Self>, values: &[E]) -> Array<E> {
        let mut array = self.array(values.len());
        self.upload(&mut array.all_mut(), values);
        array
    }

    /// Room for the bf16 of a matrix, if that is what products need. What lies beyond its columns is never read.
    pub fn half(self: &Arc<Self>, rows: usize, cols: usize) -> Option<Array<u16>> {
        let len = rows * crate::array::half_stride(cols);
        (self.precision == Precision::Bf16).then(|| self.array(len))
    }

    /// Bytes of memory that the GPU has.
    pub fn memory_of_device(&self) -> usize {
        self.backend.memory()
    }

    /// Bytes of memory in use, and bytes that the driver has lent.
    pub fn bytes(&self) -> (usize, usize) {
        let memory = self.memory();
        (memory.used(), memory.held())
    }

    /// How many times everything between two waits was handed over as one graph, because the same was asked for before.
    pub fn replayed(&self) -> usize {
        self.queue().replayed()
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Allocator> {
        // A panic elsewhere can't leave the lists half-changed.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        // After an error, which unwinds, it does nothing more.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.name, self.precision)
    }
}
