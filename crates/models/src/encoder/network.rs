//! What an encoder is made of: a list of layers, each with the names that its weights have in published files.
//!
//! Here: the list, the shapes it needs, and its forward pass on the tape with frozen batch-norm statistics. Not here: the
//! lists themselves (one file a family), inference with folded batch norm (`folded.rs`), files (`checkpoint`).

use tensor::inference::Activation;
use tensor::ops::{self, Norm, Padding, Statistics};
use tensor::{Element, Tape, Var};

use nn::Bound;
use serde::{Deserialize, Serialize};

/// A network from pixels to regions, and from regions to one vector a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// From pixels (B, S, S, 3) to regions (B, H, W, D).
    pub trunk: Vec<Layer>,
    /// From regions to one vector (B, 1, 1, P).
    pub head: Vec<Layer>,
    /// Added to the variances of all batch norms.
    pub epsilon: f64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// A convolution, what normalises or shifts it, and its activation.
    Convolution(Convolution),
    /// The largest of each window.
    MaxPool(Pool),
    /// The mean of each window.
    AveragePool(Pool),
    /// The mean of the whole picture: (B, H, W, C) → (B, 1, 1, C).
    GlobalAverage,
    /// One after the other: a block.
    Sequence(Vec<Layer>),
    /// activation(main(x) + shortcut(x)); no layers mean x itself.
    Residual {
        /// The long way.
        main: Vec<Layer>,
        /// The short one.
        shortcut: Vec<Layer>,
        /// After the sum.
        #[serde(with = "ActivationText")]
        activation: Activation,
    },
}

/// A window that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// How far it moves.
    pub stride: usize,
    /// What lies beyond the border.
    #[serde(with = "PaddingText")]
    pub padding: Padding,
}

/// A convolution with what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Convolution {
    /// Name of its weights, without `.weight`.
    pub name: String,
    /// How its filters are laid out.
    pub kind: Kind,
    /// Name of the batch norm that follows; none for a plain bias under `name`.bias.
    pub norm: Option<String>,
    /// The window.
    pub window: Pool,
    /// C, channels that it reads.
    pub inputs: usize,
    /// M, filters.
    pub outputs: usize,
    /// After norm or bias.
    #[serde(with = "ActivationText")]
    pub activation: Activation,
}

/// How filters are laid out, in files and here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// In files (M, C, KH, KW), here (KH, KW, C, M).
    Dense,
    /// As dense, but in files (M, C / groups, KH, KW): each group of filters sees its own channels.
    Grouped(usize),
    /// One filter a channel: in files (C, 1, KH, KW), here (KH, KW, C).
    Depthwise,
    /// A fully connected layer over a whole picture of the window's size: in files (M, C·KH·KW), here (KH, KW, C, M).
    Linear,
}

/// How a file writes [`Padding`], which belongs to a crate that knows no files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Padding", rename_all = "kebab-case")]
enum PaddingText {
    Same,
    Each(usize),
    Ceil(usize),
}

/// How a file writes [`Activation`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "Activation", rename_all = "kebab-case")]
enum ActivationText {
    None,
    Relu,
    Relu6,
}

impl Convolution {
    /// Shape of the filters in a file.
    pub fn stored_shape(&self) -> Vec<usize> {
        let [kh, kw] = self.window.kernel;
        match self.kind {
            Kind::Dense => vec![self.outputs, self.inputs, kh, kw],
            Kind::Grouped(groups) => vec![self.outputs, self.inputs / groups, kh, kw],
            Kind::Depthwise => vec![self.outputs, 1, kh, kw],
            Kind::Linear => vec![self.outputs, self.inputs * kh * kw],
        }
    }

    /// Shape of the filters here.
    pub fn shape(&self) -> Vec<usize> {
        let [kh, kw] = self.window.kernel;
        match self.kind {
            Kind::Depthwise => vec![kh, kw, self.outputs],
            _ => vec![kh, kw, self.inputs, self.outputs],
        }
    }

