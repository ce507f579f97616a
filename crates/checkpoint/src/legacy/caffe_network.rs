//! From Caffe's layers to an encoder: which layer follows which, activations and batch norms put into their convolutions.
//!
//! Here: chains of layers from the picture on, blocks with a shortcut (He et al. 2015), where regions end and the vector
//! begins. Not here: bytes (`caffe.rs`), the layers' arithmetic (`models::encoder`).
//!
//! A picture's vector is what the network says before the sum over classes: an inner product at the end that no ReLU
//! follows is left out, with all that follows it. Regions are what is there before the last pooling in front of the vector.

use std::collections::HashMap;
use std::sync::Arc;

use models::encoder::{
    Convolution, Described, EncoderConfig, Kind, Layer as Step, Network, Pool, StateDict,
};
use tensor::inference::Activation;
use tensor::ops::Padding;

use super::caffe::{Layer, Plan};

/// Caffe's own, of batch norms that state none.
const EPSILON: f64 = 1e-5;
/// Twice as many as ResNet-152 has, every norm and activation counted.
const MOST_LAYERS: usize = 1200;
/// Side of pictures where the file says none.
const USUAL_SIDE: usize = 224;

/// A step of the network, with a number of its own so that two ways from the same place can be compared.
#[derive(Clone)]
struct Link {
    id: usize,
    step: Step,
    /// An inner product, which may be the last.
    linear: bool,
}

/// From the picture to one blob.
type Chain = Vec<Arc<Link>>;

/// The encoder that the layers make.
pub(super) fn build(plan: Plan) -> Result<(EncoderConfig, StateDict), String> {
    let side = plan.side.unwrap_or(USUAL_SIDE);
    let mut builder = Builder {
        blobs: plan
            .inputs
            .into_iter()
            .map(|name| (name, Vec::new()))
            .collect(),
        state: StateDict::default(),
        side,
        next: 0,
        last: Vec::new(),
    };
    if MOST_LAYERS < plan.layers.len() {
        let found = plan.layers.len();
        return Err(format!("{found} layers, at most {MOST_LAYERS} are read"));
    }
    for layer in &plan.layers {
        if !builder.add(layer)? {
            break;
        }
    }
    let (chain, mut state) = (builder.last, builder.state);
    let (trunk, head) = split(chain)?;
    let network = Network {
        trunk,
        head,
        epsilon: EPSILON,
    };
    let needed: Vec<String> = network
        .state_shapes()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    state.retain(|name| needed.iter().any(|n| n == name));
    let config = EncoderConfig::Layers(Box::new(Described {
        network,
        size: side,
    }));
    match config.is_known() {
        true => Ok((config, state)),
        false => Err(format!(
            "its layers don't fit one another for pictures of 3 x {side} x {side}"
        )),
    }
}

/// Regions end before the last pooling in front of the vector.
fn split(mut chain: Chain) -> Result<(Vec<Step>, Vec<Step>), String> {
    // The sum over classes: nothing follows it, and no ReLU is in it.
    while let Some(last) = chain.last() {
        match &last.step {
            Step::Convolution(c) if last.linear && c.activation == Activation::None => {
                chain.pop();
            }
            _ => break,
        }
    }
    let vector = chain
        .iter()
        .position(|link| link.linear)
        .unwrap_or(chain.len());
    let pooled = |link: &Link| {
        matches!(
            link.step,
            Step::MaxPool(_) | Step::AveragePool(_) | Step::GlobalAverage
        )
    };
    let at = match vector.checked_sub(1) {
        Some(before) if pooled(&chain[before]) => before,
        _ => vector,
    };
    if at == chain.len() {
        return Err(
            "it has no vector of a picture: no inner product with a ReLU, no pooling at its end"
                .into(),
        );
    }
    let steps = |links: &[Arc<Link>]| links.iter().map(|link| link.step.clone()).collect();
    Ok((steps(&chain[..at]), steps(&chain[at..])))
}

struct Builder {
    /// How each blob came about.
    blobs: HashMap<String, Chain>,
    state: StateDict,
    side: usize,
    next: usize,
    /// The longest way so far: of the layer that was added last.
    last: Chain,
}

