//! Analytic gradients against central differences, in f64 (`gradCheck` of NeuralTalk's driver).

use tensor::Tensor;

use crate::Parameters;

/// The worst disagreement within one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    /// The parameter.
    pub name: String,
    /// How many of its numbers were checked.
    pub checked: usize,
    /// max |analytic - numeric| / max(|analytic|, |numeric|, floor).
    pub relative_error: f64,
    /// Largest |analytic| seen: 0 would mean that nothing was tested.
    pub largest: f64,
}

/// Step of the central differences: error ε² from curvature, 1e-16 / ε from rounding.
pub const EPSILON: f64 = 1e-5;
/// Gradients smaller than this share of the largest are compared absolutely.
const FLOOR: f64 = 1e-4;

/// Checks at most `per_parameter` evenly spread numbers of each parameter.
///
/// `loss` is a function of the parameters alone; `gradients` are in their order.
pub fn check(
    parameters: &Parameters<f64>,
    gradients: &[Tensor<f64>],
    per_parameter: usize,
    loss: impl Fn(&Parameters<f64>) -> f64,
) -> Vec<Disagreement> {
    let overall = gradients
        .iter()
        .flat_map(|g| g.data())
        .fold(0.0f64, |a, g| a.max(g.abs()));
    let mut moved = parameters.clone();
    parameters
        .iter()
        .zip(gradients)
        .enumerate()
        .map(|(index, (p, gradient))| {
            let count = p.value.len();
            let stride = count.div_ceil(per_parameter.max(1)).max(1);
            let mut worst = Disagreement {
                name: p.name.clone(),
                checked: 0,
                relative_error: 0.0,
                largest: 0.0,
            };
            for at in (0..count).step_by(stride) {
                let was = p.value.data()[at];
                let mut at_shift = |shift: f64| {
                    let target = moved.iter_mut().nth(index).expect("same parameters");
                    target.value.data_mut()[at] = was + shift;
                    loss(&moved)
                };
                let numeric = (at_shift(EPSILON) - at_shift(-EPSILON)) / (2.0 * EPSILON);
                at_shift(0.0);
                let analytic = gradient.data()[at];
                let size = analytic.abs().max(numeric.abs()).max(FLOOR * overall);
                worst.checked += 1;
                worst.largest = worst.largest.max(analytic.abs());
                let error = (analytic - numeric).abs() / size.max(f64::MIN_POSITIVE);
                // NaN must not pass for a small error.
                if error.is_nan() || error > worst.relative_error {
                    worst.relative_error = error;
                }
            }
            worst
        })
        .collect()
}
