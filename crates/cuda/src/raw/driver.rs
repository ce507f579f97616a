//! The GPU: one stream, the kernels compiled for it, cuBLAS. All through `cudarc`, which loads the libraries at run time.
//!
//! Not here: which memory is used again (`allocator`), what is computed (`kernels`).

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Mutex, PoisonError};

use cudarc::cublas::{result as blas, sys as blas_sys};
use cudarc::driver::{result, sys};

use super::recorded::Recorded;
use super::staged::{Staged, event};
use super::{Argument, Backend, Call, Graph, Mark, Operand, Operands, Product, library, nvrtc};
use crate::kernels::{BLOCK, NAMES, source};
use crate::{Error, Folder};

/// The oldest CUDA version that a driver must support: that of the libraries that pip brings today goes back to 12.0.
const OLDEST_DRIVER: i32 = 12_000;

/// The oldest whose driver says where in a graph a call is (`cuStreamGetCaptureInfo_v3`); others are asked call by call.
const OLDEST_WITH_GRAPHS: i32 = 12_030;

/// False if NEURALTALK_CUDA_GRAPHS is 0: to find out whether a fault lies with them, and what they gain.
fn graphs_are_wanted() -> bool {
    std::env::var_os("NEURALTALK_CUDA_GRAPHS").is_none_or(|value| value != "0")
}

/// A GPU as `neuraltalk devices` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its number, from 0.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// Compute capability.
    pub capability: (i32, i32),
    /// Streaming multiprocessors.
    pub multiprocessors: i32,
    /// Bytes of memory.
    pub memory: usize,
    /// The CUDA version that the driver supports, as 1000 major + 10 minor.
    pub driver: i32,
}

impl Description {
    /// What kernels are compiled for.
    pub fn architecture(&self) -> String {
        format!("sm_{}{}", self.capability.0, self.capability.1)
    }
}

