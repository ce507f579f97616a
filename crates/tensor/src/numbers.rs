//! Numbers as a file has them: in 32 bits, or in 16.
//!
//! A search reads all weights for every word, so the time of a word is the time to read them: those of 16 bits stay so, and are
//! converted on the way into the registers (`half_rows.rs`).

use std::borrow::Cow;

use half::f16;

use crate::Element;
use crate::simd::vectorized;

/// Numbers of a file.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// IEEE 754 binary32.
    Singles(Vec<f32>),
    /// IEEE 754 binary16; all finite.
    Halves(Vec<f16>),
}

impl Numbers {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Singles(all) => all.len(),
            Self::Halves(all) => all.len(),
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them as f32.
    pub fn singles(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Singles(all) => Cow::Borrowed(all),
            Self::Halves(all) => Cow::Owned(widened(all)),
        }
    }

    /// All of them for writing, as f32 from here on.
    pub fn singles_mut(&mut self) -> &mut Vec<f32> {
        if let Self::Halves(all) = self {
            *self = Self::Singles(widened(all));
        }
        match self {
            Self::Singles(all) => all,
            Self::Halves(_) => unreachable!("just converted"),
        }
    }
}

impl From<Vec<f32>> for Numbers {
    fn from(all: Vec<f32>) -> Self {
        Self::Singles(all)
    }
}

impl FromIterator<f32> for Numbers {
    fn from_iter<I: IntoIterator<Item = f32>>(all: I) -> Self {
        Self::Singles(all.into_iter().collect())
    }
}

/// Where one is not finite, all become f32.
impl From<Vec<f16>> for Numbers {
    fn from(all: Vec<f16>) -> Self {
        // Not `all(..)`, which stops at the first and so doesn't vectorise.
        match all
            .iter()
            .fold(true, |finite, half| finite & half.is_finite())
        {
            true => Self::Halves(all),
            false => Self::Singles(all.into_iter().map(f16::to_f32).collect()),
        }
    }
}

/// Equal numbers, however they are kept.
impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        self.singles() == other.singles()
    }
}

fn widened(halves: &[f16]) -> Vec<f32> {
    let mut all = vec![0.0; halves.len()];
    widen(halves, &mut all);
    all
}

/// Converts finite numbers.
pub(crate) fn widen<T: Element>(halves: &[f16], to: &mut [T]) {
    vectorized(
        #[inline(always)]
        || {
            to.iter_mut()
                .zip(halves)
                .for_each(|(x, &half)| *x = T::of_half(half))
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Tensor, step};

    #[test]
    fn numbers_of_16_bits_become_what_they_stand_for() {
        let halves: Vec<f16> = [0.5, -2.0, 3e-6].map(f16::from_f64).to_vec();
        let wide: Vec<f32> = halves.iter().map(|h| h.to_f32()).collect();
        let numbers = Numbers::from(halves);
        assert!(matches!(numbers, Numbers::Halves(_)));
        assert_eq!(numbers, Numbers::from(wide.clone()));
        assert_eq!(*numbers.singles(), wide);
        assert_eq!(*numbers.clone().singles_mut(), wide);
        let mut tensor = Tensor::stored(&Device::cpu(1), &[3], numbers);
        let other = tensor.clone();
        assert_eq!(tensor.data(), wide);
        // Written numbers are no longer those of the file.
        tensor.data_mut()[0] = 7.0;
        assert_eq!((tensor.data()[0], tensor.halves()), (7.0, None));
        assert_eq!(
            (other.data(), other.halves().map(<[f16]>::len)),
            (&wide[..], Some(3))
        );
    }

    #[test]
    fn rows_are_picked_from_numbers_of_16_bits() {
        let halves: Vec<f16> = (0..6u8).map(f16::from).collect();
        let mut table = Tensor::stored(&Device::cpu(1), &[3, 2], Numbers::from(halves));
        let picked = step::rows(&table, &[2, 0, 2]);
        assert_eq!(picked.data(), [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
        // Nobody shares it: it is written in place.
        table.data_mut()[5] = 9.0;
        assert_eq!(step::rows(&table, &[2]).data(), [4.0, 9.0]);
    }

    #[test]
    fn infinite_ones_are_not_kept_in_16_bits() {
        let numbers = Numbers::from(vec![f16::ONE, f16::INFINITY, f16::NAN]);
        let Numbers::Singles(all) = numbers else {
            panic!("kept in 16 bits");
        };
        assert!(all[0] == 1.0 && all[1] == f32::INFINITY && all[2].is_nan());
    }
}
