//! A backend that runs the kernels on the CPU: the same text, compiled by a C++ compiler with `shim.h`.
//!
//! Memory is handed out in exact sizes, filled with NaN, between guards that every release and every launch checks: a kernel
//! that reads what nobody wrote gives NaN, one that writes out of bounds is caught. Threads of a block are taken in another order
//! at every launch; set NEURALTALK_THREAD_ORDER to 0, 1 or 2 for one order. Products are three loops. NEURALTALK_MUTATE=`old=>new`
//! changes the kernels' text first: whether the tests see it is the test of the tests (`benchmarks/gpu-mutants`). Not here:
//! anything that only a GPU shows (alignment, memory spaces, its compiler's rounding).
//!
//! Shared by the tests of `cuda`, `tensor` and `train`, which name this file by path.

#![allow(unsafe_code, dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cuda::raw::{self, Argument, Backend, Graph, Mark, Operand, Operands, Product};
use cuda::{Error, Folder, Gpu, Precision};

/// Bytes of guard before and after a block.
const GUARD: usize = 64;
const GUARD_BYTE: u8 = 0xA5;

type Launch = unsafe extern "C" fn(u32, *const *const c_void, *const u32, u32, i32) -> i32;

/// The kernels as a library of this machine; none, with the reason printed, where there is no C++ compiler.
fn library() -> Option<&'static libloading::Library> {
    static LIBRARY: OnceLock<Result<libloading::Library, String>> = OnceLock::new();
    match LIBRARY.get_or_init(build) {
        Ok(library) => Some(library),
        Err(reason) => {
            println!("skipped: {reason}");
            None
        }
    }
}

fn build() -> Result<libloading::Library, String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".to_owned());
    if Command::new(&compiler).arg("--version").output().is_err() {
        return Err(format!(
            "no C++ compiler `{compiler}` to run the kernels on the CPU"
        ));
    }
    // Where the tests were built; on another machine that has only the programs, where temporary files go.
    let mut folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    if !folder.is_dir() {
        folder = std::env::temp_dir();
    }
    let name = folder.join(format!("emulator-{}", std::process::id()));
    let (source, object) = (name.with_extension("cpp"), name.with_extension("so"));
    let mut kernels = cuda::kernels::source();
    if let Ok(mutation) = std::env::var("NEURALTALK_MUTATE") {
        let (old, new) = mutation.split_once("=>").expect("`old=>new`");
        assert!(kernels.contains(old), "the kernels don't contain `{old}`");
        kernels = kernels.replacen(old, new, 1);
    }
    let mut text = include_str!("shim.h").to_owned() + &kernels;
    for kernel in cuda::kernels::NAMES {
        let body = kernels
            .split(&format!("void {kernel}("))
            .nth(1)
            .expect("a kernel's text");
        let body = body.split("extern \"C\"").next().expect("its end");
        let waits = ["__syncthreads", "block_", "warp_", "row_log_sum"];
        let barriers = waits.iter().any(|wait| body.contains(wait));
        text += &format!("\nEMULATE({kernel}, {barriers})");
    }
    std::fs::write(&source, text).expect("the target folder can be written");
    let output = Command::new(&compiler)
        .args([
            "-std=c++17",
            "-O2",
            "-w",
            "-fPIC",
            "-shared",
            "-ffp-contract=off",
            "-o",
        ])
        .args([&object, &source])
        .output()
        .expect("the compiler runs");
    assert!(
        output.status.success(),
        "the kernels don't compile for the CPU:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // SAFETY: just made of our own text; it has no initialisers.
    let library = unsafe { libloading::Library::new(&object) }.map_err(|e| e.to_string());
    for file in [source, object] {
        std::fs::remove_file(file).expect("just written");
    }
    library
}

/// An emulated GPU; none, with the reason printed, where there is no C++ compiler.
pub fn gpu(precision: Precision) -> Option<Arc<Gpu>> {
    Some(listening(precision)?.0)
}

/// What a GPU was asked for; copies with their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A kernel or a product.
    Work,
    /// From this process's memory.
    Upload(usize),
    /// From this process's memory, beside the other work.
    Beside(usize),
    /// To this process's memory: the caller waits for all work before it.
    Download(usize),
    /// A graph; what it consists of comes after it.
    Replay,
}

/// In order; who reads them may take them out.
pub type Calls = Arc<Mutex<Vec<Call>>>;

/// An emulated GPU and what it was asked for.
pub fn listening(precision: Precision) -> Option<(Arc<Gpu>, Calls)> {
    with(Emulator::default(), precision)
}

/// An emulated GPU that records graphs, and uses memory again, and what it was asked for.
pub fn recording(precision: Precision) -> Option<(Arc<Gpu>, Calls)> {
    let emulator = Emulator {
        records: true,
        ..Emulator::default()
    };
    with(emulator, precision)
}

