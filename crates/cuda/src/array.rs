//! Numbers in a GPU's memory.
//!
//! An [`Array`] owns them, [`In`] and [`Out`] are what `&[E]` and `&mut [E]` are to a `Vec`: ranges are checked when they
//! are made. Not here: shapes, which are `tensor`'s.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::raw::{Argument, or_unwind};
use crate::{Gpu, Precision};

/// A number that a GPU holds. bf16 are their 16 bits.
pub trait Number: bytemuck::Pod + Send + Sync {}

impl Number for f32 {}
impl Number for f64 {}
impl Number for u32 {}
impl Number for u16 {}
impl Number for u8 {}

/// Numbers in a GPU's memory; given back when it is dropped.
pub struct Array<E: Number> {
    gpu: Arc<Gpu>,
    address: u64,
    len: usize,
    twin: OnceLock<Box<Twin>>,
    of: PhantomData<E>,
}

/// The same numbers in bf16, as a matrix whose rows lie a multiple of 8 apart (16 bytes: what tensor cores load at once).
struct Twin {
    numbers: Array<u16>,
    cols: usize,
    stride: usize,
}

/// Numbers to be read.
pub struct In<'a, E: Number> {
    address: u64,
    len: usize,
    /// Where they are in bf16, if they are: address, columns, stride.
    half: Option<(u64, usize, usize)>,
    of: PhantomData<&'a E>,
}

impl<E: Number> Clone for In<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Number> Copy for In<'_, E> {}

/// Numbers to be written.
pub struct Out<'a, E: Number> {
    address: u64,
    len: usize,
    of: PhantomData<&'a mut E>,
}

/// Numbers from one row of a bf16 matrix to the next.
pub(crate) fn half_stride(cols: usize) -> usize {
    cols.next_multiple_of(8)
}

impl<E: Number> Array<E> {
    pub(crate) fn fresh(gpu: &Arc<Gpu>, len: usize) -> Self {
        let address = or_unwind(gpu.take(len * size_of::<E>()));
        Self {
            gpu: gpu.clone(),
            address,
            len,
            twin: OnceLock::new(),
            of: PhantomData,
        }
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The GPU that they are on.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// All of them, to be read.
    pub fn all(&self) -> In<'_, E> {
        let twin = self.twin.get();
        In {
            address: self.address,
            len: self.len,
            half: twin.map(|twin| (twin.numbers.address, twin.cols, twin.stride)),
            of: PhantomData,
        }
    }

    /// Some of them, to be read.
    ///
    /// # Panics
    /// If the range leaves the array.
    pub fn at(&self, range: Range<usize>) -> In<'_, E> {
        self.all().at(range)
    }

    /// All of them, to be written. What was known of them in bf16 is forgotten.
    pub fn all_mut(&mut self) -> Out<'_, E> {
        self.twin = OnceLock::new();
        Out {
            address: self.address,
            len: self.len,
            of: PhantomData,
        }
    }

    /// Some of them, to be written.
    ///
    /// # Panics
    /// If the range leaves the array.
    pub fn at_mut(&mut self, range: Range<usize>) -> Out<'_, E> {
        self.all_mut().at(range)
    }

    /// The numbers, once everything that was queued is done.
    pub fn to_vec(&self) -> Vec<E> {
        self.gpu.download(self.all())
    }

    /// A copy on the GPU.
    pub fn duplicate(&self) -> Self {
        let mut copy = Self::fresh(&self.gpu, self.len);
        self.gpu.copy(&mut copy.all_mut(), self.all());
        copy
    }
}

impl Array<f32> {
    /// The numbers as a matrix of so many columns for products; where those are in bf16, the conversion is made once and kept
    /// until the numbers change.
    pub fn for_products(&self, cols: usize) -> In<'_, f32> {
        if self.gpu.precision() == Precision::Bf16 && cols > 0 && self.len > 0 {
            self.twin.get_or_init(|| {
                let (rows, stride) = (self.len / cols, half_stride(cols));
                let mut numbers = Array::fresh(&self.gpu, rows * stride);
                let (mut to, from) = (numbers.all_mut(), self.all());
                crate::kernels::to_half(&self.gpu, from, cols, &mut to, stride, (rows, cols));
                Box::new(Twin {
                    numbers,
                    cols,
                    stride,
                })
            });
        }
        self.all()
    }

    /// Says that `numbers` are these in bf16, as a matrix of `cols` columns: for kernels that write both.
    ///
    /// # Panics
    /// If the sizes don't fit.
    pub fn with_half(mut self, numbers: Option<Array<u16>>, cols: usize) -> Self {
        if let Some(numbers) = numbers {
            let stride = half_stride(cols);
            assert_eq!(numbers.len * cols, self.len * stride, "bf16 of an array");
            self.twin = OnceLock::from(Box::new(Twin {
                numbers,
                cols,
                stride,
            }));
        }
        self
    }
}

