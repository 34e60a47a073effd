//! ResNet-34 and ResNet-50 (He et al. 2016, arXiv:1512.03385) as torchvision has
//! them: in a bottleneck the 3×3 has the stride.

use super::{Backbone, Conv, Layer, Zeros, conv, conv_norm_relu, repeated, scaled};
use crate::model::architecture::Architecture;

/// Body, neck, and the number of features.
pub(super) fn layers(architecture: &Architecture) -> (Vec<Layer>, Vec<Layer>, usize) {
    let bottleneck = architecture.backbone == Backbone::Resnet50;
    let stem = scaled(64, architecture.width);
    let first = Conv { padding: Zeros::Each(3), ..conv("conv1", (3, stem), 7, 2) };
    let mut body = Vec::from(conv_norm_relu(first, "bn1"));
    body.push(Layer::MaxPool { kernel: 3, stride: 2, padding: 1, ceil: false });
    let mut input = stem;
    for (stage, count) in [3, 4, 6, 3].into_iter().enumerate() {
        let inner = scaled(64 << stage, architecture.width);
        let output = if bottleneck { 4 * inner } else { inner };
        for block in 0..repeated(count, architecture.depth) {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let prefix = format!("layer{}.{block}", stage + 1);
            let mut branch = if bottleneck {
                bottleneck_of(&prefix, input, inner, stride)
            } else {
                basic(&prefix, input, inner, stride)
            };
            // The sum is what passes through the last ReLU.
            branch.pop();
            let mut skip = Vec::new();
            if stride != 1 || input != output {
                let own = conv(format!("{prefix}.downsample.0"), (input, output), 1, stride);
                skip.extend(conv_norm_relu(own, format!("{prefix}.downsample.1")));
                skip.pop();
            }
            body.extend([Layer::Residual { branch, skip }, Layer::Relu]);
            input = output;
        }
    }
    (body, vec![Layer::Mean], input)
}

fn basic(prefix: &str, input: usize, output: usize, stride: usize) -> Vec<Layer> {
    let first = conv(format!("{prefix}.conv1"), (input, output), 3, stride);
    let second = conv(format!("{prefix}.conv2"), (output, output), 3, 1);
    let first = conv_norm_relu(first, format!("{prefix}.bn1"));
    first.into_iter().chain(conv_norm_relu(second, format!("{prefix}.bn2"))).collect()
}

fn bottleneck_of(prefix: &str, input: usize, inner: usize, stride: usize) -> Vec<Layer> {
    [(input, inner, 1, 1), (inner, inner, 3, stride), (inner, 4 * inner, 1, 1)]
        .into_iter()
        .zip(1..)
        .flat_map(|((input, output, kernel, stride), place)| {
            let conv = conv(format!("{prefix}.conv{place}"), (input, output), kernel, stride);
            conv_norm_relu(conv, format!("{prefix}.bn{place}"))
        })
        .collect()
}
