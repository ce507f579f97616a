//! Copies from this process's memory through page-locked memory, from which a GPU reads by itself.
//!
//! Two halves: while one is read the other is filled. The caller's bytes may be changed as soon as a call returns, which the
//! driver doesn't promise of memory that it has to copy itself.

use std::mem::ManuallyDrop;

use cudarc::driver::{result, sys};

/// Page-locked memory of this process.
pub(super) struct PageLocked {
    at: *mut u8,
    len: usize,
}

// SAFETY: it is this one's own.
unsafe impl Send for PageLocked {}

impl PageLocked {
    /// # Safety
    /// A context is current.
    pub(super) unsafe fn new(len: usize) -> Result<Self, result::DriverError> {
        let at = match len {
            0 => std::ptr::null_mut(),
            // SAFETY: the caller's.
            _ => unsafe { result::malloc_host(len, 0)? }.cast(),
        };
        Ok(Self { at, len })
    }

    /// All of it. Who reads from it beside this process is waited for before it is written again, or given back.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        match self.len {
            0 => &mut [],
            // SAFETY: so many bytes are there, and nobody else has them.
            len => unsafe { std::slice::from_raw_parts_mut(self.at, len) },
        }
    }
}

impl Drop for PageLocked {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: it was allocated. A failure costs memory and nothing else.
            let _ = unsafe { result::free_host(self.at.cast()) };
        }
    }
}

/// Page-locked memory for the copies of one stream.
pub(super) struct Staged {
    stream: sys::CUstream,
    /// Never given back: it lives as long as the program, as the driver's handles do.
    memory: ManuallyDrop<PageLocked>,
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

// SAFETY: handles of the driver may be used from any thread that has the context current.
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
                memory: ManuallyDrop::new(PageLocked::new(2 * HALF)?),
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
                let at = self.half * HALF + self.filled;
                let staged = &mut self.memory.bytes()[at..at + part.len()];
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
