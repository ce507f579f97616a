//! Caffe's `.caffemodel`: a network, layer by layer, with its weights.
//!
//! Here: the old (`layers`, 2014) and the new form (`layer`) brought to one, and the numbers of blobs. Not here: the
//! messages (`caffe_message.rs`), what network the layers make (`caffe_network.rs`).
//!
//! Nothing in a protocol buffer says where it ends: a file that was cut off exactly between two layers is a whole file of a
//! network with fewer layers. Cut off anywhere else it is refused.

use std::path::Path;

use models::encoder::{EncoderConfig, StateDict};
use prost::Message;

use super::caffe_message::{
    BatchNorm, Blob, Convolution, Eltwise, InnerProduct, Net, Pooling, old_kind,
};
use super::caffe_network::build;
use crate::CheckpointError;

/// [`read_caffe`] allocates at most this many bytes for every byte of the file: an empty layer takes three bytes there.
pub const CAFFE_MEMORY_FACTOR: usize = 512;

/// Reads a network with its weights: up to fc7 of a VGG, the pooled vector of a ResNet.
///
/// # Errors
/// The bytes are cut off or malformed; layers that an encoder can't have, each by its name; weights that don't fit them.
pub fn read_caffe(
    bytes: &[u8],
    path: &Path,
) -> Result<(EncoderConfig, StateDict), CheckpointError> {
    let wrong = |problem: String| CheckpointError::Weights {
        path: path.into(),
        problem,
    };
    let net = Net::decode(bytes).map_err(|error| wrong(format!("no Caffe model: {error}")))?;
    let plan = Plan::new(net).map_err(wrong)?;
    build(plan).map_err(wrong)
}

/// A network of either form.
pub(super) struct Plan {
    /// Names of inputs that no layer makes.
    pub(super) inputs: Vec<String>,
    /// Side of the pictures, where the file says it.
    pub(super) side: Option<usize>,
    pub(super) layers: Vec<Layer>,
}

/// A layer of either form.
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) bottom: Vec<String>,
    pub(super) top: Vec<String>,
    pub(super) blobs: Vec<Blob>,
    pub(super) convolution: Option<Box<Convolution>>,
    pub(super) inner_product: Option<Box<InnerProduct>>,
    pub(super) pooling: Option<Box<Pooling>>,
    pub(super) eltwise: Option<Box<Eltwise>>,
    pub(super) batch_norm: Option<Box<BatchNorm>>,
    pub(super) negative_slope: f32,
}

impl Plan {
    fn new(net: Net) -> Result<Self, String> {
        if !net.layers.is_empty() && !net.layer.is_empty() {
            return Err("layers of both forms, `layers` and `layer`".into());
        }
        let mut shapes: Vec<Vec<i64>> = net.input_shape.into_iter().map(|s| s.dim).collect();
        if !net.input_dim.is_empty() {
            shapes.push(net.input_dim.iter().map(|&d| i64::from(d)).collect());
        }
        let mut layers = Vec::new();
        for (at, old) in net.layers.into_iter().enumerate() {
            let kind = old.kind.unwrap_or_default();
            let name = old.name.unwrap_or_else(|| format!("number {at}"));
            let kind = old_kind(kind)
                .ok_or_else(|| format!("layer `{name}` is of type {kind}, which is not known"))?;
            layers.push(Layer {
                name,
                kind: kind.into(),
                bottom: old.bottom,
                top: old.top,
                blobs: old.blobs,
                convolution: old.convolution,
                inner_product: old.inner_product,
                pooling: old.pooling,
                eltwise: old.eltwise,
                batch_norm: None,
                negative_slope: old.relu.and_then(|r| r.negative_slope).unwrap_or(0.0),
            });
        }
        for (at, new) in net.layer.into_iter().enumerate() {
            shapes.extend(
                new.input
                    .iter()
                    .flat_map(|i| &i.shape)
                    .map(|s| s.dim.clone()),
            );
            layers.push(Layer {
                name: new.name.unwrap_or_else(|| format!("number {at}")),
                kind: new.kind.unwrap_or_default(),
                bottom: new.bottom,
                top: new.top,
                blobs: new.blobs,
                convolution: new.convolution,
                inner_product: new.inner_product,
                pooling: new.pooling,
                eltwise: new.eltwise,
                batch_norm: new.batch_norm,
                negative_slope: new.relu.and_then(|r| r.negative_slope).unwrap_or(0.0),
            });
        }
        // Batch, channels, height, width.
        let side = shapes.iter().find_map(|shape| match shape[..] {
            [_, 3, height, width] if height == width => usize::try_from(height).ok(),
            _ => None,
        });
        Ok(Self {
            inputs: net.input,
            side,
            layers,
        })
    }
}

impl Layer {
    /// The numbers of blob `at`, which must have the sizes `expected` (sizes of 1 don't count: the old form has always four).
    pub(super) fn blob(&self, at: usize, expected: &[usize]) -> Result<Vec<f32>, String> {
        let name = &self.name;
        let blob = self
            .blobs
            .get(at)
            .ok_or_else(|| format!("layer `{name}` has no blob {at}, it needs {expected:?}"))?;
        let shape = blob.sizes();
        let squeezed = |sizes: &mut dyn Iterator<Item = i64>| -> Vec<i64> {
            sizes.filter(|&n| n != 1).collect()
        };
        let found = squeezed(&mut shape.iter().copied());
        if found != squeezed(&mut expected.iter().map(|&n| n as i64)) {
            return Err(format!(
                "layer `{name}`: blob {at} is {shape:?}, the layer needs {expected:?}"
            ));
        }
        let values: Vec<f32> = match (blob.data.is_empty(), blob.double_data.is_empty()) {
            (false, false) => {
                return Err(format!("layer `{name}`: blob {at} has floats and doubles"));
            }
            (true, _) => blob.double_data.iter().map(|&x| x as f32).collect(),
            (false, true) => blob.data.clone(),
        };
        let count: usize = expected.iter().product();
        match values.len() == count {
            true => Ok(values),
            false => Err(format!(
                "layer `{name}`: blob {at} of shape {shape:?} holds {} numbers",
                values.len()
            )),
        }
    }
}

impl Blob {
    /// As the file states them.
    pub(super) fn sizes(&self) -> Vec<i64> {
        match &self.shape {
            Some(shape) => shape.dim.clone(),
            None => [self.num, self.channels, self.height, self.width]
                .map(|n| i64::from(n.unwrap_or(0)))
                .to_vec(),
        }
    }
}
