//! Convolutions for inference: weights packed once, bias and activation inside, no tape.
//!
//! Here: [`Convolution`] (1 x 1 as a product, others over unfolded patches) and [`Depthwise`], in f32. Each is held to the
//! operation of the same name in [`crate::ops`] by a test. Not here: folding of batch norm into filters (`models`).

mod convolution;
mod depthwise;
mod tile;

pub use convolution::Convolution;
pub use depthwise::Depthwise;

use crate::Tensor;
use crate::ops::normed::scaled;

/// Filters (.., M), each times its factor if there is one.
fn times(filters: &Tensor, slope: Option<&[f32]>) -> Tensor {
    slope.map_or_else(|| filters.clone(), |slope| scaled(filters, slope))
}

/// What follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Activation {
    /// Lower and upper limit.
    pub(crate) fn limits(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

/// One cache line of numbers, aligned as one: the unit of packed weights.
#[derive(Debug, Clone, Copy, bytemuck::NoUninit)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LINE]);

/// Numbers in a [`Line`].
pub(crate) const LINE: usize = 16;
