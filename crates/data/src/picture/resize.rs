//! Resizing with separable filters: weights computed once in f64, applied row by row in f32.
//!
//! Here: MATLAB's `imresize` (bicubic, antialiased, mirrored borders, normalised weights), Pillow's antialiased filters,
//! and bilinear with half-pixel centres as PyTorch's `interpolate` and TensorFlow 2 have it. Not here: which of them an
//! encoder wants (`preprocessing.rs`).
//!
//! Source: MATLAB's `imresize.m` (`contributions`); Pillow `src/libImaging/Resample.c` (`precompute_coeffs`), without its
//! rounding between the two passes; Keys 1981 with a = -1/2.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Picture;

/// How a pixel of the result is weighed from those of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// MATLAB's `imresize` as NeuralTalk's features were made with: bicubic, antialiased, mirrored borders.
    MatlabBicubic,
    /// Pillow's (and torchvision's) bicubic: antialiased, weights beyond the border left out.
    Bicubic,
    /// Pillow's bilinear: antialiased, weights beyond the border left out.
    Bilinear,
    /// Two neighbours, however much smaller the result is: PyTorch's `interpolate`, TensorFlow 2's `resize`.
    BilinearPlain,
}

/// One pixel of the result along one axis: the first pixel that it takes from, and the weights from there on.
pub(super) struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// Pixels of a result along one axis as lists: pixel i is the sum of the picture's rows (or columns) `sources[j]`, times
/// `weights[j]`, for j up to `ends[i]` from where pixel i - 1 ended.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Weighed {
    pub ends: Vec<u32>,
    pub sources: Vec<u32>,
    pub weights: Vec<f32>,
}

impl Weighed {
    /// Taps of a part of a picture that shows its rows (or columns) `seen`, in that order.
    pub(super) fn new(taps: &[Taps], seen: &[usize]) -> Self {
        let mut lists = Self::default();
        for tap in taps {
            let sources = &seen[tap.first..tap.first + tap.weights.len()];
            lists.sources.extend(sources.iter().map(|&s| s as u32));
            lists.weights.extend(&tap.weights);
            lists.ends.push(lists.sources.len() as u32);
        }
        lists
    }
}

