//! Picture encoders, one file a family: from pixels to regions and one vector a picture.
//!
//! [`Encoder`] holds a network with its parameters; [`Encoder::forward`] puts it on a tape for fine-tuning (batch-norm
//! statistics stay what they are), [`Encoder::fold`] makes the fast version for inference. Not here: decoding and
//! preprocessing of pictures (`data`), files (`checkpoint`).

#[cfg(test)]
mod check;
mod config;
mod efficientnet_lite;
mod folded;
mod network;
mod resnet;
mod state;
mod vgg;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nn::{Bound, Parameter, Parameters, initialization};
use tensor::ops::{self, Statistics};
use tensor::{Device, Element, Tape, Tensor, Var};

pub use config::{Described, EncoderConfig};
pub use efficientnet_lite::efficientnet_lite;
pub use folded::FoldedEncoder;
pub use network::{Convolution, Kind, Layer, Network, Pool};
pub use resnet::resnet;
pub use state::{EncoderError, StateDict};
pub use vgg::vgg16;

/// What an encoder says about pictures.
#[derive(Debug, Clone)]
pub struct Features<T: Element = f32> {
    /// (B, R, D): regions in reading order.
    pub regions: Tensor<T>,
    /// (B, P): one vector a picture. P = D where it is the regions' mean.
    pub pooled: Tensor<T>,
}

/// The same on a tape.
#[derive(Debug, Clone, Copy)]
pub struct FeatureVars {
    /// (B, R, D).
    pub regions: Var,
    /// (B, P).
    pub pooled: Var,
}

/// A network with its parameters.
#[derive(Debug, Clone)]
pub struct Encoder<T: Element = f32> {
    network: Arc<Network>,
    device: Device,
    parameters: Parameters<T>,
    /// By the name of the batch norm.
    statistics: HashMap<String, Statistics<T>>,
}

impl<T: Element> Encoder<T> {
    /// An encoder from weights under their published names, in PyTorch's layout.
    ///
    /// # Errors
    /// The first tensor that is missing or of another shape, or that the network doesn't have (a classifier's and
    /// counters of batches are passed over).
    pub fn from_state(
        network: Network,
        state: &StateDict,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        network.check(state)?;
        let layers = network.convolutions();
        // Each on a thread: moving the filters takes as long as reading them from a file.
        let parts = device.map(layers.len(), |i| {
            layer_from_state(layers[i], state, network.epsilon, device)
        });
        let mut all = Vec::new();
        let mut statistics = HashMap::new();
        for part in parts {
            let (parameters, measured) = part?;
            all.extend(parameters);
            statistics.extend(measured);
        }
        Ok(Self {
            network: Arc::new(network),
            device: device.clone(),
            parameters: Parameters::new(all),
            statistics,
        })
    }

    /// A fresh encoder: filters uniform with the variance that keeps a ReLU's scale (He et al. 2015), batch norm that
    /// changes nothing.
    pub fn new(network: Network, seed: u64, device: &Device) -> Self {
        let mut all = Vec::new();
        let mut statistics = HashMap::new();
        for (i, layer) in network.convolutions().into_iter().enumerate() {
            let shape = layer.shape();
            let seen: usize = match layer.kind {
                Kind::Depthwise => shape[..2].iter().product(),
                _ => shape[..3].iter().product(),
            };
            let limit = (6.0 / seen as f64).sqrt();
            let filters = initialization::uniform(device, &shape, limit, seed, i as u64);
            all.push(parameter(format!("{}.weight", layer.name), filters));
            let zeros = || Tensor::zeros(device, &[layer.outputs]);
            let ones = || Tensor::new(device, &[layer.outputs], vec![T::ONE; layer.outputs]);
            let Some(norm) = &layer.norm else {
                all.push(parameter(format!("{}.bias", layer.name), zeros()));
                continue;
            };
            all.push(parameter(format!("{norm}.weight"), ones()));
            all.push(parameter(format!("{norm}.bias"), zeros()));
            let measured = Statistics {
                mean: zeros(),
                variance: ones(),
                epsilon: network.epsilon,
            };
            statistics.insert(norm.clone(), measured);
        }
        Self {
            network: Arc::new(network),
            device: device.clone(),
            parameters: Parameters::new(all),
            statistics,
        }
    }

    /// Its layers.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All parameters; statistics are none.
    pub fn parameters(&self) -> &Parameters<T> {
        &self.parameters
    }

    /// All parameters, for an optimizer.
    pub fn parameters_mut(&mut self) -> &mut Parameters<T> {
        &mut self.parameters
    }

    /// Everything that a file needs, statistics included, under the published names and in PyTorch's layout.
    pub fn state(&self) -> StateDict {
        let mut state = StateDict::default();
        let values =
            |x: &Tensor<T>| -> Vec<f32> { x.data().iter().map(|v| v.to_f64() as f32).collect() };
        for layer in self.network.convolutions() {
            let name = format!("{}.weight", layer.name);
            let ours = values(self.parameters.value(&name));
            state.insert(name, layer.stored_shape(), state::to_stored(layer, &ours));
            let mut vector = |name: String, value: &Tensor<T>| {
                state.insert(name, vec![layer.outputs], values(value));
            };
            let owner = layer.norm.as_ref().unwrap_or(&layer.name);
            let bias = format!("{owner}.bias");
            vector(bias.clone(), self.parameters.value(&bias));
            if let Some(norm) = &layer.norm {
                let weight = format!("{norm}.weight");
                vector(weight.clone(), self.parameters.value(&weight));
                let measured = &self.statistics[norm];
                vector(format!("{norm}.running_mean"), &measured.mean);
                vector(format!("{norm}.running_var"), &measured.variance);
            }
        }
        state
    }

