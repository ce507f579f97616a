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
