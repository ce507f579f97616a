//! The encoder inside a checkpoint: with it a model needs no second file to caption photographs.
//!
//! Here: which encoder, what it wants of a picture, its arrays under their published names, and the check that they fit
//! together. Not here: other people's weight files (`encoder.rs`), layers (`models::encoder`), bytes (`save.rs`).

use std::path::Path;

use data::picture::Preprocessing;
use models::encoder::{Encoder, EncoderConfig, EncoderError, StateDict};
use serde::{Deserialize, Serialize};
use tensor::Device;

use crate::encoder::is_caffe;
use crate::error::read_error;
use crate::legacy::read_caffe;
use crate::{CheckpointError, load, load_state};

/// Prefix of the encoder's arrays; no parameter of a decoder starts with it.
pub(crate) const ENCODER_PREFIX: &str = "encoder.";

/// An encoder as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderPart {
    /// Family and size, and how pictures are prepared.
    pub about: EncoderAbout,
    /// Weights and statistics under their published names, in PyTorch's layout.
    pub state: StateDict,
}

/// What is known of an encoder besides its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderAbout {
    /// Family and size.
    pub config: EncoderConfig,
    /// From a picture to the encoder's input.
    pub preprocessing: Preprocessing,
}

impl EncoderPart {
    /// The part for an encoder that was built (and perhaps trained) as `config`.
    pub fn new(config: EncoderConfig, preprocessing: Preprocessing, encoder: &Encoder) -> Self {
        Self {
            about: EncoderAbout {
                config,
                preprocessing,
            },
            state: encoder.state(),
        }
    }

    /// The encoder of a published weight file, with the preprocessing that its family was trained with; or the encoder inside
    /// a checkpoint, with its own.
    ///
    /// # Errors
    /// As [`crate::load_encoder`].
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        if is_caffe(path) {
            let bytes = std::fs::read(path).map_err(|source| read_error(path, source))?;
            let (config, state) = read_caffe(&bytes, path)?;
            let preprocessing = published_preprocessing(&config);
            return Ok(Self {
                about: EncoderAbout {
                    config,
                    preprocessing,
                },
                state,
            });
        }
        let mut state = load_state(path)?;
        let prefixed = state
            .iter()
            .any(|(name, ..)| name.starts_with(ENCODER_PREFIX));
        if prefixed && let Some(inside) = load(path)?.encoder {
            return Ok(inside);
        }
        let wrong = |source| CheckpointError::Encoder {
            path: path.into(),
            source,
        };
        let config = EncoderConfig::detect(&state).map_err(wrong)?;
        let network = config.network();
        network.check(&state).map_err(wrong)?;
        let needed = network.state_shapes();
        state.retain(|name| needed.iter().any(|(known, _)| known == name));
        Ok(Self {
            about: EncoderAbout {
                preprocessing: published_preprocessing(&config),
                config,
            },
            state,
        })
    }

    /// The encoder itself.
    ///
    /// # Errors
    /// The first array that is missing, of another shape or unknown.
    pub fn build(&self, device: &Device) -> Result<Encoder, EncoderError> {
        Encoder::from_state(self.about.config.network(), &self.state, device)
    }
}

impl EncoderAbout {
    /// Numbers of one region and of the vector, for pictures of this preprocessing.
    pub fn widths(&self) -> Option<Widths> {
        let size = self.preprocessing.size;
        let ([rows, columns, region], pooled) = self.config.network().outputs(size, size)?;
        Some(Widths {
            grid: [rows, columns],
            region,
            pooled,
        })
    }

    /// The first thing about the description that can't be; `None` if all can.
    pub(crate) fn problem(&self) -> Option<String> {
        if !self.config.is_known() {
            return Some(format!("is of an unknown kind, {}", self.config));
        }
        if let Some(problem) = self.preprocessing.problem() {
            return Some(problem);
        }
        let size = self.preprocessing.size;
        if let EncoderConfig::Layers(described) = &self.config
            && described.size != size
        {
            return Some(format!(
                "takes pictures of {} pixels, {size} are prepared",
                described.size
            ));
        }
        match self.widths() {
            Some(_) => None,
            None => Some(format!("has no output for pictures of {size} pixels")),
        }
    }
}

/// What an encoder makes of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Rows and columns of regions; R is their product.
    pub grid: [usize; 2],
    /// D, numbers of a region.
    pub region: usize,
    /// P, numbers of the vector.
    pub pooled: usize,
}

/// What the published weights of a family were trained with.
pub fn published_preprocessing(config: &EncoderConfig) -> Preprocessing {
    let size = config.size();
    match config {
        EncoderConfig::ResNet(_) | EncoderConfig::Vgg16 => Preprocessing::torchvision(size),
        EncoderConfig::EfficientNetLite(_) | EncoderConfig::Small(_) => {
            Preprocessing::efficientnet_lite(size)
        }
        // Caffe's, which NeuralTalk's scripts fed so.
        EncoderConfig::Layers(_) => Preprocessing {
            size,
            ..Preprocessing::caffe_vgg()
        },
    }
}
