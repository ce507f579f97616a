//! Inverted dropout (Srivastava et al. 2014): units are dropped with probability p, the others
//! scaled by 1 / (1 - p), so that nothing changes at prediction time.

use crate::parallel::{PIECE, for_pieces};
use crate::random;
use crate::simd::vectorized;
use crate::{Device, Element, Tape, Tensor, Var};

/// What each unit is multiplied with: 0, or 1 / (1 - p).
#[derive(Clone)]
pub struct Mask<T: Element>(Tensor<T>);

impl<T: Element> Mask<T> {
    /// A mask of (rows, cols) for the given seed and stream; a pure function of its arguments.
    ///
    /// # Panics
    /// If `drop_probability` is not in [0, 1).
    pub fn random(
        device: &Device,
        (rows, cols): (usize, usize),
        drop_probability: f64,
        seed: u64,
        stream: u64,
    ) -> Self {
        assert!(
            (0.0..1.0).contains(&drop_probability),
            "drop probability {drop_probability}"
        );
        let keep = T::of(1.0 / (1.0 - drop_probability));
        // A unit is dropped if its 32 random bits are below this.
        let threshold = (drop_probability * 2f64.powi(32)).round() as u64;
        if let Some(gpu) = device.gpu_for::<T>() {
            let keep = keep.to_f64() as f32;
            let mask =
                cuda::kernels::dropout_mask(gpu, rows * cols, (seed, stream), threshold, keep);
            return Self(Tensor::from_array(device, &[rows, cols], mask));
        }
        let mut mask = device.buffer(rows * cols);
        device.install(|| {
            for_pieces(&mut mask, PIECE, |at, piece| {
                vectorized(
                    #[inline(always)]
                    || {
                        let factor = |word: u32| {
                            let dropped = u64::from(word) < threshold;
                            if dropped { T::ZERO } else { keep }
                        };
                        let mut fours = piece.chunks_exact_mut(4);
                        let mut block = (at / 4) as u64;
                        for four in &mut fours {
                            let words = random::block(seed, stream, block);
                            for k in 0..4 {
                                four[k] = factor(words[k]);
                            }
                            block += 1;
                        }
                        let words = random::block(seed, stream, block);
                        for (unit, word) in fours.into_remainder().iter_mut().zip(words) {
                            *unit = factor(word);
                        }
                    },
                );
            });
        });
        Self(Tensor::new(device, &[rows, cols], mask))
    }

    /// A mask from NeuralTalk's uniform draws: kept where the draw is below 1 - p.
    pub fn from_draws(
        device: &Device,
        shape: &[usize],
        draws: &[f64],
        drop_probability: f64,
    ) -> Self {
        let keep = 1.0 - drop_probability;
        let scaled = draws
            .iter()
            .map(|&u| T::of(if u < keep { 1.0 / keep } else { 0.0 }))
            .collect();
        Self(Tensor::new(device, shape, scaled))
    }

    /// The factors, in the shape of what they multiply.
    pub fn factors(&self) -> &Tensor<T> {
        &self.0
    }
}

/// x ⊙ mask.
///
/// # Panics
/// If the shapes differ.
pub fn dropout<T: Element>(tape: &mut Tape<T>, x: Var, mask: &Mask<T>) -> Var {
    let mask = tape.constant(mask.0.clone());
    super::mul(tape, x, mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_depend_on_the_seed_alone() {
        let mask = |threads, seed, stream| {
            let device = Device::cpu(threads);
            Mask::<f32>::random(&device, (300, 517), 0.3, seed, stream)
                .0
                .data()
                .to_vec()
        };
        let one = mask(1, 5, 9);
        assert_eq!(one, mask(3, 5, 9));
        assert_ne!(one, mask(1, 6, 9));
        assert_ne!(one, mask(1, 5, 10));
        let dropped = one.iter().filter(|&&u| u == 0.0).count() as f64 / one.len() as f64;
        assert!((dropped - 0.3).abs() < 0.005, "{dropped}");
        let mean = one.iter().sum::<f32>() / one.len() as f32;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }
}