impl Builder {
    /// Adds a layer; false where the rest is of no interest.
    fn add(&mut self, layer: &Layer) -> Result<bool, String> {
        let name = &layer.name;
        let mut chain = match layer.kind.as_str() {
            // What makes the picture.
            "Data" | "ImageData" | "MemoryData" | "Input" | "DummyData" | "HDF5Data" => {
                for top in &layer.top {
                    self.blobs.insert(top.clone(), Vec::new());
                }
                return Ok(true);
            }
            // Classes.
            "Softmax" | "SoftmaxWithLoss" | "Accuracy" | "Silence" => return Ok(false),
            _ => self.bottom(layer, 0)?,
        };
        match layer.kind.as_str() {
            "Dropout" | "Flatten" | "Split" => {}
            "Convolution" => {
                let step = self.convolution(layer, &chain)?;
                self.push(&mut chain, step, false);
            }
            "InnerProduct" => {
                let step = self.inner_product(layer, &chain)?;
                self.push(&mut chain, step, true);
            }
            "Pooling" => {
                let step = pooling(layer)?;
                self.push(&mut chain, step, false);
            }
            "ReLU" => {
                if layer.negative_slope != 0.0 {
                    let slope = layer.negative_slope;
                    return Err(format!(
                        "layer `{name}` is a ReLU with a slope of {slope} below 0"
                    ));
                }
                let last = chain.last_mut().map(Arc::make_mut);
                let activation = last.and_then(|link| match &mut link.step {
                    Step::Convolution(c) => Some(&mut c.activation),
                    Step::Residual { activation, .. } => Some(activation),
                    _ => None,
                });
                let activation =
                    activation
                        .filter(|a| **a == Activation::None)
                        .ok_or_else(|| {
                            format!(
                                "layer `{name}` is a ReLU after neither a convolution nor a sum"
                            )
                        })?;
                *activation = Activation::Relu;
                self.renumber(&mut chain);
            }
            "BatchNorm" => {
                self.batch_norm(layer, &mut chain)?;
                self.renumber(&mut chain);
            }
            "Scale" => self.scale(layer, &chain)?,
            "Eltwise" => {
                let other = self.bottom(layer, 1)?;
                chain = self.sum(layer, chain, other)?;
            }
            kind => {
                return Err(format!(
                    "layer `{name}` is of type {kind:?}, which no encoder here has"
                ));
            }
        }
        for top in &layer.top {
            self.blobs.insert(top.clone(), chain.clone());
        }
        self.last = chain;
        Ok(true)
    }

    /// How the blob that a layer reads came about.
    fn bottom(&self, layer: &Layer, at: usize) -> Result<Chain, String> {
        let name = &layer.name;
        let bottom = layer
            .bottom
            .get(at)
            .ok_or_else(|| format!("layer `{name}` reads {at} blobs, one more was expected"))?;
        let chain = self.blobs.get(bottom);
        chain.cloned().ok_or_else(|| {
            format!("layer `{name}` reads `{bottom}`, which neither a layer before it nor an input makes")
        })
    }

    fn push(&mut self, chain: &mut Chain, step: Step, linear: bool) {
        let id = self.next;
        self.next += 1;
        chain.push(Arc::new(Link { id, step, linear }));
    }

    /// A step that was changed is another one.
    fn renumber(&mut self, chain: &mut Chain) {
        if let Some(link) = chain.last_mut() {
            Arc::make_mut(link).id = self.next;
            self.next += 1;
        }
    }