fn with(emulator: Emulator, precision: Precision) -> Option<(Arc<Gpu>, Calls)> {
    library()?;
    let calls = emulator.calls.clone();
    let gpu = Gpu::with_backend(Box::new(emulator), precision, "emulator");
    Some((gpu, calls))
}

/// The GPU that comparisons run on: number NEURALTALK_TEST_GPU, or else an emulated one; none, with the reason printed, where there is
/// nothing to run kernels.
pub fn or_real_gpu(precision: Precision) -> Option<Arc<Gpu>> {
    let Ok(number) = std::env::var("NEURALTALK_TEST_GPU") else {
        return gpu(precision);
    };
    let number = number.parse().expect("NEURALTALK_TEST_GPU is a number");
    Some(Gpu::open(number, precision, &Folder::none()).expect("the GPU opens"))
}

std::thread_local! {
    static REFUSE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// The next upload of this thread fails.
pub fn refuse_next() {
    REFUSE.with(|refuse| refuse.set(true));
}

/// The kernels that ran in this process.
pub fn used() -> BTreeSet<&'static str> {
    USED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

static USED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The backend.
#[derive(Default, Clone)]
pub struct Emulator {
    /// What is allocated: addresses and bytes.
    blocks: Arc<Mutex<BTreeMap<u64, usize>>>,
    calls: Calls,
    /// Whether it makes graphs; memory is then used again, instead of handed out in exact sizes.
    records: bool,
}

/// Calls as they were recorded, with those arguments that were changed later: what a graph of the driver does.
struct Recorded {
    emulator: Emulator,
    calls: Vec<raw::Call>,
}

impl Graph for Recorded {
    unsafe fn set(&mut self, at: usize, changed: &[Argument]) -> Result<(), Error> {
        let raw::Call::Launch { arguments, .. } = &mut self.calls[at] else {
            panic!("call {at} is no launch");
        };
        *arguments = changed.into();
        Ok(())
    }

    unsafe fn launch(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.emulator.called(Call::Replay);
        // SAFETY: the caller's.
        unsafe { raw::run_all(&self.emulator, &self.calls, bytes) }
    }
}

/// Bytes whose address is a multiple of 64.
fn layout(bytes: usize) -> std::alloc::Layout {
    std::alloc::Layout::from_size_align(bytes + 2 * GUARD, 64).expect("a size")
}

impl Emulator {
    fn blocks(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, usize>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, call: Call) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
    }

    /// Panics if a range is not inside one block.
    fn check(&self, address: u64, bytes: usize) {
        let blocks = self.blocks();
        let inside = blocks
            .range(..=address)
            .next_back()
            .is_some_and(|(&start, &len)| address + bytes as u64 <= start + len as u64);
        assert!(
            inside || bytes == 0,
            "{bytes} bytes at {address} are not allocated"
        );
    }

    fn check_guards(blocks: &BTreeMap<u64, usize>, after: &str) {
        for (&address, &bytes) in blocks {
            for start in [address as usize - GUARD, address as usize + bytes] {
                // SAFETY: the guards belong to the block.
                let guard = unsafe { std::slice::from_raw_parts(start as *const u8, GUARD) };
                assert!(
                    guard.iter().all(|&b| b == GUARD_BYTE),
                    "{after} wrote outside of an array of {bytes} bytes"
                );
            }
        }
    }

    unsafe fn operand(side: Operand, operands: Operands, row: usize, col: usize) -> f32 {
        let (row, col) = if side.transposed {
            (col, row)
        } else {
            (row, col)
        };
        let at = row * side.stride + col;
        // SAFETY: the caller's matrix.
        unsafe {
            match operands {
                Operands::Half => {
                    let bits = *(side.address as *const u16).add(at);
                    f32::from_bits(u32::from(bits) << 16)
                }
                Operands::Tf32 => {
                    // Ten bits of mantissa, rounded to nearest.
                    let bits = (*(side.address as *const f32).add(at)).to_bits();
                    f32::from_bits(bits.wrapping_add(0x1000) & 0xffff_e000)
                }
                Operands::Single => *(side.address as *const f32).add(at),
            }
        }
    }
}

// SAFETY: memory is this process's own; calls touch what they name, which `check` sees to.
unsafe impl Backend for Emulator {
    fn memory(&self) -> usize {
        1 << 30
    }

    fn exact(&self) -> bool {
        !self.records
    }

    fn records(&self) -> bool {
        self.records
    }

    unsafe fn record(&self, calls: &[raw::Call]) -> Result<Box<dyn Graph>, Error> {
        Ok(Box::new(Recorded {
            emulator: self.clone(),
            calls: calls.to_vec(),
        }))
    }

