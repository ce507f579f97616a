//! What an encoder wants of a picture, as data that a checkpoint can hold.
//!
//! Here: size, fit, filter, channel order, mean and scale, and the three settings that published encoders were trained
//! with. Not here: how a filter weighs (`resize.rs`).

use serde::{Deserialize, Serialize};

use super::resize::{self, Taps, Weighed};
use super::{Change, Filter, Picture};

/// How a picture of any shape becomes a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Both sides to the size, whatever the aspect.
    Squash,
    /// The shorter side to this many pixels (but at least the size), then the middle.
    CenterCrop(usize),
}

/// Which plane comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as Caffe's models want it.
    Bgr,
}

/// From a picture to an encoder's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// S, side of the square in pixels.
    pub size: usize,
    /// How other shapes become a square.
    pub fit: Fit,
    /// How pixels are weighed.
    pub filter: Filter,
    /// Whether the resized values are rounded to 0..=255, as programs do that resize bytes.
    pub round: bool,
    /// Order of the planes.
    pub channels: ChannelOrder,
    /// Subtracted from each plane, in the order of the planes.
    pub mean: [f32; 3],
    /// What each plane is multiplied with afterwards.
    pub scale: [f32; 3],
}

/// From which pixels of a picture each pixel of an encoder's input is made, and what is then done with it: what
/// [`Preprocessing::apply_changed`] does, as lists for somebody who does it elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Of each row of the input; these are weighed first.
    pub rows: Weighed,
    /// Of each column.
    pub columns: Weighed,
    /// As [`Change::contrast`]; values are rounded before, if [`Preprocessing::round`] says so.
    pub contrast: f64,
    /// As [`Change::brightness`].
    pub brightness: f64,
}

/// Largest side that a checkpoint may ask for: far beyond any encoder's, small enough for memory.
const MAX_SIDE: usize = 4096;

impl Preprocessing {
    /// EfficientNet-Lite: squashed, bicubic, `(x - 127) / 128`.
    pub fn efficientnet_lite(size: usize) -> Self {
        Self {
            size,
            fit: Fit::Squash,
            filter: Filter::Bicubic,
            round: true,
            channels: ChannelOrder::Rgb,
            mean: [127.0; 3],
            scale: [1.0 / 128.0; 3],
        }
    }

    /// VGG-16 as NeuralTalk's MATLAB script fed it: 224 pixels, squashed by `imresize`, BGR, Caffe's mean.
    pub fn caffe_vgg() -> Self {
        Self {
            size: 224,
            fit: Fit::Squash,
            filter: Filter::MatlabBicubic,
            round: false,
            channels: ChannelOrder::Bgr,
            mean: [103.939, 116.779, 123.68],
            scale: [1.0; 3],
        }
    }

    /// torchvision's classification models: shorter side to 8/7 of the size (256 for 224), the middle, ImageNet's mean
    /// and deviation.
    pub fn torchvision(size: usize) -> Self {
        Self {
            size,
            fit: Fit::CenterCrop(size * 8 / 7),
            filter: Filter::Bilinear,
            round: true,
            channels: ChannelOrder::Rgb,
            mean: [0.485, 0.456, 0.406].map(|m: f32| m * 255.0),
            scale: [0.229, 0.224, 0.225].map(|d: f32| 1.0 / (255.0 * d)),
        }
    }

    /// What can't be in settings that a file states; `None` if all can.
    pub fn problem(&self) -> Option<String> {
        if !(1..=MAX_SIDE).contains(&self.size) {
            let size = self.size;
            return Some(format!(
                "prepares pictures of {size} pixels, 1 to {MAX_SIDE} are possible"
            ));
        }
        if let Fit::CenterCrop(shorter) = self.fit
            && MAX_SIDE < shorter
        {
            return Some(format!(
                "crops from {shorter} pixels, at most {MAX_SIDE} are possible"
            ));
        }
        let mut numbers = self.mean.iter().chain(&self.scale);
        let odd = numbers.find(|x| !x.is_finite())?;
        Some(format!("has the mean or scale {odd}"))
    }

