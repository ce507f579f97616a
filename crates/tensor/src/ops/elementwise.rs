//! Elementwise operations and sums: small, plain, and enough to compose the large ones.

use cuda::kernels::Unary;

use crate::parallel::{PIECE, for_pieces};
use crate::simd::vectorized;
use crate::{Element, Tape, Tensor, Var, gpu};

/// x + y, same shape.
pub fn add<T: Element>(tape: &mut Tape<T>, x: Var, y: Var) -> Var {
    let mut value = tape.value(x).clone();
    add_assign(&mut value, tape.value(y));
    tape.push(value, &[x, y], move |gradient, gradients| {
        gradients.add(x, gradient.clone());
        gradients.add(y, gradient);
    })
}

/// x (..., M) + bias (M), added to every row.
pub fn add_bias<T: Element>(tape: &mut Tape<T>, x: Var, bias: Var) -> Var {
    let mut value = tape.value(x).clone();
    let row = tape.value(bias).clone();
    if let Some(gpu) = value.device().gpu_for::<T>() {
        let sum = cuda::kernels::add_bias(gpu, value.array().all(), row.array().all());
        value = Tensor::from_array(value.device(), value.shape(), sum);
    } else {
        for line in value.data_mut().chunks_exact_mut(row.len()) {
            line.iter_mut().zip(row.data()).for_each(|(a, &b)| *a += b);
        }
    }
    tape.push(value, &[x, bias], move |gradient, gradients| {
        if gradients.wants(bias) {
            gradients.add(bias, sum_rows(&gradient));
        }
        gradients.add(x, gradient);
    })
}

/// The same numbers under another shape.
///
/// # Panics
/// If the new shape holds another number of elements.
pub fn reshape<T: Element>(tape: &mut Tape<T>, x: Var, shape: &[usize]) -> Var {
    let before = tape.value(x).shape().to_vec();
    let value = tape.value(x).clone().reshape(shape);
    tape.push(value, &[x], move |gradient, gradients| {
        gradients.add(x, gradient.reshape(&before));
    })
}

/// x ⊙ y, same shape.
pub fn mul<T: Element>(tape: &mut Tape<T>, x: Var, y: Var) -> Var {
    let (a, b) = (tape.value(x).clone(), tape.value(y).clone());
    let value = product(&a, &b);
    tape.push(value, &[x, y], move |gradient, gradients| {
        for (var, other) in [(x, b), (y, a)] {
            if gradients.wants(var) {
                gradients.add(var, product(&gradient, &other));
            }
        }
    })
}

/// x times a number.
pub fn scale<T: Element>(tape: &mut Tape<T>, x: Var, factor: f64) -> Var {
    let times = move |x: &Tensor<T>| {
        if let Some(gpu) = x.device().gpu_for::<T>() {
            return gpu::unary(gpu, Unary::Scale(factor as f32), x);
        }
        let factor = T::of(factor);
        map(x, |a| a * factor)
    };
    let value = times(tape.value(x));
    tape.push(value, &[x], move |gradient, gradients| {
        gradients.add(x, times(&gradient));
    })
}

/// max(x, 0); the gradient at 0 is 0, as in NeuralTalk.
pub fn relu<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    unary(
        tape,
        x,
        Unary::Relu,
        |a| if a < T::ZERO { T::ZERO } else { a },
        |g, y| if y > T::ZERO { g } else { T::ZERO },
    )
}

/// min(max(x, 0), 6), as EfficientNet-Lite has it; the gradient is 0 at both ends.
pub fn relu6<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let six = T::of(6.0);
    unary(
        tape,
        x,
        Unary::Relu6,
        move |a| {
            let a = if a < T::ZERO { T::ZERO } else { a };
            if a > six { six } else { a }
        },
        move |g, y| {
            if y > T::ZERO && y < six { g } else { T::ZERO }
        },
    )
}

/// Logistic function.
pub fn sigmoid<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    unary(tape, x, Unary::Sigmoid, T::logistic, |g, y| {
        g * y * (T::ONE - y)
    })
}

/// Hyperbolic tangent.
pub fn tanh<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    unary(tape, x, Unary::Tanh, T::hyperbolic_tangent, |g, y| {
        g * (T::ONE - y * y)
    })
}

/// The sum of all elements, a tensor of shape [1].
pub fn sum<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let (device, shape) = (tape.device().clone(), tape.value(x).shape().to_vec());
    let total = tape.value(x).data().iter().copied().sum();
    let value = Tensor::new(&device, &[1], vec![total]);
    tape.push(value, &[x], move |gradient, gradients| {
        let len = shape.iter().product();
        let all = vec![gradient.item(); len];
        gradients.add(x, Tensor::new(&device, &shape, all));
    })
}

