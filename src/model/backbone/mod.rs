//! Every backbone as data: its layers in order, one file a family.
//!
//! A [`Plan`] is what an engine runs layer by layer, and what a network's tensors
//! are listed from ([`super::parameters`]); it holds no weights and runs nothing.
//! Names of tensors are torchvision's where it has the network.
//!
//! Invariant: a plan depends on the architecture alone, and its last layer gives the
//! features that the classifier sees.

mod dieleman;
mod efficientnet;
mod googlenet;
mod grid;
mod resnet;
mod resnet26;
mod vgg;
mod vit;

use serde::{Deserialize, Serialize};

pub use self::grid::Grid;
use super::architecture::{Architecture, Padding};

/// A family of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backbone {
    /// Tan & Le 2019; what files that do not say mean.
    #[default]
    Efficientnet,
    /// ResNet-34 (He et al. 2016).
    Resnet34,
    /// ResNet-50 as torchvision has it (the stride in the 3×3).
    Resnet50,
    /// VGG-16 without batch norm (Simonyan & Zisserman 2015).
    Vgg16,
    /// GoogLeNet with batch norm and without its auxiliary classifiers.
    Googlenet,
    /// ViT-B/16 (Dosovitskiy et al. 2021).
    VitB16,
    /// ResNet-26 (Zhu et al. 2019).
    Resnet26,
    /// Dieleman et al. 2015.
    Dieleman,
}

impl Backbone {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Efficientnet,
        Self::Resnet34,
        Self::Resnet50,
        Self::Vgg16,
        Self::Googlenet,
        Self::VitB16,
        Self::Resnet26,
        Self::Dieleman,
    ];

    /// Its name, which an architecture's begins with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Efficientnet => "efficientnet",
            Self::Resnet34 => "resnet34",
            Self::Resnet50 => "resnet50",
            Self::Vgg16 => "vgg16",
            Self::Googlenet => "googlenet",
            Self::VitB16 => "vit-b16",
            Self::Resnet26 => "resnet26",
            Self::Dieleman => "dieleman",
        }
    }

    /// Whether it is what files that do not say mean.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Prefix of the last layer's weight and bias.
    pub fn classifier(self) -> &'static str {
        match self {
            Self::Efficientnet => "classifier.1",
            Self::Vgg16 => "classifier.6",
            Self::VitB16 => "heads.head",
            Self::Resnet34 | Self::Resnet50 | Self::Googlenet | Self::Resnet26 | Self::Dieleman => {
                "fc"
            }
        }
    }

    /// Epsilon of its norms, as torchvision has them.
    pub fn epsilon(self) -> f64 {
        match self {
            Self::Efficientnet | Self::Googlenet => 1e-3,
            Self::VitB16 => 1e-6,
            _ => 1e-5,
        }
    }

    /// Probability that dropout leaves a number out, as it was published.
    pub fn dropout(self) -> f64 {
        match self {
            Self::Efficientnet | Self::Googlenet => 0.2,
            Self::Vgg16 | Self::Dieleman => 0.5,
            Self::Resnet26 => 0.33,
            Self::Resnet34 | Self::Resnet50 | Self::VitB16 => 0.0,
        }
    }

    /// The number of its layers' present form, where these have changed since networks
    /// could be trained: an unfinished run of an earlier one is another network's.
    pub fn revision(self) -> Option<u32> {
        match self {
            // Widths, strides, pools and dropout; dropout before the first dense layer.
            Self::Resnet26 | Self::Dieleman => Some(2),
            _ => None,
        }
    }

    /// Whether it leaves out features too; of a ResNet-26, only numbers inside of units.
    fn drops_features(self) -> bool {
        self != Self::Resnet26
    }
}

/// Channels that a width of less or more than 1 leaves of `base`, at least 8.
fn scaled(base: usize, width: f64) -> usize {
    ((base as f64 * width / 8.0).round() as usize).max(1) * 8
}

/// Blocks that a depth of less or more than 1 leaves of `count`, at least 1.
fn repeated(count: usize, depth: f64) -> usize {
    ((count as f64 * depth).round() as usize).max(1)
}

/// A convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv {
    /// Prefix of its tensors.
    pub prefix: String,
    /// Channels in.
    pub input: usize,
    /// Channels out.
    pub output: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Pixels from one output to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: Zeros,
    /// Whether a bias is added.
    pub bias: bool,
    /// Whether each channel has a kernel of its own.
    pub depthwise: bool,
}

/// Zeros around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// So many on every side.
    Each(usize),
    /// As the architecture's padding says.
    As(Padding),
}

