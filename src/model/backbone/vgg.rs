//! VGG-16 without batch norm (Simonyan & Zisserman 2015, arXiv:1409.1556,
//! configuration D) as torchvision has it: maps are averaged to 7 × 7 before the
//! dense layers, so that crops of any size go in.

use super::{Conv, Layer, conv, scaled};
use crate::model::architecture::Architecture;

/// Output channels of each convolution; 0 is a pool.
const CONVOLUTIONS: [usize; 18] =
    [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0];

/// Body, neck, and the number of features.
pub(super) fn layers(architecture: &Architecture) -> (Vec<Layer>, Vec<Layer>, usize) {
    let (mut body, mut input, mut place) = (Vec::new(), 3, 0);
    for output in CONVOLUTIONS {
        if output == 0 {
            body.push(Layer::MaxPool { kernel: 2, stride: 2, padding: 0, ceil: false });
            place += 1;
            continue;
        }
        let output = scaled(output, architecture.width);
        let own = conv(format!("features.{place}"), (input, output), 3, 1);
        body.extend([Layer::Conv(Conv { bias: true, ..own }), Layer::Relu]);
        (input, place) = (output, place + 2);
    }
    let wide = scaled(4096, architecture.width);
    let linear = |place: usize, input: usize| Layer::Linear {
        prefix: format!("classifier.{place}"),
        input,
        output: wide,
    };
    let neck = vec![
        Layer::AdaptiveMean(7),
        Layer::Flatten,
        linear(0, 49 * input),
        Layer::Relu,
        Layer::Dropout { name: "classifier.2".into() },
        linear(3, wide),
        Layer::Relu,
    ];
    (body, neck, wide)
}
