//! The number types of tensors: f32 for work, f64 for checks.
//!
//! Here: what a kernel may do with a number, and the f32 `exp`, `sigmoid` and `tanh` that
//! vectorise. Not here: bf16, which only matrix products on a GPU need (`cuda`).
//!
//! `exp` is Cephes' `expf` (Moshier 1989) without branches: the compiler turns a loop over it
//! into vector code of whatever width the processor has. f64 uses the standard library.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use half::f16;

/// A number that tensors are made of.
#[allow(private_bounds)]
pub trait Element:
    crate::device::Kept
    + faer::traits::ComplexField
    + Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The nearest representable value.
    fn of(value: f64) -> Self;
    /// Exact for both types.
    fn to_f64(self) -> f64;
    /// Exact for both types; for finite numbers.
    fn of_half(half: f16) -> Self;
    /// e^x; within 2 ulp for f32; NaN stays NaN; at most about 1.7e38 for f32.
    fn exponential(self) -> Self;
    /// Hyperbolic tangent; NaN stays NaN.
    fn hyperbolic_tangent(self) -> Self;
    /// Natural logarithm.
    fn logarithm(self) -> Self;
    /// Square root.
    fn square_root(self) -> Self;
    /// self * factor + sum, rounded once; without an instruction for it a slow call.
    fn multiply_add(self, factor: Self, sum: Self) -> Self;
    /// Neither NaN nor infinite.
    fn finite(self) -> bool;
    /// The same numbers for those who compute in f32 only; none for f64.
    fn singles(values: &[Self]) -> Option<&[f32]>;
    /// The same numbers for writing; none for f64.
    fn singles_mut(values: &mut [Self]) -> Option<&mut [f32]>;
    /// Numbers that come from a GPU; none for f64.
    fn from_singles(values: Vec<f32>) -> Option<Vec<Self>>;

    /// Logistic function 1 / (1 + e^-x).
    #[inline(always)]
    fn logistic(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exponential())
    }

    /// The larger of two numbers; NaN in `self` stays.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self < other { other } else { self }
    }
}

// The constants are written with the digits of their source.
#[allow(clippy::excessive_precision)]
impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn of_half(half: f16) -> Self {
        // Without branches, and without f32 below the normal ones on the way (a device's threads take those for 0): numbers
        // below 2^-14 are subtracted into place (Giesen, "half to float conversions", 2012).
        const LEAST_NORMAL: u32 = 113 << 23;
        let bits = u32::from(half.to_bits());
        let magnitude = (bits & 0x7fff) << 13;
        let normal = magnitude + (112 << 23);
        let tiny = Self::from_bits(magnitude + LEAST_NORMAL) - Self::from_bits(LEAST_NORMAL);
        let magnitude = if magnitude < 1 << 23 {
            tiny.to_bits()
        } else {
            normal
        };
        Self::from_bits(magnitude | (bits & 0x8000) << 16)
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        // Comparisons instead of `clamp`, so that NaN passes through.
        let x = if self < -87.0 { -87.0 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        const LOG2_E: f32 = std::f32::consts::LOG2_E;
        // Adding 1.5 * 2^23 rounds to the nearest integer, which is left in the low bits.
        const ROUND: f32 = 12_582_912.0;
        let shifted = x * LOG2_E + ROUND;
        let n = shifted - ROUND;
        // ln 2 in two parts, the first exact in few bits (Cody & Waite 1980).
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let mut p = 1.987_569_1e-4;
        p = p * r + 1.398_199_9e-3;
        p = p * r + 8.333_452e-3;
        p = p * r + 4.166_579_6e-2;
        p = p * r + 1.666_666_5e-1;
        p = p * r + 5.000_000_1e-1;
        let e = p * r * r + r + 1.0;
        let two_to_n = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
        e * two_to_n
    }

    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
        // Cephes' `tanhf`: near 0 a polynomial, because 1 - 2/(e^2x + 1) cancels there.
        let s = self * self;
        let mut p = -5.704_988_7e-3;
        p = p * s + 2.063_908_9e-2;
        p = p * s - 5.373_971_2e-2;
        p = p * s + 1.333_144_2e-1;
        p = p * s - 3.333_328_2e-1;
        let near = p * s * self + self;
        let far = 1.0 - 2.0 / ((2.0 * self).exponential() + 1.0);
        if self > -0.625 && self < 0.625 {
            near
        } else {
            far
        }
    }

    fn logarithm(self) -> Self {
        self.ln()
    }

    #[inline(always)]
    fn square_root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn multiply_add(self, factor: Self, sum: Self) -> Self {
        self.mul_add(factor, sum)
    }

    fn finite(self) -> bool {
        self.is_finite()
    }

    fn singles(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn singles_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }

    fn from_singles(values: Vec<f32>) -> Option<Vec<Self>> {
        Some(values)
    }
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn of_half(half: f16) -> Self {
        half.to_f64()
    }

    fn exponential(self) -> Self {
        self.exp()
    }

    fn hyperbolic_tangent(self) -> Self {
        self.tanh()
    }

    fn logarithm(self) -> Self {
        self.ln()
    }

    fn square_root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn multiply_add(self, factor: Self, sum: Self) -> Self {
        self.mul_add(factor, sum)
    }

    fn finite(self) -> bool {
        self.is_finite()
    }

    fn singles(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn singles_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    fn from_singles(_: Vec<f32>) -> Option<Vec<Self>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let steps = 200_000;
        (0..=steps)
            .map(|i| low + (high - low) * i as f32 / steps as f32)
            .map(|x| {
                let (got, want) = (f64::from(f(x)), exact(f64::from(x)));
                (got - want).abs() / want.abs().max(1e-30)
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn exponential_is_within_two_ulp() {
        assert!(worst(Element::exponential, f64::exp, -87.0, 88.0) < 2.4e-7);
    }

    #[test]
    fn every_finite_half_is_what_it_stands_for() {
        let device = crate::Device::cpu(1);
        let halves = (0..=u16::MAX).map(f16::from_bits).filter(|h| h.is_finite());
        // On a device's thread, where f32 below the normal ones count as 0.
        device.install(|| {
            for half in halves {
                let want = half.to_f32().to_bits();
                assert_eq!(f32::of_half(half).to_bits(), want, "{half:?}");
                assert_eq!(f64::of_half(half), half.to_f64(), "{half:?}");
            }
        });
    }

    #[test]
    fn exponential_saturates_and_passes_nan() {
        assert_eq!((-1e30f32).exponential(), (-87f32).exponential());
        assert!((1e30f32).exponential().is_finite());
        assert!(f32::NAN.exponential().is_nan());
        assert!(f32::NAN.hyperbolic_tangent().is_nan());
        assert!(f32::NAN.logistic().is_nan());
    }

    #[test]
    fn tangent_and_logistic_are_accurate_on_both_sides_of_zero() {
        assert!(worst(Element::hyperbolic_tangent, f64::tanh, -20.0, 20.0) < 4e-7);
        assert!(worst(Element::hyperbolic_tangent, f64::tanh, 1e-6, 1e-3) < 4e-7);
        let exact = |x: f64| 1.0 / (1.0 + (-x).exp());
        assert!(worst(Element::logistic, exact, -80.0, 80.0) < 6e-7);
    }
}
