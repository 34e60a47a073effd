//! What a network is, as a model file says it: a backbone, its parameters, and the
//! layers of the EfficientNets, from which every execution of these is built.
//!
//! The layers say their shapes and the names of their weights (torchvision's, which
//! are this project's canonical names). It does not hold weights and runs nothing;
//! the layers of any backbone are a [`Plan`].
//!
//! Sources: Tan & Le 2019 (arXiv:1905.11946), table 1 and section 4; rounding
//! of channels and names of weights after torchvision's `efficientnet.py`.

use serde::{Deserialize, Serialize};

use super::backbone::{Backbone, Plan};

/// How convolutions of stride 2 pad their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// `(k − 1) / 2` on every side, as PyTorch's networks do.
    Symmetric,
    /// TensorFlow's `SAME`: as little as the output size needs, the odd pixel
    /// on the bottom and right.
    Same,
}

impl Padding {
    /// Pixels padded before (top, left) and the output's size along one axis.
    pub fn resolve(self, input: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Symmetric => {
                let pad = (kernel - 1) / 2;
                (pad, (input + 2 * pad - kernel) / stride + 1)
            }
            Self::Same => {
                let output = input.div_ceil(stride);
                let total = ((output - 1) * stride + kernel).saturating_sub(input);
                (total / 2, output)
            }
        }
    }
}

/// What decides the shape of a network and of its arithmetic, apart from its
/// classes. Stored in the model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// `efficientnet-b0` … `efficientnet-b7`, a backbone's, or a name of one's own.
    pub name: String,
    /// Multiplies channels.
    pub width: f64,
    /// Multiplies the number of blocks a stage.
    pub depth: f64,
    /// Dropout before the classifier, and between dense layers, while training.
    pub dropout: f64,
    /// Added to the variance by batch norm, and by a transformer's layer norm.
    pub bn_eps: f64,
    /// Padding of all convolutions of an EfficientNet; others have their own.
    pub padding: Padding,
    /// The family; an EfficientNet where a file does not say.
    #[serde(default, skip_serializing_if = "Backbone::is_default")]
    pub backbone: Backbone,
    /// Side of the crops in pixels, of a network that is for one size alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
}

/// `(expansion, kernel, stride, input channels, output channels, blocks)` of
/// B0's seven stages.
const B0_STAGES: [(usize, usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
];

/// One inverted-bottleneck block: expand 1×1, depthwise k×k, squeeze and
/// excite, project 1×1, and the residual where shapes allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MbConv {
    /// Prefix of its weights, such as `features.2.0.block`.
    pub prefix: String,
    /// Channels in.
    pub input: usize,
    /// Channels inside; equal to `input` where there is no expansion.
    pub expanded: usize,
    /// Channels of the squeeze: a quarter of `input`.
    pub squeezed: usize,
    /// Channels out.
    pub output: usize,
    /// Side of the depthwise kernel, 3 or 5.
    pub kernel: usize,
    /// Stride of the depthwise kernel, 1 or 2.
    pub stride: usize,
}

impl MbConv {
    /// Whether a 1×1 convolution expands the input first.
    pub fn expands(&self) -> bool {
        self.expanded != self.input
    }

    /// Whether the input is added to the output.
    pub fn residual(&self) -> bool {
        self.stride == 1 && self.input == self.output
    }

    /// Prefix of the expanding convolution (`.0`) and its batch norm (`.1`).
    pub fn expand_prefix(&self) -> Option<String> {
        self.expands().then(|| format!("{}.0", self.prefix))
    }

    /// Prefix of the depthwise convolution (`.0`) and its batch norm (`.1`).
    pub fn depthwise_prefix(&self) -> String {
        format!("{}.{}", self.prefix, usize::from(self.expands()))
    }

    /// Prefix of squeeze (`.fc1`) and excite (`.fc2`), 1×1 with bias.
    pub fn se_prefix(&self) -> String {
        format!("{}.{}", self.prefix, 1 + usize::from(self.expands()))
    }

