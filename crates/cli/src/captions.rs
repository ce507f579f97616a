//! Captions of many pictures from their stored features, a block of pictures at a time.
//!
//! Here: what `eval`, `predict` and `demo` share. Not here: the search (`generate`).

use generate::BeamOptions;
use tensor::Tensor;

use crate::model::Model;

/// Pictures that are projected together; the search packs their beams into its own blocks.
const BLOCK: usize = 128;

/// A sentence for a picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// Words joined by blanks, END left out.
    pub(crate) text: String,
    /// Natural log probability, END included.
    pub(crate) log_prob: f64,
}

/// The best caption of every picture. `rows` are feature vectors (D) or regions (R, D); `done` hears how many
/// pictures were captioned.
pub(crate) fn write(
    model: &Model,
    rows: &[&[f32]],
    search: &BeamOptions,
    mut done: impl FnMut(usize),
) -> anyhow::Result<Vec<Written>> {
    let decoder = &model.decoder;
    let width = decoder.config().feature();
    let mut written = Vec::with_capacity(rows.len());
    for block in rows.chunks(BLOCK) {
        let regions = block[0].len() / width;
        let shape: &[usize] = match decoder.config().reads_regions() {
            true => &[block.len(), regions, width],
            false => &[block.len(), width],
        };
        let features = Tensor::new(decoder.device(), shape, block.concat());
        let start = decoder.start(&features);
        let captions = decoder.device().install(|| match search.beam_size {
            1 => generate::greedy(decoder, &start, block.len(), &search.limits),
            _ => generate::beam(decoder, &start, block.len(), search),
        })?;
        for best in captions {
            // A search that finds nothing is an error of its own, so there is a first one.
            let caption = best.into_iter().next().expect("one caption a picture");
            written.push(Written {
                text: model.vocabulary.decode(&caption.tokens),
                log_prob: caption.log_prob,
            });
        }
        done(written.len());
    }
    Ok(written)
}
