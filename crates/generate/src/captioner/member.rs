//! The models of a captioner: decoders, and the encoders that they share.
//!
//! Here: from checkpoints to networks that are ready to run, and every check that parts fit. Not here: files
//! (`checkpoint`), captions (`mod.rs`).

use std::path::{Path, PathBuf};

use checkpoint::{Checkpoint, EncoderPart, Widths};
use data::Vocabulary;
use data::picture::Preprocessing;
use models::Decoder;
use models::encoder::{FoldedEncoder, pixels_from_planes};
use tensor::{Device, Tensor};

use super::CaptionError;

/// A decoder, and which of the encoders it listens to.
pub(super) struct Member {
    pub(super) decoder: Decoder,
    /// Place among the captioner's encoders.
    pub(super) encoder: usize,
}

/// An encoder with what it wants of a picture.
pub(super) struct Eye {
    encoder: FoldedEncoder,
    pub(super) preprocessing: Preprocessing,
    pub(super) widths: Widths,
}

/// What an encoder says of a block of pictures.
pub(super) struct Seen {
    features: models::encoder::Features,
}

impl Seen {
    /// What `decoder` reads of it: regions (I, R, D) or vectors (I, D).
    pub(super) fn of(&self, decoder: &Decoder) -> &Tensor {
        match decoder.config().reads_regions() {
            true => &self.features.regions,
            false => &self.features.pooled,
        }
    }
}

impl Eye {
    /// Planes (I, 3, S, S) → features.
    pub(super) fn look(&self, planes: &[f32]) -> Seen {
        let device = self.encoder.device();
        let pixels = pixels_from_planes(device, planes, self.preprocessing.size);
        Seen {
            features: self.encoder.encode(&pixels),
        }
    }
}

/// A checkpoint with the file that it came from.
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) checkpoint: Checkpoint,
}

/// Encoders (each once, however many members share it) and members.
pub(super) struct Assembled {
    pub(super) eyes: Vec<Eye>,
    pub(super) members: Vec<Member>,
    pub(super) vocabulary: Vocabulary,
}

/// Puts checkpoints together. `encoder` is for those that hold none.
pub(super) fn assemble(
    mut all: Vec<Loaded>,
    encoder: Option<&Path>,
    device: &Device,
) -> Result<Assembled, CaptionError> {
    let vocabulary = vocabulary(&all)?;
    let mut named = match encoder {
        Some(path) if all.iter().any(|m| m.checkpoint.encoder.is_none()) => {
            Some((path, EncoderPart::load(path)?))
        }
        Some(encoder) => {
            let (path, encoder) = (all[0].path.clone(), encoder.to_path_buf());
            return Err(CaptionError::NeedlessEncoder { path, encoder });
        }
        None => None,
    };
    // The parts are compared before any is built: members that were trained on one encoder hold the same numbers.
    let mut parts: Vec<(PathBuf, EncoderPart)> = Vec::new();
    let mut members = Vec::new();
    for Loaded { path, checkpoint } in &mut all {
        let (file, part) = match (checkpoint.encoder.take(), &mut named) {
            (Some(part), _) => (path.clone(), part),
            (None, Some((file, part))) => (file.to_path_buf(), part.clone()),
            (None, None) => {
                return Err(CaptionError::NoEncoder {
                    path: path.clone(),
                    features: checkpoint.features.name.clone(),
                });
            }
        };
        let at = parts.iter().position(|(_, known)| *known == part);
        let at = at.unwrap_or_else(|| {
            parts.push((file, part));
            parts.len() - 1
        });
        members.push(Member {
            decoder: decoder(path, checkpoint, device)?,
            encoder: at,
        });
    }
    let mut eyes = Vec::new();
    for (file, part) in parts {
        let wrong = |source| CaptionError::Encoder {
            path: file.clone(),
            source,
        };
        eyes.push(Eye {
            encoder: part.build(device).map_err(wrong)?.fold(),
            widths: part
                .about
                .widths()
                .expect("its size was checked on loading"),
            preprocessing: part.about.preprocessing,
        });
        let widths = &eyes[eyes.len() - 1].widths;
        for (member, loaded) in members.iter().zip(&all) {
            let config = member.decoder.config();
            let found = match config.reads_regions() {
                true => widths.region,
                false => widths.pooled,
            };
            if member.encoder == eyes.len() - 1 && found != config.feature() {
                return Err(CaptionError::Width {
                    path: loaded.path.clone(),
                    encoder: file,
                    expected: config.feature(),
                    found,
                });
            }
        }
    }
    Ok(Assembled {
        eyes,
        members,
        vocabulary,
    })
}

/// The one vocabulary of all members.
fn vocabulary(all: &[Loaded]) -> Result<Vocabulary, CaptionError> {
    let (first, others) = all.split_first().ok_or(CaptionError::NoCheckpoint)?;
    let words = &first.checkpoint.words;
    for other in others {
        let theirs = &other.checkpoint.words;
        let places = words.len().max(theirs.len());
        if let Some(place) = (0..places).find(|&i| words.get(i) != theirs.get(i)) {
            return Err(CaptionError::Vocabularies {
                first: first.path.clone(),
                second: other.path.clone(),
                place,
                words: (words.get(place).cloned(), theirs.get(place).cloned()),
            });
        }
    }
    Vocabulary::from_words(words.clone()).map_err(|source| CaptionError::Vocabulary {
        path: first.path.clone(),
        source,
    })
}

/// The decoder; its weights are moved out of the checkpoint.
fn decoder(
    path: &Path,
    checkpoint: &mut Checkpoint,
    device: &Device,
) -> Result<Decoder, CaptionError> {
    // The optimizer's averages are as large as the weights, and nobody needs them here.
    checkpoint.training = None;
    let mut weights = std::mem::take(&mut checkpoint.weights);
    Decoder::from_parameters(checkpoint.decoder.clone(), device, |name| {
        let at = weights.iter().position(|w| w.name == name)?;
        let weight = weights.swap_remove(at);
        Some(Tensor::stored(device, &weight.shape, weight.data))
    })
    .map_err(|source| CaptionError::Parameters {
        path: path.into(),
        source,
    })
}
