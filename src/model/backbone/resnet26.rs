//! ResNet-26 for galaxies (Zhu et al. 2019, Ap&SS 364, 55; arXiv:1807.10406): a 6×6
//! stem and four stages of two bottlenecks, norm and ReLU before each convolution,
//! the inner convolutions twice as wide as ResNet-50's, for pictures of 64 × 64.
//! 26 layers: the stem, 8 × 3, the classifier.
//!
//! No program was published. What the paper leaves open is decided here: inner
//! widths 128, 256, 512, 1024 and outputs 256, 512, 1024, 2048; the stride of a
//! stage in its first 3×3; a 1×1 convolution around a unit that changes the shape,
//! behind the unit's first norm; no dropout inside of units. The stem pads two zeros
//! before and three behind as TensorFlow's `SAME` does. Crops: theirs are the
//! central 136 of 424 pixels as 64 × 64; of a crop of 240 pixels these are its
//! central 136/240, and of other crops the same part.

use super::{Conv, Layer, Look, Zeros, conv, repeated, scaled};
use crate::model::architecture::{Architecture, Padding};

/// Body, neck, and the number of features.
pub(super) fn layers(architecture: &Architecture) -> (Vec<Layer>, Vec<Layer>, usize) {
    let width = architecture.width;
    let look = Look { fraction: (136, 240), side: 64, samples: 2, corners: None };
    let stem =
        Conv { padding: Zeros::As(Padding::Same), ..conv("conv1", (3, scaled(64, width)), 6, 1) };
    let mut body = vec![Layer::Look(look), Layer::Conv(stem)];
    let mut input = scaled(64, width);
    for stage in 0..4 {
        let (inner, output) = (scaled(128 << stage, width), scaled(256 << stage, width));
        for block in 0..repeated(2, architecture.depth) {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let prefix = format!("layer{}.{block}", stage + 1);
            body.extend(unit(&prefix, (input, inner, output), stride));
            input = output;
        }
    }
    body.extend(norm_relu("bn".into(), input));
    (body, vec![Layer::Mean], input)
}

fn norm_relu(prefix: String, channels: usize) -> [Layer; 2] {
    [Layer::Norm { prefix, channels }, Layer::Relu]
}

fn unit(prefix: &str, (input, inner, output): (usize, usize, usize), stride: usize) -> Vec<Layer> {
    let name = |what: &str| format!("{prefix}.{what}");
    let mut branch = vec![Layer::Conv(conv(name("conv1"), (input, inner), 1, 1))];
    branch.extend(norm_relu(name("bn2"), inner));
    branch.push(Layer::Conv(conv(name("conv2"), (inner, inner), 3, stride)));
    branch.extend(norm_relu(name("bn3"), inner));
    branch.push(Layer::Conv(conv(name("conv3"), (inner, output), 1, 1)));
    let first = norm_relu(name("bn1"), input);
    if stride == 1 && input == output {
        branch.splice(0..0, first);
        return vec![Layer::Residual { branch, skip: Vec::new() }];
    }
    let skip = vec![Layer::Conv(conv(name("shortcut"), (input, output), 1, stride))];
    first.into_iter().chain([Layer::Residual { branch, skip }]).collect()
}