fn cubic(x: f64) -> f64 {
    let x = x.abs();
    match x {
        _ if x <= 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        _ if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

impl Filter {
    /// The taps of pixels `part` out of `to`, along an axis of `from` pixels.
    pub(super) fn taps(self, from: usize, to: usize, part: Range<usize>) -> Vec<Taps> {
        let shrink = from as f64 / to as f64;
        let taps = |at: usize| {
            let centre = (at as f64 + 0.5) * shrink; // in pixel edges; pixel i has its centre at i + 0.5
            match self {
                Self::MatlabBicubic => matlab(centre, shrink, from),
                Self::Bicubic => clipped(centre, shrink.max(1.0), 2.0, cubic, from),
                Self::Bilinear => clipped(centre, shrink.max(1.0), 1.0, triangle, from),
                Self::BilinearPlain => {
                    let x = (centre - 0.5).clamp(0.0, (from - 1) as f64);
                    let first = (x as usize).min(from.saturating_sub(2));
                    let right = x - first as f64;
                    let weights = [1.0 - right, right];
                    normalised(first, &weights[..from.min(2)])
                }
            }
        };
        part.map(taps).collect()
    }
}

/// Borders mirrored with the edge pixel repeated; a mirrored pixel's weight is added to its original's.
fn matlab(centre: f64, shrink: f64, from: usize) -> Taps {
    let stretch = shrink.max(1.0);
    let width = 4.0 * stretch;
    let centre = centre - 0.5;
    let left = (centre - width / 2.0).floor() as i64;
    let count = width.ceil() as i64 + 2;
    let taps = (left..left + count).filter_map(|at| {
        let weight = cubic((centre - at as f64) / stretch);
        let folded = at.rem_euclid(2 * from as i64) as usize;
        (weight != 0.0).then_some((folded.min(2 * from - 1 - folded), weight))
    });
    let taps: Vec<(usize, f64)> = taps.collect();
    let first = taps.iter().map(|t| t.0).min().unwrap_or(0);
    let last = taps.iter().map(|t| t.0).max().unwrap_or(0);
    let mut weights = vec![0.0; last - first + 1];
    for (at, weight) in taps {
        weights[at - first] += weight;
    }
    normalised(first, &weights)
}

/// Weights beyond the border are left out and the others made up to 1.
fn clipped(centre: f64, stretch: f64, support: f64, kernel: fn(f64) -> f64, from: usize) -> Taps {
    let reach = support * stretch;
    let first = ((centre - reach + 0.5).max(0.0) as usize).min(from - 1);
    let end = ((centre + reach + 0.5) as usize).clamp(first + 1, from);
    let weigh = |at: usize| kernel((at as f64 + 0.5 - centre) / stretch);
    let weights: Vec<f64> = (first..end).map(weigh).collect();
    normalised(first, &weights)
}

fn normalised(first: usize, weights: &[f64]) -> Taps {
    let sum: f64 = weights.iter().sum();
    Taps {
        first,
        weights: weights.iter().map(|w| (w / sum) as f32).collect(),
    }
}

/// The pixels that `rows` and `columns` describe, as planes (3, rows, columns) in red, green, blue.
pub(super) fn apply(picture: &Picture, rows: &[Taps], columns: &[Taps]) -> Vec<f32> {
    let stride = 3 * picture.width;
    let plane = rows.len() * columns.len();
    let mut planes = vec![0.0; 3 * plane];
    let mut line = vec![0f32; stride];
    for (y, row) in rows.iter().enumerate() {
        // Columns of the picture first: whole lines are added up, which vectorises, and only one is kept.
        line.fill(0.0);
        let lines = picture.rgb[row.first * stride..].chunks_exact(stride);
        for (source, &weight) in lines.zip(&row.weights) {
            for (sum, &x) in line.iter_mut().zip(source) {
                *sum += weight * f32::from(x);
            }
        }
        let (pixels, _) = line.as_chunks::<3>();
        for (x, column) in columns.iter().enumerate() {
            let mut sums = [0f32; 3];
            for (pixel, &weight) in pixels[column.first..].iter().zip(&column.weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * value;
                }
            }
            for (channel, sum) in sums.into_iter().enumerate() {
                planes[channel * plane + y * columns.len() + x] = sum;
            }
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goldens: the `mirror` results of small_cases.json, of which the inputs are matrices of whole grey levels.
    #[test]
    fn small_cases_match_matlab() {
        let root = std::env::var_os("NEURALTALK_SHARED").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            Into::into,
        );
        let Ok(text) = std::fs::read_to_string(root.join("oracle/imresize/small_cases.json"))
        else {
            println!("skipped: small_cases.json is not there");
            return;
        };
        let cases: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).expect("cases");
        let matrix = |value: &serde_json::Value| -> Option<Vec<Vec<f64>>> {
            serde_json::from_value(value.clone()).ok()
        };
        let mut compared = 0;
        for (name, case) in &cases {
            let (Some(input), Some(want)) = (matrix(&case["in"]), matrix(&case["mirror"])) else {
                continue; // in colour
            };
            let whole = |x: &f64| x.fract() == 0.0 && (0.0..=255.0).contains(x);
            if !input.iter().flatten().all(whole) {
                continue;
            }
            let rgb = input.iter().flatten().flat_map(|&x| [x as u8; 3]).collect();
            let (height, width) = (input.len(), input[0].len());
            let picture = Picture { width, height, rgb };
            let (to_height, to_width) = (want.len(), want[0].len());
            let rows = Filter::MatlabBicubic.taps(height, to_height, 0..to_height);
            let columns = Filter::MatlabBicubic.taps(width, to_width, 0..to_width);
            let got = apply(&picture, &rows, &columns);
            for (got, want) in got.iter().zip(want.iter().flatten()) {
                assert!(
                    (f64::from(*got) - want).abs() < 1e-3,
                    "{name}: {got}, {want}"
                );
            }
            compared += 1;
        }
        assert!(0 < compared, "no case has whole grey levels");
    }
}
