//! ResNet-50 and ResNet-101: residual bottlenecks (He et al. 2015), as torchvision and timm name and build them.
//!
//! The stride is in the 3 x 3 convolution (torchvision's "v1.5"), not in the first 1 x 1 as in Caffe's original.

use tensor::inference::Activation::{self, None as Linear, Relu};
use tensor::ops::Padding;

use super::network::{Convolution, Kind, Layer, Network, Pool};

/// Bottlenecks of the third stage of a depth: the only thing in which the two differ.
pub(super) fn third_stage(depth: u8) -> usize {
    match depth {
        50 => 6,
        101 => 23,
        other => panic!("ResNet-{other} is not known, only 50 and 101"),
    }
}

/// The layers of ResNet-50 or ResNet-101.
///
/// # Panics
/// For other depths.
pub fn resnet(depth: u8) -> Network {
    let mut trunk = vec![
        convolution(("conv1", "bn1"), (7, 2), (3, 64), Relu),
        Layer::MaxPool(Pool {
            kernel: [3, 3],
            stride: 2,
            padding: Padding::Each(1),
        }),
    ];
    let mut inputs = 64;
    for (stage, blocks) in [3, 4, third_stage(depth), 3].into_iter().enumerate() {
        let (width, stride) = (64 << stage, if stage == 0 { 1 } else { 2 });
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            let prefix = format!("layer{}.{block}", stage + 1);
            trunk.push(bottleneck(&prefix, stride, inputs, width));
            inputs = 4 * width;
        }
    }
    Network {
        trunk,
        head: vec![Layer::GlobalAverage],
        epsilon: 1e-5,
    }
}

fn bottleneck(prefix: &str, stride: usize, inputs: usize, width: usize) -> Layer {
    let part = |i: usize, window, channels, activation| {
        let (conv, norm) = (format!("{prefix}.conv{i}"), format!("{prefix}.bn{i}"));
        convolution((&conv, &norm), window, channels, activation)
    };
    let main = vec![
        part(1, (1, 1), (inputs, width), Relu),
        part(2, (3, stride), (width, width), Relu),
        part(3, (1, 1), (width, 4 * width), Linear),
    ];
    let shortcut = if stride != 1 || inputs != 4 * width {
        let (conv, norm) = (
            format!("{prefix}.downsample.0"),
            format!("{prefix}.downsample.1"),
        );
        vec![convolution(
            (&conv, &norm),
            (1, stride),
            (inputs, 4 * width),
            Linear,
        )]
    } else {
        Vec::new()
    };
    Layer::Residual {
        main,
        shortcut,
        activation: Relu,
    }
}

fn convolution(
    (name, norm): (&str, &str),
    (kernel, stride): (usize, usize),
    (inputs, outputs): (usize, usize),
    activation: Activation,
) -> Layer {
    Layer::Convolution(Convolution {
        name: name.into(),
        kind: Kind::Dense,
        norm: Some(norm.into()),
        window: Pool {
            kernel: [kernel; 2],
            stride,
            padding: Padding::Each(kernel / 2),
        },
        inputs,
        outputs,
        activation,
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::{folded_agrees, gradients_agree, network};
    use super::*;

    #[test]
    fn every_block_has_its_gradient() {
        let stem = || convolution(("conv1", "bn1"), (7, 2), (3, 8), Relu);
        for (stride, width) in [(1, 2), (2, 2), (1, 3)] {
            let block = || bottleneck("layer1.0", stride, 8, width);
            gradients_agree(vec![stem(), block()], [2, 9, 8, 3]);
            folded_agrees(network(vec![stem(), block()]), [2, 20, 17, 3]);
        }
    }

    #[test]
    fn the_depths_have_their_published_sizes() {
        // torchvision's parameters less the classifier's 2,049,000.
        for (depth, parameters) in [(50, 25_557_032 - 2_049_000), (101, 44_549_160 - 2_049_000)] {
            let network = resnet(depth);
            assert_eq!(network.outputs(224, 224), Some(([7, 7, 2048], 2048)));
            assert_eq!(network.outputs(448, 448), Some(([14, 14, 2048], 2048)));
            let count = |c: &Convolution| c.shape().iter().product::<usize>() + 2 * c.outputs;
            let all: usize = network.convolutions().into_iter().map(count).sum();
            assert_eq!(all, parameters, "ResNet-{depth}");
        }
    }
}