    fn convolution(&mut self, layer: &Layer, chain: &Chain) -> Result<Step, String> {
        let name = &layer.name;
        let about = layer.convolution.clone().unwrap_or_default();
        let wrong = |what: &str| format!("layer `{name}` {what}");
        let pair = |list: &[u32], h: Option<u32>, w: Option<u32>, usual: u32| {
            let at = |i: usize| list.get(i).or(list.first()).copied();
            [h.or(at(0)).unwrap_or(usual), w.or(at(1)).unwrap_or(usual)]
        };
        if about.dilation.iter().any(|&d| d != 1) {
            return Err(wrong("is a dilated convolution"));
        }
        let kernel = pair(&about.kernel_size, about.kernel_h, about.kernel_w, 0);
        let stride = pair(&about.stride, about.stride_h, about.stride_w, 1);
        let pad = pair(&about.pad, about.pad_h, about.pad_w, 0);
        let window = window(kernel, stride, pad, Padding::Each).map_err(|what| wrong(&what))?;
        let outputs = about.num_output.unwrap_or(0) as usize;
        let [inputs, ..] = self
            .channels(chain)
            .ok_or_else(|| wrong("reads something too small"))?;
        let groups = about.group.unwrap_or(1) as usize;
        if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return Err(wrong(&format!(
                "has {groups} groups for {inputs} inputs and {outputs} outputs"
            )));
        }
        let convolution = Convolution {
            name: name.clone(),
            kind: match groups {
                1 => Kind::Dense,
                _ => Kind::Grouped(groups),
            },
            norm: None,
            window,
            inputs,
            outputs,
            activation: Activation::None,
        };
        self.weights(layer, &convolution, about.bias_term.unwrap_or(true))?;
        Ok(Step::Convolution(convolution))
    }

    fn inner_product(&mut self, layer: &Layer, chain: &Chain) -> Result<Step, String> {
        let name = &layer.name;
        let about = layer.inner_product.clone().unwrap_or_default();
        if about.transpose.unwrap_or(false) {
            return Err(format!("layer `{name}` has transposed weights"));
        }
        let [inputs, height, width] = self
            .channels(chain)
            .ok_or_else(|| format!("layer `{name}` reads something too small"))?;
        let convolution = Convolution {
            name: name.clone(),
            kind: Kind::Linear,
            norm: None,
            window: Pool {
                kernel: [height, width],
                stride: 1,
                padding: Padding::Each(0),
            },
            inputs,
            outputs: about.num_output.unwrap_or(0) as usize,
            activation: Activation::None,
        };
        self.weights(layer, &convolution, about.bias_term.unwrap_or(true))?;
        Ok(Step::Convolution(convolution))
    }

    /// Channels, rows and columns at the end of a chain.
    fn channels(&self, chain: &Chain) -> Option<[usize; 3]> {
        let network = Network {
            trunk: chain.iter().map(|link| link.step.clone()).collect(),
            head: vec![Step::GlobalAverage],
            epsilon: EPSILON,
        };
        let ([height, width, channels], _) = network.outputs(self.side, self.side)?;
        Some([channels, height, width])
    }

    /// Filters and bias of a convolution.
    fn weights(&mut self, layer: &Layer, c: &Convolution, bias: bool) -> Result<(), String> {
        let name = &c.name;
        let shape = c.stored_shape();
        if c.outputs == 0 || crate::checkpoint::elements(&shape).is_none() {
            return Err(format!("layer `{name}` has filters of the sizes {shape:?}"));
        }
        if self.state.contains(&format!("{name}.weight")) {
            return Err(format!("two layers are called `{name}`"));
        }
        let filters = layer.blob(0, &shape)?;
        let bias = match bias {
            true => layer.blob(1, &[c.outputs])?,
            false => vec![0.0; c.outputs],
        };
        self.state.insert(format!("{name}.weight"), shape, filters);
        self.state
            .insert(format!("{name}.bias"), vec![c.outputs], bias);
        Ok(())
    }

    /// Statistics: the convolution before it gets a norm that divides and shifts by them.
    fn batch_norm(&mut self, layer: &Layer, chain: &mut Chain) -> Result<(), String> {
        let name = &layer.name;
        let last = chain.last_mut().map(Arc::make_mut);
        let convolution = match last.map(|link| &mut link.step) {
            Some(Step::Convolution(c)) if c.activation == Activation::None && c.norm.is_none() => c,
            _ => {
                return Err(format!(
                    "layer `{name}` is a batch norm without a convolution before it"
                ));
            }
        };
        let m = convolution.outputs;
        let factor = layer.blob(2, &[1])?[0];
        let factor = if factor == 0.0 { 0.0 } else { 1.0 / factor };
        let scaled = |at| -> Result<Vec<f32>, String> {
            Ok(layer
                .blob(at, &[m])?
                .into_iter()
                .map(|x| x * factor)
                .collect())
        };
        let (mut mean, mut variance) = (scaled(0)?, scaled(1)?);
        // The convolution's own bias is part of what is normalised.
        if let Some((_, bias)) = self.state.get(&format!("{}.bias", convolution.name)) {
            mean.iter_mut()
                .zip(&*bias.singles())
                .for_each(|(mean, bias)| *mean -= bias);
        }
        let stated = layer.batch_norm.as_ref().and_then(|b| b.eps);
        let more = stated.map_or(0.0, |eps| f64::from(eps) - EPSILON);
        variance
            .iter_mut()
            .for_each(|v| *v = (f64::from(*v) + more) as f32);
        if self.state.contains(&format!("{name}.weight")) {
            return Err(format!("two layers are called `{name}`"));
        }
        let mut insert = |part: &str, values: Vec<f32>| {
            self.state.insert(format!("{name}.{part}"), vec![m], values);
        };
        insert("weight", vec![1.0; m]);
        insert("bias", vec![0.0; m]);
        insert("running_mean", mean);
        insert("running_var", variance);
        convolution.norm = Some(name.clone());
        Ok(())
    }

    /// Slope and shift of the batch norm before it.
    fn scale(&mut self, layer: &Layer, chain: &Chain) -> Result<(), String> {
        let name = &layer.name;
        let (norm, m) = match chain.last().map(|link| &link.step) {
            Some(Step::Convolution(c)) if c.activation == Activation::None => {
                (c.norm.clone(), c.outputs)
            }
            _ => (None, 0),
        };
        let norm =
            norm.ok_or_else(|| format!("layer `{name}` scales something else than a batch norm"))?;
        let slope = layer.blob(0, &[m])?;
        let shift = match layer.blobs.len() {
            1 => vec![0.0; m],
            _ => layer.blob(1, &[m])?,
        };
        self.state.insert(format!("{norm}.weight"), vec![m], slope);
        self.state.insert(format!("{norm}.bias"), vec![m], shift);
        Ok(())
    }

    /// Two ways from the same place: a block with a shortcut.
    fn sum(&mut self, layer: &Layer, a: Chain, b: Chain) -> Result<Chain, String> {
        let name = &layer.name;
        let about = layer.eltwise.clone().unwrap_or_default();
        let plain = about.operation.unwrap_or(1) == 1 && about.coeff.iter().all(|&c| c == 1.0);
        if !plain || layer.bottom.len() != 2 {
            return Err(format!("layer `{name}` is no plain sum of two blobs"));
        }
        let shared = a.iter().zip(&b).take_while(|(a, b)| a.id == b.id).count();
        let steps = |chain: &Chain| -> Vec<Step> {
            chain[shared..]
                .iter()
                .map(|link| link.step.clone())
                .collect()
        };
        let (first, second) = (steps(&a), steps(&b));
        let (main, shortcut) = match first.len() >= second.len() {
            true => (first, second),
            false => (second, first),
        };
        let mut chain = a[..shared].to_vec();
        let residual = Step::Residual {
            main,
            shortcut,
            activation: Activation::None,
        };
        self.push(&mut chain, residual, false);
        Ok(chain)
    }
}