    /// What its parameters' names begin with: its own name, and its batch norm's.
    pub(super) fn owners(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.name.clone()).chain(self.norm.clone())
    }

    /// x (B, H, W, C) → (B, H', W', M).
    fn forward<T: Element>(
        &self,
        tape: &mut Tape<T>,
        bound: &Bound<'_, T>,
        statistics: &dyn Fn(&str) -> Statistics<T>,
        x: Var,
    ) -> Var {
        let Pool {
            stride, padding, ..
        } = self.window;
        let filters = bound.var(&format!("{}.weight", self.name));
        let (x, activation) = ((x, filters), self.activation);
        if let Some(name) = &self.norm {
            let [gamma, beta] = ["weight", "bias"].map(|p| bound.var(&format!("{name}.{p}")));
            let norm = Norm {
                gamma,
                beta,
                statistics: &statistics(name),
            };
            return match self.kind {
                Kind::Depthwise => {
                    ops::normed_depthwise_conv2d(tape, x, norm, stride, padding, activation)
                }
                _ => ops::normed_conv2d(tape, x, norm, stride, padding, activation),
            };
        }
        let y = match self.kind {
            Kind::Depthwise => ops::depthwise_conv2d(tape, x.0, x.1, stride, padding),
            _ => ops::conv2d(tape, x.0, x.1, stride, padding),
        };
        let y = ops::add_bias(tape, y, bound.var(&format!("{}.bias", self.name)));
        activate(tape, y, activation)
    }
}

/// x through all layers.
pub(super) fn forward<T: Element>(
    layers: &[Layer],
    tape: &mut Tape<T>,
    bound: &Bound<'_, T>,
    statistics: &dyn Fn(&str) -> Statistics<T>,
    x: Var,
) -> Var {
    layers.iter().fold(x, |x, layer| match layer {
        Layer::Convolution(c) => c.forward(tape, bound, statistics, x),
        Layer::MaxPool(p) => ops::max_pool(tape, x, p.kernel, p.stride, p.padding),
        Layer::AveragePool(p) => ops::average_pool(tape, x, p.kernel, p.stride, p.padding),
        Layer::GlobalAverage => {
            let mean = ops::global_average_pool(tape, x);
            let (b, c) = tape.value(mean).rows_cols();
            ops::reshape(tape, mean, &[b, 1, 1, c])
        }
        Layer::Sequence(layers) => forward(layers, tape, bound, statistics, x),
        Layer::Residual {
            main,
            shortcut,
            activation,
        } => {
            let long = forward(main, tape, bound, statistics, x);
            let short = forward(shortcut, tape, bound, statistics, x);
            let sum = ops::add(tape, long, short);
            activate(tape, sum, *activation)
        }
    })
}

fn activate<T: Element>(tape: &mut Tape<T>, x: Var, activation: Activation) -> Var {
    match activation {
        Activation::None => x,
        Activation::Relu => ops::relu(tape, x),
        Activation::Relu6 => ops::relu6(tape, x),
    }
}

impl Network {
    /// All convolutions, in the order in which they run (the long way of a residual first).
    pub fn convolutions(&self) -> Vec<&Convolution> {
        let mut all = Vec::new();
        collect(&self.trunk, &mut all);
        collect(&self.head, &mut all);
        all
    }

    /// Whether a description from a file makes sense: every size possible, every name there once, and an output for pictures of
    /// `size` pixels.
    pub fn can_run(&self, size: usize) -> bool {
        let convolutions = self.convolutions();
        let mut names: Vec<&str> = convolutions.iter().map(|c| c.name.as_str()).collect();
        names.extend(convolutions.iter().filter_map(|c| c.norm.as_deref()));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        let mut layers = self.trunk.iter().chain(&self.head);
        (0.0..=1.0).contains(&self.epsilon)
            && names.len() == all
            && layers.all(|layer| possible(layer, size))
            && (1..=MOST_SIDE).contains(&size)
            && self.outputs(size, size).is_some()
    }

    /// The first layer of the trunk whose outputs are at most 1/16 as high as pictures of `size` pixels (the number of
    /// layers if there is none): what lies before costs most and learns least when an encoder is fine-tuned.
    pub fn first_coarse_layer(&self, size: usize) -> usize {
        let coarse = |layers: &usize| {
            let made = sizes(&self.trunk[..*layers + 1], [size, size, 3]);
            made.is_some_and(|[height, ..]| height * 16 <= size)
        };
        (0..self.trunk.len())
            .find(coarse)
            .unwrap_or(self.trunk.len())
    }

