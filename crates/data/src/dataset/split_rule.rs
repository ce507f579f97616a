//! Splits for datasets that come without.
//!
//! A picture's part depends on its file name and the seed only: adding pictures never moves one from training to test,
//! and the order of the file does not matter. Because of this the parts have the asked sizes only on average; in a
//! small dataset whose hash leaves validation or test without a picture, those with the lowest hashes fill the gap.
//! Not here: splits that a form names itself.

use super::{ImageRecord, Split};

/// What to do with pictures whose form names no split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SplitRule {
    /// All are training pictures.
    AllTrain,
    /// By the hash of the file name.
    Hash {
        /// Another seed gives another split.
        seed: u64,
        /// Share of validation pictures, 0 to 1.
        val: f64,
        /// Share of test pictures, 0 to 1.
        test: f64,
    },
}

impl Default for SplitRule {
    /// 80 % training, 10 % validation, 10 % test, seed 0.
    fn default() -> Self {
        Self::Hash {
            seed: 0,
            val: 0.1,
            test: 0.1,
        }
    }
}

impl SplitRule {
    /// Gives every picture a split, whatever it has.
    pub(super) fn apply(self, images: &mut [ImageRecord]) {
        let Self::Hash { seed, val, test } = self else {
            for image in images {
                image.split = Split::Train;
            }
            return;
        };
        for image in images.iter_mut() {
            let place = place(&image.path, seed);
            image.split = if place < val {
                Split::Val
            } else if place < val + test {
                Split::Test
            } else {
                Split::Train
            };
        }
        for (split, share) in [(Split::Val, val), (Split::Test, test)] {
            fill(images, split, share, seed);
        }
    }
}

/// Moves the training picture with the lowest hash to `split`, if that was asked for and got none.
fn fill(images: &mut [ImageRecord], split: Split, share: f64, seed: u64) {
    let has = |split| images.iter().filter(|image| image.split == split).count();
    if share <= 0.0 || 0 < has(split) || has(Split::Train) < 2 {
        return;
    }
    let lowest = images
        .iter_mut()
        .filter(|image| image.split == Split::Train)
        .min_by(|a, b| {
            let (x, y) = (place(&a.path, seed), place(&b.path, seed));
            x.total_cmp(&y).then_with(|| a.path.cmp(&b.path))
        });
    if let Some(image) = lowest {
        image.split = split;
    }
}

/// Where a name falls in [0, 1): FNV-1a over its bytes, mixed with the seed (the end of MurmurHash3).
fn place(name: &str, seed: u64) -> f64 {
    let mut hash = 0xCBF2_9CE4_8422_2325u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    hash ^= seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    ((hash ^ (hash >> 33)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(names: impl Iterator<Item = String>) -> Vec<ImageRecord> {
        let image = |path| ImageRecord {
            imgid: 0,
            path,
            split: Split::Train,
            captions: Vec::new(),
        };
        names.map(image).collect()
    }

    fn count(images: &[ImageRecord], split: Split) -> usize {
        images.iter().filter(|image| image.split == split).count()
    }

    #[test]
    fn the_shares_are_met_and_no_picture_moves_when_others_are_added() {
        let mut all = images((0..5000).map(|n| format!("{n}.jpg")));
        SplitRule::default().apply(&mut all);
        for split in [Split::Val, Split::Test] {
            assert!((400..600).contains(&count(&all, split)), "{split}");
        }
        let mut half = images((0..5000).rev().step_by(2).map(|n| format!("{n}.jpg")));
        SplitRule::default().apply(&mut half);
        for image in &half {
            let same = all.iter().find(|other| other.path == image.path);
            assert_eq!(same, Some(image));
        }
    }

    #[test]
    fn another_seed_is_another_split() {
        let rule = |seed| SplitRule::Hash {
            seed,
            val: 0.5,
            test: 0.0,
        };
        let (mut a, mut b) = (
            images((0..64).map(|n| n.to_string())),
            images((0..64).map(|n| n.to_string())),
        );
        rule(0).apply(&mut a);
        rule(1).apply(&mut b);
        assert_ne!(a, b);
        assert_eq!(count(&a, Split::Test), 0);
    }

    #[test]
    fn a_small_dataset_has_all_parts() {
        for size in 3..30 {
            let mut few = images((0..size).map(|n| format!("picture{n}")));
            SplitRule::default().apply(&mut few);
            for split in [Split::Train, Split::Val, Split::Test] {
                assert_ne!(count(&few, split), 0, "{size} pictures, {split}");
            }
        }
        let mut one = images(["a".to_owned()].into_iter());
        SplitRule::default().apply(&mut one);
        assert_eq!(
            count(&one, Split::Train) + count(&one, Split::Val) + count(&one, Split::Test),
            1
        );
    }
}