    /// Prefix of the projecting convolution (`.0`) and its batch norm (`.1`).
    pub fn project_prefix(&self) -> String {
        format!("{}.{}", self.prefix, 2 + usize::from(self.expands()))
    }
}

/// The layers of a network, from pixels to features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// Channels out of the 3×3 stem of stride 2 (`features.0`).
    pub stem: usize,
    /// The blocks in order.
    pub blocks: Vec<MbConv>,
    /// Prefix of the 1×1 head, `features.8`.
    pub head_prefix: String,
    /// Channels out of the head, the length of the feature vector.
    pub features: usize,
}

impl Layers {
    /// The names of its layers, from the pixels to the classifier.
    pub fn names(&self) -> Vec<String> {
        let block = |block: &MbConv| block.prefix.trim_end_matches(".block").to_owned();
        let mut names = vec!["features.0".to_owned()];
        names.extend(self.blocks.iter().map(block));
        names.extend([self.head_prefix.clone(), "classifier".to_owned()]);
        names
    }
}

impl Architecture {
    /// EfficientNet-B`index` as torchvision builds it, but with the epsilon of
    /// 1e-3 that the family was trained with.
    ///
    /// Returns `None` beyond B7.
    pub fn efficientnet(index: usize) -> Option<Self> {
        let (width, depth, dropout) = *[
            (1.0, 1.0, 0.2),
            (1.0, 1.1, 0.2),
            (1.1, 1.2, 0.3),
            (1.2, 1.4, 0.3),
            (1.4, 1.8, 0.4),
            (1.6, 2.2, 0.4),
            (1.8, 2.6, 0.5),
            (2.0, 3.1, 0.5),
        ]
        .get(index)?;
        Some(Self {
            name: format!("efficientnet-b{index}"),
            width,
            depth,
            dropout,
            bn_eps: 1e-3,
            padding: Padding::Symmetric,
            backbone: Backbone::Efficientnet,
            image: None,
        })
    }

    /// A narrow member of the family, for fixtures and tests: two of it, in
    /// half precision, are half a megabyte.
    pub fn nano() -> Self {
        Self {
            name: "efficientnet-nano".into(),
            width: 0.2,
            depth: 0.33,
            dropout: 0.2,
            bn_eps: 1e-3,
            padding: Padding::Symmetric,
            backbone: Backbone::Efficientnet,
            image: None,
        }
    }

    /// Another backbone as it was published, or a narrow member of its family for
    /// tests; its norms have torchvision's epsilon.
    fn other(backbone: Backbone, nano: bool) -> Self {
        let (width, depth) = if nano { (0.125, 0.25) } else { (1.0, 1.0) };
        let architecture = Self {
            name: format!("{}{}", backbone.name(), if nano { "-nano" } else { "" }),
            width,
            depth,
            dropout: backbone.dropout(),
            bn_eps: backbone.epsilon(),
            padding: Padding::Symmetric,
            backbone,
            image: None,
        };
        architecture.for_images(240)
    }

