//! What a GPU was asked for since it was last waited for. Asked for the same again, it gets all of it at once, as a graph.
//!
//! A step of a small model is a few hundred kernels of a few microseconds; to hand each to the driver takes as long as it runs.
//! Here the calls from one wait to the next, a *passage*, are compared with passages of before. While they are like one of those
//! they are held back; if they are so up to the next wait, the passage is recorded as a graph, the second time, and launched with
//! one call from then on. Only the arguments of kernels may differ, as numbers of dropout's stream do, and are put into the
//! graph; an address in a product, or a length, makes another passage. As soon as a call is like none, all go to the driver one
//! by one: work that never repeats, as that of packed sentences of ever different lengths, waits for nothing.
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
        match (self, other) {
            (
                Self::Launch {
                    kernel,
                    grid,
                    arguments,
                },
                Self::Launch {
                    kernel: other_kernel,
                    grid: other_grid,
                    arguments: others,
                },
            ) => {
                let sizes = |all: &[Argument]| all.iter().map(|a| a.size).collect::<Vec<_>>();
                (kernel, grid) == (other_kernel, other_grid) && sizes(arguments) == sizes(others)
            }
            _ => self == other,
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
const MOST: usize = 32;

/// See the top of this file. Calls of several threads come in some order, which is that of the device.
#[derive(Default)]
pub(crate) struct Queue {
    /// The latest last.
    known: Vec<Passage>,
    /// The passage so far; the end of one that is too long to be known is not kept.
    calls: Vec<Call>,
    /// Numbers in `known` of those that begin so.
    alike: Vec<usize>,
    /// Whether `calls` are held back: while something is alike.
    holding: bool,
    /// Of the uploads held back.
    bytes: Vec<u8>,
    replayed: usize,
}

impl Queue {
    /// Takes a call; `bytes` are an upload's.
    ///
    /// # Safety
    /// What the backend's own function asks for, until the next [`Queue::end`].
    pub(crate) unsafe fn push(
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
        if self.alike.is_empty() {
            // SAFETY: the caller's, now and when they were held back.
            unsafe {
                self.run_held(backend)?;
                run(backend, &call, bytes)?;
            }
        } else {
            self.bytes.extend_from_slice(bytes);
        }
        if at < LONGEST {
            self.calls.push(call);
        }
        Ok(())
    }

    /// Hands over what is held back: the caller is about to wait.
    ///
    /// # Safety
    /// The caller waits for the device before anything else is pushed.
    pub(crate) unsafe fn end(&mut self, backend: &dyn Backend) -> Result<(), Error> {
        let len = self.calls.len();
        let of_this_length = |&i: &usize| self.known[i].calls.len() == len;
        let same = self.alike.iter().copied().rfind(of_this_length);
        // SAFETY: calls that are held back are as their pushers left them; what was launched before was waited for.
        let done = unsafe {
            match same {
                Some(same) => self.replay(backend, same),
                None => self.run_held(backend),
            }
        };
        let calls = std::mem::take(&mut self.calls);
        if same.is_none() && (SHORTEST..LONGEST).contains(&len) {
            if self.known.len() == MOST {
                self.known.remove(0);
            }
            let graph = State::Seen;
            self.known.push(Passage { calls, graph });
        }
        self.alike.clear();
        self.bytes.clear();
        self.holding = false;
        done
    }

    /// Hands over what is held back, and holds nothing back until the next wait.
    ///
    /// # Safety
    /// As [`Queue::push`], for all that was pushed.
    pub(crate) unsafe fn let_go(&mut self, backend: &dyn Backend) -> Result<(), Error> {
        if !self.calls.is_empty() {
            self.alike.clear();
        }
        // SAFETY: the caller's.
        unsafe { self.run_held(backend) }
    }

    /// How many passages were launched as graphs.
    pub(crate) fn replayed(&self) -> usize {
        self.replayed
    }

    /// # Safety
    /// As [`Queue::end`].
    unsafe fn replay(&mut self, backend: &dyn Backend, same: usize) -> Result<(), Error> {
        let mut passage = self.known.remove(same);
        if matches!(passage.graph, State::Seen) {
            // SAFETY: nothing runs yet.
            passage.graph = match unsafe { backend.record(&self.calls) } {
                Ok(graph) => State::Recorded(graph),
                // What is wrong for good is wrong for the calls themselves too, and said there.
                Err(_) => State::Refused,
            };
        }
        let done = match &mut passage.graph {
            State::Recorded(graph) => {
                self.replayed += 1;
                // SAFETY: the caller's; only arguments of launches differ, as `is_like` has seen to.
                unsafe {
                    put_and_launch(&mut **graph, &mut passage.calls, &self.calls, &self.bytes)
                }
            }
            // SAFETY: the caller's.
            _ => unsafe { self.run_held(backend) },
        };
        self.known.push(passage);
        done
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
        unsafe { run_all(backend, &self.calls, &self.bytes, |_| Ok(()))? };
        self.bytes.clear();
        Ok(())
    }
}

/// # Safety
/// As [`Graph::launch`]; `now` is like `before`, what the graph does as it is.
unsafe fn put_and_launch(
    graph: &mut dyn Graph,
    before: &mut [Call],
    now: &[Call],
    bytes: &[u8],
) -> Result<(), Error> {
    for (at, (before, now)) in before.iter_mut().zip(now).enumerate() {
        if before != now {
            if let Call::Launch { arguments, .. } = now {
                // SAFETY: the caller's.
                unsafe { graph.set(at, arguments)? };
            }
            before.clone_from(now);
        }
    }
    // SAFETY: the caller's.
    unsafe { graph.launch(bytes) }
}

/// Runs calls in order, telling `after` of each; `bytes` are those of all uploads.
///
/// # Safety
/// As the backend's own functions.
pub(super) unsafe fn run_all(
    backend: &dyn Backend,
    calls: &[Call],
    mut bytes: &[u8],
    mut after: impl FnMut(&Call) -> Result<(), Error>,
) -> Result<(), Error> {
    for call in calls {
        let len = match call {
            Call::Upload { bytes, .. } => *bytes,
            _ => 0,
        };
        let (these, rest) = bytes.split_at(len);
        bytes = rest;
        // SAFETY: the caller's.
        unsafe { run(backend, call, these)? };
        after(call)?;
    }
    Ok(())
}

/// # Safety
/// As the backend's own functions.
unsafe fn run(backend: &dyn Backend, call: &Call, bytes: &[u8]) -> Result<(), Error> {
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
