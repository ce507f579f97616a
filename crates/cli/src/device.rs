//! `--device` and `--threads`, the same for every command that computes.

use tensor::Device;

use crate::exit::Failure;

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The best device of this machine; today always the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU; this build has no support for it yet.
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
            Kind::Auto | Kind::Cpu => Ok(Device::cpu(self.threads)),
            Kind::Cuda => Err(no_cuda().into()),
        }
    }
}

/// What `--device cuda` gets.
pub(crate) fn no_cuda() -> Failure {
    Failure::usage("this build of neuraltalk computes on the CPU only").hint("use `--device cpu`")
}