    /// The architectures that can be asked for by name ([`Self::names`]).
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|a| a.name == name)
    }

    /// Every architecture that has a name of the program's.
    pub fn all() -> impl Iterator<Item = Self> {
        let family = (0..).map_while(Self::efficientnet).chain([Self::nano()]);
        let others = Backbone::ALL.into_iter().filter(|backbone| !backbone.is_default());
        family.chain(others.flat_map(|own| [false, true].map(|nano| Self::other(own, nano))))
    }

    /// The names of [`Self::named`], for a person: the narrow ones, which are for
    /// tests, are not told.
    pub fn names() -> String {
        let names: Vec<String> =
            Self::all().map(|a| a.name).filter(|name| !name.ends_with("-nano")).collect();
        names.join(", ")
    }

    /// The same for crops of `size` pixels, where a network is for one size alone.
    pub fn for_images(self, size: usize) -> Self {
        let image = (self.backbone == Backbone::VitB16).then_some(size);
        Self { image, ..self }
    }

    /// Whether every layer is the same, and so the same weights fit.
    pub fn same_layers(&self, other: &Self) -> bool {
        self.plan() == other.plan()
    }

    /// The layers of any backbone.
    pub fn plan(&self) -> Plan {
        Plan::of(self)
    }

    /// Whether a tensor is the classifier's.
    pub fn is_classifier(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.backbone.classifier());
        rest.is_some_and(|rest| rest.starts_with('.'))
    }

    /// The layers of an EfficientNet in order; other backbones have a
    /// [plan](Self::plan).
    pub fn layers(&self) -> Layers {
        let channels = |base: usize| round_channels(base as f64 * self.width);
        let mut blocks = Vec::new();
        for (i, (expansion, kernel, stride, input, output, count)) in
            B0_STAGES.into_iter().enumerate()
        {
            let count = (count as f64 * self.depth).ceil() as usize;
            let (input, output) = (channels(input), channels(output));
            for j in 0..count {
                let input = if j == 0 { input } else { output };
                let expanded =
                    if expansion == 1 { input } else { round_channels((input * expansion) as f64) };
                blocks.push(MbConv {
                    prefix: format!("features.{}.{j}.block", i + 1),
                    input,
                    expanded,
                    squeezed: (input / 4).max(1),
                    output,
                    kernel,
                    stride: if j == 0 { stride } else { 1 },
                });
            }
        }
        Layers {
            stem: channels(32),
            head_prefix: format!("features.{}", B0_STAGES.len() + 1),
            features: 4 * channels(320),
            blocks,
        }
    }
}

/// The multiple of 8 nearest to `value`, never less than 90 % of it.
fn round_channels(value: f64) -> usize {
    let rounded = (((value + 4.0) / 8.0).floor() * 8.0).max(8.0);
    (if rounded < 0.9 * value { rounded + 8.0 } else { rounded }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_has_the_papers_23_blocks_and_the_published_sizes() {
        let layers = Architecture::efficientnet(1).unwrap().layers();
        assert_eq!(layers.blocks.len(), 23);
        assert_eq!((layers.stem, layers.features), (32, 1280));
        let last = layers.blocks.last().unwrap();
        assert_eq!(last.prefix, "features.7.1.block");
        assert_eq!((last.input, last.expanded, last.output), (320, 1920, 320));
        assert!(last.residual());
    }

    #[test]
    fn the_family_grows_as_published() {
        let features: Vec<_> = (0..8)
            .map(|i| Architecture::efficientnet(i).unwrap().layers())
            .map(|l| (l.stem, l.blocks.len(), l.features))
            .collect();
        assert_eq!(features[0], (32, 16, 1280));
        assert_eq!(features[3], (40, 26, 1536));
        assert_eq!(features[7], (64, 55, 2560));
        assert!(Architecture::efficientnet(8).is_none());
        let b7 = Architecture::named("efficientnet-b7").unwrap();
        assert_eq!(b7.layers().features, 2560);
        assert_eq!(Architecture::named("efficientnet-nano").unwrap().layers().blocks.len(), 8);
        assert!(Architecture::named("efficientnet-b8").is_none());
        let names = Architecture::names();
        assert!(names.contains("b7, resnet34, resnet50, vgg16, googlenet, vit-b16, resnet26"));
    }

    #[test]
    fn same_padding_puts_the_odd_pixel_last() {
        assert_eq!(Padding::Same.resolve(240, 3, 2), (0, 120));
        assert_eq!(Padding::Symmetric.resolve(240, 3, 2), (1, 120));
        assert_eq!(Padding::Same.resolve(15, 3, 2), (1, 8));
        assert_eq!(Padding::Symmetric.resolve(15, 5, 1), (2, 15));
    }
}
