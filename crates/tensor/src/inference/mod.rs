//! Convolutions for inference: weights packed once, bias and activation inside, no tape.
//!
//! Here: [`Convolution`] (1 x 1 as a product, others over unfolded patches) and [`Depthwise`], in f32. Each is held to the
//! operation of the same name in [`crate::ops`] by a test. A batch norm is folded into them as an [`Affine`].

mod convolution;
mod depthwise;
mod tile;

pub use convolution::Convolution;
pub use depthwise::Depthwise;

use cuda::kernels;

use crate::ops::Statistics;
use crate::ops::normed::scaled;
use crate::{Tensor, gpu};

/// What follows the products of a convolution: a factor for each filter, and a bias.
#[derive(Debug, Clone)]
pub struct Affine {
    /// (M); none for ones.
    slope: Option<Tensor>,
    /// (M).
    bias: Tensor,
}

impl Affine {
    /// A bias (M) alone.
    pub fn bias(bias: Tensor) -> Self {
        Self { slope: None, bias }
    }

    /// A batch norm with γ and β (M): γ (w·x - mean) / σ + β = (γ / σ) (w·x) + (β - γ mean / σ).
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn of_norm(gamma: &Tensor, beta: &Tensor, measured: &Statistics) -> Self {
        let (mean, variance) = (&measured.mean, &measured.variance);
        let (device, shape) = (gamma.device(), gamma.shape());
        assert!(
            [beta, mean, variance].iter().all(|v| v.shape() == shape),
            "one number a channel"
        );
        let (slope, bias) = match device.gpu() {
            Some(gpu) => {
                let factors = gpu::norm_factors(gpu, (gamma, beta), measured);
                let tensor = |array| Tensor::from_array(device, shape, array);
                (tensor(factors.slope), tensor(factors.shift))
            }
            None => {
                let inverse = measured.inverse_deviation();
                let (slope, bias) = measured.slope_and_shift(&inverse, gamma, beta);
                let tensor = |numbers| Tensor::new(device, shape, numbers);
                (tensor(slope), tensor(bias))
            }
        };
        Self {
            slope: Some(slope),
            bias,
        }
    }

    /// Filters (.., M), each times its factor.
    fn times(&self, filters: &Tensor) -> Tensor {
        let Some(slope) = &self.slope else {
            return filters.clone();
        };
        match filters.device().gpu() {
            Some(gpu) => {
                let scaled =
                    kernels::scale_columns(gpu, filters.array().all(), slope.array().all());
                Tensor::from_array(filters.device(), filters.shape(), scaled)
            }
            None => scaled(filters, slope.data()),
        }
    }

    /// # Panics
    /// If these are not numbers for `filters` filters.
    fn check(&self, filters: usize) {
        let slope = self.slope.as_ref();
        assert_eq!(self.bias.shape(), [filters], "one bias a filter");
        assert!(
            slope.is_none_or(|s| s.shape() == [filters]),
            "one factor a filter"
        );
    }
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