    fn allocate(&self, bytes: usize) -> Result<u64, Error> {
        let layout = layout(bytes);
        // SAFETY: the layout is not empty; all of it is written.
        let address = unsafe {
            let start = std::alloc::alloc(layout);
            assert!(!start.is_null(), "memory of the CPU");
            start.write_bytes(GUARD_BYTE, layout.size());
            start.add(GUARD).write_bytes(0xff, bytes);
            start as u64 + GUARD as u64
        };
        self.blocks().insert(address, bytes);
        Ok(address)
    }

    unsafe fn release(&self, address: u64) {
        let mut blocks = self.blocks();
        Self::check_guards(&blocks, "something");
        let bytes = blocks.remove(&address).expect("an allocated block");
        // SAFETY: it was allocated with this layout, and is forgotten.
        unsafe { std::alloc::dealloc((address as usize - GUARD) as *mut u8, layout(bytes)) };
    }

    unsafe fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), Error> {
        if REFUSE.with(|refuse| refuse.take()) {
            return Err(Error::Call {
                what: "copying".into(),
                reason: "as the test asked".into(),
            });
        }
        self.check(to, bytes.len());
        self.called(Call::Upload(bytes.len()));
        // SAFETY: the range was checked.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    fn mark(&self) -> Result<Mark, Error> {
        Ok(Mark(0))
    }

    unsafe fn upload_beside(&self, parts: &[(u64, &[u8])], _: Mark) -> Result<(), Error> {
        for &(to, bytes) in parts {
            self.check(to, bytes.len());
            self.called(Call::Beside(bytes.len()));
            // SAFETY: the range was checked; nothing is queued here, work is done when it is asked for.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        }
        Ok(())
    }

    unsafe fn download(&self, bytes: &mut [u8], from: u64) -> Result<(), Error> {
        self.check(from, bytes.len());
        let len = bytes.len();
        self.called(Call::Download(len));
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), len) };
        Ok(())
    }

    unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), Error> {
        self.check(to, bytes);
        self.check(from, bytes);
        // SAFETY: as above.
        unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    unsafe fn clear(&self, at: u64, bytes: usize) -> Result<(), Error> {
        self.check(at, bytes);
        // SAFETY: as above.
        unsafe { std::ptr::write_bytes(at as *mut u8, 0, bytes) };
        Ok(())
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: u32,
        arguments: &[Argument],
    ) -> Result<(), Error> {
        self.called(Call::Work);
        USED.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(kernel);
        // The kernels' static variables are shared by all: one launch at a time in the whole process.
        static ONE: Mutex<i32> = Mutex::new(0);
        let mut launches = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        *launches = (*launches + 1) % 3;
        let order = match std::env::var("NEURALTALK_THREAD_ORDER") {
            Ok(order) => order.parse().expect("0, 1 or 2"),
            Err(_) => *launches,
        };
        let values: Vec<*const c_void> = arguments
            .iter()
            .map(|a| (&raw const a.bits).cast())
            .collect();
        let sizes: Vec<u32> = arguments.iter().map(|a| a.size).collect();
        let library = library().expect("it was there when the emulator was made");
        // SAFETY: EMULATE made a function of this type of every kernel; it checks number and sizes of the arguments.
        let status = unsafe {
            let launch: libloading::Symbol<'_, Launch> = library
                .get(format!("emulate_{kernel}").as_bytes())
                .unwrap_or_else(|e| panic!("{kernel}: {e}"));
            launch(
                grid,
                values.as_ptr(),
                sizes.as_ptr(),
                sizes.len() as u32,
                order,
            )
        };
        match status {
            0 => {}
            1 => panic!("{kernel}: another number of arguments than {}", sizes.len()),
            2 => panic!("{kernel}: an argument of another size: {sizes:?}"),
            _ => panic!("{kernel}: not all threads reach a barrier"),
        }
        Self::check_guards(&self.blocks(), kernel);
        Ok(())
    }

    unsafe fn multiply(&self, product: &Product) -> Result<(), Error> {
        self.called(Call::Work);
        let &Product { m, n, k, a, b, .. } = product;
        let bytes = if product.operands == Operands::Half {
            2
        } else {
            4
        };
        for (side, rows, cols) in [(a, m, k), (b, k, n)] {
            let (rows, cols) = if side.transposed {
                (cols, rows)
            } else {
                (rows, cols)
            };
            self.check(side.address, ((rows - 1) * side.stride + cols) * bytes);
        }
        self.check(product.c, ((m - 1) * product.c_stride + n) * 4);
        for i in 0..m {
            for j in 0..n {
                // SAFETY: all three were checked.
                unsafe {
                    let c = (product.c as *mut f32).add(i * product.c_stride + j);
                    let mut sum = if product.accumulate { *c } else { 0.0 };
                    for l in 0..k {
                        sum += Self::operand(a, product.operands, i, l)
                            * Self::operand(b, product.operands, l, j);
                    }
                    *c = sum;
                }
            }
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), Error> {
        Ok(())
    }
}