fn pooling(layer: &Layer) -> Result<Step, String> {
    let name = &layer.name;
    let about = layer.pooling.clone().unwrap_or_default();
    let mean = match about.pool.unwrap_or(0) {
        0 => false,
        1 => true,
        other => return Err(format!("layer `{name}` pools by method {other}")),
    };
    if about.global_pooling.unwrap_or(false) {
        return match mean {
            true => Ok(Step::GlobalAverage),
            false => Err(format!(
                "layer `{name}` takes the largest of a whole picture"
            )),
        };
    }
    let pair = |both: Option<u32>, h: Option<u32>, w: Option<u32>, usual| {
        [h, w].map(|one| one.or(both).unwrap_or(usual))
    };
    let kernel = pair(about.kernel_size, about.kernel_h, about.kernel_w, 0);
    let stride = pair(about.stride, about.stride_h, about.stride_w, 1);
    let pad = pair(about.pad, about.pad_h, about.pad_w, 0);
    let padding = match about.round_mode.unwrap_or(0) {
        0 => Padding::Ceil,
        _ => Padding::Each,
    };
    let pool =
        window(kernel, stride, pad, padding).map_err(|what| format!("layer `{name}` {what}"))?;
    Ok(match mean {
        true => Step::AveragePool(pool),
        false => Step::MaxPool(pool),
    })
}

/// A window; strides and margins must be the same in both directions.
fn window(
    kernel: [u32; 2],
    stride: [u32; 2],
    pad: [u32; 2],
    padding: fn(usize) -> Padding,
) -> Result<Pool, String> {
    if stride[0] != stride[1] || pad[0] != pad[1] {
        return Err(format!(
            "moves by {stride:?} with a margin of {pad:?}: both must be square"
        ));
    }
    Ok(Pool {
        kernel: kernel.map(|k| k as usize),
        stride: stride[0] as usize,
        padding: padding(pad[0] as usize),
    })
}