impl Zeros {
    /// Zeros before the first pixel, and the output's size along one axis.
    pub fn resolve(self, input: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Each(pad) => (pad, ((input + 2 * pad).saturating_sub(kernel)) / stride + 1),
            Self::As(padding) => padding.resolve(input, kernel, stride),
        }
    }
}

/// How a network looks at its crop: the central square, `fraction` of the crop's
/// side wide, as `side` × `side` pixels, each the mean of `samples` × `samples`
/// bilinear samples; beyond the crop there is the mean colour (0 when normalised).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Width of the square as a part of the crop: numerator, denominator.
    pub fraction: (usize, usize),
    /// Pixels along each side.
    pub side: usize,
    /// Samples along each side of a pixel.
    pub samples: usize,
    /// Side of the corners that are the views, where there are sixteen: for turns of
    /// 0° and 45°, each plain and mirrored left to right, the upper left corner of
    /// the four quarter turns (counterclockwise), in this order.
    pub corners: Option<usize>,
}

impl Look {
    /// Pictures made of a crop.
    pub fn views(&self) -> usize {
        if self.corners.is_some() { 16 } else { 1 }
    }

    /// Side of each.
    pub fn view(&self) -> usize {
        self.corners.unwrap_or(self.side)
    }
}

/// A layer. Images have channels, rows and columns; tokens a vector each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// The crop as another picture, or several.
    Look(Look),
    /// A convolution.
    Conv(Conv),
    /// Batch norm over the pixels of each channel.
    Norm {
        /// Prefix of its tensors.
        prefix: String,
        /// Of the image.
        channels: usize,
    },
    /// max(x, 0).
    Relu,
    /// x·σ(x).
    Silu,
    /// Squeeze and excite, with 1×1 layers `fc1` and `fc2`.
    Gate {
        /// Prefix of its tensors.
        prefix: String,
        /// Of the image.
        channels: usize,
        /// Between its layers.
        squeezed: usize,
    },
    /// The largest of each window.
    MaxPool {
        /// Side of the window.
        kernel: usize,
        /// From one window to the next.
        stride: usize,
        /// Around the image, never the largest.
        padding: usize,
        /// Whether a window that reaches over the end counts.
        ceil: bool,
    },
    /// What the branch makes, added to what the other makes of the same (nothing: it
    /// is taken as it is).
    Residual {
        /// The branch.
        branch: Vec<Layer>,
        /// The way around it.
        skip: Vec<Layer>,
    },
    /// The channels of several branches, one behind the other.
    Branches(Vec<Vec<Layer>>),
    /// Means of as even a grid of windows as there is, so many a side.
    AdaptiveMean(usize),
    /// The mean of all pixels: a vector of the channels.
    Mean,
    /// All numbers of an image as one vector: channel, row, column.
    Flatten,
    /// The vectors of so many views, one behind the other.
    Join(usize),
    /// A matrix and a bias.
    Linear {
        /// Prefix of its tensors.
        prefix: String,
        /// Numbers in.
        input: usize,
        /// Numbers out.
        output: usize,
    },
    /// The larger of each two neighbours.
    Maxout,
    /// Some of the numbers are left out while training.
    Dropout {
        /// Names its random numbers.
        name: String,
    },
    /// Patches as tokens behind a class token, with learned places.
    Tokens {
        /// Side of a patch.
        patch: usize,
        /// Length of a token.
        width: usize,
        /// Patches and the class token.
        count: usize,
    },
    /// A transformer's layer with the norms first.
    Encoder {
        /// Prefix of its tensors.
        prefix: String,
        /// Length of a token.
        width: usize,
        /// Of the attention.
        heads: usize,
        /// Between the two layers of its perceptron.
        hidden: usize,
    },
    /// Layer norm of each token.
    TokenNorm {
        /// Prefix of its tensors.
        prefix: String,
        /// Length of a token.
        width: usize,
    },
    /// The class token alone.
    ClassToken,
}

/// The layers of a network, from pixels to features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// From pixels to the last feature maps.
    pub body: Vec<Layer>,
    /// From these to the features.
    pub neck: Vec<Layer>,
    /// Length of the feature vector.
    pub features: usize,
    /// Prefix of the classifier's weight and bias.
    pub classifier: &'static str,
    /// Whether features are left out while training, before the classifier.
    pub drops_features: bool,
}

