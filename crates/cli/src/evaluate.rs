//! A model on one split of a dataset: captions, and the perplexity of what people wrote.
//!
//! Here: what `eval` and `demo` share. Not here: scores of captions (`metrics`), files (`report`).
//!
//! Source: `eval_sentence_predictions.py` and `eval_split` of NeuralTalk.

use std::path::Path;

use data::picture::DecodeLimits;
use data::{Dataset, Encoded, Features, ImageRecord, Split};
use generate::BeamOptions;
use report::{Candidate, ImageBlob, Reference};
use tensor::Device;

use crate::captions;
use crate::exit::Failure;
use crate::model::Model;
use crate::pictures::{self, Input, PictureEncoder};

/// Which pictures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    /// The split.
    pub(crate) split: Split,
    /// At most so many of its first pictures.
    pub(crate) most: usize,
}

/// The pictures of a split that can be scored: those with a sentence. Also returns how many were
/// left out because they have none.
pub(crate) fn pictures(
    dataset: &Dataset,
    choice: Choice,
) -> Result<(Vec<&ImageRecord>, usize), Failure> {
    let all: Vec<&ImageRecord> = dataset.of_split(choice.split).take(choice.most).collect();
    let (with, without): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|image| !image.captions.is_empty());
    if with.is_empty() {
        let (name, split) = (&dataset.name, choice.split);
        return Err(Failure::data(format!(
            "dataset `{name}` has no picture with a sentence in split `{split}`"
        ))
        .hint("`neuraltalk check-data` shows what each split holds; --split chooses one"));
    }
    Ok((with, without.len()))
}

/// The features of pictures as the checkpoint's own encoder makes them.
pub(crate) fn encode(
    model: &Model,
    images: &[&ImageRecord],
    folder: &Path,
    device: &Device,
) -> anyhow::Result<Features> {
    let part = model.checkpoint.encoder.as_ref();
    let part = part.ok_or_else(|| Failure::data("the checkpoint holds no encoder"))?;
    let encoder = PictureEncoder::of_checkpoint(part, device)?;
    let regions = model.decoder.config().reads_regions();
    let mut rows = Vec::new();
    let bar = pictures::progress(images.len(), "features");
    for images in images.chunks(pictures::BLOCK) {
        let file = |image: &&ImageRecord| Input::File(folder.join(&image.path));
        let inputs: Vec<Input> = images.iter().map(file).collect();
        for row in encoder.encode(&inputs, &DecodeLimits::default(), regions) {
            // A score over the pictures that could be read would be one of another split.
            rows.extend(row?);
        }
        bar.inc(images.len() as u64);
    }
    bar.finish_and_clear();
    let dimension = encoder.dimension(regions);
    let sizes = [rows.len() / images.len() / dimension, dimension];
    let imgids: Vec<u32> = images.iter().map(|image| image.imgid).collect();
    let name = part.about.config.to_string();
    Ok(Features::of_pictures(name, sizes, &imgids, rows))
}

/// Captions with their references, in the order of `images`.
pub(crate) fn caption(
    model: &Model,
    images: &[&ImageRecord],
    features: &Features,
    picture_folder: &Path,
    search: &BeamOptions,
    done: impl FnMut(usize),
) -> anyhow::Result<Vec<ImageBlob>> {
    let row = |image: &&ImageRecord| {
        features.row(image.imgid).ok_or_else(|| {
            let (name, count) = (features.name(), features.len());
            Failure::data(format!(
                "picture {} has no vector: `{name}` holds {count}",
                image.imgid
            ))
            .hint("are these the features of another dataset?")
        })
    };
    let rows: Vec<&[f32]> = images.iter().map(row).collect::<Result<_, _>>()?;
    let written = captions::write(model, &rows, search, done)?;
    let blob = |(image, written): (&&ImageRecord, captions::Written)| ImageBlob {
        imgid: Some(image.imgid.into()),
        references: Some(references(image)),
        img_path: picture_folder
            .join(&image.path)
            .to_string_lossy()
            .into_owned(),
        candidate: Candidate {
            text: written.text,
            logprob: written.log_prob,
        },
    };
    Ok(images.iter().zip(written).map(blob).collect())
}

fn references(image: &ImageRecord) -> Vec<Reference> {
    let text = |caption: &data::Caption| Reference {
        text: caption.tokens.join(" "),
    };
    image.captions.iter().map(text).collect()
}

/// Sentences that go through the decoder at once.
const BATCH: usize = 100;

/// Perplexity of the pictures' own sentences, base 2, over all words with END. Words that the
/// model doesn't know are left out of a sentence, as in NeuralTalk.
pub(crate) fn perplexity(
    model: &Model,
    images: &[&ImageRecord],
    features: &Features,
) -> anyhow::Result<f64> {
    let images = images.iter().map(|image| data::EncodedImage {
        imgid: image.imgid,
        sentences: image
            .captions
            .iter()
            .map(|caption| model.vocabulary.encode(&caption.tokens))
            .collect(),
    });
    let encoded = Encoded {
        images: images.collect(),
    };
    Ok(train::perplexity(&model.decoder, &encoded, features, BATCH, None)?.ppl2)
}
