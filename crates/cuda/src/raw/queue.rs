//! What a GPU was asked for since it was last waited for. Asked for the same again, it gets all of it at once, as a graph.
//!
//! A step of a small model is a few hundred kernels of a few microseconds; to hand each to the driver takes as long as it runs.
//! Here the calls from one wait to the next, a *passage*, are compared with passages of before. A passage that comes a second time
//! is recorded as a graph. While calls are like those of a recorded passage they are held back; if they are so up to the next
//! wait, its graph is launched with one call. Only the arguments of kernels may differ, as numbers of dropout's stream do, and
//! are put into the graph; an address in a product, or a length, makes another passage. As soon as a call is like none of a
//! graph, all go to the driver one by one: work that never repeats, as that of packed sentences of ever different lengths, waits
//! for nothing.
//!
//! Why addresses repeat: the allocator hands out the free block with the least address, so that equal steps get equal blocks.

use super::{Argument, Backend, Product};
use crate::Error;

/// Something that a device is asked to do.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Call {
    /// A kernel.
    Launch {
        kernel: &'static str,
        grid: u32,
        arguments: Box<[Argument]>,
    },
    /// A matrix product.
    Multiply(Product),
    /// A copy within the device.
    Copy { to: u64, from: u64, bytes: usize },
    /// Zeros.
    Clear { at: u64, bytes: usize },
    /// So many bytes of this process.
    Upload { to: u64, bytes: usize },
}

impl Call {
    /// True if a graph with this call can do the other after a change of arguments.
    fn is_like(&self, other: &Self) -> bool {
        let Self::Launch {
            kernel,
            grid,
            arguments,
        } = self
        else {
            return self == other;
        };
        let Self::Launch {
            kernel: other_kernel,
            grid: other_grid,
            arguments: others,
        } = other
        else {
            return false;
        };
        let [sizes, other_sizes] = [arguments, others].map(|all| all.iter().map(|a| a.size));
        (kernel, grid) == (other_kernel, other_grid) && sizes.eq(other_sizes)
    }

    /// Bytes that it uploads.
    pub(super) fn uploads(&self) -> usize {
        match self {
            Self::Upload { bytes, .. } => *bytes,
            _ => 0,
        }
    }
}

/// Work that was recorded once and is queued again as a whole.
pub trait Graph: Send {
    /// Gives the launch that was call `at` other arguments from now on.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// The call was a launch; the arguments are the kernel's, and their memory is allocated as far as it goes.
    unsafe fn set(&mut self, at: usize, arguments: &[Argument]) -> Result<(), Error>;

    /// Queues all of it. `bytes` are those of all uploads, one after the other.
    ///
    /// # Errors
    /// If the device refuses.
    /// # Safety
    /// The memory of all calls is allocated, and what was queued of this graph before is done.
    unsafe fn launch(&mut self, bytes: &[u8]) -> Result<(), Error>;
}

/// A passage that was seen.
struct Passage {
    /// As they were the last time.
    calls: Vec<Call>,
    graph: State,
}

enum State {
    /// Seen once.
    Seen,
    Recorded(Box<dyn Graph>),
    /// The device would not: asked for call by call.
    Refused,
}

/// Passages shorter than this gain nothing.
const SHORTEST: usize = 8;
/// Longer ones have kernels that run long, as an encoder's have.
const LONGEST: usize = 4096;
/// Passages kept; the one unused for longest goes first.
const MOST: usize = 64;

/// See the top of this file. Calls of several threads come in some order, which is that of the device.
#[derive(Default)]
pub(crate) struct Queue {
    /// The latest last.
    known: Vec<Passage>,
    /// The passage so far; the end of one that is too long to be known is not kept.
    calls: Vec<Call>,
    /// Numbers in `known` of those that begin so.
    alike: Vec<usize>,
    /// Whether `calls` are held back: while one that is alike is recorded.
    holding: bool,
    /// Of the uploads held back.
    bytes: Vec<u8>,
    replayed: usize,
    /// The first error. What was held back then is lost, and memory may be in use that should not be: nothing more is done.
    broken: Option<Error>,
}

impl Queue {
    /// Takes a call; `bytes` are an upload's.
    ///
    /// # Errors
    /// The first error of this device, now and for ever.
    /// # Safety
    /// What the backend's own function asks for, until the next [`Queue::end`].
    pub(crate) unsafe fn push(
        &mut self,
        backend: &dyn Backend,
        call: Call,
        bytes: &[u8],
    ) -> Result<(), Error> {
        self.unbroken()?;
        // SAFETY: the caller's.
        let done = unsafe { self.take(backend, call, bytes) };
        self.noted(done)
    }

    /// # Safety
    /// As [`Queue::push`].
    unsafe fn take(
        &mut self,
        backend: &dyn Backend,
        call: Call,
        bytes: &[u8],
    ) -> Result<(), Error> {
        if !backend.records() {
            // SAFETY: the caller's.
            return unsafe { run(backend, &call, bytes) };
        }
        let at = self.calls.len();
        if at == 0 {
            self.alike = (0..self.known.len()).collect();
            self.holding = true;
        }
        self.alike.retain(|&i| {
            let before = self.known[i].calls.get(at);
            before.is_some_and(|before| before.is_like(&call))
        });
        if self.holding && self.alike.iter().any(|&i| self.known[i].is_recorded()) {
            self.bytes.extend_from_slice(bytes);
        } else {
            // SAFETY: the caller's, now and when they were held back.
            unsafe {
                self.run_held(backend)?;
                run(backend, &call, bytes)?;
            }
        }
        if at < LONGEST {
            self.calls.push(call);
        }
        Ok(())
    }

