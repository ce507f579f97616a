//! Runs a loop compiled for the vector width of this processor.
//!
//! The program is built for any x86-64 (or Arm) machine; `pulp` finds out at run time what this
//! one has and calls the version of the closure that the compiler vectorised for it. A closure
//! passed here must be marked `#[inline(always)]`, or it stays at the lowest common width.

use std::sync::OnceLock;

/// Calls `work` in the widest version that this processor can run.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    dispatch(work)
}

/// Numbers of f32 in the widest vectors that this processor has and the program uses.
pub fn vector_width() -> usize {
    struct Width;
    impl pulp::WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    dispatch(Width)
}

/// Calls `work` with the widest vectors that this processor has.
#[inline(always)]
pub(crate) fn dispatch<W: pulp::WithSimd>(work: W) -> W::Output {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    ARCH.get_or_init(pulp::Arch::new).dispatch(work)
}
