//! The network of Dieleman et al. 2015 (MNRAS 450, 1441; arXiv:1503.07077): sixteen
//! views of a galaxy through the same four convolutions, then two maxout layers over all
//! of them.
//!
//! After the first author's description and program (benanne/kaggle-galaxies,
//! `doc/documentation.tex`, sections "Cropping and downsampling", "Exploiting rotation
//! invariance", "Architecture of the best model" and "Regularisation";
//! `try_convnet_cc_multirotflip_3x69r45_maxout2048_extradense.py`). Their views are of
//! the central 207 of 424 pixels, three to one: 69 × 69, plain and turned by 45°, each
//! also mirrored, and of each the four corners of 45 × 45, turned so that the galaxy's
//! centre lies at the lower right. Of a crop of 240 pixels that is the central 207/240,
//! and of other crops the same part; what a turn by 45° sees beyond the crop is the mean
//! colour. Dropout comes before each dense layer. Other than there, a convolution's bias
//! is one for all its places, and the last layer gives as many outputs as there are
//! classes, in place of their 37 and of the constraints upon them.

use super::{Conv, Layer, Look, Zeros, conv, scaled};
use crate::model::architecture::Architecture;

/// Body, neck, and the number of features.
pub(super) fn layers(architecture: &Architecture) -> (Vec<Layer>, Vec<Layer>, usize) {
    let wide = |base| scaled(base, architecture.width);
    let look = Look { fraction: (207, 240), side: 69, samples: 3, corners: Some(45) };
    let mut body = vec![Layer::Look(look)];
    let mut input = 3;
    for (place, (output, kernel, pools)) in
        [(32, 6, true), (64, 5, true), (128, 3, false), (128, 3, true)].into_iter().enumerate()
    {
        let output = wide(output);
        let own = conv(format!("conv{}", place + 1), (input, output), kernel, 1);
        let own = Conv { padding: Zeros::Each(0), bias: true, ..own };
        body.extend([Layer::Conv(own), Layer::Relu]);
        if pools {
            body.push(Layer::MaxPool { kernel: 2, stride: 2, padding: 0, ceil: false });
        }
        input = output;
    }
    // 45 → 40 → 20 → 16 → 8 → 6 → 4 → 2.
    let views = look.views();
    let joined = views * 4 * input;
    let dense = |name: &str, input: usize| {
        let output = 2 * wide(2048);
        [Layer::Linear { prefix: name.into(), input, output }, Layer::Maxout]
    };
    let drop = |before: &str| Layer::Dropout { name: before.into() };
    let mut neck = vec![Layer::Flatten, Layer::Join(views), drop("dense1")];
    neck.extend(dense("dense1", joined));
    neck.push(drop("dense2"));
    neck.extend(dense("dense2", wide(2048)));
    (body, neck, wide(2048))
}
