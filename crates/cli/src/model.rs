//! A checkpoint made ready to write sentences: decoder, vocabulary, description.
//!
//! Here: what every command with a CHECKPOINT argument starts with, and the check that features
//! fit. Not here: files (`checkpoint`), search (`generate`).

use std::path::Path;

use checkpoint::Checkpoint;
use data::{Features, Vocabulary};
use models::Decoder;
use tensor::{Device, Tensor};

use crate::exit::Failure;

/// A captioner.
pub(crate) struct Model {
    /// Weights on their device.
    pub(crate) decoder: Decoder,
    /// Words by index.
    pub(crate) vocabulary: Vocabulary,
    /// All but the weights, which were moved into `decoder`.
    pub(crate) checkpoint: Checkpoint,
}

impl Model {
    /// Loads one of our checkpoints or one of NeuralTalk's.
    pub(crate) fn load(path: &Path, device: &Device) -> anyhow::Result<Self> {
        let mut checkpoint = checkpoint::load_any(path)?;
        let unusable = || format!("cannot use `{}`", path.display());
        let mut weights = std::mem::take(&mut checkpoint.weights);
        // The optimizer's averages are as large as the weights, and nobody needs them here.
        checkpoint.training = None;
        let decoder = Decoder::from_parameters(checkpoint.decoder.clone(), device, |name| {
            let at = weights.iter().position(|w| w.name == name)?;
            let weight = weights.swap_remove(at);
            Some(Tensor::stored(device, &weight.shape, weight.data))
        })
        .map_err(|error| anyhow::Error::new(error).context(unusable()))?;
        let vocabulary = Vocabulary::from_words(checkpoint.words.clone())
            .map_err(|error| anyhow::Error::new(error).context(unusable()))?;
        Ok(Self {
            decoder,
            vocabulary,
            checkpoint,
        })
    }

    /// Refuses features of another width.
    pub(crate) fn check_features(&self, features: &Features) -> Result<(), Failure> {
        let (expected, found) = (self.checkpoint.features.dimension, features.dimension());
        let regions = features.regions();
        if expected == found && (regions == 1 || self.decoder.config().reads_regions()) {
            return Ok(());
        }
        if expected == found {
            return Err(Failure::data(format!(
                "the checkpoint needs one vector a picture, `{}` has {regions} regions",
                features.name()
            )));
        }
        let name = features.name();
        Err(Failure::data(format!(
            "the checkpoint needs features of {expected} numbers a picture, `{name}` has {found}"
        ))
        .hint(format!(
            "it was trained on `{}`; name the matching file with --features",
            self.checkpoint.features.name
        )))
    }
}
