//! Where tensors live and who computes on them.
//!
//! Here: the CPU with its threads and its cache of freed buffers. A training step asks for the
//! same few dozen large buffers again and again; handing them out again saves the page faults
//! of fresh memory (about a tenth of a small step). A device may have a GPU beside the CPU: operations that have kernels
//! run there (`gpu`), the others on the CPU; models don't see which.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Element;

/// A handle on the machine part that computes; cheap to clone.
#[derive(Clone)]
pub struct Device {
    kind: Arc<Cpu>,
    gpu: Option<Arc<cuda::Gpu>>,
}

struct Cpu {
    pool: rayon::ThreadPool,
    free: Mutex<FreeBuffers>,
}

/// Freed buffers as raw bytes of f64 or f32, by capacity class.
struct FreeBuffers {
    single: HashMap<usize, Vec<Vec<f32>>>,
    double: HashMap<usize, Vec<Vec<f64>>>,
    bytes: usize,
    /// What `bytes` never exceeds.
    most: usize,
}

/// Buffers smaller than this are left to the allocator.
const SMALLEST_KEPT_BYTES: usize = 1 << 16;
/// More than this is given back to the system, unless [`Device::keep_at_most`] says otherwise.
const MOST_KEPT_BYTES: usize = 256 << 20;

/// How long a thread is kept awake with nothing to do.
const LONGEST_IDLE: Duration = Duration::from_micros(500);

