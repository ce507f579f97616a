//! Convolutions as products over patches, one filter a channel, and both with a frozen batch norm and an activation.
//!
//! A 1 x 1 convolution is one product, as most of an EfficientNet is; others unfold as many patches at a time as memory reasonably
//! allows. The formulas of the norm are in `ops::normed`.

use std::sync::Arc;

use cuda::kernels::{self, NormFactors};
use cuda::{Array, Gpu, In, Matrix};

use super::column_sums;
use crate::ops::Statistics;
use crate::ops::window::{Axis, Window};
use crate::{Element, Tensor};

/// Numbers of unfolded patches at a time: 512 MiB; few in a debug build, so that tests see the cuts.
const STRIP: usize = if cfg!(debug_assertions) {
    1 << 11
} else {
    1 << 27
};

/// A window as kernels take it.
pub(crate) fn window(w: &Window) -> kernels::Window {
    let axis = |a: &Axis| kernels::Axis {
        input: a.input,
        output: a.output,
        kernel: a.kernel,
        stride: a.stride,
        before: a.before,
    };
    kernels::Window {
        batch: w.batch,
        channels: w.channels,
        y: axis(&w.y),
        x: axis(&w.x),
    }
}

fn matrix(x: &Array<f32>, rows: usize, cols: usize) -> Matrix<'_> {
    Matrix::new(x.for_products(cols), rows, cols)
}

/// First output pixel and number of pixels of each strip whose patches fit [`STRIP`].
fn strips(w: &Window) -> impl Iterator<Item = (usize, usize)> + use<> {
    let pixels = w.pixels();
    let strip = (STRIP / w.patch().max(1)).max(1);
    let firsts = (0..pixels).step_by(strip);
    firsts.map(move |first| (first, strip.min(pixels - first)))
}

