//! Dense arrays, a tape, and the few large operations of a captioner.
//!
//! Here: [`Tensor`] on a [`Device`], [`Tape`] with reverse-mode gradients, the operations in
//! [`ops`] (each with forward and backward, and a plain composed version as its oracle in the
//! tests), their counterparts without a tape in [`inference`] (encoders) and [`step`] (decoders), the fused optimizer passes in [`update`], pictures that a GPU prepares in [`pictures`], counter-based random numbers in [`random`].
//! On a device with a GPU they run there as far as `cuda` has kernels for them (`gpu`), and on the CPU where it has none.
//! Not here: layers, models, files, anything that knows what a caption is.
//!
//! Every result is the same for any number of threads: work is cut into pieces by shape alone,
//! and every sum has one order.

mod device;
mod element;
mod few_rows;
mod gemm;
mod gpu;
mod half_rows;
pub mod inference;
mod numbers;
pub mod ops;
mod parallel;
pub mod pictures;
pub mod random;
mod simd;
pub mod step;
mod table;
mod tape;
mod tensor;
pub mod update;

pub use cuda::{
    Description as GpuDescription, Error as GpuError, Precision, devices as gpus,
    look as look_for_cuda, versions as cuda_versions,
};
pub use device::Device;
pub use element::Element;
pub use gemm::{Matrix, gemm};
pub use numbers::Numbers;
pub use simd::vector_width;
pub use table::Table;
pub use tape::{Gradients, Tape, Var};
pub use tensor::Tensor;