    /// Pixels (B, H, W, 3) on a tape → regions (B, R, D) and vectors (B, P). `bound` are this encoder's parameters.
    ///
    /// # Panics
    /// If the pictures are too small for the network.
    pub fn forward(&self, tape: &mut Tape<T>, bound: &Bound<'_, T>, pixels: Var) -> FeatureVars {
        let statistics = |norm: &str| self.statistics[norm].clone();
        let regions = network::forward(&self.network.trunk, tape, bound, &statistics, pixels);
        let pooled = network::forward(&self.network.head, tape, bound, &statistics, regions);
        let [b, h, w, d] = tape.value(regions).shape()[..] else {
            unreachable!("layers give pictures");
        };
        let width = tape.value(pooled).len() / b.max(1);
        FeatureVars {
            regions: ops::reshape(tape, regions, &[b, h * w, d]),
            pooled: ops::reshape(tape, pooled, &[b, width]),
        }
    }
}

impl<T: Element> Encoder<T> {
    /// Two encoders: the first `layers` layers of the trunk (without a head), and the rest, which reads what the first
    /// one's trunk makes. So that training can leave the front alone.
    ///
    /// # Panics
    /// If the trunk has fewer layers.
    pub fn split(self, layers: usize) -> (Self, Self) {
        let mut front = Network::clone(&self.network);
        let mut back = front.clone();
        back.trunk = front.trunk.split_off(layers);
        front.head = Vec::new();
        let names = |network: &Network| -> HashSet<String> {
            let all = network.convolutions();
            all.iter().flat_map(|c| c.owners()).collect()
        };
        let part = |network: Network| {
            let owners = names(&network);
            let owned = |name: &str| {
                let owner = name.rsplit_once('.').map_or(name, |(owner, _)| owner);
                owners.contains(owner)
            };
            let parameters = self.parameters.iter().filter(|p| owned(&p.name));
            let statistics = self.statistics.iter();
            Self {
                device: self.device.clone(),
                parameters: Parameters::new(parameters.cloned().collect()),
                statistics: statistics
                    .filter(|(name, _)| owners.contains(*name))
                    .map(|(name, measured)| (name.clone(), measured.clone()))
                    .collect(),
                network: Arc::new(network),
            }
        };
        (part(front), part(back))
    }

    /// Undoes [`split`](Self::split).
    pub fn join(front: &Self, back: &Self) -> Self {
        let mut network = Network::clone(&back.network);
        network
            .trunk
            .splice(0..0, front.network.trunk.iter().cloned());
        let parameters = front.parameters.iter().chain(back.parameters.iter());
        let statistics = front.statistics.iter().chain(&back.statistics);
        Self {
            network: Arc::new(network),
            device: back.device.clone(),
            parameters: Parameters::new(parameters.cloned().collect()),
            statistics: statistics
                .map(|(name, measured)| (name.clone(), measured.clone()))
                .collect(),
        }
    }
}

impl Encoder<f32> {
    /// The version for inference.
    pub fn fold(&self) -> FoldedEncoder {
        let statistics = |norm: &str| self.statistics[norm].clone();
        FoldedEncoder::new(&self.network, &self.parameters, &statistics, &self.device)
    }
}

/// Planes (B, 3, S, S), as preprocessing makes them, to pixels (B, S, S, 3).
///
/// # Panics
/// If the numbers aren't as many.
pub fn pixels_from_planes(device: &Device, planes: &[f32], size: usize) -> Tensor {
    let plane = size * size;
    assert!(
        plane > 0 && planes.len().is_multiple_of(3 * plane),
        "{} numbers for pictures of 3 x {size} x {size}",
        planes.len()
    );
    let mut pixels = Vec::with_capacity(planes.len());
    for image in planes.chunks_exact(3 * plane) {
        let (first, rest) = image.split_at(plane);
        let (second, third) = rest.split_at(plane);
        for ((a, b), c) in first.iter().zip(second).zip(third) {
            pixels.extend([*a, *b, *c]);
        }
    }
    Tensor::new(device, &[planes.len() / (3 * plane), size, size, 3], pixels)
}

/// Parameters of a convolution and of its batch norm, and what that has measured, by its name.
type LayerParts<T> = (Vec<Parameter<T>>, Option<(String, Statistics<T>)>);

fn layer_from_state<T: Element>(
    layer: &Convolution,
    state: &StateDict,
    epsilon: f64,
    device: &Device,
) -> Result<LayerParts<T>, EncoderError> {
    let name = format!("{}.weight", layer.name);
    let stored = state.checked(&name, &layer.stored_shape())?;
    let filters = Tensor::new(device, &layer.shape(), state::from_stored(layer, stored));
    let vector = |name: &str| {
        let values = state.checked(name, &[layer.outputs])?;
        Ok(Tensor::from_values(
            device,
            &[layer.outputs],
            &values.singles(),
        ))
    };
    let mut all = vec![parameter(name, filters)];
    let (owner, parts) = match &layer.norm {
        Some(norm) => (norm, &["weight", "bias"][..]),
        None => (&layer.name, &["bias"][..]),
    };
    for part in parts {
        let name = format!("{owner}.{part}");
        let value = vector(&name)?;
        all.push(parameter(name, value));
    }
    let Some(norm) = &layer.norm else {
        return Ok((all, None));
    };
    let measured = Statistics {
        mean: vector(&format!("{norm}.running_mean"))?,
        variance: vector(&format!("{norm}.running_var"))?,
        epsilon,
    };
    Ok((all, Some((norm.clone(), measured))))
}

fn parameter<T: Element>(name: String, value: Tensor<T>) -> Parameter<T> {
    Parameter {
        // Filters have several sizes; biases and batch norms one, and no penalty.
        regularized: value.shape().len() > 1,
        name,
        value,
    }
}
