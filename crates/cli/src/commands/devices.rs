//! `neuraltalk devices`: what this machine can compute on, with memory and versions.

use std::io::Write;

use serde::Serialize;
use tensor::Device;

use crate::exit::Exit;

/// List what this machine can compute on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  neuraltalk devices
  neuraltalk devices --json | jq .gpus[0].memory")]
pub(crate) struct Args {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// What is there. Memory is in bytes.
#[derive(Serialize)]
struct Found {
    cpu: Cpu,
    gpus: Vec<Gpu>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_gpu: Option<NoGpu>,
    libraries: Vec<Library>,
}

#[derive(Serialize)]
struct Cpu {
    threads: usize,
    /// Bits of the widest vectors that the program uses.
    vector_bits: usize,
}

#[derive(Serialize)]
struct Gpu {
    number: usize,
    name: String,
    memory: usize,
    compute_capability: String,
    multiprocessors: i32,
    /// The CUDA version that the driver supports.
    driver: String,
}

#[derive(Serialize)]
struct NoGpu {
    reason: String,
    hint: String,
}

#[derive(Serialize)]
struct Library {
    name: &'static str,
    version: Option<String>,
}

/// Prints the list.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    tensor::look_for_cuda()?;
    let found = look();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
    } else {
        table(&found, out)?;
    }
    Ok(Exit::Done)
}

fn look() -> Found {
    let (gpus, no_gpu) = match tensor::gpus() {
        Ok(gpus) => (gpus, None),
        Err(error) => {
            let (reason, hint) = (error.to_string(), error.hint());
            (Vec::new(), Some(NoGpu { reason, hint }))
        }
    };
    let dotted = |(major, minor): (i32, i32)| format!("{major}.{minor}");
    let gpu = |gpu: tensor::GpuDescription| Gpu {
        number: gpu.number,
        memory: gpu.memory,
        compute_capability: dotted(gpu.capability),
        multiprocessors: gpu.multiprocessors,
        driver: dotted((gpu.driver / 1000, gpu.driver % 1000 / 10)),
        name: gpu.name,
    };
    Found {
        cpu: Cpu {
            threads: Device::cpu(0).threads(),
            vector_bits: 32 * tensor::vector_width(),
        },
        gpus: gpus.into_iter().map(gpu).collect(),
        no_gpu,
        libraries: tensor::cuda_versions()
            .into_iter()
            .map(|(name, version)| Library {
                name,
                version: version.map(dotted),
            })
            .collect(),
    }
}

fn table(found: &Found, out: &mut dyn Write) -> std::io::Result<()> {
    let Cpu {
        threads,
        vector_bits,
    } = found.cpu;
    writeln!(
        out,
        "cpu   {threads} threads, vectors of {vector_bits} bits"
    )?;
    for gpu in &found.gpus {
        writeln!(
            out,
            "cuda  {}: {}, {} MiB, compute capability {}, {} multiprocessors, driver for CUDA {}",
            gpu.number,
            gpu.name,
            gpu.memory >> 20,
            gpu.compute_capability,
            gpu.multiprocessors,
            gpu.driver
        )?;
    }
    if let Some(NoGpu { reason, hint }) = &found.no_gpu {
        writeln!(out, "cuda  none: {reason}")?;
        writeln!(out, "      hint: {hint}")?;
        return Ok(());
    }
    for Library { name, version } in &found.libraries {
        match version {
            Some(version) => writeln!(out, "      {name} {version}")?,
            None => {
                let error = tensor::GpuError::NoLibrary(name);
                writeln!(out, "      {error}\n      hint: {}", error.hint())?;
            }
        }
    }
    Ok(())
}