impl Plan {
    /// That of an architecture.
    pub fn of(architecture: &Architecture) -> Self {
        let (body, neck, features) = match architecture.backbone {
            Backbone::Efficientnet => efficientnet::layers(architecture),
            Backbone::Resnet34 | Backbone::Resnet50 => resnet::layers(architecture),
            Backbone::Vgg16 => vgg::layers(architecture),
            Backbone::Googlenet => googlenet::layers(architecture),
            Backbone::VitB16 => vit::layers(architecture),
            Backbone::Resnet26 => resnet26::layers(architecture),
            Backbone::Dieleman => dieleman::layers(architecture),
        };
        let Architecture { backbone, .. } = architecture;
        let (classifier, drops_features) = (backbone.classifier(), backbone.drops_features());
        Self { body, neck, features, classifier, drops_features }
    }

    /// Whether the features are the means of feature maps.
    pub fn has_maps(&self) -> bool {
        self.neck == [Layer::Mean]
    }
}

/// Windows along an axis, as PyTorch counts them: one that begins in the padding
/// behind the image is none.
pub fn pooled(size: usize, kernel: usize, stride: usize, padding: usize, ceil: bool) -> usize {
    let room = (size + 2 * padding).saturating_sub(kernel);
    if !ceil {
        return room / stride + 1;
    }
    let count = room.div_ceil(stride) + 1;
    if (count - 1) * stride >= size + padding { count - 1 } else { count }
}

/// A convolution without bias, its batch norm, and ReLU.
fn conv_norm_relu(conv: Conv, norm: impl Into<String>) -> [Layer; 3] {
    let channels = conv.output;
    [Layer::Conv(conv), Layer::Norm { prefix: norm.into(), channels }, Layer::Relu]
}

/// A convolution that keeps the size at stride 1.
fn conv(prefix: impl Into<String>, io: (usize, usize), kernel: usize, stride: usize) -> Conv {
    Conv {
        prefix: prefix.into(),
        input: io.0,
        output: io.1,
        kernel,
        stride,
        padding: Zeros::Each((kernel - 1) / 2),
        bias: false,
        depthwise: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parameters::parameters;

    /// Learned parameters that torchvision publishes for 1000 classes (GoogLeNet
    /// without its auxiliary classifiers).
    #[test]
    fn sizes_are_the_published_ones() {
        for (name, expected) in [
            ("resnet34", 21_797_672),
            ("resnet50", 25_557_032),
            ("vgg16", 138_357_544),
            ("googlenet", 6_624_904),
            ("vit-b16", 86_567_656),
        ] {
            let architecture = Architecture::named(name).unwrap().for_images(224);
            let learned: usize = parameters(&architecture, 1000)
                .iter()
                .filter(|p| !p.name.contains("running_"))
                .map(|p| p.shape.iter().product::<usize>())
                .sum();
            assert_eq!(learned, expected, "{name}");
        }
    }

    #[test]
    fn maps_have_the_published_sides() {
        for (name, size, expected) in [
            ("efficientnet-b1", 240, 8),
            ("resnet34", 224, 7),
            ("resnet50", 224, 7),
            ("vgg16", 224, 7),
            ("googlenet", 224, 7),
            ("resnet26", 240, 4),
            ("dieleman", 240, 2),
        ] {
            let plan = Plan::of(&Architecture::named(name).unwrap());
            assert_eq!(plan.map_side(size), expected, "{name}");
        }
    }

    #[test]
    fn windows_are_counted_as_pytorch_does() {
        assert_eq!(pooled(112, 3, 2, 0, true), 56);
        assert_eq!(pooled(7, 2, 2, 0, true), 4);
        assert_eq!(pooled(7, 2, 2, 0, false), 3);
        assert_eq!(pooled(28, 3, 1, 1, true), 28);
        // The fourth window would begin behind the image and its padding.
        assert_eq!(pooled(4, 1, 2, 1, true), 3);
    }

    #[test]
    fn no_two_tensors_share_a_name() {
        for backbone in Backbone::ALL.into_iter().skip(1) {
            for name in [backbone.name().to_owned(), format!("{}-nano", backbone.name())] {
                let architecture = Architecture::named(&name).unwrap();
                let all = parameters(&architecture, 5);
                let names: std::collections::BTreeSet<_> = all.iter().map(|p| &p.name).collect();
                assert_eq!(names.len(), all.len(), "{name}");
                let features = Plan::of(&architecture).features;
                let head = format!("{}.weight", backbone.classifier());
                let head = all.iter().find(|p| p.name == head).unwrap();
                assert_eq!(head.shape, [5, features], "{name}");
            }
        }
    }
}