impl Device {
    /// The CPU with `threads` worker threads; 0 means one for each core.
    ///
    /// # Panics
    /// If the system refuses to start the threads.
    pub fn cpu(threads: usize) -> Self {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("tensor-{i}"))
            .spawn_handler(|worker| {
                let thread = std::thread::Builder::new();
                let thread = match worker.name() {
                    Some(name) => thread.name(name.to_owned()),
                    None => thread,
                };
                thread.spawn(|| without_subnormals(|| worker.run()))?;
                Ok(())
            })
            .build()
            .expect("the system can start threads");
        let free = Mutex::new(FreeBuffers {
            single: HashMap::new(),
            double: HashMap::new(),
            bytes: 0,
            most: MOST_KEPT_BYTES,
        });
        Self {
            kind: Arc::new(Cpu { pool, free }),
            gpu: None,
        }
    }

    /// GPU `number`, counted from 0, with `threads` of the CPU; kernels that were compiled are kept with the user's caches.
    ///
    /// # Errors
    /// If there is no such GPU, or something that it needs is missing or too old.
    pub fn cuda(
        number: usize,
        precision: cuda::Precision,
        threads: usize,
    ) -> Result<Self, cuda::Error> {
        let gpu = cuda::Gpu::open(number, precision, &cuda::Folder::of_user())?;
        Ok(Self::cpu(threads).with_gpu(gpu))
    }

    /// This CPU with a GPU, where operations on f32 run as far as they have kernels.
    pub fn with_gpu(self, gpu: Arc<cuda::Gpu>) -> Self {
        Self {
            gpu: Some(gpu),
            ..self
        }
    }

    /// The GPU, if there is one.
    pub fn gpu(&self) -> Option<&Arc<cuda::Gpu>> {
        self.gpu.as_ref()
    }

    /// The GPU, if there is one and it computes with numbers of this type.
    pub(crate) fn gpu_for<T: Element>(&self) -> Option<&Arc<cuda::Gpu>> {
        self.gpu.as_ref().filter(|_| T::singles(&[]).is_some())
    }

    /// Keeps at most so many bytes of freed buffers. Training asks for the same sizes at every step; a search, whose rows
    /// become fewer with every word, asks for many different ones, and what it frees is seldom asked for again.
    pub fn keep_at_most(&self, bytes: usize) {
        let mut free = self.free();
        free.most = bytes;
        if bytes < free.bytes {
            free.single.clear();
            free.double.clear();
            free.bytes = 0;
        }
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.kind.pool.current_num_threads()
    }

    /// Runs `work` on this device's threads. Operations do this themselves; wrapping a whole
    /// training step saves a hand-over for each of them.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.kind.pool.install(work)
    }

    /// As [`Device::install`], the other threads kept from sleeping: for work of a few milliseconds that is cut into many small
    /// pieces, where waking a thread takes as long as a piece.
    pub fn install_awake<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        /// Ends the others' waiting, also if the work panics.
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let done = AtomicBool::new(false);
        let wait = |caller| {
            // A thread that waits for a piece of work may come here too; it must get back to that, hence the limit.
            let mut idle = Instant::now();
            while !done.load(Ordering::Relaxed)
                && rayon::current_thread_index() != caller
                && idle.elapsed() < LONGEST_IDLE
            {
                // Takes a piece of work if there is one.
                match rayon::yield_now() {
                    Some(rayon::Yield::Executed) => idle = Instant::now(),
                    _ => std::hint::spin_loop(),
                }
            }
        };
        self.install(|| {
            let caller = rayon::current_thread_index();
            rayon::scope(|scope| {
                let _done = Done(&done);
                for _ in 1..self.threads() {
                    scope.spawn(move |_| wait(caller));
                }
                work()
            })
        })
    }

    /// `work(0)`, `work(1)`, .. in parallel; the results in order.
    pub fn map<R: Send>(&self, count: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
        use rayon::prelude::*;
        self.install(|| (0..count).into_par_iter().map(&work).collect())
    }

    /// A buffer of `len` numbers whose contents are whatever was there before (never
    /// uninitialised memory): for results that are written in full.
    pub(crate) fn buffer<T: Element>(&self, len: usize) -> Vec<T> {
        let class = size_class(len);
        if class * size_of::<T>() >= SMALLEST_KEPT_BYTES {
            let mut free = self.free();
            if let Some(mut kept) = T::kept(&mut free).get_mut(&class).and_then(Vec::pop) {
                free.bytes -= class * size_of::<T>();
                kept.truncate(len);
                // Within capacity: no reallocation; only grows if it was handed out shorter.
                kept.resize(len, T::ZERO);
                return kept;
            }
            // Zeroed memory of the system, which nobody has touched yet: whoever writes first finds it, on every thread.
            let mut fresh = vec![T::ZERO; class];
            fresh.truncate(len);
            return fresh;
        }
        vec![T::ZERO; len]
    }

    /// A buffer of `len` zeros.
    pub(crate) fn zeros<T: Element>(&self, len: usize) -> Vec<T> {
        let mut buffer = self.buffer(len);
        buffer.fill(T::ZERO);
        buffer
    }

    /// Takes a buffer back for later use.
    pub(crate) fn recycle<T: Element>(&self, buffer: Vec<T>) {
        let bytes = buffer.capacity() * size_of::<T>();
        let class = buffer.capacity();
        if bytes < SMALLEST_KEPT_BYTES || class != size_class(class) {
            return;
        }
        let mut free = self.free();
        if free.bytes + bytes <= free.most {
            free.bytes += bytes;
            T::kept(&mut free).entry(class).or_default().push(buffer);
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, FreeBuffers> {
        // A panic elsewhere can't leave the lists half-changed: every change is one push or pop.
        self.kind
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work` with results below 1.2e-38 (2.2e-308 in f64) rounded to 0, and read as 0.
///
/// Gates that saturate and gradients that fade over a sentence end in this range, where a
/// processor takes a hundred times as long for a product: a training step took twice the time
/// (docs/speed.md). The numbers lost are 1e-30 of what any weight can feel.
#[allow(unsafe_code)]
fn without_subnormals<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        // SAFETY: the mode belongs to this thread, which this pool owns, and is restored at its
        // end. The language promises IEEE subnormals, and the compiler may fold constants by
        // that promise: then such a constant is subnormal where the processor would give 0.
        // Nothing here computes with constants that small or asks whether a number is subnormal.
        unsafe { no_denormals::no_denormals(work) }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    work()
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.gpu {
            None => write!(f, "cpu ({} threads)", self.threads()),
            Some(gpu) => write!(f, "{gpu:?} with cpu ({} threads)", self.threads()),
        }
    }
}

/// Rounds up to one of eight sizes per octave, so that batches of slightly different length
/// share buffers and at most an eighth is wasted.
fn size_class(len: usize) -> usize {
    if len < 16 {
        return 16;
    }
    let step = 1 << (len.ilog2() - 3);
    len.div_ceil(step) * step
}

/// Which list of [`FreeBuffers`] belongs to a number type.
pub(crate) trait Kept: Sized {
    /// The list of free buffers by capacity.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn kept(free: &mut FreeBuffers) -> &mut HashMap<usize, Vec<Vec<Self>>>;
}

impl Kept for f32 {
    #[allow(private_interfaces)]
    fn kept(free: &mut FreeBuffers) -> &mut HashMap<usize, Vec<Vec<Self>>> {
        &mut free.single
    }
}

impl Kept for f64 {
    #[allow(private_interfaces)]
    fn kept(free: &mut FreeBuffers) -> &mut HashMap<usize, Vec<Vec<Self>>> {
        &mut free.double
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_cover_and_waste_little() {
        for len in (0..5000).chain([1 << 20, (1 << 20) + 1]) {
            let class = size_class(len);
            assert!(
                class >= len && class <= len.max(14) * 9 / 8 + 1,
                "{len}: {class}"
            );
            assert_eq!(size_class(class), class);
        }
    }

    #[test]
    fn worker_threads_round_subnormals_to_zero() {
        let tiny = std::hint::black_box(1e-30_f32);
        let product = |factor: f32| std::hint::black_box(tiny * std::hint::black_box(factor));
        assert!(
            product(1e-10) > 0.0,
            "the caller's own thread is left alone"
        );
        let device = Device::cpu(2);
        let seen = device.install(|| rayon::broadcast(|_| (product(1e-10), product(1e-5))));
        assert_eq!(seen, [(0.0, 1e-30_f32 * 1e-5); 2]);
    }

    #[test]
    fn threads_that_stay_awake_work_and_end() {
        for threads in 1..4 {
            let device = Device::cpu(threads);
            let sums = device.install_awake(|| device.map(100, |i| device.map(i, |j| j).len()));
            assert_eq!(sums, (0..100).collect::<Vec<_>>());
            let panics = std::panic::AssertUnwindSafe(|| device.install_awake(|| panic!("no")));
            assert!(std::panic::catch_unwind(panics).is_err());
            // Nobody waits for work that has ended.
            assert_eq!(device.map(10, |i| i).len(), 10);
        }
    }

    #[test]
    fn a_freed_buffer_comes_back_and_zeros_are_zero() {
        let device = Device::cpu(1);
        let mut first: Vec<f32> = device.buffer(100_000);
        first.fill(7.0);
        let address = first.as_ptr();
        device.recycle(first);
        let again: Vec<f32> = device.zeros(99_000);
        assert_eq!(again.as_ptr(), address);
        assert!(again.len() == 99_000 && again.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn no_more_is_kept_than_was_said() {
        let device = Device::cpu(1);
        for count in 1..5 {
            device.recycle(device.buffer::<f32>(count << 20));
        }
        assert!(device.free().bytes > 16 << 20);
        device.keep_at_most(16 << 20);
        assert_eq!(device.free().bytes, 0);
        for count in 1..5 {
            device.recycle(device.buffer::<f32>(count << 20));
            assert!(device.free().bytes <= 16 << 20);
        }
        assert!(device.free().bytes > 0);
    }
}
