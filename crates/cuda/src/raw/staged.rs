//! Copies from this process's memory through page-locked memory, from which a GPU reads by itself.
//!
//! Two halves: while one is read the other is filled. The caller's bytes may be changed as soon as a call returns, which the
//! driver doesn't promise of memory that it has to copy itself.

use cudarc::driver::{result, sys};

/// Page-locked memory for the copies of one stream.
pub(super) struct Staged {
    stream: sys::CUstream,
    memory: *mut u8,
    /// When what was read of each half was read.
    read: [sys::CUevent; 2],
    /// The half that is filled, and how far.
    half: usize,
    filled: usize,
}

/// Bytes of each half.
const HALF: usize = 4 << 20;
/// Copies begin at multiples of this.
const ALIGNED: usize = 256;

// SAFETY: handles of the driver may be used from any thread that has the context current; the memory is this one's own.
unsafe impl Send for Staged {}

impl Staged {
    /// For a stream.
    ///
    /// # Safety
    /// The stream is a stream, and its context current.
    pub(super) unsafe fn new(stream: sys::CUstream) -> Result<Self, result::DriverError> {
        // SAFETY: the caller's. They live as long as the program.
        unsafe {
            Ok(Self {
                stream,
                memory: result::malloc_host(2 * HALF, 0)?.cast(),
                read: [event()?, event()?],
                half: 0,
                filled: 0,
            })
        }
    }

    /// Queues a copy to the device.
    ///
    /// # Safety
    /// The range is allocated, and the context current.
    pub(super) unsafe fn copy(&mut self, to: u64, bytes: &[u8]) -> Result<(), result::DriverError> {
        for (n, part) in bytes.chunks(HALF).enumerate() {
            // SAFETY: the caller's; a half is filled again when all copies from it are done.
            unsafe {
                if self.filled + part.len() > HALF {
                    result::event::record(self.read[self.half], self.stream)?;
                    self.half = 1 - self.half;
                    self.filled = 0;
                    sys::cuEventSynchronize(self.read[self.half]).result()?;
                }
                let at = self.memory.add(self.half * HALF + self.filled);
                let staged = std::slice::from_raw_parts_mut(at, part.len());
                staged.copy_from_slice(part);
                result::memcpy_htod_async(to + (n * HALF) as u64, staged, self.stream)?;
            }
            self.filled += part.len().next_multiple_of(ALIGNED);
        }
        Ok(())
    }

    /// Waits until all copies are done.
    ///
    /// # Safety
    /// The context is current.
    pub(super) unsafe fn finish(&self) -> Result<(), result::DriverError> {
        // SAFETY: the caller's. Waiting for the event leaves the core to other threads, which waiting for the stream might not.
        unsafe {
            result::event::record(self.read[self.half], self.stream)?;
            sys::cuEventSynchronize(self.read[self.half]).result()
        }
    }

    /// The stream of the copies.
    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream
    }
}

/// A place in a stream; who waits for it sleeps.
pub(super) fn event() -> Result<sys::CUevent, result::DriverError> {
    use sys::CUevent_flags as Flags;
    let flags = Flags::CU_EVENT_DISABLE_TIMING as u32 | Flags::CU_EVENT_BLOCKING_SYNC as u32;
    let mut event = std::ptr::null_mut();
    // SAFETY: a handle to write to.
    unsafe { sys::cuEventCreate(&mut event, flags) }.result()?;
    Ok(event)
}
