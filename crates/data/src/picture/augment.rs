//! Random changes of training pictures that keep what is in them: a crop, a mirror image, contrast and brightness.
//!
//! What is drawn is a function of (seed, epoch, picture) alone, so that neither threads nor a stop and a resume change
//! it. A crop may reach beyond the picture where its aspect asks for it; there the picture is reflected, as in a mirror
//! at the border ("inception" crops, Szegedy et al. 2015; colours as in torchvision's `ColorJitter`). Not here: resizing.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Picture;

/// How much pictures may be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentation {
    /// Least share of the area that a crop keeps, 0 to 1; 1 for the whole picture.
    pub area: f64,
    /// Largest ratio of sides by which a crop is wider or higher than the picture; 1 for none.
    pub aspect: f64,
    /// Whether every other picture is mirrored.
    pub flip: bool,
    /// The distance of all values from the mean is multiplied with 1 ± this.
    pub contrast: f64,
    /// All values are multiplied with 1 ± this.
    pub brightness: f64,
}

/// What was drawn for one picture in one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Width and height of the crop, as shares of the picture's.
    pub size: [f64; 2],
    /// Where the crop lies in the room that there is, 0 at the left (top), 1 at the right (bottom).
    pub place: [f64; 2],
    /// Whether it is mirrored.
    pub flip: bool,
    /// What distances from the mean are multiplied with.
    pub contrast: f64,
    /// What all values are multiplied with.
    pub brightness: f64,
}

impl Augmentation {
    /// No change at all.
    pub const OFF: Self = Self {
        area: 1.0,
        aspect: 1.0,
        flip: false,
        contrast: 0.0,
        brightness: 0.0,
    };

    /// The change of a picture in an epoch.
    pub fn draw(&self, seed: u64, epoch: u64, picture: u64) -> Change {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&epoch.to_le_bytes());
        key[16..24].copy_from_slice(b"augment!");
        let mut random = ChaCha8Rng::from_seed(key);
        random.set_stream(picture);
        // 53 bits, in [0, 1). All seven are always drawn: an option that is turned off leaves the others as they were.
        let mut uniform = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let [area, aspect, x, y, flip, contrast, brightness] = std::array::from_fn(|_| uniform());
        let area = 1.0 - (1.0 - self.area) * area;
        let aspect = self.aspect.powf(2.0 * aspect - 1.0);
        Change {
            size: [(area * aspect).sqrt(), (area / aspect).sqrt()],
            place: [x, y],
            flip: self.flip && flip < 0.5,
            contrast: 1.0 + self.contrast * (2.0 * contrast - 1.0),
            brightness: 1.0 + self.brightness * (2.0 * brightness - 1.0),
        }
    }
}

impl Change {
    /// The crop, mirrored if so drawn; in the picture's own pixels.
    ///
    /// # Panics
    /// The picture has no pixels, or not three bytes for each.
    pub fn crop(&self, picture: &Picture) -> Picture {
        let (width, height) = (picture.width, picture.height);
        assert!(0 < width && 0 < height, "a picture without pixels");
        assert_eq!(
            picture.rgb.len(),
            3 * width * height,
            "bytes of the picture"
        );
        let [rows, columns] = self.seen(width, height);
        let mut rgb = Vec::with_capacity(3 * columns.len() * rows.len());
        for y in &rows {
            let line = &picture.rgb[3 * width * y..3 * width * (y + 1)];
            for x in &columns {
                rgb.extend_from_slice(&line[3 * x..3 * x + 3]);
            }
        }
        Picture {
            width: columns.len(),
            height: rows.len(),
            rgb,
        }
    }

    /// The rows and columns of a picture that the crop shows, in its order.
    pub(super) fn seen(&self, width: usize, height: usize) -> [Vec<usize>; 2] {
        let (mut columns, rows) = (self.along(0, width), self.along(1, height));
        if self.flip {
            columns.reverse();
        }
        [rows, columns]
    }

    /// Contrast and brightness of values from 0 to 255, planes (3, S, S).
    pub fn colour(&self, planes: &mut [f32]) {
        if self.contrast == 1.0 && self.brightness == 1.0 {
            return;
        }
        let count = planes.len().max(1) as f64;
        let mean = planes.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        // ((x - mean) contrast + mean) brightness.
        let slope = (self.contrast * self.brightness) as f32;
        let shift = (mean * (1.0 - self.contrast) * self.brightness) as f32;
        for x in planes {
            *x = (*x * slope + shift).clamp(0.0, 255.0);
        }
    }