impl<E: Number> Drop for Array<E> {
    fn drop(&mut self) {
        self.gpu.put(self.address, self.len * size_of::<E>());
    }
}

impl<E: Number> fmt::Debug for Array<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array of {} on the GPU", self.len)
    }
}

fn check(range: &Range<usize>, len: usize) {
    assert!(
        range.start <= range.end && range.end <= len,
        "the range {range:?} of {len} numbers"
    );
}

impl<'a, E: Number> In<'a, E> {
    /// Some of them.
    ///
    /// # Panics
    /// If the range leaves the slice.
    pub fn at(self, range: Range<usize>) -> Self {
        check(&range, self.len);
        Self {
            address: self.address + (range.start * size_of::<E>()) as u64,
            len: range.len(),
            // Only whole rows have an address in the other matrix.
            half: self.half.and_then(|(address, cols, stride)| {
                let rows = range.start / cols * stride * size_of::<u16>();
                range
                    .start
                    .is_multiple_of(cols)
                    .then_some((address + rows as u64, cols, stride))
            }),
            of: PhantomData,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same numbers with what a kernel wrote in bf16, a matrix of `cols` columns.
    ///
    /// # Panics
    /// If the sizes don't fit.
    pub fn with_half(self, half: Option<In<'a, u16>>, cols: usize) -> Self {
        let Some(half) = half else { return self };
        let stride = half_stride(cols);
        assert!(self.len / cols * stride <= half.len, "bf16 of a slice");
        Self {
            half: Some((half.address, cols, stride)),
            ..self
        }
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Address and stride in bf16 if they are there as a matrix of `cols` columns.
    pub(crate) fn half(&self, cols: usize) -> Option<(u64, usize)> {
        let (address, known, stride) = self.half?;
        (known == cols).then_some((address, stride))
    }
}

impl<'a, E: Number> Out<'a, E> {
    /// Some of them.
    ///
    /// # Panics
    /// If the range leaves the slice.
    pub fn at(self, range: Range<usize>) -> Self {
        check(&range, self.len);
        Self {
            address: self.address + (range.start * size_of::<E>()) as u64,
            len: range.len(),
            of: PhantomData,
        }
    }

    /// Those before `mid` and those from there on.
    ///
    /// # Panics
    /// If `mid` lies outside.
    pub fn split_at(self, mid: usize) -> (Self, Self) {
        check(&(0..mid), self.len);
        let (address, len) = (self.address, self.len);
        let part = |from: usize, len| Self {
            address: address + (from * size_of::<E>()) as u64,
            len,
            of: PhantomData,
        };
        (part(0, mid), part(mid, len - mid))
    }

    /// The same for a shorter time.
    pub fn again(&mut self) -> Out<'_, E> {
        Out {
            address: self.address,
            len: self.len,
            of: PhantomData,
        }
    }

    /// To be read.
    pub fn read(&self) -> In<'_, E> {
        In {
            address: self.address,
            len: self.len,
            half: None,
            of: PhantomData,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }
}

impl<E: Number> From<In<'_, E>> for Argument {
    fn from(x: In<'_, E>) -> Self {
        x.address.into()
    }
}

impl<E: Number> From<&mut Out<'_, E>> for Argument {
    fn from(x: &mut Out<'_, E>) -> Self {
        x.address.into()
    }
}

/// None is the null pointer.
impl<X: Into<Argument>> From<Option<X>> for Argument {
    fn from(x: Option<X>) -> Self {
        x.map_or_else(|| 0u64.into(), Into::into)
    }
}

impl From<u32> for Argument {
    fn from(x: u32) -> Self {
        Self {
            bits: x.into(),
            size: 4,
        }
    }
}

impl From<u64> for Argument {
    fn from(x: u64) -> Self {
        Self { bits: x, size: 8 }
    }
}

impl From<f32> for Argument {
    fn from(x: f32) -> Self {
        x.to_bits().into()
    }
}
