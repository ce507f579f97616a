//! `--device` and `--threads`, the same for every command that computes.
//!
//! Here: opening what was asked for, and where the libraries of CUDA are looked for. Not here: the list of what is there
//! (`commands/devices.rs`).

use std::path::PathBuf;

use tensor::{Device, GpuError, Precision};

use crate::exit::Failure;

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The CPU; a GPU that is there is named.
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU; new, and so far tested without one.
    Cuda,
}

/// Options of every command that computes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DeviceArgs {
    /// Where to compute
    #[arg(long, value_enum, default_value = "auto", help_heading = "Machine")]
    device: Kind,

    /// Threads to compute with, 0 for one per core; changes no result
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Machine")]
    threads: usize,
}

impl DeviceArgs {
    /// The device that was asked for.
    pub(crate) fn open(&self) -> anyhow::Result<Device> {
        match self.device {
            Kind::Cpu => {}
            Kind::Auto => say_what_auto_takes(),
            // Captions are to be the CPU's word for word, so products are f32's.
            Kind::Cuda => {
                find_libraries()?;
                return Ok(Device::cuda(0, Precision::Single, self.threads)?);
            }
        }
        Ok(Device::cpu(self.threads))
    }
}

/// Looks for NVRTC and cuBLAS in the folder that NEURALTALK_CUDA_LIBRARIES names, if it names one.
pub(crate) fn find_libraries() -> anyhow::Result<()> {
    let Some(folder) = std::env::var_os("NEURALTALK_CUDA_LIBRARIES").map(PathBuf::from) else {
        return Ok(());
    };
    let found = tensor::look_for_cuda_in(&folder).map_err(|error| {
        Failure::usage(format!("NEURALTALK_CUDA_LIBRARIES: {error}"))
            .hint("it is the folder that has libcublas.so and libnvrtc.so in it")
    })?;
    if found.is_empty() {
        let message = format!(
            "NEURALTALK_CUDA_LIBRARIES: no CUDA library is in `{}`",
            folder.display()
        );
        let hint = "it is the folder that has libcublas.so and libnvrtc.so in it";
        return Err(Failure::usage(message).hint(hint).into());
    }
    Ok(())
}

/// One line on standard error where a GPU is left idle. Without one there is nothing to say: most machines have none.
pub(crate) fn say_what_auto_takes() {
    match tensor::gpus() {
        Ok(gpus) => eprintln!(
            "computing on the CPU; `--device cuda` would use the {}",
            gpus[0].name
        ),
        Err(GpuError::NoDriver | GpuError::NoDevice) => {}
        Err(error) => eprintln!("computing on the CPU: {error}"),
    }
}
