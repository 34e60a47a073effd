//! ViT-B/16 (Dosovitskiy et al. 2021, arXiv:2010.11929) as torchvision has it. The
//! places of its patches are learned, so that a network is for crops of one size.

use super::{Layer, repeated};
use crate::model::architecture::Architecture;

/// Side of a patch in pixels.
const PATCH: usize = 16;
/// Length of a head's part of a token.
const HEAD: usize = 64;

/// Body, neck, and the number of features.
pub(super) fn layers(architecture: &Architecture) -> (Vec<Layer>, Vec<Layer>, usize) {
    let heads = repeated(12, architecture.width);
    let width = HEAD * heads;
    let patches = (architecture.image.unwrap_or(IMAGE) / PATCH).max(1);
    let mut body = vec![Layer::Tokens { patch: PATCH, width, count: patches * patches + 1 }];
    body.extend((0..repeated(12, architecture.depth)).map(|place| Layer::Encoder {
        prefix: format!("encoder.layers.encoder_layer_{place}"),
        width,
        heads,
        hidden: 4 * width,
    }));
    body.push(Layer::TokenNorm { prefix: "encoder.ln".into(), width });
    (body, vec![Layer::ClassToken], width)
}

/// Side of the crops, unless an architecture says otherwise: the paper's.
pub const IMAGE: usize = 240;
