//! What can be wrong with a GPU, and what to do about it.

use std::fmt;

/// Why the GPU can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No library of the driver on this machine.
    NoDriver,
    /// The driver is there, and sees no GPU.
    NoDevice,
    /// There are fewer GPUs.
    NoSuchDevice {
        /// The number that was asked for, from 0.
        asked: usize,
        /// How many there are.
        count: usize,
    },
    /// The driver is older than what the kernels need.
    OldDriver {
        /// The CUDA version that it supports, as 1000 major + 10 minor.
        found: i32,
        /// The oldest that will do.
        needed: i32,
    },
    /// A library of the CUDA runtime that isn't found.
    NoLibrary(&'static str),
    /// What is wrong with the folder of libraries that was named.
    Libraries(String),
    /// The GPU is older than the kernels allow.
    OldDevice {
        /// Its name.
        name: String,
        /// Its compute capability.
        capability: (i32, i32),
    },
    /// A kernel that the compiler refuses: ours is the fault, or the compiler is too old for the GPU.
    Compile {
        /// What it was compiled for, as `sm_90`.
        architecture: String,
        /// The compiler's own words.
        log: String,
    },
    /// Not enough memory on the GPU.
    OutOfMemory {
        /// Bytes asked for.
        wanted: usize,
        /// Bytes that this program holds.
        held: usize,
        /// Bytes of the GPU.
        total: usize,
    },
    /// A call that failed for another reason.
    Call {
        /// What was done.
        what: String,
        /// The library's reason.
        reason: String,
    },
}

impl Error {
    pub(crate) fn call(what: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Call {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    /// True where the GPU or its driver refused something, false where something is missing or too old.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. } | Self::Call { .. })
    }

    /// What to try next.
    pub fn hint(&self) -> String {
        match self {
            Self::NoDriver => {
                "install NVIDIA's driver (`nvidia-smi` shows whether it works), or use `--device cpu`"
            }
            Self::NoDevice => {
                "`nvidia-smi` lists the GPUs; in a container they have to be passed in (`--gpus all`); is \
                 CUDA_VISIBLE_DEVICES empty?"
            }
            Self::NoSuchDevice { .. } => "`neuraltalk devices` lists the GPUs",
            Self::OldDriver { .. } => "install a newer driver, or use `--device cpu`",
            Self::NoLibrary(_) => {
                "`pip install nvidia-cublas nvidia-cuda-nvrtc` brings it; name its folder in \
                 NEURALTALK_CUDA_LIBRARIES or LD_LIBRARY_PATH"
            }
            Self::Libraries(_) => {
                "it is the folder that has libcublas.so and libnvrtc.so in it"
            }
            Self::OldDevice { .. } => "use `--device cpu`",
            Self::Compile { .. } => {
                "is NVRTC older than the GPU? a newer `nvidia-cuda-nvrtc` may know it"
            }
            Self::OutOfMemory { .. } => {
                "use a smaller `--batch-size`, or end what else runs on the GPU (`nvidia-smi` shows it)"
            }
            Self::Call { .. } => "`--device cpu` works without the GPU",
        }
        .to_owned()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |v: i32| format!("{}.{}", v / 1000, v % 1000 / 10);
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        match self {
            Self::NoDriver => write!(f, "no NVIDIA driver on this machine (libcuda is not found)"),
            Self::NoDevice => write!(f, "the NVIDIA driver sees no GPU"),
            Self::NoSuchDevice { asked, count } => {
                write!(
                    f,
                    "there is no GPU {asked}: this machine has {count}, counted from 0"
                )
            }
            Self::OldDriver { found, needed } => write!(
                f,
                "the NVIDIA driver supports CUDA {}, at least {} is needed",
                version(*found),
                version(*needed)
            ),
            Self::NoLibrary(name) => write!(f, "the CUDA library {name} is not found"),
            Self::Libraries(problem) => write!(f, "NEURALTALK_CUDA_LIBRARIES: {problem}"),
            Self::OldDevice {
                name,
                capability: (major, minor),
            } => write!(
                f,
                "{name} has compute capability {major}.{minor}, at least 7.0 is needed"
            ),
            Self::Compile { architecture, log } => {
                write!(
                    f,
                    "the kernels don't compile for {architecture}: {}",
                    log.trim()
                )
            }
            Self::OutOfMemory {
                wanted,
                held,
                total,
            } => write!(
                f,
                "the GPU is out of memory: {} MiB more were asked for, {} of {} MiB are in use here",
                mib(*wanted),
                mib(*held),
                mib(*total)
            ),
            Self::Call { what, reason } => write!(f, "{what} failed on the GPU: {reason}"),
        }
    }
}

impl std::error::Error for Error {}
