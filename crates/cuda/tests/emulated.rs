//! The emulator itself, and what of arrays and products needs no tensor. That kernels compute what the CPU computes is tested
//! in `tensor`, which has the CPU's operations.

mod emulator;

use cuda::{Matrix, Precision, kernels};

/// Numbers that look random, in [-1, 1).
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

#[test]
fn products_in_every_orientation_and_precision() {
    for (precision, tolerance) in [
        (Precision::Single, 1e-5),
        (Precision::Tf32, 4e-3),
        (Precision::Bf16, 3e-2),
    ] {
        let Some(gpu) = emulator::gpu(precision) else {
            return;
        };
        for (m, n, k) in [(1, 1, 1), (5, 7, 3), (9, 8, 17), (4, 3, 0)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let (ga, gb) = (gpu.array_of(&a), gpu.array_of(&b));
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                let (rows, cols) = if ta { (k, m) } else { (m, k) };
                let left = Matrix::new(ga.all(), rows, cols);
                let left = if ta { left.t() } else { left };
                // With and without the bf16 kept beside the array.
                let (rows, cols) = if tb { (n, k) } else { (k, n) };
                let right = Matrix::new(gb.for_products(cols), rows, cols);
                let right = if tb { right.t() } else { right };
                let before = numbers(m * n, 3);
                for accumulate in [false, true] {
                    let mut c = gpu.array_of(&before);
                    gpu.multiply(&mut c.all_mut(), left, right, accumulate);
                    let c = c.to_vec();
                    for i in 0..m {
                        for j in 0..n {
                            let at = |l: usize| {
                                let x = if ta { a[l * m + i] } else { a[i * k + l] };
                                x * if tb { b[j * k + l] } else { b[l * n + j] }
                            };
                            let mut want: f32 = (0..k).map(at).sum();
                            if accumulate {
                                want += before[i * n + j];
                            }
                            let error = (c[i * n + j] - want).abs();
                            assert!(error <= tolerance, "{precision:?} {m} {n} {k}: {error}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn columns_of_a_wider_matrix_are_a_matrix() {
    for precision in [Precision::Single, Precision::Bf16] {
        let Some(gpu) = emulator::gpu(precision) else {
            return;
        };
        let wide = numbers(4 * 9, 5);
        let narrow: Vec<f32> = wide.chunks(9).flat_map(|row| row[3..8].to_vec()).collect();
        let (gw, gn, gb) = (
            gpu.array_of(&wide),
            gpu.array_of(&narrow),
            gpu.array_of(&numbers(5 * 2, 6)),
        );
        let b = Matrix::new(gb.all(), 5, 2);
        let [mut x, mut y] = [(); 2].map(|()| gpu.array(8));
        gpu.multiply(
            &mut x.all_mut(),
            Matrix::columns(gw.at(3..36), 4, 5, 9),
            b,
            false,
        );
        gpu.multiply(&mut y.all_mut(), Matrix::new(gn.all(), 4, 5), b, false);
        assert_eq!(x.to_vec(), y.to_vec());
    }
}

#[test]
fn bf16_is_rounded_to_nearest_even_and_forgotten_when_numbers_change() {
    let Some(gpu) = emulator::gpu(Precision::Bf16) else {
        return;
    };
    // 1 + 2^-8 lies between two bf16 numbers and goes to the even one; above it, up; NaN stays NaN.
    let step = 1.0 / 256.0;
    let x = [
        1.0,
        1.0 + step,
        1.0 + step + f32::EPSILON,
        -1.0 - 3.0 * step,
        f32::NAN,
    ];
    let mut a = gpu.array_of(&x);
    let one = gpu.array_of(&[1.0]);
    let product = |a: &cuda::Array<f32>| {
        let mut c = gpu.array(5);
        let a = Matrix::new(a.for_products(1), 5, 1);
        gpu.multiply(&mut c.all_mut(), a, Matrix::new(one.all(), 1, 1), false);
        c.to_vec()
    };
    let c = product(&a);
    assert_eq!(c[..4], [1.0, 1.0, 1.0078125, -1.015625]);
    assert!(c[4].is_nan());
    kernels::scale_assign(&gpu, &mut a.all_mut(), 2.0);
    assert_eq!(product(&a)[..4], [2.0, 2.0, 2.015625, -2.03125]);
}

/// What an output layer never gives, but a broken one might: rows without any word, numbers above 0, -0.
#[test]
fn words_are_chosen_from_odd_rows() {
    let Some(gpu) = emulator::gpu(Precision::Single) else {
        return;
    };
    let (none, nan, v) = (f32::NEG_INFINITY, f32::NAN, 4);
    let rows = [
        [none, -0.0, 1e-7, 0.0],
        [none, none, none, none],
        [-1.0, nan, 0.5, nan],
        [-3.0, -1.0, none, -1.0],
        [-0.7, -0.7, none, none],
    ];
    let log_probs = gpu.array_of(rows.as_flattened());
    let pairs = |chosen: cuda::Array<u32>| {
        let numbers = chosen.to_vec();
        let pairs = numbers.chunks_exact(2);
        pairs
            .map(|pair| (pair[0], f32::from_bits(pair[1])))
            .collect::<Vec<_>>()
    };
    let best = pairs(kernels::likeliest(&gpu, log_probs.all(), v, 3));
    assert_eq!(best[..3], [(1, 0.0), (2, 0.0), (3, 0.0)]);
    assert!(best[..3].iter().all(|(_, v)| v.is_sign_positive()));
    assert_eq!(best[3..6], [(0, none), (1, none), (2, none)]);
    assert!(best[6].0 == 1 && best[6].1.is_nan());
    assert_eq!(best[7], (2, 0.5));
    assert!(best[8].0 == 3 && best[8].1.is_nan());
    assert_eq!(best[9..12], [(1, -1.0), (3, -1.0), (0, -3.0)]);
    // The last: the end of the first word's share is the beginning of the second's.
    let uniforms = [0.9, 0.9, 0.1, 0.999999, f64::from(-0.7f32).exp()];
    let uniforms = gpu.array_of(&uniforms);
    let drawn = pairs(kernels::draw(&gpu, log_probs.all(), v, uniforms.all()));
    // Beyond the 0.79 of the row's words each has its share of the rest.
    let want = [(1, 0.0), (4, none), (0, -1.0), (3, -1.0), (1, -0.7)];
    assert_eq!(drawn, want);
}

#[test]
#[should_panic(expected = "wrote outside of an array")]
fn a_write_out_of_bounds_is_caught() {
    use cuda::raw::{Argument, Backend};
    if emulator::gpu(Precision::Single).is_none() {
        panic!("no compiler: (wrote outside of an array)");
    }
    let emulator = emulator::Emulator::default();
    let x = emulator.allocate(4 * 4).expect("memory");
    let argument = |bits, size| Argument { bits, size };
    // One number more than there is.
    let arguments = [
        argument(x, 8),
        argument(u64::from(2.0f32.to_bits()), 4),
        argument(5, 8),
    ];
    #[allow(unsafe_code)]
    // SAFETY: what is out of bounds is the guard.
    unsafe {
        emulator
            .launch("scale_assign", 1, &arguments)
            .expect("it runs");
    }
}
