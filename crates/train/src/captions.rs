//! Captions of validation pictures during training: for the eye, and for scores.
//!
//! Not here: the search (`generate`), perplexity (`validation.rs`), full reports (`report`).

use generate::{BeamOptions, Caption, Limits};
use models::Decoder;
use tensor::Tensor;

use crate::TrainError;
use crate::event::SampleCaption;
use crate::job::Job;

/// Pictures that go through the encoder at once; bounds memory, changes no result.
const AT_ONCE: usize = 64;

/// The best caption of each of the first `count` validation pictures that have a vector, with the
/// picture's index.
pub(crate) fn write(
    job: &Job,
    decoder: &Decoder,
    count: usize,
    beam_size: usize,
) -> Result<Vec<(usize, Caption)>, TrainError> {
    let pictures: Vec<(usize, &[f32])> = job.val.images[..count.min(job.val.images.len())]
        .iter()
        .enumerate()
        .filter_map(|(index, image)| Some((index, job.features.row(image.imgid)?)))
        .collect();
    let mut written = Vec::with_capacity(pictures.len());
    for pictures in pictures.chunks(AT_ONCE) {
        let rows: Vec<f32> = pictures.iter().flat_map(|(_, row)| *row).copied().collect();
        let (regions, dimension) = (job.features.regions(), job.features.dimension());
        let shape: &[usize] = match decoder.config().reads_regions() {
            true => &[pictures.len(), regions, dimension],
            false => &[pictures.len(), dimension],
        };
        let state = decoder.start(&Tensor::new(&job.device, shape, rows));
        let found = job
            .device
            .install(|| match beam_size {
                1 => generate::greedy(decoder, &state, pictures.len(), &Limits::default()),
                _ => {
                    let options = BeamOptions::new(beam_size);
                    generate::beam(decoder, &state, pictures.len(), &options)
                }
            })
            .map_err(|e| TrainError::Flags(e.to_string()))?;
        for ((index, _), captions) in pictures.iter().zip(found) {
            written.extend(captions.into_iter().next().map(|best| (*index, best)));
        }
    }
    Ok(written)
}

/// Captions as an event shows them.
pub(crate) fn samples(job: &Job, captions: &[(usize, Caption)]) -> Vec<SampleCaption> {
    captions
        .iter()
        .take(job.options.eval_samples)
        .map(|(index, caption)| SampleCaption {
            imgid: job.val_records[*index].imgid,
            path: job.val_records[*index].path.clone(),
            caption: job.vocabulary.decode(&caption.tokens),
            log_prob: caption.log_prob,
        })
        .collect()
}
