//! An encoder for inference: batch norm folded into the filters, filters packed, no tape.
//!
//! A batch norm is a factor for each filter, and a bias ([`Affine`]). A residual and the activation after it run in the pass of the
//! last convolution before the sum. Several pictures run side by side, one a thread at a time; a single one is cut within
//! its layers. Not here: training (`mod.rs`).

use nn::Parameters;
use tensor::inference::{self, Activation, Affine};
use tensor::ops::{self, Statistics};
use tensor::{Device, Tape, Tensor};

use super::Features;
use super::network::{Convolution, Kind, Layer, Network, Pool};

/// Ready to encode; made by [`Encoder::fold`](super::Encoder::fold).
#[derive(Debug, Clone)]
pub struct FoldedEncoder {
    device: Device,
    trunk: Vec<Step>,
    head: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Dense(inference::Convolution),
    Depthwise(inference::Depthwise),
    MaxPool(Pool),
    AveragePool(Pool),
    GlobalAverage,
    /// last(main(x)) + shortcut(x), the activation in `last`.
    Residual {
        main: Vec<Step>,
        last: inference::Convolution,
        shortcut: Vec<Step>,
    },
}

impl FoldedEncoder {
    pub(super) fn new(
        network: &Network,
        parameters: &Parameters,
        statistics: &(dyn Fn(&str) -> Statistics + Sync),
        device: &Device,
    ) -> Self {
        let source = Source {
            parameters,
            statistics,
        };
        let fold = |layers: &[Layer]| {
            let mut steps = Vec::new();
            push(layers, &source, &mut steps);
            steps
        };
        let (trunk, head) = device.install(|| (fold(&network.trunk), fold(&network.head)));
        Self {
            device: device.clone(),
            trunk,
            head,
        }
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the trunk makes of x (B, H, W, C): (B, H', W', D). For the front of an encoder that was split.
    ///
    /// # Panics
    /// If x is too small for the layers, or its shape is another.
    pub fn trunk(&self, x: &Tensor) -> Tensor {
        self.together(&self.each(x, |picture| run(&self.trunk, picture)))
    }

    /// Pixels (B, H, W, 3) → regions (B, R, D) and one vector a picture (B, P). The back of an encoder that was split
    /// takes what the front's [`trunk`](Self::trunk) makes.
    ///
    /// # Panics
    /// If the pictures are too small for the network, or their shape is another.
    pub fn encode(&self, pixels: &Tensor) -> Features {
        let all = self.each(pixels, |picture| {
            let regions = run(&self.trunk, picture);
            let pooled = run(&self.head, regions.clone());
            (regions, pooled)
        });
        let (regions, pooled): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let [regions, pooled] = [regions, pooled].map(|parts| self.together(&parts));
        let [b, height, width, d] = regions.shape()[..] else {
            unreachable!("steps give pictures");
        };
        let vector = pooled.len() / b.max(1);
        Features {
            regions: regions.reshape(&[b, height * width, d]),
            pooled: pooled.reshape(&[b, vector]),
        }
    }

    /// The parts of a batch (_, H, W, C) as one; no copy where one part is all.
    fn together(&self, parts: &[Tensor]) -> Tensor {
        if let [one] = parts {
            return one.clone();
        }
        let mut shape = parts
            .first()
            .map_or(vec![0; 4], |part| part.shape().to_vec());
        shape[0] = parts.iter().map(|part| part.shape()[0]).sum();
        let numbers = parts.iter().flat_map(|part| part.data()).copied();
        Tensor::new(&self.device, &shape, numbers.collect())
    }

    /// `work` on each picture of x (B, H, W, C), as (1, H, W, C): side by side, or one after the other on all threads where
    /// there are fewer pictures than threads. A GPU takes all of them at once.
    fn each<R: Send>(&self, x: &Tensor, work: impl Fn(Tensor) -> R + Sync) -> Vec<R> {
        let &[b, h, w, c] = x.shape() else {
            panic!("(B, H, W, C) was expected, not {:?}", x.shape());
        };
        if self.device.gpu().is_some() {
            return vec![work(x.clone())];
        }
        let image = h * w * c;
        let one = |i: usize| {
            let data = x.data()[i * image..(i + 1) * image].to_vec();
            work(Tensor::new(&self.device, &[1, h, w, c], data))
        };
        match b < self.device.threads() {
            true => self.device.install_awake(|| (0..b).map(one).collect()),
            false => self.device.map(b, one),
        }
    }
}

fn run(steps: &[Step], x: Tensor) -> Tensor {
    steps.iter().fold(x, |x, step| match step {
        Step::Dense(layer) => layer.forward(&x, None),
        Step::Depthwise(layer) => layer.forward(&x),
        Step::MaxPool(p) => on_tape(&x, |tape, x| {
            ops::max_pool(tape, x, p.kernel, p.stride, p.padding)
        }),
        Step::AveragePool(p) => on_tape(&x, |tape, x| {
            ops::average_pool(tape, x, p.kernel, p.stride, p.padding)
        }),
        Step::GlobalAverage => {
            let mean = on_tape(&x, ops::global_average_pool);
            let (b, c) = mean.rows_cols();
            mean.reshape(&[b, 1, 1, c])
        }
        Step::Residual {
            main,
            last,
            shortcut,
        } => {
            let short = run(shortcut, x.clone());
            last.forward(&run(main, x), Some(&short))
        }
    })
}

/// A pooling by the tape's operation, without gradient.
fn on_tape(x: &Tensor, operation: impl Fn(&mut Tape, tensor::Var) -> tensor::Var) -> Tensor {
    let mut tape = Tape::new(x.device());
    let x = tape.constant(x.clone());
    let y = operation(&mut tape, x);
    tape.value(y).clone()
}

/// What layers are made of.
struct Source<'a> {
    parameters: &'a Parameters,
    statistics: &'a (dyn Fn(&str) -> Statistics + Sync),
}

