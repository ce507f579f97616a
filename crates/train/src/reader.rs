//! Pictures of batches as pixels, one batch ahead of the step.
//!
//! Here: reading, decoding, random changes and preprocessing on the device's threads, and the thread that does it for the
//! next batch while the present one is learnt from: at most one batch waits. With a GPU only reading and decoding are the
//! threads' work: the bytes go there ahead, and it changes and prepares them. Not here: what a change is
//! (`data::picture::Augmentation`), encoders.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use data::picture::{
    Augmentation, Change, ChannelOrder, DecodeLimits, Picture, PictureError, Preprocessing,
    Sampling, Weighed, open,
};
use models::encoder::pixels_from_planes;
use tensor::pictures::{Axis, Pictures, Source, Values};
use tensor::{Device, Tensor};

/// Reads pictures.
#[derive(Debug)]
pub(crate) struct Reader {
    /// By `imgid`.
    pub(crate) files: HashMap<u32, PathBuf>,
    pub(crate) preprocessing: Preprocessing,
    pub(crate) augmentation: Augmentation,
    pub(crate) seed: u64,
    pub(crate) device: Device,
    /// Whose threads decode: with a GPU not the device's own, on which the step is queued meanwhile.
    pub(crate) decoders: Device,
}

/// Pictures of a batch that were read.
pub(crate) enum Read {
    /// Pixels (I, S, S, 3).
    Pixels(Tensor),
    /// On a GPU, to be prepared.
    Pictures(Box<Pictures>),
}

impl Read {
    /// Pixels (I, S, S, 3).
    pub(crate) fn pixels(self) -> Tensor {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Pictures(pictures) => pictures.pixels(),
        }
    }
}

impl Reader {
    /// Reads pictures; in an `epoch` they become what they are changed to in it.
    pub(crate) fn read(&self, imgids: &[u32], epoch: Option<u64>) -> Result<Read, PictureError> {
        let (prepare, limits) = (&self.preprocessing, DecodeLimits::default());
        let file = |imgid| self.files.get(imgid).expect("a file for each picture");
        // Without an epoch nothing is changed: a draw of no changes has none.
        let change = |imgid: u32| match epoch {
            None => Augmentation::OFF.draw(0, 0, 0),
            Some(epoch) => self.augmentation.draw(self.seed, epoch, imgid.into()),
        };
        let picture = |n: usize| open(file(&imgids[n]), &limits);
        let planes = if self.device.gpu().is_some() {
            let decoded = self.decoders.map(imgids.len(), picture).into_iter();
            let decoded: Vec<Picture> = decoded.collect::<Result<_, _>>()?;
            let changes: Vec<Change> = imgids.iter().map(|&imgid| change(imgid)).collect();
            let bytes: usize = decoded.iter().map(|picture| picture.rgb.len()).sum();
            if bytes <= MOST_ON_GPU
                && let Some(pictures) = pictures_on_gpu(&self.device, &decoded, &changes, prepare)
            {
                return Ok(Read::Pictures(Box::new(pictures)));
            }
            let planes = |n: usize| Ok(prepare.apply_changed(&decoded[n], &changes[n]));
            self.decoders.map(imgids.len(), planes)
        } else {
            self.decoders.map(imgids.len(), |n| {
                Ok(prepare.apply_changed(&picture(n)?, &change(imgids[n])))
            })
        };
        let planes: Result<Vec<Vec<f32>>, PictureError> = planes.into_iter().collect();
        let planes = planes?.concat();
        let pixels = pixels_from_planes(&self.device, &planes, prepare.size);
        Ok(Read::Pixels(pixels))
    }
}

/// Bytes of decoded pictures that go to a GPU at most: larger ones are prepared here, and a few numbers go there.
const MOST_ON_GPU: usize = 256 << 20;

/// Decoded pictures with how each is to be changed, copied to the device's GPU; none if it has none, or they are too many for it.
/// Their pixels are what [`Preprocessing::apply_changed`] makes.
pub fn pictures_on_gpu(
    device: &Device,
    decoded: &[Picture],
    changes: &[Change],
    prepare: &Preprocessing,
) -> Option<Pictures> {
    let pairs = decoded.iter().zip(changes);
    let samplings = pairs.map(|(p, change)| prepare.sampling(p.width, p.height, change));
    let samplings: Vec<Sampling> = samplings.collect();
    let sources: Vec<_> = decoded
        .iter()
        .zip(&samplings)
        .map(|(picture, sampling)| Source {
            width: picture.width,
            rgb: &picture.rgb,
            rows: axis(&sampling.rows),
            columns: axis(&sampling.columns),
            contrast: sampling.contrast,
            brightness: sampling.brightness,
        })
        .collect();
    let values = Values {
        round: prepare.round,
        reversed: prepare.channels == ChannelOrder::Bgr,
        mean: prepare.mean,
        scale: prepare.scale,
    };
    Pictures::new(device, &sources, prepare.size, values)
}

fn axis(lists: &Weighed) -> Axis<'_> {
    Axis {
        ends: &lists.ends,
        sources: &lists.sources,
        weights: &lists.weights,
    }
}

/// A batch's pictures: which, and in which epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) imgids: Vec<u32>,
    pub(crate) epoch: u64,
}

/// The batch that is read while another one is learnt from.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    reading: Option<(Wanted, JoinHandle<Result<Read, PictureError>>)>,
}

impl Ahead {
    /// The pixels (I, S, S, 3) of a batch: those that were read ahead if it is that one, else read now.
    pub(crate) fn take(
        &mut self,
        reader: &Reader,
        wanted: &Wanted,
    ) -> Result<Tensor, PictureError> {
        let read = match self.reading.take() {
            Some((ready, thread)) if ready == *wanted => match thread.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            },
            _ => reader.read(&wanted.imgids, Some(wanted.epoch)),
        };
        Ok(read?.pixels())
    }

    /// Begins to read the next batch.
    pub(crate) fn begin(&mut self, reader: &Arc<Reader>, next: Wanted) {
        let (reader, wanted) = (Arc::clone(reader), next.clone());
        let read = move || reader.read(&wanted.imgids, Some(wanted.epoch));
        let thread = std::thread::Builder::new().name("pictures".into());
        // Without a thread the batch is read when it is needed.
        if let Ok(thread) = thread.spawn(read) {
            self.reading = Some((next, thread));
        }
    }
}