    /// The encoder's input: planes (3, S, S), row by row, `(x - mean) * scale`.
    ///
    /// # Panics
    /// The picture has no pixels, or not three bytes for each.
    pub fn apply(&self, picture: &Picture) -> Vec<f32> {
        self.normalize(self.resize(picture))
    }

    /// The same of a picture that is changed at random.
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn apply_changed(&self, picture: &Picture, change: &Change) -> Vec<f32> {
        let mut planes = self.resize(&change.crop(picture));
        change.colour(&mut planes);
        self.normalize(planes)
    }

    fn normalize(&self, resized: Vec<f32>) -> Vec<f32> {
        if self.size == 0 {
            return resized;
        }
        let planes = resized.chunks_exact(self.size * self.size);
        let mut order: Vec<&[f32]> = planes.collect();
        if self.channels == ChannelOrder::Bgr {
            order.reverse();
        }
        let mut input = Vec::with_capacity(resized.len());
        for ((plane, mean), scale) in order.into_iter().zip(self.mean).zip(self.scale) {
            input.extend(plane.iter().map(|x| (x - mean) * scale));
        }
        input
    }

    /// The part of a picture of this size that the square shows, in its pixels: left, top, width, height.
    pub fn seen(&self, width: usize, height: usize) -> [f64; 4] {
        let (w, h) = (width as f64, height as f64);
        match self.fit {
            Fit::Squash => [0.0, 0.0, w, h],
            Fit::CenterCrop(shorter) => {
                let side = w.min(h) * self.size as f64 / shorter.max(self.size) as f64;
                [(w - side) / 2.0, (h - side) / 2.0, side, side]
            }
        }
    }

    /// The square alone, as planes (3, S, S) in red, green, blue and of the picture's own range.
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn resize(&self, picture: &Picture) -> Vec<f32> {
        let (width, height) = (picture.width, picture.height);
        assert!(0 < width && 0 < height, "a picture without pixels");
        assert_eq!(
            picture.rgb.len(),
            3 * width * height,
            "bytes of the picture"
        );
        let [rows, columns] = self.taps(width, height);
        let mut planes = resize::apply(picture, &rows, &columns);
        if self.round {
            planes
                .iter_mut()
                .for_each(|x| *x = (*x + 0.5).floor().clamp(0.0, 255.0));
        }
        planes
    }

    /// The taps of the square's rows and columns for a picture of this size.
    fn taps(&self, width: usize, height: usize) -> [Vec<Taps>; 2] {
        let size = self.size;
        let (to_width, to_height) = match self.fit {
            Fit::Squash => (size, size),
            Fit::CenterCrop(shorter) => {
                let shorter = shorter.max(size);
                let longer = |side: usize| shorter * side / width.min(height);
                (longer(width), longer(height))
            }
        };
        let taps = |from, to: usize| {
            let first = round_half_even(to - size);
            self.filter.taps(from, to, first..first + size)
        };
        [taps(height, to_height), taps(width, to_width)]
    }

    /// How a picture of this size, changed so, becomes the input; without its pixels.
    ///
    /// # Panics
    /// If it has none.
    pub fn sampling(&self, width: usize, height: usize, change: &Change) -> Sampling {
        assert!(0 < width && 0 < height, "a picture without pixels");
        let [rows, columns] = change.seen(width, height);
        let [down, across] = self.taps(columns.len(), rows.len());
        Sampling {
            rows: Weighed::new(&down, &rows),
            columns: Weighed::new(&across, &columns),
            contrast: change.contrast,
            brightness: change.brightness,
        }
    }
}

/// Half of a margin, as Python's `round` in torchvision's `center_crop` has it.
fn round_half_even(margin: usize) -> usize {
    let half = margin / 2;
    half + usize::from(margin % 2 == 1 && half % 2 == 1)
}
