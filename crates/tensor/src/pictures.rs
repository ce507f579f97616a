//! Decoded pictures on a GPU, and the pixels that an encoder reads of them.
//!
//! Bytes go there beside what is computed, as soon as a picture is decoded; crops, mirror images, resizing and colours are
//! then the GPU's work. Here: putting a batch together. Not here: what is made of a picture (`data::picture`, whose
//! `Sampling` says it as lists), and how the CPU does it, which is this one's oracle.

use std::sync::Arc;

use cuda::kernels;
pub use cuda::kernels::Values;
use cuda::{Array, Gpu, Part};

use crate::{Device, Tensor};

/// Along one axis: pixel i of the result is made of the picture's rows (or columns) `sources`, times `weights`, up to
/// `ends[i]`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Axis<'a> {
    pub ends: &'a [u32],
    pub sources: &'a [u32],
    pub weights: &'a [f32],
}

/// A picture and what is to be made of it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Columns.
    pub width: usize,
    /// Red, green, blue, row by row.
    pub rgb: &'a [u8],
    /// Rows of the result.
    pub rows: Axis<'a>,
    /// Columns of the result.
    pub columns: Axis<'a>,
    /// What distances from the mean are multiplied with.
    pub contrast: f64,
    /// What all values are multiplied with then.
    pub brightness: f64,
}

/// A batch of pictures on a GPU.
#[derive(Debug)]
pub struct Pictures {
    device: Device,
    size: usize,
    count: usize,
    values: Values,
    bytes: Array<u8>,
    heads: Array<u32>,
    starts: Array<u32>,
    sources: Array<u32>,
    weights: Array<f32>,
    colours: Array<f64>,
    /// Numbers between the two passes.
    lines: usize,
}

impl Pictures {
    /// Copies pictures to the device's GPU, for squares of `size` pixels; returns when they are there. None if the device has
    /// none, or they are too many for the numbers of 32 bits in which their places are told.
    ///
    /// # Panics
    /// If a picture's lists don't fit it or the size.
    pub fn new(
        device: &Device,
        sources: &[Source<'_>],
        size: usize,
        values: Values,
    ) -> Option<Self> {
        let gpu: &Arc<Gpu> = device.gpu()?;
        let mut bytes = Vec::with_capacity(sources.iter().map(|source| source.rgb.len()).sum());
        let (mut heads, mut starts) = (Vec::new(), vec![0]);
        let (mut picked, mut weights) = (Vec::<u32>::new(), Vec::new());
        let mut lines = 0;
        for source in sources {
            let stride = 3 * source.width;
            assert!(stride > 0, "a picture without pixels");
            let height = source.rgb.len() / stride;
            assert_eq!(height * stride, source.rgb.len(), "bytes of a picture");
            for (axis, length) in [(source.rows, height), (source.columns, source.width)] {
                check(axis, length, size);
                let from = u32::try_from(picked.len()).ok()?;
                starts.extend(axis.ends.iter().map(|end| from + end));
                picked.extend(axis.sources);
                weights.extend(axis.weights);
            }
            for number in [bytes.len(), source.width, lines] {
                heads.push(u32::try_from(number).ok()?);
            }
            bytes.extend_from_slice(source.rgb);
            lines += size * stride;
        }
        let colours = sources.iter().flat_map(|s| [s.contrast, s.brightness]);
        let colours: Vec<f64> = colours.collect();
        let mut pictures = Self {
            device: device.clone(),
            size,
            count: sources.len(),
            values,
            bytes: gpu.array(bytes.len()),
            heads: gpu.array(heads.len()),
            starts: gpu.array(starts.len()),
            sources: gpu.array(picked.len()),
            weights: gpu.array(weights.len()),
            colours: gpu.array(colours.len()),
            lines,
        };
        gpu.fill_beside(&[
            Part::new(&mut pictures.bytes, &bytes),
            Part::new(&mut pictures.heads, &heads),
            Part::new(&mut pictures.starts, &starts),
            Part::new(&mut pictures.sources, &picked),
            Part::new(&mut pictures.weights, &weights),
            Part::new(&mut pictures.colours, &colours),
        ]);
        Some(pictures)
    }

    /// Pixels (P, S, S, 3).
    pub fn pixels(&self) -> Tensor {
        let gpu = self.device.gpu().expect("it has one");
        let all = kernels::Pictures {
            bytes: self.bytes.all(),
            heads: self.heads.all(),
            starts: self.starts.all(),
            sources: self.sources.all(),
            weights: self.weights.all(),
            lines: self.lines,
            size: self.size,
        };
        let pixels = kernels::pictures(gpu, all, self.colours.all(), self.values);
        Tensor::from_array(&self.device, &[self.count, self.size, self.size, 3], pixels)
    }
}

/// # Panics
/// If lists for `size` pixels leave an axis of `length`.
fn check(axis: Axis<'_>, length: usize, size: usize) {
    let count = axis.sources.len();
    assert!(
        axis.ends.len() == size && axis.weights.len() == count,
        "lists of {size} pixels"
    );
    let last = axis.ends.iter().try_fold(0, |before, &end| {
        (before <= end && end as usize <= count).then_some(end)
    });
    assert!(last.is_some(), "ends of lists");
    assert!(
        axis.sources
            .iter()
            .all(|&source| (source as usize) < length),
        "pixels outside of a picture"
    );
}
