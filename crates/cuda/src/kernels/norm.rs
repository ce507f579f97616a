//! A convolution's frozen batch norm and activation.

use std::sync::Arc;

use super::{blocks, filled, size};
use crate::{Array, Gpu, In, Out};

/// x (rows, cols) += shift (cols) and residual (rows, cols), then limited.
///
/// # Panics
/// If the lengths don't fit.
pub fn shift_and_limit(
    gpu: &Arc<Gpu>,
    x: &mut Out<'_, f32>,
    shift: In<'_, f32>,
    residual: Option<In<'_, f32>>,
    (low, high): (f32, f32),
) {
    let (n, cols) = (x.len(), shift.len());
    assert!(cols > 0 && n.is_multiple_of(cols), "shifts");
    assert!(residual.is_none_or(|r| r.len() == n), "residual");
    let arguments = [
        x.into(),
        shift.into(),
        residual.into(),
        low.into(),
        high.into(),
        (n as u64).into(),
        size(cols).into(),
    ];
    gpu.launch("shift_and_limit", blocks(n), &arguments);
}

/// g where y lies between the limits, 0 elsewhere.
///
/// # Panics
/// If the lengths differ.
pub fn stop(gpu: &Arc<Gpu>, g: In<'_, f32>, y: In<'_, f32>, (low, high): (f32, f32)) -> Array<f32> {
    let n = y.len();
    assert_eq!(g.len(), n, "gradient of an activation");
    filled(gpu, n, |stopped| {
        let arguments = [
            g.into(),
            y.into(),
            low.into(),
            high.into(),
            stopped.into(),
            (n as u64).into(),
        ];
        gpu.launch("stop", blocks(n), &arguments);
    })
}

/// x (rows, cols) times a number a column.
///
/// # Panics
/// If x is not whole rows.
pub fn scale_columns(gpu: &Arc<Gpu>, x: In<'_, f32>, slope: In<'_, f32>) -> Array<f32> {
    let (n, cols) = (x.len(), slope.len());
    assert!(cols > 0 && n.is_multiple_of(cols), "a number a column");
    filled(gpu, n, |y| {
        let arguments = [
            x.into(),
            slope.into(),
            y.into(),
            (n as u64).into(),
            size(cols).into(),
        ];
        gpu.launch("scale_columns", blocks(n), &arguments);
    })
}

/// Of each channel.
#[derive(Debug)]
pub struct NormFactors {
    /// 1 / √(variance + ε).
    pub inverse: Array<f32>,
    /// What its filter is scaled with: γ times that.
    pub slope: Array<f32>,
    /// What is added then: β - mean · slope.
    pub shift: Array<f32>,
}

/// From γ, β and the frozen mean and variance.
///
/// # Panics
/// If the lengths differ.
pub fn norm_factors(
    gpu: &Arc<Gpu>,
    (gamma, beta): (In<'_, f32>, In<'_, f32>),
    (mean, variance): (In<'_, f32>, In<'_, f32>),
    epsilon: f32,
) -> NormFactors {
    let n = gamma.len();
    assert_eq!(
        [beta.len(), mean.len(), variance.len()],
        [n; 3],
        "one number a channel"
    );
    let [mut inverse, mut slope, mut shift] = [(); 3].map(|()| gpu.array(n));
    let arguments = [
        gamma.into(),
        beta.into(),
        mean.into(),
        variance.into(),
        epsilon.into(),
        (&mut inverse.all_mut()).into(),
        (&mut slope.all_mut()).into(),
        (&mut shift.all_mut()).into(),
        size(n).into(),
    ];
    gpu.launch("norm_factors", blocks(n), &arguments);
    NormFactors {
        inverse,
        slope,
        shift,
    }
}

/// Sums of w ⊙ D to the gradient of γ: less mean · dβ, times 1 / deviation.
///
/// # Panics
/// If the lengths differ.
pub fn norm_gradient(
    gpu: &Arc<Gpu>,
    sums: &mut Out<'_, f32>,
    mean: In<'_, f32>,
    d_beta: In<'_, f32>,
    inverse: In<'_, f32>,
) {
    let n = sums.len();
    assert_eq!(
        [mean.len(), d_beta.len(), inverse.len()],
        [n; 3],
        "one number a channel"
    );
    let arguments = [
        sums.into(),
        mean.into(),
        d_beta.into(),
        inverse.into(),
        size(n).into(),
    ];
    gpu.launch("norm_gradient", blocks(n), &arguments);
}
