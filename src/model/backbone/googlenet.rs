//! GoogLeNet (Szegedy et al. 2015) as torchvision has it: with batch norm, a 3×3
//! where the paper has a 5×5, and without the auxiliary classifiers, which are there
//! for training from scratch on ImageNet.

use super::{Conv, Layer, Zeros, conv, conv_norm_relu, scaled};
use crate::model::architecture::Architecture;

/// Name, then channels: 1×1; before the 3×3 and of it; before the second and of it;
/// behind the pool. A name that begins with `maxpool` is a pool of that window.
const INCEPTIONS: [(&str, [usize; 6]); 11] = [
    ("inception3a", [64, 96, 128, 16, 32, 32]),
    ("inception3b", [128, 128, 192, 32, 96, 64]),
    ("maxpool3", [3, 0, 0, 0, 0, 0]),
    ("inception4a", [192, 96, 208, 16, 48, 64]),
    ("inception4b", [160, 112, 224, 24, 64, 64]),
    ("inception4c", [128, 128, 256, 24, 64, 64]),
    ("inception4d", [112, 144, 288, 32, 64, 64]),
    ("inception4e", [256, 160, 320, 32, 128, 128]),
    ("maxpool4", [2, 0, 0, 0, 0, 0]),
    ("inception5a", [256, 160, 320, 32, 128, 128]),
    ("inception5b", [384, 192, 384, 48, 128, 128]),
];

/// Body, neck, and the number of features.
pub(super) fn layers(architecture: &Architecture) -> (Vec<Layer>, Vec<Layer>, usize) {
    let wide = |base: usize| scaled(base, architecture.width);
    let pool = |kernel| Layer::MaxPool { kernel, stride: 2, padding: 0, ceil: true };
    let stem = conv("conv1", (3, wide(64)), 7, 2);
    let mut body = basic(Conv { padding: Zeros::Each(3), ..stem });
    body.push(pool(3));
    body.extend(basic(conv("conv2", (wide(64), wide(64)), 1, 1)));
    body.extend(basic(conv("conv3", (wide(64), wide(192)), 3, 1)));
    body.push(pool(3));
    let mut input = wide(192);
    for (name, numbers) in INCEPTIONS {
        if name.starts_with("maxpool") {
            body.push(pool(numbers[0]));
            continue;
        }
        let [one, before3, three, before5, five, behind] = numbers.map(wide);
        let own = |branch: &str, io, kernel| basic(conv(format!("{name}.{branch}"), io, kernel, 1));
        let two = |branch: usize, middle, output| {
            let mut both = own(&format!("branch{branch}.0"), (input, middle), 1);
            both.extend(own(&format!("branch{branch}.1"), (middle, output), 3));
            both
        };
        let mut last = vec![Layer::MaxPool { kernel: 3, stride: 1, padding: 1, ceil: true }];
        last.extend(own("branch4.1", (input, behind), 1));
        body.push(Layer::Branches(vec![
            own("branch1", (input, one), 1),
            two(2, before3, three),
            two(3, before5, five),
            last,
        ]));
        input = one + three + five + behind;
    }
    (body, vec![Layer::Mean], input)
}

/// torchvision's `BasicConv2d`, whose prefix the convolution has.
fn basic(conv: Conv) -> Vec<Layer> {
    let prefix = conv.prefix;
    let norm = format!("{prefix}.bn");
    conv_norm_relu(Conv { prefix: format!("{prefix}.conv"), ..conv }, norm).into()
}