/// y = f(x), with dx = slope(dy, y); `kernel` is the same on a GPU.
fn unary<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    kernel: Unary,
    f: impl Fn(T) -> T + Sync,
    slope: impl Fn(T, T) -> T + Send + Sync + 'static,
) -> Var {
    if let Some(gpu) = tape.value(x).device().gpu_for::<T>().cloned() {
        let y = gpu::unary(&gpu, kernel, tape.value(x));
        return tape.push(y.clone(), &[x], move |gradient, gradients| {
            let (dy, y_all) = (gradient.array().all(), y.array().all());
            let dx = cuda::kernels::unary_backward(&gpu, kernel, dy, y_all);
            gradients.add(x, Tensor::from_array(y.device(), y.shape(), dx));
        });
    }
    let value = map(tape.value(x), f);
    let y = value.clone();
    tape.push(value, &[x], move |gradient, gradients| {
        gradients.add(x, zip(&gradient, &y, slope));
    })
}

fn map<T: Element>(x: &Tensor<T>, f: impl Fn(T) -> T + Sync) -> Tensor<T> {
    let device = x.device();
    let mut y = device.buffer(x.len());
    device.install(|| {
        for_pieces(&mut y, PIECE, |at, piece| {
            let from = &x.data()[at..at + piece.len()];
            vectorized(
                #[inline(always)]
                || piece.iter_mut().zip(from).for_each(|(y, &a)| *y = f(a)),
            );
        });
    });
    Tensor::new(device, x.shape(), y)
}

fn zip<T: Element>(x: &Tensor<T>, y: &Tensor<T>, f: impl Fn(T, T) -> T + Sync) -> Tensor<T> {
    assert_eq!(x.shape(), y.shape(), "elementwise operation");
    let device = x.device();
    let mut z = device.buffer(x.len());
    device.install(|| {
        for_pieces(&mut z, PIECE, |at, piece| {
            let a = &x.data()[at..at + piece.len()];
            let b = &y.data()[at..at + piece.len()];
            vectorized(
                #[inline(always)]
                || {
                    for ((z, &a), &b) in piece.iter_mut().zip(a).zip(b) {
                        *z = f(a, b);
                    }
                },
            );
        });
    });
    Tensor::new(device, x.shape(), z)
}

/// x ⊙ y.
fn product<T: Element>(x: &Tensor<T>, y: &Tensor<T>) -> Tensor<T> {
    match x.device().gpu_for::<T>() {
        Some(gpu) => gpu::multiply(gpu, x, y),
        None => zip(x, y, |a, b| a * b),
    }
}

fn zip_assign<T: Element>(x: &mut Tensor<T>, y: &Tensor<T>, f: impl Fn(T, T) -> T + Sync) {
    assert_eq!(x.shape(), y.shape(), "elementwise operation");
    let device = x.device().clone();
    device.install(|| {
        for_pieces(x.data_mut(), PIECE, |at, piece| {
            let other = &y.data()[at..at + piece.len()];
            vectorized(
                #[inline(always)]
                || {
                    piece
                        .iter_mut()
                        .zip(other)
                        .for_each(|(a, &b)| *a = f(*a, b))
                },
            );
        });
    });
}

/// x += y.
pub(crate) fn add_assign<T: Element>(x: &mut Tensor<T>, y: &Tensor<T>) {
    if let Some(gpu) = x.device().gpu_for::<T>().cloned() {
        assert_eq!(x.shape(), y.shape(), "elementwise operation");
        cuda::kernels::add_assign(&gpu, &mut x.array_mut().all_mut(), y.array().all());
        return;
    }
    zip_assign(x, y, |a, b| a + b);
}

/// x *= factor.
pub(super) fn scale_assign<T: Element>(x: &mut Tensor<T>, factor: T) {
    if let Some(gpu) = x.device().gpu_for::<T>().cloned() {
        let factor = factor.to_f64() as f32;
        cuda::kernels::scale_assign(&gpu, &mut x.array_mut().all_mut(), factor);
        return;
    }
    x.data_mut().iter_mut().for_each(|x| *x *= factor);
}

/// Sums over all but the last size, (..., M) → (M): pieces of columns in parallel, rows in order.
pub(crate) fn sum_rows<T: Element>(x: &Tensor<T>) -> Tensor<T> {
    let cols = *x.shape().last().expect("at least one size");
    let device = x.device();
    if let Some(gpu) = device.gpu_for::<T>() {
        return gpu::sum_rows(gpu, x);
    }
    let mut sums = device.zeros(cols);
    device.install(|| add_rows(&mut sums, x.data()));
    Tensor::new(device, &[cols], sums)
}

/// sums += column sums of `x`, row-major with rows as long as `sums`.
pub(crate) fn add_rows<T: Element>(sums: &mut [T], x: &[T]) {
    let cols = sums.len();
    for_pieces(sums, 256, |at, sums| {
        for row in x.chunks_exact(cols) {
            let row = &row[at..at + sums.len()];
            vectorized(
                #[inline(always)]
                || sums.iter_mut().zip(row).for_each(|(s, &a)| *s += a),
            );
        }
    });
}
