//! The backend's calls for the rest of the crate: arrays and slices instead of addresses.
//!
//! Why they are sound is said in `raw/mod.rs`. Errors unwind with the [`Error`] as payload, without a message: operations have
//! no `Result`, as they have none for the memory of the CPU, and the program catches it at its top.

use bytemuck::{cast_slice, cast_slice_mut};

use super::{Argument, Call, Product};
use crate::array::{In, Number, Out};
use crate::{Error, Gpu, Part};

/// The value, or an unwinding with the error as payload.
pub(crate) fn or_unwind<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(Box::new(error)),
    }
}

impl Gpu {
    /// Queues a call; `bytes` are an upload's.
    ///
    /// # Safety
    /// As the backend's own function, until the device was waited for.
    unsafe fn ask(&self, call: Call, bytes: &[u8]) {
        let _gate = self.gate();
        // SAFETY: the caller's.
        or_unwind(unsafe { self.queue().push(self.backend(), call, bytes) });
    }

    /// Hands over what is queued, then calls `wait`, which waits for the device.
    fn end<R>(&self, wait: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        // Nothing is pushed until the wait is over; copies beside the queue may begin.
        let _gate = self.gate();
        // SAFETY: calls were checked when they were pushed; the gate is shut, and on an error nothing is ever pushed again.
        unsafe { self.queue().end(self.backend())? };
        let waited = wait();
        self.queue().noted(waited)
    }

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
            |address| {
                // An error of what was queued before is met again by whoever asks for anything.
                let _ = self.end(|| {
                    // SAFETY: the allocator gives each of its free blocks back once, and forgets it.
                    unsafe { backend.release(address) };
                    Ok(())
                });
            },
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
        let bytes = cast_slice(values);
        if bytes.is_empty() {
            return;
        }
        let call = Call::Upload {
            to: to.address(),
            bytes: bytes.len(),
        };
        // SAFETY: the slice lies in a live array.
        unsafe { self.ask(call, bytes) };
    }

    /// Fills `parts`, each with its own numbers, beside what is queued: for a thread that prepares what is needed next. Returns
    /// when they are there. They wait for what is queued now, whose memory they may have got, and for nothing that comes later.
    pub fn fill_beside(&self, parts: &[Part<'_>]) {
        let parts = parts.iter().filter(|part| !part.bytes.is_empty());
        let parts: Vec<_> = parts.map(|part| (part.address, part.bytes)).collect();
        if parts.is_empty() {
            return;
        }
        let backend = self.backend();
        let mark = {
            let mut queue = self.queue();
            // SAFETY: what is held back was checked when it was pushed.
            let let_go = unsafe { queue.let_go(backend) };
            let mark = let_go.and_then(|()| backend.mark());
            or_unwind(queue.noted(mark))
        };
        // SAFETY: each part lies in a live array; whatever used its memory before was queued before the mark.
        let done = unsafe { backend.upload_beside(&parts, mark) };
        or_unwind(self.queue().noted(done));
    }

    pub(crate) fn download<E: Number>(&self, from: In<'_, E>) -> Vec<E> {
        let mut values = vec![E::zeroed(); from.len()];
        let bytes = cast_slice_mut(&mut values);
        // SAFETY: the slice lies in a live array.
        let copy = || unsafe { self.backend().download(bytes, from.address()) };
        or_unwind(self.end(copy));
        values
    }

    /// Copies a slice into another.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy<E: Number>(&self, to: &mut Out<'_, E>, from: In<'_, E>) {
        assert_eq!(to.len(), from.len(), "copy");
        if to.is_empty() {
            return;
        }
        let call = Call::Copy {
            to: to.address(),
            from: from.address(),
            bytes: to.len() * size_of::<E>(),
        };
        // SAFETY: both lie in live arrays; `to` is borrowed exclusively, so they don't overlap.
        unsafe { self.ask(call, &[]) };
    }

    /// Fills a slice with zeros.
    pub fn clear<E: Number>(&self, at: &mut Out<'_, E>) {
        if at.is_empty() {
            return;
        }
        let call = Call::Clear {
            at: at.address(),
            bytes: at.len() * size_of::<E>(),
        };
        // SAFETY: the slice lies in a live array; all zero bytes are a number of every kind.
        unsafe { self.ask(call, &[]) };
    }

    /// Runs a kernel; nothing to do is nothing done. For `kernels`, which checks the lengths.
    pub(crate) fn launch(&self, kernel: &'static str, grid: u32, arguments: &[Argument]) {
        if grid > 0 {
            let call = Call::Launch {
                kernel,
                grid,
                arguments: arguments.into(),
            };
            // SAFETY: the caller, a function of `kernels`, has checked the slices against the kernel's sizes.
            unsafe { self.ask(call, &[]) };
        }
    }

    /// A matrix product. For `product`, which checks the sizes.
    pub(crate) fn multiply_raw(&self, product: &Product) {
        // SAFETY: the caller has checked that the matrices lie in their slices; c is borrowed exclusively.
        unsafe { self.ask(Call::Multiply(*product), &[]) };
    }

    /// Waits until all that was queued is done.
    pub fn finish(&self) {
        or_unwind(self.end(|| self.backend().finish()));
    }
}
