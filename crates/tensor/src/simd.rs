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

/// Calls `work` with the widest vectors that this processor has.
#[inline(always)]
pub(crate) fn dispatch<W: pulp::WithSimd>(work: W) -> W::Output {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    ARCH.get_or_init(pulp::Arch::new).dispatch(work)
}
