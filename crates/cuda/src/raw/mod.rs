//! The one place of `unsafe`: calls into the driver, cuBLAS and the kernels.
//!
//! [`Backend`] is what an array needs of a device; its calls take addresses, and are `unsafe` because nothing at this level
//! knows what lies there. Two implementations: [`driver`], the GPU, and in the tests an emulator that runs the same kernels on
//! the CPU. `calls.rs` wraps them for the rest of the crate, and holds up what they ask for:
//!
//! - an address comes from an [`Array`](crate::Array), [`In`](crate::In) or [`Out`](crate::Out) only. Those borrow from the
//!   array, so that it is alive when work is queued, and their range was checked when they were made;
//! - memory that is freed while work on it is queued, or held back in `queue.rs`, is handed out again only for work behind it in
//!   the same queue, and goes back to the driver only when that is empty and the stream was waited for;
//! - every function of [`kernels`](crate::kernels) asserts that its slices have the lengths that the kernel touches. Numbers of
//!   rows in index arrays are checked on the host before they are uploaded. A kernel that broke this could spoil another array
//!   on the GPU, or be stopped by the driver with an error; the memory of this process is out of its reach.

#![allow(unsafe_code)]

mod calls;
pub(crate) use calls::or_unwind;
pub mod driver;
pub mod library;
mod nvrtc;
mod queue;
mod recorded;
mod staged;

use crate::Error;
pub use nvrtc::compile;
pub(crate) use queue::Queue;
pub use queue::{Call, Graph, run_all};

/// A kernel's argument: so many bytes, as they lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// The value in the low bytes.
    pub bits: u64,
    /// 4 or 8.
    pub size: u32,
}

/// What is multiplied in a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// f32, with all their bits.
    Single,
    /// f32, of whose mantissa ten bits are used.
    Tf32,
    /// bf16.
    Half,
}

/// c (m, n) = a (m, k) · b (k, n), or += with `accumulate`; all row-major, c in f32. A transposed operand lies in memory as its
/// transpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Operand,
    pub b: Operand,
    pub c: u64,
    /// Numbers from one row of c to the next.
    pub c_stride: usize,
    pub accumulate: bool,
    pub operands: Operands,
}

/// One side of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// Where it begins.
    pub address: u64,
    /// Numbers from one row to the next, as it lies in memory.
    pub stride: usize,
    /// Whether its transpose lies there.
    pub transposed: bool,
}

/// What [`Backend::mark`] gave: the driver's handle.
#[derive(Debug)]
pub struct Mark(pub u64);

/// A device that holds numbers and computes with them. Calls are queued and run in order; [`Backend::download`] and
/// [`Backend::finish`] wait.
///
/// # Safety
/// An implementation must hand out memory that nothing else uses, and touch no memory but what a call names.
pub unsafe trait Backend: Send + Sync {
    /// Bytes of memory.
    fn memory(&self) -> usize;

    /// True if memory is to be handed out in the exact sizes, each block once, and filled with NaN: for tests that look for
    /// reads and writes out of bounds.
    fn exact(&self) -> bool {
        false
    }

    /// True if [`Backend::record`] can be asked, and freed memory isn't given back at once.
    fn records(&self) -> bool {
        false
    }

    /// Makes a graph of calls, without running any of them.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// As each of the calls.
    unsafe fn record(&self, calls: &[Call]) -> Result<Box<dyn Graph>, Error>;

    /// So many bytes, aligned for any number.
    ///
    /// # Errors
    /// If they aren't there.
    fn allocate(&self, bytes: usize) -> Result<u64, Error>;

    /// Gives memory back, after all queued work.
    ///
    /// # Safety
    /// The address came from [`Backend::allocate`] and is not used again.
    unsafe fn release(&self, address: u64);

    /// Copies to the device. The bytes may be changed as soon as this returns.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// The range is allocated.
    unsafe fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), Error>;

    /// A place in the queue: all that was queued so far.
    ///
    /// # Errors
    /// If the device refuses.
    fn mark(&self) -> Result<Mark, Error>;

    /// Copies each to its address on the device, after what was queued before the mark and beside what was queued since; returns
    /// when it is done.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// The ranges are allocated, nothing that was queued since the mark uses them, and the mark is this device's and used once.
    unsafe fn upload_beside(&self, parts: &[(u64, &[u8])], after: Mark) -> Result<(), Error>;

    /// Copies from the device, when all that was queued is done.
    ///
    /// # Errors
    /// If the device refuses, or something queued before has failed.
    /// # Safety
    /// The range is allocated.
    unsafe fn download(&self, bytes: &mut [u8], from: u64) -> Result<(), Error>;

    /// Copies within the device.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// Both ranges are allocated and don't overlap.
    unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), Error>;

    /// Fills with zero bytes.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// The range is allocated.
    unsafe fn clear(&self, at: u64, bytes: usize) -> Result<(), Error>;

    /// Runs `grid` blocks of a kernel.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// The arguments are the kernel's, and their memory is allocated as far as it goes.
    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: u32,
        arguments: &[Argument],
    ) -> Result<(), Error>;

    /// A matrix product.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// All three matrices are allocated; c overlaps neither a nor b.
    unsafe fn multiply(&self, product: &Product) -> Result<(), Error>;

    /// Waits until all that was queued is done.
    ///
    /// # Errors
    /// If something of it has failed.
    fn finish(&self) -> Result<(), Error>;
}