/// The GPUs of this machine.
///
/// # Errors
/// If there is no driver, it is too old, or it sees no GPU.
pub fn devices() -> Result<Vec<Description>, Error> {
    if !library::driver_is_there() {
        return Err(Error::NoDriver);
    }
    use sys::CUdevice_attribute as Attribute;
    use sys::cudaError_enum as Status;
    let failed = |e: result::DriverError| Error::call("asking the driver for its GPUs", e);
    match result::init() {
        Ok(()) => {}
        Err(e) if e.0 == Status::CUDA_ERROR_NO_DEVICE => return Err(Error::NoDevice),
        Err(e) => return Err(failed(e)),
    }
    let mut version = 0;
    // SAFETY: a number to write to.
    unsafe { sys::cuDriverGetVersion(&mut version) }
        .result()
        .map_err(failed)?;
    if version < OLDEST_DRIVER {
        return Err(Error::OldDriver {
            found: version,
            needed: OLDEST_DRIVER,
        });
    }
    let count = result::device::get_count().map_err(failed)?;
    if count == 0 {
        return Err(Error::NoDevice);
    }
    let describe = |number: i32| {
        let device = result::device::get(number)?;
        // SAFETY: the device was just got from the driver.
        let (attribute, memory) = unsafe {
            let attribute = |which| result::device::get_attribute(device, which);
            (
                [
                    attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                    attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
                    attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
                ],
                result::device::total_mem(device)?,
            )
        };
        Ok(Description {
            number: number as usize,
            name: result::device::get_name(device)?,
            capability: (attribute[0], attribute[1]),
            multiprocessors: attribute[2],
            memory,
            driver: version,
        })
    };
    (0..count)
        .map(describe)
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// One GPU that computes.
pub(crate) struct Driver {
    pub(super) context: sys::CUcontext,
    pub(super) stream: sys::CUstream,
    functions: HashMap<&'static str, sys::CUfunction>,
    blas: Mutex<Blas>,
    memory: usize,
    graphs: bool,
    /// Copies among the other work.
    uploads: Mutex<Staged>,
    /// Copies beside it, on a stream of their own.
    beside: Mutex<Staged>,
}

/// A kernel with its grid.
pub(super) struct Launch {
    function: sys::CUfunction,
    grid: u32,
}

/// A kernel's arguments as the driver takes them: where each is.
pub(super) struct Places {
    each: Vec<*mut c_void>,
    /// What `each` points to.
    _values: Vec<u64>,
}

impl Places {
    pub(super) fn new(arguments: &[Argument]) -> Self {
        let mut values: Vec<u64> = arguments.iter().map(|a| a.bits).collect();
        // Little-endian, as every machine with an NVIDIA GPU is: the low bytes come first.
        let places = values.iter_mut().map(|v| std::ptr::from_mut(v).cast());
        Self {
            each: places.collect(),
            _values: values,
        }
    }
}

impl Launch {
    /// With its arguments, as graphs want it; valid while these are.
    pub(super) fn parameters(&self, places: &mut Places) -> sys::CUDA_KERNEL_NODE_PARAMS {
        sys::CUDA_KERNEL_NODE_PARAMS {
            func: self.function,
            gridDimX: self.grid,
            gridDimY: 1,
            gridDimZ: 1,
            blockDimX: BLOCK as u32,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            kernelParams: places.each.as_mut_ptr(),
            extra: std::ptr::null_mut(),
            kern: std::ptr::null_mut(),
            ctx: std::ptr::null_mut(),
        }
    }
}

/// Bytes of memory in which cuBLAS works: what it takes itself on today's GPUs. A graph may not contain its asking for more.
const WORKSPACE: usize = 32 << 20;

struct Blas(blas_sys::cublasHandle_t);

// SAFETY: the driver's handles may be used from any thread that has the context current, which every call sees to; cuBLAS's
// handle is used under its lock.
unsafe impl Send for Driver {}
// SAFETY: as above.
unsafe impl Sync for Driver {}
// SAFETY: as above.
unsafe impl Send for Blas {}

impl Driver {
    /// Opens GPU `number`; kernels compiled before are found in `folder`.
    pub(crate) fn open(number: usize, folder: &Folder) -> Result<(Self, Description), Error> {
        let mut all = devices()?;
        let count = all.len();
        if number >= count {
            return Err(Error::NoSuchDevice {
                asked: number,
                count,
            });
        }
        let device = all.swap_remove(number);
        if device.capability < (7, 0) {
            return Err(Error::OldDevice {
                name: device.name,
                capability: device.capability,
            });
        }
        library::need_cublas()?;
        let failed = |e: result::DriverError| Error::call("opening the GPU", e);
        // SAFETY: handles go from one call to the next; they live as long as the program, which opens a GPU once.
        unsafe {
            let handle = result::device::get(number as i32).map_err(failed)?;
            let context = result::primary_ctx::retain(handle).map_err(failed)?;
            result::ctx::set_current(context).map_err(failed)?;
            let stream =
                result::stream::create(result::stream::StreamKind::NonBlocking).map_err(failed)?;
            let other = result::stream::create(result::stream::StreamKind::NonBlocking);
            let beside = Staged::new(other.map_err(failed)?).map_err(failed)?;
            let uploads = Staged::new(stream).map_err(failed)?;
            let module = load(&device.architecture(), folder)?;
            let mut functions = HashMap::new();
            for &name in NAMES {
                let text = CString::new(name).map_err(|e| Error::call(name, e))?;
                let function = result::module::get_function(module, text)
                    .map_err(|e| Error::call(format!("finding the kernel {name}"), e))?;
                functions.insert(name, function);
            }
            let failed = |e: blas::CublasError| Error::call("opening cuBLAS", e);
            let handle = blas::create_handle().map_err(failed)?;
            blas::set_stream(handle, stream.cast()).map_err(failed)?;
            let workspace = result::malloc_sync(WORKSPACE)
                .map_err(|e| Error::call("memory for matrix products", e))?;
            blas_sys::cublasSetWorkspace_v2(handle, workspace as *mut c_void, WORKSPACE)
                .result()
                .map_err(failed)?;
            let driver = Self {
                context,
                stream,
                functions,
                blas: Mutex::new(Blas(handle)),
                memory: device.memory,
                uploads: Mutex::new(uploads),
                beside: Mutex::new(beside),
                graphs: device.driver >= OLDEST_WITH_GRAPHS && graphs_are_wanted(),
            };
            Ok((driver, device))
        }
    }

    pub(super) fn bind(&self, what: &str) -> Result<(), Error> {
        // SAFETY: the context lives as long as the program.
        unsafe { result::ctx::set_current(self.context) }.map_err(|e| Error::call(what, e))
    }

    pub(super) fn launch_of(&self, kernel: &str, grid: u32) -> Launch {
        let function = self.functions[kernel];
        Launch { function, grid }
    }
}

/// The kernels as a module: from `folder`, or compiled and put there.
///
/// # Safety
/// A context is current.
unsafe fn load(architecture: &str, folder: &Folder) -> Result<sys::CUmodule, Error> {
    let text = source();
    let (major, minor) = nvrtc::version()?;
    let kind = format!("{architecture}-{major}.{minor}");
    // SAFETY: the caller's. The image is machine code with a header that says how long it is.
    let load = |code: &[u8]| unsafe { result::module::load_data(code.as_ptr().cast()) };
    if let Some(code) = folder.read(&text, &kind)
        && let Ok(module) = load(&code)
    {
        return Ok(module);
    }
    let code = nvrtc::compile(&text, architecture)?;
    folder.write(&text, &kind, &code);
    load(&code).map_err(|e| Error::call("loading the kernels", e))
}

// SAFETY: memory comes from the driver; every call touches what it names, on one stream.
unsafe impl Backend for Driver {
    fn memory(&self) -> usize {
        self.memory
    }

    fn records(&self) -> bool {
        self.graphs
    }

    unsafe fn record(&self, calls: &[Call]) -> Result<Box<dyn Graph>, Error> {
        // SAFETY: the caller's.
        Ok(Box::new(unsafe { Recorded::new(self, calls)? }))
    }

    fn allocate(&self, bytes: usize) -> Result<u64, Error> {
        self.bind("allocating memory")?;
        // SAFETY: a context is current.
        unsafe { result::malloc_sync(bytes) }.map_err(|e| {
            if e.0 == sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY {
                Error::OutOfMemory {
                    wanted: bytes,
                    held: 0,
                    total: self.memory,
                }
            } else {
                Error::call("allocating memory", e)
            }
        })
    }

    unsafe fn release(&self, address: u64) {
        // A failure to free is no failure of the program: the driver frees what is left at its end.
        let _ = self.finish().map(|()| {
            // SAFETY: the caller's, and nothing that is queued uses it any more.
            unsafe { result::free_sync(address) }
        });
    }

    unsafe fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), Error> {
        self.bind("copying to the GPU")?;
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the caller's.
        unsafe { uploads.copy(to, bytes) }.map_err(|e| Error::call("copying to the GPU", e))
    }

    fn mark(&self) -> Result<Mark, Error> {
        self.bind("marking a place")?;
        let record = || {
            let event = event()?;
            // SAFETY: both were made by the driver.
            unsafe { result::event::record(event, self.stream)? };
            Ok(Mark(event as u64))
        };
        record().map_err(|e: result::DriverError| Error::call("marking a place", e))
    }

    unsafe fn upload_beside(&self, parts: &[(u64, &[u8])], after: Mark) -> Result<(), Error> {
        self.bind("copying to the GPU")?;
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        let event = after.0 as sys::CUevent;
        let wait = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: the caller's; whatever fails, copies that were begun are waited for, and the mark is forgotten.
        unsafe {
            let mut done = result::stream::wait_event(beside.stream(), event, wait);
            for &(to, bytes) in parts {
                done = done.and_then(|()| beside.copy(to, bytes));
            }
            let finished = beside.finish();
            let forgotten = sys::cuEventDestroy_v2(event).result();
            done.and(finished).and(forgotten)
        }
        .map_err(|e| Error::call("copying to the GPU", e))
    }

    unsafe fn download(&self, bytes: &mut [u8], from: u64) -> Result<(), Error> {
        self.bind("copying from the GPU")?;
        // SAFETY: the caller's; the bytes are borrowed until the stream is done.
        unsafe {
            let copied = result::memcpy_dtoh_async(bytes, from, self.stream);
            // Also if the copy was refused: the caller takes everything before it for done.
            let done = result::stream::synchronize(self.stream);
            copied.and(done)
        }
        .map_err(|e| Error::call("copying from the GPU", e))
    }

    unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), Error> {
        self.bind("copying on the GPU")?;
        // SAFETY: the caller's.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }
            .map_err(|e| Error::call("copying on the GPU", e))
    }

    unsafe fn clear(&self, at: u64, bytes: usize) -> Result<(), Error> {
        self.bind("clearing memory")?;
        // SAFETY: the caller's.
        unsafe { result::memset_d8_async(at, 0, bytes, self.stream) }
            .map_err(|e| Error::call("clearing memory", e))
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: u32,
        arguments: &[Argument],
    ) -> Result<(), Error> {
        self.bind(kernel)?;
        let mut places = Places::new(arguments);
        let function = self.functions[kernel];
        // SAFETY: the caller's; the driver copies the arguments before it returns.
        unsafe {
            result::launch_kernel(
                function,
                (grid, 1, 1),
                (BLOCK as u32, 1, 1),
                0,
                self.stream,
                &mut places.each,
            )
        }
        .map_err(|e| Error::call(format!("the kernel {kernel}"), e))
    }

    unsafe fn multiply(&self, product: &Product) -> Result<(), Error> {
        self.bind("a matrix product")?;
        let &Product { m, n, k, a, b, .. } = product;
        let blas = self.blas.lock().unwrap_or_else(PoisonError::into_inner);
        use blas_sys::cublasComputeType_t as Compute;
        use blas_sys::cublasOperation_t as Operation;
        use blas_sys::cudaDataType_t as Kind;
        let (kind, compute) = match product.operands {
            Operands::Single => (Kind::CUDA_R_32F, Compute::CUBLAS_COMPUTE_32F),
            Operands::Tf32 => (Kind::CUDA_R_32F, Compute::CUBLAS_COMPUTE_32F_FAST_TF32),
            Operands::Half => (Kind::CUDA_R_16BF, Compute::CUBLAS_COMPUTE_32F),
        };
        let operation = |side: Operand| match side.transposed {
            true => Operation::CUBLAS_OP_T,
            false => Operation::CUBLAS_OP_N,
        };
        let (one, beta) = (1.0f32, if product.accumulate { 1.0f32 } else { 0.0 });
        // cuBLAS counts by columns: there, c lies as its transpose, which is the transpose of b times that of a.
        // SAFETY: the caller's; the two factors are read before the call returns.
        unsafe {
            blas::gemm_ex(
                blas.0,
                operation(b),
                operation(a),
                n as i32,
                m as i32,
                k as i32,
                std::ptr::from_ref(&one).cast(),
                b.address as *const c_void,
                kind,
                b.stride as i32,
                a.address as *const c_void,
                kind,
                a.stride as i32,
                std::ptr::from_ref(&beta).cast(),
                product.c as *mut c_void,
                Kind::CUDA_R_32F,
                product.c_stride as i32,
                compute,
                blas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|e| Error::call(format!("a matrix product of {m} x {k} and {k} x {n}"), e))
    }

    fn finish(&self) -> Result<(), Error> {
        self.bind("waiting for the GPU")?;
        // SAFETY: the stream lives as long as the program.
        unsafe { result::stream::synchronize(self.stream) }
            .map_err(|e| Error::call("waiting for the GPU", e))
    }
}
