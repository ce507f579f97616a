//! `--device` and `--threads`, the same for every command that computes.
//!
//! Not here: the list of what is there (`commands/devices.rs`).

use clap::builder::RangedU64ValueParser;
use tensor::{Device, GpuError, Precision};

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

/// `--threads`: more than a large machine's cores only wait for one another.
pub(crate) fn threads<N: TryFrom<u64>>() -> RangedU64ValueParser<N> {
    RangedU64ValueParser::new().range(0..=512)
}

/// Options of every command that computes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DeviceArgs {
    /// Where to compute
    #[arg(long, value_enum, default_value = "auto", help_heading = "Machine")]
    device: Kind,

    /// Threads to compute with, 0 for one per core; changes no result
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads::<usize>(), help_heading = "Machine")]
    threads: usize,
}

impl DeviceArgs {
    /// The device that was asked for.
    pub(crate) fn open(&self) -> anyhow::Result<Device> {
        match self.device {
            Kind::Cpu => {}
            Kind::Auto => say_what_auto_takes(),
            // Captions are to be the CPU's word for word, so products are f32's.
            Kind::Cuda => return Ok(Device::cuda(0, Precision::Single, self.threads)?),
        }
        Ok(Device::cpu(self.threads))
    }
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
