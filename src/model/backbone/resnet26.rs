//! ResNet-26 for galaxies (Zhu et al. 2019, Ap&SS 364, 55; arXiv:1807.10406): a 6×6 stem
//! and four stages of two bottlenecks, norm and ReLU before each convolution and dropout
//! behind the 3×3, for pictures of 64 × 64. 26 layers: the stem, 8 × 3, the classifier.
//!
//! Their program is not public. Widths, strides and dropout are those of the one that
//! the authors of the HIWL paper wrote after it, and ran for their table 7 (xrli/HIWL,
//! `scheme/model_resnet26.py`): behind the stem every other pixel; inner widths 128, 256,
//! 512, 1024 (k = 2 times 64 … 512) and outputs four times as wide; a stage but the last
//! is halved by its last 1×1, and by a 2×2 pool around it; a 1×1 around the unit that
//! changes the width, behind the unit's first norm and ReLU; dropout of 0.33. Other than
//! there, each norm is a layer of its own, where theirs has one for four places of a
//! stage; a ReLU follows the last norm, as in He et al. 2016 (arXiv:1603.05027); and
//! convolutions have no biases, which the norms behind them take away.
//!
//! Crops: theirs are the central 224 of 424 pixels as 64 × 64; of a crop of 240 pixels
//! these are its central 224/240, and of other crops the same part.

use super::{Conv, Layer, Look, Zeros, conv, repeated, scaled};
use crate::model::architecture::{Architecture, Padding};

/// Body, neck, and the number of features.
pub(super) fn layers(architecture: &Architecture) -> (Vec<Layer>, Vec<Layer>, usize) {
    let width = architecture.width;
    let look = Look { fraction: (224, 240), side: 64, samples: 4, corners: None };
    // Two zeros before and three behind.
    let stem =
        Conv { padding: Zeros::As(Padding::Same), ..conv("conv1", (3, scaled(64, width)), 6, 1) };
    let mut body = vec![Layer::Look(look), Layer::Conv(stem), pool(1)];
    let mut input = scaled(64, width);
    for stage in 0..4 {
        let (inner, output) = (scaled(128 << stage, width), scaled(512 << stage, width));
        let units = repeated(2, architecture.depth);
        for place in 0..units {
            let halves = stage < 3 && place + 1 == units;
            let prefix = format!("layer{}.{place}", stage + 1);
            body.extend(unit(&prefix, (input, inner, output), halves));
            input = output;
        }
    }
    body.extend(norm_relu("bn".into(), input));
    (body, vec![Layer::Mean], input)
}

fn norm_relu(prefix: String, channels: usize) -> [Layer; 2] {
    [Layer::Norm { prefix, channels }, Layer::Relu]
}

/// The largest of a square of so many pixels, two apart.
fn pool(kernel: usize) -> Layer {
    Layer::MaxPool { kernel, stride: 2, padding: 0, ceil: false }
}

fn unit(prefix: &str, (input, inner, output): (usize, usize, usize), halves: bool) -> Vec<Layer> {
    let name = |what: &str| format!("{prefix}.{what}");
    let mut branch = vec![Layer::Conv(conv(name("conv1"), (input, inner), 1, 1))];
    branch.extend(norm_relu(name("bn2"), inner));
    branch.push(Layer::Conv(conv(name("conv2"), (inner, inner), 3, 1)));
    branch.push(Layer::Dropout { name: name("conv2") });
    branch.extend(norm_relu(name("bn3"), inner));
    let stride = if halves { 2 } else { 1 };
    branch.push(Layer::Conv(conv(name("conv3"), (inner, output), 1, stride)));
    let first = norm_relu(name("bn1"), input);
    let mut skip = Vec::new();
    if input != output {
        skip.push(Layer::Conv(conv(name("shortcut"), (input, output), 1, 1)));
    }
    if halves {
        skip.push(pool(2));
    }
    if input == output {
        branch.splice(0..0, first);
        return vec![Layer::Residual { branch, skip }];
    }
    first.into_iter().chain([Layer::Residual { branch, skip }]).collect()
}
