//! The product of a few rows and a large matrix, as in the steps of a search: (M, K) times (K, N) with M at most [`MOST`].
//!
//! Here the time goes into reading the matrix, not into arithmetic. `faer` walks down it in tiles of 24 to 96 columns, a jump to
//! another page for every few hundred bytes, which waits for memory at each (see docs/speed.md). This reads [`DEEP`] rows side by
//! side, along a strip of [`STRIP`] columns, and keeps the strip's sums in the first cache.
//!
//! Every element is summed in `faer`'s order: multiply-adds with one rounding down the inner size, begun anew every [`CHUNK`], a
//! chunk's sum added to the result. So it has the bits that more rows would have, and what a search writes doesn't depend on how
//! many pictures share its products. A test in `gemm` holds that.

use std::ops::Range;

use faer::MatMut;

use crate::Element;
use crate::simd::{vector_width, vectorized};

/// Rows up to which `faer` reads the matrix in place; from here on it copies tiles together, and each serves many rows.
const MOST: usize = 12;
/// Columns of one piece of work: long runs of memory, and sums of all rows that fit the first cache.
pub(crate) const STRIP: usize = 256;
/// Rows of the matrix that are read side by side.
pub(crate) const DEEP: usize = 4;
/// After so many products `faer` writes its sum out and begins a new one.
const CHUNK: usize = 512;

/// Whether this is the faster way for `rows`. Never where a processor has no multiply-add: there it would be a call for each.
pub(crate) fn suits(rows: usize) -> bool {
    (1..=MOST).contains(&rows) && vector_width() > 1
}

/// c (M, up to [`STRIP`]), columns `from ..` of the product, = or += a (M, K) times b (K, N).
pub(crate) fn multiply<T: Element>(
    c: MatMut<'_, T>,
    from: usize,
    (a, b): (&[T], &[T]),
    (k, n): (usize, usize),
    accumulate: bool,
) {
    let width = c.ncols();
    let line = |at: usize| &b[at * n + from..][..width];
    vectorized(
        #[inline(always)]
        || {
            strip(
                c,
                k,
                accumulate,
                #[inline(always)]
                |sums, at| match at.len() {
                    DEEP => {
                        let lines: [&[T]; DEEP] = std::array::from_fn(|d| line(at.start + d));
                        add_to_all(sums, lines, |row, d| a[row * k + at.start + d]);
                    }
                    _ => {
                        for at in at {
                            add_to_all(sums, [line(at)], |row, _| a[row * k + at]);
                        }
                    }
                },
            );
        },
    );
}

/// c (M, up to [`STRIP`]) = or += the sum over the `k` rows of a matrix, of which `add` adds up to [`DEEP`] to the sums.
#[inline(always)]
pub(crate) fn strip<T: Element>(
    mut c: MatMut<'_, T>,
    k: usize,
    accumulate: bool,
    mut add: impl FnMut(&mut [[T; STRIP]], Range<usize>),
) {
    let (rows, width) = (c.nrows(), c.ncols());
    let mut sums = [[T::ZERO; STRIP]; MOST];
    let sums = &mut sums[..rows];
    // An inner size of 0 has one chunk too: the sum of nothing is written.
    for first in (0..k.max(1)).step_by(CHUNK) {
        let last = k.min(first + CHUNK);
        for sums in &mut *sums {
            sums[..width].fill(T::ZERO);
        }
        for at in (first..last).step_by(DEEP) {
            add(sums, at..last.min(at + DEEP));
        }
        for (row, sums) in sums.iter().enumerate() {
            let c = c.as_mut().row_mut(row).try_as_row_major_mut();
            let c = c.expect("rows lie one after the other").as_slice_mut();
            if accumulate || first > 0 {
                for (c, &sum) in c.iter_mut().zip(sums) {
                    *c += sum;
                }
            } else {
                c.copy_from_slice(&sums[..width]);
            }
        }
    }
}

/// sums of a row += Σ over `lines` of the row's factor times the line.
#[inline(always)]
fn add_to_all<T: Element, const D: usize>(
    sums: &mut [[T; STRIP]],
    lines: [&[T]; D],
    factor: impl Fn(usize, usize) -> T,
) {
    // Two rows and four lines: their eight factors stay in registers, so that loads don't outnumber the multiply-adds.
    let (pairs, last) = sums.as_chunks_mut::<2>();
    let paired = 2 * pairs.len();
    for (i, pair) in pairs.iter_mut().enumerate() {
        add(pair, lines, |r, d| factor(2 * i + r, d));
    }
    if let [last] = last {
        add(std::array::from_mut(last), lines, |_, d| factor(paired, d));
    }
}

#[inline(always)]
fn add<T: Element, const R: usize, const D: usize>(
    sums: &mut [[T; STRIP]; R],
    lines: [&[T]; D],
    factor: impl Fn(usize, usize) -> T,
) {
    let factors: [[T; D]; R] = std::array::from_fn(|r| std::array::from_fn(|d| factor(r, d)));
    let width = lines[0].len().min(STRIP);
    let lines = lines.map(|line| &line[..width]);
    for at in 0..width {
        for (sums, factors) in sums.iter_mut().zip(&factors) {
            let mut sum = sums[at];
            for d in 0..D {
                sum = lines[d][at].multiply_add(factors[d], sum);
            }
            sums[at] = sum;
        }
    }
}