    /// Height, width and channels of the regions of pictures of `height` x `width` pixels, and the width of the vector;
    /// none if a layer has no output for them.
    pub fn outputs(&self, height: usize, width: usize) -> Option<([usize; 3], usize)> {
        let regions = sizes(&self.trunk, [height, width, 3])?;
        let pooled = sizes(&self.head, regions)?;
        (pooled[..2] == [1, 1]).then_some((regions, pooled[2]))
    }
}

/// Sizes beyond which nothing is believed: far above any network's, far below an overflow.
const MOST_SIDE: usize = 1024;
const MOST_CHANNELS: usize = 1 << 16;
const MOST_WINDOW: usize = 64;

fn possible(layer: &Layer, size: usize) -> bool {
    let window = |pool: &Pool, most: usize| {
        let side = |k: &usize| (1..=most).contains(k);
        let padding = match pool.padding {
            Padding::Same => 0,
            Padding::Each(p) | Padding::Ceil(p) => p,
        };
        // A margin as wide as the window would give windows that see nothing.
        pool.kernel.iter().all(side)
            && side(&pool.stride)
            && pool.kernel.iter().all(|&k| padding < k)
    };
    match layer {
        Layer::Convolution(c) => {
            let channels = |n: usize| (1..=MOST_CHANNELS).contains(&n);
            let most = match c.kind {
                Kind::Linear => size,
                _ => MOST_WINDOW,
            };
            let groups = match c.kind {
                Kind::Grouped(groups) => groups,
                _ => 1,
            };
            channels(c.inputs)
                && channels(c.outputs)
                && window(&c.window, most)
                && (1..=MOST_CHANNELS).contains(&groups)
                && c.inputs.is_multiple_of(groups)
                && c.outputs.is_multiple_of(groups)
        }
        Layer::MaxPool(pool) | Layer::AveragePool(pool) => window(pool, MOST_WINDOW),
        Layer::GlobalAverage => true,
        Layer::Sequence(layers) => layers.iter().all(|layer| possible(layer, size)),
        Layer::Residual { main, shortcut, .. } => {
            // What folding needs: the sum is made in the last convolution.
            let last = matches!(main.last(), Some(Layer::Convolution(c))
                if c.activation == Activation::None && c.kind != Kind::Depthwise);
            let mut all = main.iter().chain(shortcut);
            last && all.all(|layer| possible(layer, size))
        }
    }
}

fn collect<'a>(layers: &'a [Layer], all: &mut Vec<&'a Convolution>) {
    for layer in layers {
        match layer {
            Layer::Convolution(c) => all.push(c),
            Layer::Sequence(layers) => collect(layers, all),
            Layer::Residual { main, shortcut, .. } => {
                collect(main, all);
                collect(shortcut, all);
            }
            _ => {}
        }
    }
}

/// Size after all layers; none if one of them doesn't fit.
fn sizes(layers: &[Layer], from: [usize; 3]) -> Option<[usize; 3]> {
    layers
        .iter()
        .try_fold(from, |[h, w, channels], layer| match layer {
            Layer::Convolution(c) => {
                let [h, w] = windows(&c.window, h, w)?;
                let fits =
                    c.inputs == channels && (c.kind != Kind::Depthwise || c.outputs == channels);
                fits.then_some([h, w, c.outputs])
            }
            Layer::MaxPool(p) | Layer::AveragePool(p) => {
                let [h, w] = windows(p, h, w)?;
                Some([h, w, channels])
            }
            Layer::GlobalAverage => Some([1, 1, channels]),
            Layer::Sequence(layers) => sizes(layers, [h, w, channels]),
            Layer::Residual { main, shortcut, .. } => {
                let long = sizes(main, [h, w, channels])?;
                (sizes(shortcut, [h, w, channels])? == long).then_some(long)
            }
        })
}

fn windows(pool: &Pool, h: usize, w: usize) -> Option<[usize; 2]> {
    let outputs = |n, k: usize| ops::window_outputs(n, pool.kernel[k], pool.stride, pool.padding);
    Some([outputs(h, 0)?, outputs(w, 1)?])
}
