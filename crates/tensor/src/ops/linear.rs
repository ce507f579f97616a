//! Products with a weight matrix.

use crate::{Element, Tape, Tensor, Var, gemm, gpu};

/// x (N, K) · w (K, M) → (N, M).
pub fn matmul<T: Element>(tape: &mut Tape<T>, x: Var, w: Var) -> Var {
    let (a, b) = (tape.value(x).clone(), tape.value(w).clone());
    let value = product(&a, &b);
    tape.push(value, &[x, w], move |gradient, gradients| {
        let device = a.device().clone();
        if let Some(gpu) = device.gpu_for::<T>() {
            let (((n, k), m), gradient) =
                ((a.rows_cols(), b.rows_cols().1), gpu::matrix(&gradient));
            if gradients.wants(x) {
                let dx = gpu::product(gpu, n, k, gradient, gpu::matrix(&b).t());
                gradients.add(x, Tensor::from_array(&device, a.shape(), dx));
            }
            if gradients.wants(w) {
                let dw = gpu::product(gpu, k, m, gpu::matrix(&a).t(), gradient);
                gradients.add(w, Tensor::from_array(&device, b.shape(), dw));
            }
            return;
        }
        if gradients.wants(x) {
            let mut dx = device.buffer(a.len());
            gemm(&device, &mut dx, gradient.matrix(), b.matrix().t(), false);
            gradients.add(x, Tensor::new(&device, a.shape(), dx));
        }
        if gradients.wants(w) {
            let mut dw = device.buffer(b.len());
            gemm(&device, &mut dw, a.matrix().t(), gradient.matrix(), false);
            gradients.add(w, Tensor::new(&device, b.shape(), dw));
        }
    })
}

/// x (N, K) · w (K, M) + bias (M) → (N, M).
pub fn linear<T: Element>(tape: &mut Tape<T>, x: Var, w: Var, bias: Var) -> Var {
    let product = matmul(tape, x, w);
    // The product's buffer is shared with the tape's node, so the bias needs a copy of it; the
    // picture projection, the only user, is small.
    super::add_bias(tape, product, bias)
}

fn product<T: Element>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (n, m) = (a.rows_cols().0, b.rows_cols().1);
    if let Some(gpu) = a.device().gpu_for::<T>() {
        let c = gpu::product(gpu, n, m, gpu::matrix(a), gpu::matrix(b));
        return Tensor::from_array(a.device(), &[n, m], c);
    }
    let mut c = a.device().buffer(n * m);
    gemm(a.device(), &mut c, a.matrix(), b.matrix(), false);
    Tensor::new(a.device(), &[n, m], c)
}
