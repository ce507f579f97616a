//! The product of a few rows and a matrix that is kept in 16 bits, on processors that convert such numbers by themselves.
//!
//! As [`few_rows`](crate::few_rows), to the same bits, but half the bytes are waited for: eight numbers are converted on the
//! way into a register, where three rows use them. On other processors converting takes longer than the bytes that it saves:
//! there the matrix is converted once.

use faer::MatMut;
use half::f16;

/// Whether this processor can: on x86 F16C, which all have that have AVX2.
pub(crate) fn suits() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// c (M, up to a strip), columns `from ..` of the product, = or += a (M, K) times b (K, N), of finite numbers.
///
/// # Panics
/// If the processor can't.
#[allow(unsafe_code)]
pub(crate) fn multiply(
    c: MatMut<'_, f32>,
    from: usize,
    (a, b): (&[f32], &[f16]),
    (k, n): (usize, usize),
    accumulate: bool,
) {
    assert!(suits(), "16-bit numbers need F16C");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has these instructions.
    unsafe {
        x86::multiply(c, from, (a, b), (k, n), accumulate);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (c, from, a, b, k, n, accumulate);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps,
    };

    use bytemuck::cast;
    use faer::MatMut;
    use half::f16;
    use half::slice::HalfFloatSliceExt;

    use crate::Element;
    use crate::few_rows::{DEEP, STRIP, strip};

    /// Numbers in a register.
    const LANES: usize = 8;
    /// Rows that share what was converted; their factors for [`DEEP`] lines fill the other registers.
    const ROWS: usize = 3;

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn multiply(
        c: MatMut<'_, f32>,
        from: usize,
        (a, b): (&[f32], &[f16]),
        (k, n): (usize, usize),
        accumulate: bool,
    ) {
        let width = c.ncols();
        let line = |at: usize| &b[at * n + from..][..width];
        strip(c, k, accumulate, |sums, at| match at.len() {
            DEEP => {
                let at = at.start;
                let lines = [line(at), line(at + 1), line(at + 2), line(at + 3)];
                add_to_all(sums, lines, &a[at..], k);
            }
            _ => {
                for at in at {
                    add_to_all(sums, [line(at)], &a[at..], k);
                }
            }
        });
    }

    /// sums of a row += Σ over `lines` of the row's factor times the line; row r's factors are `a[r * k ..]`.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn add_to_all<const D: usize>(
        sums: &mut [[f32; STRIP]],
        lines: [&[f16]; D],
        a: &[f32],
        k: usize,
    ) {
        let (groups, rest) = sums.as_chunks_mut::<ROWS>();
        let rest_from = ROWS * groups.len();
        for (i, group) in groups.iter_mut().enumerate() {
            add(group, lines, &a[ROWS * i * k..], k);
        }
        match rest {
            [] => {}
            [one] => add(std::array::from_mut(one), lines, &a[rest_from * k..], k),
            two => {
                let two = two.first_chunk_mut::<2>().expect("less than a group");
                add(two, lines, &a[rest_from * k..], k);
            }
        }
    }

    // Loops instead of `map` and `from_fn`: what those call is compiled without these instructions.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn add<const R: usize, const D: usize>(
        sums: &mut [[f32; STRIP]; R],
        lines: [&[f16]; D],
        a: &[f32],
        k: usize,
    ) {
        let mut factors = [[_mm256_setzero_ps(); D]; R];
        for (r, factors) in factors.iter_mut().enumerate() {
            for (factor, &x) in factors.iter_mut().zip(&a[r * k..]) {
                *factor = _mm256_set1_ps(x);
            }
        }
        let width = lines[0].len();
        let vectors = width / LANES;
        let mut wholes: [&[[u16; LANES]]; D] = [&[]; D];
        for (whole, line) in wholes.iter_mut().zip(lines) {
            *whole = &line.reinterpret_cast().as_chunks::<LANES>().0[..vectors];
        }
        for at in 0..vectors {
            let mut numbers = [_mm256_setzero_ps(); D];
            for (numbers, whole) in numbers.iter_mut().zip(&wholes) {
                *numbers = _mm256_cvtph_ps(cast::<_, __m128i>(whole[at]));
            }
            for (sums, factors) in sums.iter_mut().zip(&factors) {
                let place = &mut sums.as_chunks_mut::<LANES>().0[at];
                let mut sum: __m256 = cast(*place);
                for (&numbers, &factor) in numbers.iter().zip(factors) {
                    sum = _mm256_fmadd_ps(numbers, factor, sum);
                }
                *place = cast(sum);
            }
        }
        for at in LANES * vectors..width {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (line, &factor) in lines.iter().zip(&a[r * k..]) {
                    sums[at] = f32::of_half(line[at]).mul_add(factor, sums[at]);
                }
            }
        }
    }
}
