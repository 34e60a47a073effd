//! EfficientNet, of [`Architecture::layers`].

use super::{Conv, Layer, Zeros};
use crate::model::architecture::{Architecture, MbConv, Padding};

/// Body, neck, and the number of features.
pub(super) fn layers(architecture: &Architecture) -> (Vec<Layer>, Vec<Layer>, usize) {
    let layers = architecture.layers();
    let padding = architecture.padding;
    let mut body = Vec::new();
    body.extend(conv_norm("features.0", (3, layers.stem), (3, 2), padding, false));
    body.push(Layer::Silu);
    for block in &layers.blocks {
        body.extend(block_of(block, padding));
    }
    let last = layers.blocks.last().map_or(layers.stem, |block| block.output);
    body.extend(conv_norm(&layers.head_prefix, (last, layers.features), (1, 1), padding, false));
    body.push(Layer::Silu);
    (body, vec![Layer::Mean], layers.features)
}

fn conv_norm(
    prefix: &str,
    (input, output): (usize, usize),
    (kernel, stride): (usize, usize),
    padding: Padding,
    depthwise: bool,
) -> [Layer; 2] {
    let conv = Conv {
        prefix: format!("{prefix}.0"),
        input,
        output,
        kernel,
        stride,
        padding: Zeros::As(padding),
        bias: false,
        depthwise,
    };
    [Layer::Conv(conv), Layer::Norm { prefix: format!("{prefix}.1"), channels: output }]
}

fn block_of(block: &MbConv, padding: Padding) -> Vec<Layer> {
    let mut branch = Vec::new();
    if let Some(prefix) = block.expand_prefix() {
        branch.extend(conv_norm(&prefix, (block.input, block.expanded), (1, 1), padding, false));
        branch.push(Layer::Silu);
    }
    let (wide, kernel) = (block.expanded, (block.kernel, block.stride));
    branch.extend(conv_norm(&block.depthwise_prefix(), (wide, wide), kernel, padding, true));
    branch.push(Layer::Silu);
    let (prefix, squeezed) = (block.se_prefix(), block.squeezed);
    branch.push(Layer::Gate { prefix, channels: wide, squeezed });
    let project = block.project_prefix();
    branch.extend(conv_norm(&project, (wide, block.output), (1, 1), padding, false));
    if block.residual() { vec![Layer::Residual { branch, skip: Vec::new() }] } else { branch }
}