    /// Which pixels of a side of `length` the crop takes.
    fn along(&self, axis: usize, length: usize) -> Vec<usize> {
        let taken = (self.size[axis] * length as f64).round().max(1.0) as usize;
        // Negative where the crop is larger than the picture: it then reaches beyond both borders.
        let room = length as f64 - taken as f64;
        let first = (self.place[axis] * room).round() as i64;
        (first..first + taken as i64)
            .map(|at| reflect(at, length))
            .collect()
    }
}

/// The pixel that is seen at `at` when a side of `length` pixels repeats in mirror images without end: .. 1 0 0 1 2 2 1 ..
fn reflect(at: i64, length: usize) -> usize {
    let around = at.rem_euclid(2 * length as i64) as usize;
    around.min(2 * length - 1 - around)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Augmentation = Augmentation {
        area: 0.4,
        aspect: 1.28,
        flip: true,
        contrast: 0.2,
        brightness: 0.15,
    };

    #[test]
    fn nothing_is_changed_when_all_is_off() {
        let rgb: Vec<u8> = (0..3 * 5 * 4).collect();
        let picture = Picture {
            width: 5,
            height: 4,
            rgb,
        };
        for epoch in 0..20 {
            let change = Augmentation::OFF.draw(1, epoch, 7);
            assert_eq!(change.crop(&picture), picture);
            let mut planes = [0.0, 17.0, 255.0];
            change.colour(&mut planes);
            assert_eq!(planes, [0.0, 17.0, 255.0]);
        }
    }

    #[test]
    fn changes_stay_in_their_limits_and_reach_them() {
        let all: Vec<Change> = (0..4000).map(|p| ALL.draw(3, p % 7, p)).collect();
        let span = |f: &dyn Fn(&Change) -> f64| {
            let values = all.iter().map(f);
            values.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)))
        };
        let near = |found: (f64, f64), low: f64, high: f64| {
            let slack = 0.01 * (high - low);
            assert!(low <= found.0 + 1e-12 && found.0 < low + slack, "{found:?}");
            assert!(
                found.1 <= high + 1e-12 && high - slack < found.1,
                "{found:?}"
            );
        };
        near(span(&|c| c.size[0] * c.size[1]), 0.4, 1.0);
        near(span(&|c| c.size[0] / c.size[1]), 1.0 / 1.28, 1.28);
        near(span(&|c| c.contrast), 0.8, 1.2);
        near(span(&|c| c.brightness), 0.85, 1.15);
        near(span(&|c| c.place[1]), 0.0, 1.0);
        let flipped = all.iter().filter(|c| c.flip).count();
        assert!((1850..2150).contains(&flipped), "{flipped} of 4000");
    }

    #[test]
    fn draws_depend_on_seed_epoch_and_picture() {
        let first = ALL.draw(1, 2, 3);
        assert_eq!(first, ALL.draw(1, 2, 3));
        for other in [ALL.draw(2, 2, 3), ALL.draw(1, 3, 3), ALL.draw(1, 2, 4)] {
            assert_ne!(first, other);
        }
        let still = Augmentation { area: 1.0, ..ALL }.draw(1, 2, 3);
        assert_eq!((still.place, still.flip), (first.place, first.flip));
    }

    #[test]
    fn a_crop_beyond_the_border_is_reflected() {
        let picture = Picture {
            width: 3,
            height: 1,
            rgb: [10, 20, 30].iter().flat_map(|&x| [x; 3]).collect(),
        };
        let change = Change {
            size: [7.0 / 3.0, 1.0],
            place: [0.5, 0.0],
            flip: false,
            contrast: 1.0,
            brightness: 1.0,
        };
        let seen = |change: Change| -> Vec<u8> {
            change.crop(&picture).rgb.chunks(3).map(|p| p[0]).collect()
        };
        assert_eq!(seen(change), [20, 10, 10, 20, 30, 30, 20]);
        let part = Change {
            size: [0.6, 1.0],
            place: [1.0, 0.0],
            flip: true,
            ..change
        };
        assert_eq!(seen(part), [30, 20]);
    }

    #[test]
    fn contrast_turns_about_the_mean() {
        let change = Change {
            contrast: 0.5,
            brightness: 1.1,
            ..Augmentation::OFF.draw(0, 0, 0)
        };
        let mut planes = [0.0, 100.0, 200.0];
        change.colour(&mut planes);
        for (x, want) in planes.iter().zip([55.0, 110.0, 165.0]) {
            assert!((x - want).abs() < 1e-3, "{planes:?}");
        }
        let mut bright = [250.0, 250.0];
        Change {
            contrast: 1.0,
            ..change
        }
        .colour(&mut bright);
        assert_eq!(bright, [255.0, 255.0]);
    }
}
