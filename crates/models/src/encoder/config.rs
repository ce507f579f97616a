//! Which encoder: the part of its description that a checkpoint stores.
//!
//! Here: the published families and a small one for tests and tutorials, and how a file's tensors tell which it is. Not
//! here: the layers themselves.

use std::fmt;

use serde::{Deserialize, Serialize};
use tensor::inference::Activation;
use tensor::ops::Padding;

use super::network::{Convolution, Kind, Layer, Network, Pool};
use super::state::{EncoderError, StateDict};
use super::{efficientnet_lite, resnet, vgg};

/// An encoder's family and size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// EfficientNet-Lite 0, 1 or 2.
    EfficientNetLite(u8),
    /// ResNet-50 or ResNet-101.
    ResNet(u8),
    /// VGG-16.
    Vgg16,
    /// 3 x 3 convolutions of so many filters, each with batch norm and ReLU, each halving the picture.
    Small(Vec<usize>),
    /// Layers that a file described itself, as Caffe's do.
    Layers(Box<Described>),
}

/// A network that has no name here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Its layers.
    pub network: Network,
    /// S, side in pixels of the pictures that it takes.
    pub size: usize,
}

impl EncoderConfig {
    /// Its layers.
    ///
    /// # Panics
    /// For variants that [`is_known`](Self::is_known) denies.
    pub fn network(&self) -> Network {
        match self {
            Self::EfficientNetLite(variant) => efficientnet_lite::efficientnet_lite(*variant),
            Self::ResNet(depth) => resnet::resnet(*depth),
            Self::Vgg16 => vgg::vgg16(),
            Self::Small(filters) => small(filters),
            Self::Layers(described) => described.network.clone(),
        }
    }

    /// Whether there is such a network: a description from a file may say anything.
    pub fn is_known(&self) -> bool {
        match self {
            Self::EfficientNetLite(variant) => *variant <= 2,
            Self::ResNet(depth) => matches!(depth, 50 | 101),
            Self::Vgg16 => true,
            Self::Small(filters) => {
                (1..=8).contains(&filters.len()) && filters.iter().all(|f| (1..=4096).contains(f))
            }
            Self::Layers(described) => described.network.can_run(described.size),
        }
    }

    /// S, side in pixels of the pictures that it was trained on.
    pub fn size(&self) -> usize {
        match self {
            Self::EfficientNetLite(variant) => efficientnet_lite::size(*variant),
            Self::ResNet(_) | Self::Vgg16 => 224,
            Self::Small(filters) => 4 << filters.len(),
            Self::Layers(described) => described.size,
        }
    }

    /// Which encoder the tensors of a file belong to, by their names.
    ///
    /// # Errors
    /// If no family has such names.
    pub fn detect(state: &StateDict) -> Result<Self, EncoderError> {
        if state.contains("_conv_stem.weight") {
            // Some blocks have the same shapes in all three: the one with the fewest misses is meant.
            let misses = |&variant: &u8| {
                let network = efficientnet_lite::efficientnet_lite(variant);
                let fits = |c: &&Convolution| {
                    let stored = state.get(&format!("{}.weight", c.name));
                    stored.is_some_and(|(shape, _)| shape == c.stored_shape())
                };
                let all = network.convolutions();
                let stored = state.count("_blocks.", "._depthwise_conv.weight");
                let blocks = all.iter().filter(|c| c.kind == Kind::Depthwise).count();
                all.len() - all.iter().filter(|c| fits(c)).count() + stored.abs_diff(blocks)
            };
            let variant = (0..=2).min_by_key(misses);
            return Ok(Self::EfficientNetLite(variant.expect("three variants")));
        }
        if state.contains("layer1.0.conv1.weight") {
            let deep = state.count("layer3.", ".conv1.weight") > resnet::third_stage(50);
            return Ok(Self::ResNet(if deep { 101 } else { 50 }));
        }
        if state.contains("features.0.weight") {
            return Ok(Self::Vgg16);
        }
        if state.contains("convolutions.0.weight") {
            let filters = |i| state.get(&format!("convolutions.{i}.weight"))?.0.first();
            return Ok(Self::Small((0..).map_while(filters).copied().collect()));
        }
        Err(EncoderError::Unknown {
            tensors: state.iter().count(),
            first: state.iter().next().map_or("", |(name, ..)| name).into(),
        })
    }
}

impl fmt::Display for EncoderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EfficientNetLite(variant) => write!(f, "efficientnet-lite{variant}"),
            Self::ResNet(depth) => write!(f, "resnet{depth}"),
            Self::Vgg16 => f.write_str("vgg16"),
            Self::Small(filters) => write!(f, "small {filters:?}"),
            Self::Layers(described) => {
                let convolutions = described.network.convolutions().len();
                write!(f, "{convolutions} convolutions")
            }
        }
    }
}

fn small(filters: &[usize]) -> Network {
    let mut inputs = 3;
    let trunk = filters.iter().enumerate().map(|(i, &outputs)| {
        let layer = Convolution {
            name: format!("convolutions.{i}"),
            kind: Kind::Dense,
            norm: Some(format!("norms.{i}")),
            window: Pool {
                kernel: [3, 3],
                stride: 2,
                padding: Padding::Each(1),
            },
            inputs,
            outputs,
            activation: Activation::Relu,
        };
        inputs = outputs;
        Layer::Convolution(layer)
    });
    Network {
        trunk: trunk.collect(),
        head: vec![Layer::GlobalAverage],
        epsilon: 1e-5,
    }
}
