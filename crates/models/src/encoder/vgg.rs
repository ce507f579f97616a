//! VGG-16 (Simonyan & Zisserman 2014), what NeuralTalk's features were made with, under torchvision's names.
//!
//! Regions are conv5_3 after its ReLU (14 x 14 x 512 of 224 pixels), the vector is fc7 after its ReLU (4096), as
//! NeuralTalk's scripts extracted it. Caffe's files describe their own layers (`checkpoint`).

use tensor::inference::Activation::Relu;
use tensor::ops::Padding;

use super::network::{Convolution, Kind, Layer, Network, Pool};

/// Filters of the convolutions between two poolings.
const STAGES: [&[usize]; 5] = [
    &[64, 64],
    &[128, 128],
    &[256, 256, 256],
    &[512, 512, 512],
    &[512, 512, 512],
];

/// The layers of VGG-16 up to fc7.
pub fn vgg16() -> Network {
    let pool = Layer::MaxPool(Pool {
        kernel: [2, 2],
        stride: 2,
        padding: Padding::Each(0),
    });
    let (mut trunk, mut inputs, mut index) = (Vec::new(), 3, 0);
    for (stage, filters) in STAGES.into_iter().enumerate() {
        if stage > 0 {
            trunk.push(pool.clone());
            index += 1;
        }
        for &outputs in filters {
            let name = format!("features.{index}");
            let window = (Kind::Dense, 3, Padding::Each(1));
            trunk.push(layer(name, window, inputs, outputs));
            // ReLU has an index of its own.
            (inputs, index) = (outputs, index + 2);
        }
    }
    let linear = |name: &str, side, inputs| {
        let window = (Kind::Linear, side, Padding::Each(0));
        layer(name.into(), window, inputs, 4096)
    };
    let head = vec![
        pool,
        linear("classifier.0", 7, 512),
        linear("classifier.3", 1, 4096),
    ];
    Network {
        trunk,
        head,
        epsilon: 0.0,
    }
}

fn layer(
    name: String,
    (kind, kernel, padding): (Kind, usize, Padding),
    inputs: usize,
    outputs: usize,
) -> Layer {
    Layer::Convolution(Convolution {
        name,
        kind,
        norm: None,
        window: Pool {
            kernel: [kernel; 2],
            stride: 1,
            padding,
        },
        inputs,
        outputs,
        activation: Relu,
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::{folded_agrees, gradients_agree};
    use super::*;

    fn small() -> Network {
        let window = || (Kind::Dense, 3, Padding::Each(1));
        let pool = Layer::MaxPool(Pool {
            kernel: [2, 2],
            stride: 2,
            padding: Padding::Each(0),
        });
        let fc = |name: &str, side, inputs| {
            let window = (Kind::Linear, side, Padding::Each(0));
            layer(name.into(), window, inputs, 5)
        };
        Network {
            trunk: vec![
                layer("a".into(), window(), 3, 4),
                pool.clone(),
                layer("b".into(), window(), 4, 6),
            ],
            head: vec![pool, fc("c", 2, 6), fc("d", 1, 5)],
            epsilon: 0.0,
        }
    }

    #[test]
    fn its_layers_have_their_gradients_and_fold() {
        gradients_agree(small().trunk, [2, 8, 8, 3]);
        folded_agrees(small(), [2, 8, 8, 3]);
    }

    #[test]
    fn it_has_its_published_size() {
        let network = vgg16();
        assert_eq!(network.outputs(224, 224), Some(([14, 14, 512], 4096)));
        // Parameters of torchvision's vgg16 less the last layer's.
        let count = |c: &Convolution| c.shape().iter().product::<usize>() + c.outputs;
        let all: usize = network.convolutions().into_iter().map(count).sum();
        assert_eq!(all, 138_357_544 - 4_097_000);
    }
}
