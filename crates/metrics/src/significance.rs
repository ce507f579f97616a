//! Is one system really better than another? Paired bootstrap over images.
//!
//! Here: resampling of sufficient statistics, confidence intervals, p-values. Not here: the metrics, which hand over
//! the sums that their corpus scores are made of.
//!
//! Koehn 2004. N images are drawn with replacement, both systems are scored on the same draw, many times. The
//! interval holds the middle 95 % of the draws' differences (percentile method, Efron 1979); p is twice the share
//! of draws in which the difference has the other sign or none, draws counted with one more on both sides so that
//! it is never 0, and at most 1. Draws depend on the seed and their number only, never on threads.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What a corpus score is made of: one row of numbers an image; rows are added, and the sum is scored.
#[derive(Clone, Debug)]
pub struct Statistics {
    width: usize,
    rows: Vec<f64>,
    score: fn(&[f64]) -> f64,
}

impl Statistics {
    /// Rows of equal width, one an image, and how their sum is scored.
    pub fn new<const W: usize>(
        rows: impl IntoIterator<Item = [f64; W]>,
        score: fn(&[f64]) -> f64,
    ) -> Self {
        Self {
            width: W,
            rows: rows.into_iter().flatten().collect(),
            score,
        }
    }

    /// A metric whose corpus score is the mean of its images' scores.
    pub fn mean(scores: &[f64]) -> Self {
        Self::new(scores.iter().map(|&score| [score, 1.0]), |sum| {
            if sum[1] == 0.0 { 0.0 } else { sum[0] / sum[1] }
        })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.rows.len().checked_div(self.width).unwrap_or(0)
    }

    /// The score of all images, each once.
    pub fn score(&self) -> f64 {
        self.score_of(0..self.images())
    }

    fn score_of(&self, images: impl Iterator<Item = usize>) -> f64 {
        let mut sum = vec![0.0; self.width];
        for image in images {
            let row = &self.rows[image * self.width..][..self.width];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        (self.score)(&sum)
    }
}

/// How to resample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// How often images are drawn.
    pub draws: usize,
    /// Same seed, same result.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 1,000 draws, as in Koehn 2004.
    fn default() -> Self {
        Self {
            draws: 1000,
            seed: 1,
        }
    }
}

/// A score or a difference with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// On all images.
    pub value: f64,
    /// 2.5 % of the draws are below.
    pub low: f64,
    /// 2.5 % of the draws are above.
    pub high: f64,
}

/// Two systems on the same images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The second system's score less the first's.
    pub difference: Interval,
    /// Two-sided p-value of the hypothesis that there is no difference.
    pub p: f64,
}

impl Bootstrap {
    /// Confidence interval of one system's score; `None` without images or draws.
    pub fn interval(&self, system: &Statistics) -> Option<Interval> {
        let draws = self.each_draw(system.images(), |images| system.score_of(images))?;
        Some(interval(system.score(), draws))
    }

    /// Compares the second system with the first; `None` without images or draws.
    ///
    /// # Panics
    /// If the systems have different numbers of images.
    pub fn compare(&self, first: &Statistics, second: &Statistics) -> Option<Comparison> {
        assert_eq!(
            first.images(),
            second.images(),
            "systems are compared on the same images"
        );
        let difference = |images: Draw| second.score_of(images.clone()) - first.score_of(images);
        let draws = self.each_draw(first.images(), difference)?;
        let value = second.score() - first.score();
        let against = draws
            .iter()
            .filter(|&&d| if value < 0.0 { d >= 0.0 } else { d <= 0.0 })
            .count();
        let p = (2.0 * (against + 1) as f64 / (draws.len() + 1) as f64).min(1.0);
        Some(Comparison {
            difference: interval(value, draws),
            p,
        })
    }

    fn each_draw(&self, images: usize, score: impl Fn(Draw) -> f64 + Sync) -> Option<Vec<f64>> {
        let draw = |draw: usize| {
            score(Draw {
                random: SplitMix::new(self.seed, draw as u64),
                images,
                left: images,
            })
        };
        (images > 0 && self.draws > 0).then(|| (0..self.draws).into_par_iter().map(draw).collect())
    }
}

fn interval(value: f64, mut draws: Vec<f64>) -> Interval {
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| draws[(share * (draws.len() - 1) as f64).round() as usize];
    Interval {
        value,
        low: at(0.025),
        high: at(0.975),
    }
}

/// As many images as there are, drawn with replacement.
#[derive(Clone)]
struct Draw {
    random: SplitMix,
    images: usize,
    left: usize,
}

impl Iterator for Draw {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        // The upper half of a 128-bit product: uniform up to 2^-64 times the number of images.
        Some(((u128::from(self.random.next()) * self.images as u128) >> 64) as usize)
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014): any state is a good start, so every draw has its own.
#[derive(Clone)]
struct SplitMix(u64);