/// Calls `work(first pixel, pixels, their patches)` for one strip of output pixels after the other.
fn for_strips(
    gpu: &Arc<Gpu>,
    w: &Window,
    x: &Array<f32>,
    mut work: impl FnMut(usize, usize, Matrix<'_>),
) {
    let (pixels, patch) = (w.pixels(), w.patch());
    if w.is_pointwise() {
        return work(0, pixels, matrix(x, pixels, patch));
    }
    for (first, some) in strips(w) {
        let patches = kernels::unfold(gpu, &window(w), x.all(), first, some);
        work(first, some, matrix(&patches, some, patch));
    }
}

/// x with filters (KH·KW·C, M) → (B·H'·W', M).
pub(crate) fn products(
    gpu: &Arc<Gpu>,
    w: &Window,
    x: &Array<f32>,
    filters: &Array<f32>,
) -> Array<f32> {
    let m = filters.len() / w.patch();
    let mut out = gpu.array(w.pixels() * m);
    let filters = matrix(filters, w.patch(), m);
    for_strips(gpu, w, x, |first, some, patches| {
        let rows = &mut out.at_mut(first * m..(first + some) * m);
        gpu.multiply(rows, patches, filters, false);
    });
    out
}

/// The gradient of the filters, (KH·KW·C, M), from that of the outputs.
pub(crate) fn to_filters(
    gpu: &Arc<Gpu>,
    w: &Window,
    x: &Array<f32>,
    gradient: &Array<f32>,
) -> Array<f32> {
    let m = gradient.len() / w.pixels().max(1);
    let mut dw = gpu.zeros(w.patch() * m);
    let gradient = gradient.for_products(m);
    for_strips(gpu, w, x, |first, some, patches| {
        let rows = Matrix::new(gradient.at(first * m..(first + some) * m), some, m);
        gpu.multiply(&mut dw.all_mut(), patches.t(), rows, true);
    });
    dw
}

/// The gradient of x from that of the outputs.
pub(crate) fn to_input(
    gpu: &Arc<Gpu>,
    w: &Window,
    gradient: &Array<f32>,
    filters: &Array<f32>,
) -> Array<f32> {
    let (pixels, patch) = (w.pixels(), w.patch());
    let m = filters.len() / patch;
    let filters = matrix(filters, patch, m).t();
    if w.is_pointwise() {
        return super::product(gpu, pixels, patch, matrix(gradient, pixels, m), filters);
    }
    let mut dx = gpu.zeros(w.batch * w.y.input * w.x.input * w.channels);
    let gradient = gradient.for_products(m);
    for (first, some) in strips(w) {
        let rows = Matrix::new(gradient.at(first * m..(first + some) * m), some, m);
        let patches = super::product(gpu, some, patch, rows, filters);
        kernels::fold(gpu, &window(w), patches.all(), &mut dx.all_mut(), first);
    }
    dx
}

/// A convolution, dense or depthwise, with what follows it.
#[derive(Clone, Copy)]
pub(crate) struct Layer {
    pub(crate) window: Window,
    pub(crate) depthwise: bool,
    /// Of the activation.
    pub(crate) limits: (f32, f32),
}

impl Layer {
    /// act(x * filters + shift + residual).
    pub(crate) fn forward(
        &self,
        gpu: &Arc<Gpu>,
        x: &Array<f32>,
        filters: &Array<f32>,
        shift: In<'_, f32>,
        residual: Option<In<'_, f32>>,
    ) -> Array<f32> {
        if self.depthwise {
            assert!(
                residual.is_none(),
                "no residual after a depthwise convolution"
            );
            let w = window(&self.window);
            return kernels::depthwise(gpu, &w, x.all(), filters.all(), Some(shift), self.limits);
        }
        let mut y = products(gpu, &self.window, x, filters);
        kernels::shift_and_limit(gpu, &mut y.all_mut(), shift, residual, self.limits);
        y
    }

    fn to_filters(self, gpu: &Arc<Gpu>, x: &Array<f32>, gradient: &Array<f32>) -> Array<f32> {
        if self.depthwise {
            let w = window(&self.window);
            return kernels::depthwise_to_filters(gpu, &w, x.all(), gradient.all());
        }
        to_filters(gpu, &self.window, x, gradient)
    }

    fn to_input(self, gpu: &Arc<Gpu>, gradient: &Array<f32>, filters: &Array<f32>) -> Array<f32> {
        if self.depthwise {
            let w = window(&self.window);
            return kernels::depthwise_to_input(gpu, &w, gradient.all(), filters.all());
        }
        to_input(gpu, &self.window, gradient, filters)
    }
}

/// A [`Layer`] with its norm in the filters.
pub(crate) struct Normed {
    layer: Layer,
    factors: NormFactors,
    folded: Array<f32>,
}

/// Of a frozen norm with γ and β; shapes are checked by the caller.
pub(crate) fn norm_factors<T: Element>(
    gpu: &Arc<Gpu>,
    (gamma, beta): (&Tensor<T>, &Tensor<T>),
    measured: &Statistics<T>,
) -> NormFactors {
    let [gamma, beta, mean, variance] =
        [gamma, beta, &measured.mean, &measured.variance].map(|v| v.array().all());
    let epsilon = measured.epsilon as f32;
    kernels::norm_factors(gpu, (gamma, beta), (mean, variance), epsilon)
}

/// The gradients of [`Normed`]'s inputs.
pub(crate) struct NormedGradients {
    pub(crate) filters: Array<f32>,
    pub(crate) gamma: Array<f32>,
    pub(crate) beta: Array<f32>,
    pub(crate) x: Option<Array<f32>>,
}

impl Normed {
    /// Shapes are checked by `ops::normed`.
    pub(crate) fn new<T: Element>(
        gpu: &Arc<Gpu>,
        layer: Layer,
        filters: &Tensor<T>,
        (gamma, beta): (&Tensor<T>, &Tensor<T>),
        statistics: &Statistics<T>,
    ) -> Self {
        let factors = norm_factors(gpu, (gamma, beta), statistics);
        let folded = kernels::scale_columns(gpu, filters.array().all(), factors.slope.all());
        Self {
            layer,
            factors,
            folded,
        }
    }

    pub(crate) fn forward(&self, gpu: &Arc<Gpu>, x: &Array<f32>) -> Array<f32> {
        let shift = self.factors.shift.all();
        self.layer.forward(gpu, x, &self.folded, shift, None)
    }

    /// From the gradient of y; that of x only if it is wanted.
    pub(crate) fn backward(
        &self,
        gpu: &Arc<Gpu>,
        (x, y): (&Array<f32>, &Array<f32>),
        (filters, mean): (&Array<f32>, &Array<f32>),
        gradient: &Array<f32>,
        wants_x: bool,
    ) -> NormedGradients {
        let m = self.factors.slope.len();
        let stopped = kernels::stop(gpu, gradient.all(), y.all(), self.layer.limits);
        let beta = column_sums(gpu, &stopped, m);
        let plain = self.layer.to_filters(gpu, x, &stopped);
        let products = kernels::multiply(gpu, filters.all(), plain.all());
        let mut gamma = column_sums(gpu, &products, m);
        let inverse = self.factors.inverse.all();
        kernels::norm_gradient(gpu, &mut gamma.all_mut(), mean.all(), beta.all(), inverse);
        NormedGradients {
            filters: kernels::scale_columns(gpu, plain.all(), self.factors.slope.all()),
            gamma,
            beta,
            x: wants_x.then(|| self.layer.to_input(gpu, &stopped, &self.folded)),
        }
    }
}
