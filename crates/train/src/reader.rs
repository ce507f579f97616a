//! Pictures of batches as pixels, one batch ahead of the step.
//!
//! Here: reading, decoding, random changes and preprocessing on the device's threads, and the thread that does it for the
//! next batch while the present one is learnt from: at most one batch waits. Not here: what a change is
//! (`data::picture::Augmentation`), encoders.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use data::picture::{Augmentation, DecodeLimits, PictureError, Preprocessing, open};
use models::encoder::pixels_from_planes;
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
}

impl Reader {
    /// Pixels (I, S, S, 3) of pictures; in an `epoch`, of what they are changed to in it.
    pub(crate) fn pixels(
        &self,
        imgids: &[u32],
        epoch: Option<u64>,
    ) -> Result<Tensor, PictureError> {
        let (prepare, limits) = (&self.preprocessing, DecodeLimits::default());
        let planes = self.device.map(imgids.len(), |n| {
            let file = self.files.get(&imgids[n]).expect("a file for each picture");
            let picture = open(file, &limits)?;
            Ok(match epoch {
                None => prepare.apply(&picture),
                Some(epoch) => {
                    let change = self.augmentation.draw(self.seed, epoch, imgids[n].into());
                    prepare.apply_changed(&picture, &change)
                }
            })
        });
        let planes: Result<Vec<Vec<f32>>, PictureError> = planes.into_iter().collect();
        let planes = planes?.concat();
        Ok(pixels_from_planes(&self.device, &planes, prepare.size))
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
    reading: Option<(Wanted, JoinHandle<Result<Tensor, PictureError>>)>,
}

impl Ahead {
    /// The pixels of a batch: those that were read ahead if it is that one, else read now.
    pub(crate) fn take(
        &mut self,
        reader: &Reader,
        wanted: &Wanted,
    ) -> Result<Tensor, PictureError> {
        match self.reading.take() {
            Some((ready, thread)) if ready == *wanted => match thread.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            },
            _ => reader.pixels(&wanted.imgids, Some(wanted.epoch)),
        }
    }

    /// Begins to read the next batch.
    pub(crate) fn begin(&mut self, reader: &Arc<Reader>, next: Wanted) {
        let (reader, wanted) = (Arc::clone(reader), next.clone());
        let read = move || reader.pixels(&wanted.imgids, Some(wanted.epoch));
        let thread = std::thread::Builder::new().name("pictures".into());
        // Without a thread the batch is read when it is needed.
        if let Ok(thread) = thread.spawn(read) {
            self.reading = Some((next, thread));
        }
    }
}