impl SplitMix {
    fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = Self(seed);
        let start = mixed.next();
        Self(start ^ Self(stream).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first numbers of the reference implementation for state 1234567.
        let mut random = SplitMix(1_234_567);
        let want = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!([random.next(), random.next(), random.next()], want);
    }

    #[test]
    fn draws_are_uniform_and_of_full_size() {
        let mut seen = [0u32; 7];
        for stream in 0..1000 {
            let draw = Draw {
                random: SplitMix::new(3, stream),
                images: 7,
                left: 7,
            };
            assert_eq!(draw.clone().count(), 7);
            draw.for_each(|image| seen[image] += 1);
        }
        assert!(seen.iter().all(|&n| (880..1120).contains(&n)), "{seen:?}");
    }

    #[test]
    fn the_interval_of_a_mean_is_the_normal_one() {
        let scores: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let system = Statistics::mean(&scores);
        let found = Bootstrap {
            draws: 4000,
            seed: 5,
        }
        .interval(&system)
        .expect("images");
        // Standard error sqrt(33.25 / 400) = 0.2883; 1.96 times that is 0.565.
        assert_eq!(found.value, 9.5);
        assert!((found.value - found.low - 0.565).abs() < 0.04, "{found:?}");
        assert!((found.high - found.value - 0.565).abs() < 0.04, "{found:?}");
        assert_eq!(
            Bootstrap {
                draws: 4000,
                seed: 5
            }
            .interval(&system),
            Some(found),
            "same seed, same interval"
        );
        assert_ne!(
            Bootstrap {
                draws: 4000,
                seed: 6
            }
            .interval(&system),
            Some(found)
        );
    }

    #[test]
    fn better_everywhere_is_significant_and_equal_is_not() {
        let scores: Vec<f64> = (0..50).map(f64::from).collect();
        let better: Vec<f64> = scores.iter().map(|s| s + 0.25).collect();
        let (first, second) = (Statistics::mean(&scores), Statistics::mean(&better));
        let bootstrap = Bootstrap {
            draws: 999,
            seed: 1,
        };
        let found = bootstrap.compare(&first, &second).expect("images");
        assert_eq!(
            (
                found.difference.value,
                found.difference.low,
                found.difference.high
            ),
            (0.25, 0.25, 0.25)
        );
        assert!((found.p - 0.002).abs() < 1e-12);
        let back = bootstrap.compare(&second, &first).expect("images");
        assert!((back.difference.value + 0.25).abs() < 1e-12 && (back.p - 0.002).abs() < 1e-12);
        assert_eq!(bootstrap.compare(&first, &first).expect("images").p, 1.0);
    }

    #[test]
    fn p_is_that_of_the_sign_of_few_images() {
        // Differences +1, +1, +1, -1: a draw is not positive if it has two or more of the last, P = 0.2617.
        let first = Statistics::mean(&[0.0, 0.0, 0.0, 1.0]);
        let second = Statistics::mean(&[1.0, 1.0, 1.0, 0.0]);
        let found = Bootstrap {
            draws: 20_000,
            seed: 2,
        }
        .compare(&first, &second)
        .expect("images");
        assert!((found.p - 2.0 * 0.2617).abs() < 0.02, "{found:?}");
        assert_eq!((found.difference.value, found.difference.high), (0.5, 1.0));
    }

    /// One image loses what forty gain: P(draw <= 0) = 0.45, P(draw >= 0) = 0.55.
    #[test]
    fn without_a_difference_draws_that_are_not_above_it_count() {
        let gains = (1..=40).map(f64::from).chain([-820.0]);
        let second = Statistics::mean(&gains.collect::<Vec<_>>());
        let bootstrap = Bootstrap {
            draws: 4000,
            seed: 3,
        };
        let found = bootstrap.compare(&Statistics::mean(&[0.0; 41]), &second);
        let found = found.expect("images");
        assert_eq!(found.difference.value, 0.0);
        assert!((found.p - 2.0 * 0.45).abs() < 0.04, "{found:?}");
    }

    #[test]
    fn nothing_to_draw() {
        let none = Statistics::mean(&[]);
        assert_eq!((none.images(), none.score()), (0, 0.0));
        assert_eq!(Bootstrap::default().interval(&none), None);
        assert_eq!(
            Bootstrap { draws: 0, seed: 1 }.interval(&Statistics::mean(&[1.0])),
            None
        );
        assert_eq!(
            Statistics {
                width: 0,
                rows: vec![],
                score: |_| 0.0
            }
            .images(),
            0
        );
    }

    #[test]
    fn the_interval_leaves_out_as_much_below_as_above() {
        let draws = (0..41).rev().map(f64::from).collect();
        let found = interval(7.0, draws);
        assert_eq!((found.value, found.low, found.high), (7.0, 1.0, 39.0));
        let found = interval(7.0, (0..=100).map(f64::from).collect());
        assert_eq!((found.low, found.high), (3.0, 98.0));
    }
}
