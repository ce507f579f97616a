//! EfficientNet-Lite 0, 1 and 2: inverted bottlenecks without squeeze-and-excitation.
//!
//! Tan & Le 2019; the Lite variants are `tensorflow/tpu`'s `efficientnet/lite`: ReLU6 instead of swish, stem and head not
//! scaled, TensorFlow's `SAME` padding, batch norm with ε 1e-3. Names are those of the PyTorch state dicts
//! (`_conv_stem`, `_blocks.0._depthwise_conv`, ...).

use tensor::inference::Activation::{self, None as Linear, Relu6};
use tensor::ops::Padding;

use super::network::{Convolution, Kind, Layer, Network, Pool};

/// Repeats, kernel, stride, expansion, outputs of each stage of Lite0.
const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 1, 16],
    [2, 3, 2, 6, 24],
    [2, 5, 2, 6, 40],
    [3, 3, 2, 6, 80],
    [3, 5, 1, 6, 112],
    [4, 5, 2, 6, 192],
    [1, 3, 1, 6, 320],
];
const STEM: usize = 32;
const HEAD: usize = 1280;

/// Side in pixels of the pictures that a variant was trained on.
pub(super) fn size(variant: u8) -> usize {
    [224, 240, 260][usize::from(variant)]
}

/// The layers of variant 0, 1 or 2.
///
/// # Panics
/// For other variants.
pub fn efficientnet_lite(variant: u8) -> Network {
    let (width, depth) = [(1.0, 1.0), (1.0, 1.1), (1.1, 1.2)][usize::from(variant)];
    let mut trunk = vec![convolution(
        ("_conv_stem", "_bn0"),
        (Kind::Dense, 3, 2),
        (3, STEM),
        Relu6,
    )];
    let (mut inputs, mut block) = (STEM, 0);
    for (stage, [repeats, kernel, stride, expansion, outputs]) in STAGES.into_iter().enumerate() {
        // The first and last stage keep their repeats.
        let fixed = stage == 0 || stage == STAGES.len() - 1;
        let repeats = if fixed {
            repeats
        } else {
            (repeats as f64 * depth).ceil() as usize
        };
        let outputs = round_to_eights(outputs as f64 * width);
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stride } else { 1 };
            trunk.push(bottleneck(
                block, kernel, stride, expansion, inputs, outputs,
            ));
            (inputs, block) = (outputs, block + 1);
        }
    }
    trunk.push(convolution(
        ("_conv_head", "_bn1"),
        (Kind::Dense, 1, 1),
        (inputs, HEAD),
        Relu6,
    ));
    Network {
        trunk,
        head: vec![Layer::GlobalAverage],
        epsilon: 1e-3,
    }
}

/// Expand (1 x 1), filter each channel, project (1 x 1); the input is added where shapes allow.
fn bottleneck(
    block: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
    inputs: usize,
    outputs: usize,
) -> Layer {
    let name = |part: &str| format!("_blocks.{block}.{part}");
    let wide = inputs * expansion;
    let mut main = Vec::new();
    if expansion != 1 {
        let names = (name("_expand_conv"), name("_bn0"));
        main.push(convolution(
            (&names.0, &names.1),
            (Kind::Dense, 1, 1),
            (inputs, wide),
            Relu6,
        ));
    }
    let names = (name("_depthwise_conv"), name("_bn1"));
    main.push(convolution(
        (&names.0, &names.1),
        (Kind::Depthwise, kernel, stride),
        (wide, wide),
        Relu6,
    ));
    let names = (name("_project_conv"), name("_bn2"));
    main.push(convolution(
        (&names.0, &names.1),
        (Kind::Dense, 1, 1),
        (wide, outputs),
        Linear,
    ));
    if stride == 1 && inputs == outputs {
        Layer::Residual {
            main,
            shortcut: Vec::new(),
            activation: Linear,
        }
    } else {
        Layer::Sequence(main)
    }
}

fn convolution(
    (name, norm): (&str, &str),
    (kind, kernel, stride): (Kind, usize, usize),
    (inputs, outputs): (usize, usize),
    activation: Activation,
) -> Layer {
    Layer::Convolution(Convolution {
        name: name.into(),
        kind,
        norm: Some(norm.into()),
        window: Pool {
            kernel: [kernel; 2],
            stride,
            padding: Padding::Same,
        },
        inputs,
        outputs,
        activation,
    })
}

/// The nearest multiple of 8, but not less than nine tenths of it (`round_filters`).
fn round_to_eights(filters: f64) -> usize {
    let rounded = (((filters + 4.0) / 8.0).floor() * 8.0).max(8.0);
    let up = if rounded < 0.9 * filters { 8.0 } else { 0.0 };
    (rounded + up) as usize
}

#[cfg(test)]
mod tests {
    use super::super::check::{folded_agrees, gradients_agree, network};
    use super::*;

    #[test]
    fn every_block_has_its_gradient() {
        let first = || convolution(("_conv_stem", "_bn0"), (Kind::Dense, 3, 2), (3, 4), Relu6);
        for (kernel, stride, expansion, outputs) in
            [(3, 1, 1, 4), (3, 1, 2, 4), (5, 2, 2, 6), (5, 1, 3, 4)]
        {
            let block = || bottleneck(0, kernel, stride, expansion, 4, outputs);
            gradients_agree(vec![first(), block()], [2, 9, 8, 3]);
            folded_agrees(network(vec![first(), block()]), [3, 17, 14, 3]);
        }
    }

    #[test]
    fn the_variants_have_their_published_sizes() {
        // Convolutions without the classifier; millions of weights as `efficientnet/lite/README.md` counts them, less
        // the classifier's 1.281.
        for (variant, blocks, side, millions) in [(0, 16, 7, 3.4), (1, 21, 8, 4.1), (2, 21, 9, 4.8)]
        {
            let network = efficientnet_lite(variant);
            let all = network.convolutions();
            let depthwise = all.iter().filter(|c| c.kind == Kind::Depthwise);
            assert_eq!(depthwise.count(), blocks, "Lite{variant}");
            let size = size(variant);
            assert_eq!(
                network.outputs(size, size),
                Some(([side, side, 1280], 1280))
            );
            let count = |c: &&Convolution| c.shape().iter().product::<usize>() + 2 * c.outputs;
            let weights = all.iter().map(count).sum::<usize>() as f64 / 1e6;
            assert!(
                (weights - millions).abs() < 0.06,
                "Lite{variant}: {weights}"
            );
        }
    }
}