    /// Hands over what is held back: the caller is about to wait.
    ///
    /// # Errors
    /// As [`Queue::push`].
    /// # Safety
    /// The caller waits for the device before anything else is pushed.
    pub(crate) unsafe fn end(&mut self, backend: &dyn Backend) -> Result<(), Error> {
        self.unbroken()?;
        let len = self.calls.len();
        let of_this_length = |&i: &usize| self.known[i].calls.len() == len;
        let same = self.alike.iter().copied().rfind(of_this_length);
        let mut passage = same.map(|same| self.known.remove(same));
        // SAFETY: calls that are held back are as their pushers left them; what was launched before was waited for.
        let done = unsafe {
            match &mut passage {
                Some(passage) if self.holding && passage.is_recorded() => {
                    self.replayed += 1;
                    passage.replay(&self.calls, &self.bytes)
                }
                _ => self.run_held(backend),
            }
        };
        let calls = std::mem::take(&mut self.calls);
        match &mut passage {
            // SAFETY: nothing of it runs now.
            Some(passage) if matches!(passage.graph, State::Seen) => unsafe {
                passage.record(backend, calls);
            },
            Some(_) => {}
            None if (SHORTEST..LONGEST).contains(&len) => {
                if self.known.len() == MOST {
                    self.known.remove(0);
                }
                let graph = State::Seen;
                passage = Some(Passage { calls, graph });
            }
            None => {}
        }
        self.known.extend(passage);
        self.alike.clear();
        self.bytes.clear();
        self.holding = false;
        self.noted(done)
    }

    /// Hands over what is held back, and holds nothing back until the next wait.
    ///
    /// # Errors
    /// As [`Queue::push`].
    /// # Safety
    /// As [`Queue::push`], for all that was pushed.
    pub(crate) unsafe fn let_go(&mut self, backend: &dyn Backend) -> Result<(), Error> {
        self.unbroken()?;
        // SAFETY: the caller's.
        let done = unsafe { self.run_held(backend) };
        self.noted(done)
    }

    /// Remembers the first error; nothing is done after it.
    pub(crate) fn noted<R>(&mut self, result: Result<R, Error>) -> Result<R, Error> {
        if let Err(error) = &result {
            self.broken.get_or_insert_with(|| error.clone());
        }
        result
    }

    fn unbroken(&self) -> Result<(), Error> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// How many passages were launched as graphs.
    pub(crate) fn replayed(&self) -> usize {
        self.replayed
    }

    /// Runs what is held back, call by call.
    ///
    /// # Safety
    /// As [`Queue::push`], for all of them.
    unsafe fn run_held(&mut self, backend: &dyn Backend) -> Result<(), Error> {
        if !std::mem::take(&mut self.holding) {
            return Ok(());
        }
        // SAFETY: the caller's.
        unsafe { run_all(backend, &self.calls, &self.bytes)? };
        self.bytes.clear();
        Ok(())
    }
}

impl Passage {
    fn is_recorded(&self) -> bool {
        matches!(self.graph, State::Recorded(_))
    }

    /// # Safety
    /// As [`Backend::record`].
    unsafe fn record(&mut self, backend: &dyn Backend, calls: Vec<Call>) {
        // SAFETY: the caller's.
        self.graph = match unsafe { backend.record(&calls) } {
            Ok(graph) => State::Recorded(graph),
            // What is wrong for good is wrong for the calls themselves too, and said there.
            Err(_) => State::Refused,
        };
        self.calls = calls;
    }

    /// Does what `now` asks for, which is like what the graph does as it is.
    ///
    /// # Safety
    /// As [`Graph::launch`].
    unsafe fn replay(&mut self, now: &[Call], bytes: &[u8]) -> Result<(), Error> {
        let State::Recorded(graph) = &mut self.graph else {
            return Ok(());
        };
        for (at, (before, now)) in self.calls.iter_mut().zip(now).enumerate() {
            if before != now {
                if let Call::Launch { arguments, .. } = now {
                    // SAFETY: the caller's; only arguments of launches differ, as `is_like` has seen to.
                    unsafe { graph.set(at, arguments)? };
                }
                before.clone_from(now);
            }
        }
        // SAFETY: the caller's.
        unsafe { graph.launch(bytes) }
    }
}

/// Asks a backend for calls, one after the other; `bytes` are those of all uploads.
///
/// # Errors
/// The first that the backend refuses.
/// # Panics
/// If the bytes are more or fewer than the uploads'.
/// # Safety
/// As the backend's own functions.
pub unsafe fn run_all(
    backend: &dyn Backend,
    calls: &[Call],
    mut bytes: &[u8],
) -> Result<(), Error> {
    for call in calls {
        let (these, rest) = bytes.split_at(call.uploads());
        bytes = rest;
        // SAFETY: the caller's.
        unsafe { run(backend, call, these)? };
    }
    assert!(bytes.is_empty(), "bytes of no upload");
    Ok(())
}

/// # Safety
/// As the backend's own functions.
pub(super) unsafe fn run(backend: &dyn Backend, call: &Call, bytes: &[u8]) -> Result<(), Error> {
    // SAFETY: the caller's.
    unsafe {
        match *call {
            Call::Launch {
                kernel,
                grid,
                ref arguments,
            } => backend.launch(kernel, grid, arguments),
            Call::Multiply(ref product) => backend.multiply(product),
            Call::Copy { to, from, bytes } => backend.copy(to, from, bytes),
            Call::Clear { at, bytes } => backend.clear(at, bytes),
            Call::Upload { to, .. } => backend.upload(to, bytes),
        }
    }
}
