//! The backend's calls for the rest of the crate: arrays and slices instead of addresses.
//!
//! Why they are sound is said in `raw/mod.rs`. Errors unwind with the [`Error`] as payload, without a message: operations have
//! no `Result`, as they have none for the memory of the CPU, and the program catches it at its top.

use bytemuck::{cast_slice, cast_slice_mut};

use super::{Argument, Product};
use crate::array::{In, Number, Out};
use crate::{Error, Gpu};

/// The value, or an unwinding with the error as payload.
pub(crate) fn or_unwind<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(Box::new(error)),
    }
}

impl Gpu {
    /// A block of memory for so many bytes.
    pub(crate) fn take(&self, bytes: usize) -> Result<u64, Error> {
        let backend = self.backend();
        if backend.exact() {
            return backend.allocate(bytes);
        }
        let mut memory = self.memory();
        let taken = memory.take(
            bytes,
            |class| backend.allocate(class),
            // SAFETY: the allocator gives each of its free blocks back once, and forgets it.
            |address| unsafe { backend.release(address) },
        );
        taken.map_err(|error| match error {
            Error::OutOfMemory { wanted, total, .. } => Error::OutOfMemory {
                wanted,
                held: memory.held(),
                total,
            },
            other => other,
        })
    }

    /// Takes a block back.
    pub(crate) fn put(&self, address: u64, bytes: usize) {
        if self.backend().exact() {
            // SAFETY: called once, when the array is dropped.
            unsafe { self.backend().release(address) };
        } else {
            self.memory().put(address, bytes);
        }
    }

    pub(crate) fn upload<E: Number>(&self, to: &mut Out<'_, E>, values: &[E]) {
        assert_eq!(to.len(), values.len(), "upload");
        // SAFETY: the slice lies in a live array.
        or_unwind(unsafe { self.backend().upload(to.address(), cast_slice(values)) });
    }

    pub(crate) fn download<E: Number>(&self, from: In<'_, E>) -> Vec<E> {
        let mut values = vec![E::zeroed(); from.len()];
        // SAFETY: the slice lies in a live array.
        or_unwind(unsafe {
            self.backend()
                .download(cast_slice_mut(&mut values), from.address())
        });
        values
    }

    /// Copies a slice into another.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy<E: Number>(&self, to: &mut Out<'_, E>, from: In<'_, E>) {
        assert_eq!(to.len(), from.len(), "copy");
        // SAFETY: both lie in live arrays; `to` is borrowed exclusively, so they don't overlap.
        or_unwind(unsafe {
            self.backend()
                .copy(to.address(), from.address(), to.len() * size_of::<E>())
        });
    }

    /// Fills a slice with zeros.
    pub fn clear<E: Number>(&self, at: &mut Out<'_, E>) {
        // SAFETY: the slice lies in a live array; all zero bytes are a number of every kind.
        or_unwind(unsafe {
            self.backend()
                .clear(at.address(), at.len() * size_of::<E>())
        });
    }

    /// Runs a kernel; nothing to do is nothing done. For `kernels`, which checks the lengths.
    pub(crate) fn launch(&self, kernel: &'static str, grid: u32, arguments: &[Argument]) {
        if grid > 0 {
            // SAFETY: the caller, a function of `kernels`, has checked the slices against the kernel's sizes.
            or_unwind(unsafe { self.backend().launch(kernel, grid, arguments) });
        }
    }

    /// A matrix product. For `product`, which checks the sizes.
    pub(crate) fn multiply_raw(&self, product: &Product) {
        // SAFETY: the caller has checked that the matrices lie in their slices; c is borrowed exclusively.
        or_unwind(unsafe { self.backend().multiply(product) });
    }

    /// Waits until all that was queued is done.
    pub fn finish(&self) {
        or_unwind(self.backend().finish());
    }
}
