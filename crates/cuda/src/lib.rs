//! An NVIDIA GPU as a place for arrays.
//!
//! Here: [`Gpu`] with its memory ([`Array`]), every kernel as one checked function ([`kernels`]), matrix products, and the
//! loading of driver, compiler and cuBLAS at run time, so that one program runs with and without a GPU and is built without
//! any CUDA toolkit. Not here: the tape, and which operation calls which kernel (`tensor`).
//!
//! All work goes to one stream, in the order of the calls: a freed array may be handed out again at once. `unsafe` is allowed
//! in one module, `raw`, which says why what it does is sound.

mod allocator;
mod array;
mod error;
mod gpu;
pub mod kernels;
mod product;
pub mod raw;
mod stored;

pub use array::{Array, In, Number, Out};
pub use error::Error;
pub use gpu::{Gpu, Part, Precision};
pub use product::Matrix;
pub use raw::driver::{Description, devices};
pub use raw::library::{look, versions};
pub use stored::Folder;
