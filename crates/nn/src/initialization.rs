//! First values of parameters, each a pure function of a seed and the parameter's place.

use tensor::random::Random;
use tensor::{Device, Element, Tensor};

/// Uniform in [-limit, limit). NeuralTalk's `initw` is this with 0.1 (`imagernn/utils.py`).
pub fn uniform<T: Element>(
    device: &Device,
    shape: &[usize],
    limit: f64,
    seed: u64,
    stream: u64,
) -> Tensor<T> {
    let mut random = Random::new(seed, stream);
    let count = shape.iter().product();
    let values = (0..count)
        .map(|_| T::of((2.0 * random.uniform() - 1.0) * limit))
        .collect();
    Tensor::new(device, shape, values)
}