fn push(layers: &[Layer], source: &Source<'_>, steps: &mut Vec<Step>) {
    for layer in layers {
        match layer {
            Layer::Convolution(c) => {
                steps.push(pack(c, c.activation, source));
            }
            Layer::MaxPool(p) => steps.push(Step::MaxPool(*p)),
            Layer::AveragePool(p) => steps.push(Step::AveragePool(*p)),
            Layer::GlobalAverage => steps.push(Step::GlobalAverage),
            Layer::Sequence(layers) => push(layers, source, steps),
            Layer::Residual {
                main,
                shortcut,
                activation,
            } => {
                let Some((Layer::Convolution(last), rest)) = main.split_last() else {
                    panic!("a residual's long way ends in a convolution");
                };
                assert!(
                    last.activation == Activation::None && last.kind != Kind::Depthwise,
                    "a residual's long way ends in a plain convolution"
                );
                let Step::Dense(last) = pack(last, *activation, source) else {
                    unreachable!("it isn't depthwise");
                };
                let (mut main, mut short) = (Vec::new(), Vec::new());
                push(rest, source, &mut main);
                push(shortcut, source, &mut short);
                steps.push(Step::Residual {
                    main,
                    last,
                    shortcut: short,
                });
            }
        }
    }
}

/// A layer ready for use: its batch norm is a factor for each filter, and a bias.
fn pack(layer: &Convolution, activation: Activation, source: &Source<'_>) -> Step {
    let value = |owner: &str, part| source.parameters.value(&format!("{owner}.{part}"));
    let filters = value(&layer.name, "weight");
    let affine = match &layer.norm {
        None => Affine::bias(value(&layer.name, "bias").clone()),
        Some(norm) => {
            let [gamma, beta] = ["weight", "bias"].map(|part| value(norm, part));
            Affine::of_norm(gamma, beta, &(source.statistics)(norm))
        }
    };
    let Pool {
        stride, padding, ..
    } = layer.window;
    match layer.kind {
        Kind::Depthwise => Step::Depthwise(inference::Depthwise::new(
            filters, &affine, stride, padding, activation,
        )),
        _ => Step::Dense(inference::Convolution::new(
            filters, &affine, stride, padding, activation,
        )),
    }
}
