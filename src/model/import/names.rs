//! What other libraries call the tensors of a network: torchvision those of any, the
//! others those of an EfficientNet.
//!
//! Every rule is derived from the layers, so that it holds for each member of
//! the family. Only prefixes differ: `weight`, `bias`, `running_mean` and
//! `running_var` are PyTorch's everywhere.

use std::collections::BTreeMap;

use crate::model::architecture::{Architecture, MbConv, Padding};
use crate::model::backbone::Backbone;

/// Whose names a file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// torchvision, whose names are this project's.
    Torchvision,
    /// timm (pytorch-image-models).
    Timm,
    /// EfficientNet-PyTorch.
    EfficientNetPytorch,
    /// EfficientNet-Lite in EfficientNet-PyTorch's names: no squeeze and
    /// excite, first and last stage not deepened.
    Lite,
}

impl Naming {
    /// Whose names these are, by whether some telling one `has` a tensor.
    pub fn of(has: impl Fn(&str) -> bool) -> Option<Self> {
        let torchvision = [
            "features.0.0.weight",
            // ResNets and the program's own networks, VGG, GoogLeNet, ViT.
            "conv1.weight",
            "features.0.weight",
            "conv1.conv.weight",
            "class_token",
        ];
        if torchvision.into_iter().any(&has) {
            Some(Self::Torchvision)
        } else if has("conv_stem.weight") {
            Some(Self::Timm)
        } else if has("_conv_stem.weight") {
            let gated = has("_blocks.0._se_reduce.weight");
            Some(if gated { Self::EfficientNetPytorch } else { Self::Lite })
        } else {
            None
        }
    }

    /// The library, for a person and for the provenance.
    pub fn label(self) -> &'static str {
        match self {
            Self::Torchvision => "torchvision",
            Self::Timm => "timm",
            Self::EfficientNetPytorch => "efficientnet-pytorch",
            Self::Lite => "efficientnet-lite",
        }
    }

    /// What the library gives its `architecture`, where weights do not say:
    /// the epsilon of batch norm, and the padding.
    ///
    /// timm's `tf_` models are the exception that has to be told: they use
    /// 1e-3 and [`Padding::Same`]. Lite networks were trained with the same,
    /// but come in to be trained on as part of another network.
    pub fn conventions(self, architecture: &Architecture) -> (f64, Padding) {
        let large = ["b5", "b6", "b7"].iter().any(|m| architecture.name.ends_with(m));
        if !architecture.backbone.is_default() {
            return (architecture.backbone.epsilon(), Padding::Symmetric);
        }
        match self {
            Self::Torchvision if large => (1e-3, Padding::Symmetric),
            Self::Torchvision | Self::Timm => (1e-5, Padding::Symmetric),
            Self::EfficientNetPytorch => (1e-3, Padding::Same),
            Self::Lite => (1e-3, Padding::Symmetric),
        }
    }

    /// Prefix of the classifier's weight and bias in a network of `backbone`.
    pub fn classifier(self, backbone: Backbone) -> &'static str {
        match self {
            Self::Torchvision => backbone.classifier(),
            Self::Timm => "classifier",
            Self::EfficientNetPytorch | Self::Lite => "_fc",
        }
    }

    /// Canonical prefix → the library's, without the classifier's, in an
    /// EfficientNet. What a library does not have is not in it, and no other
    /// backbone: those have torchvision's names.
    pub fn prefixes(self, architecture: &Architecture) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        if !architecture.backbone.is_default() {
            return map;
        }
        let layers = architecture.layers();
        let (stem, head) = ("features.0", layers.head_prefix.as_str());
        let ends = match self {
            Self::Torchvision => {
                [format!("{stem}.0"), format!("{stem}.1"), format!("{head}.0"), format!("{head}.1")]
            }
            Self::Timm => ["conv_stem", "bn1", "conv_head", "bn2"].map(String::from),
            Self::EfficientNetPytorch | Self::Lite => {
                ["_conv_stem", "_bn0", "_conv_head", "_bn1"].map(String::from)
            }
        };
        let ours = [(stem, 0), (stem, 1), (head, 0), (head, 1)];
        map.extend(ours.map(|(p, i)| format!("{p}.{i}")).into_iter().zip(ends));

        let mut flat = 0;
        for block in &layers.blocks {
            let (stage, index) = position(block);
            let at = match self {
                Self::Torchvision => block.prefix.clone(),
                Self::Timm => format!("blocks.{stage}.{index}"),
                Self::Lite if index > 0 && (stage == 0 || stage == 6) => continue,
                Self::EfficientNetPytorch | Self::Lite => format!("_blocks.{flat}"),
            };
            flat += 1;
            map.extend(self.block(block, &at));
        }
        map
    }

    /// The prefixes of one block, which the library keeps under `at`.
    fn block(self, block: &MbConv, at: &str) -> Vec<(String, String)> {
        let ours = |prefix: String| [format!("{prefix}.0"), format!("{prefix}.1")];
        let expand = block.expand_prefix().map(ours);
        let [depthwise, depthwise_norm] = ours(block.depthwise_prefix());
        let [project, project_norm] = ours(block.project_prefix());
        let se = block.se_prefix();
        let (fc1, fc2) = (format!("{se}.fc1"), format!("{se}.fc2"));

        if self == Self::Torchvision {
            let all = [depthwise, depthwise_norm, fc1, fc2, project, project_norm];
            let all = expand.into_iter().flatten().chain(all);
            return all.map(|name| (name.clone(), name)).collect();
        }
        let theirs = match (self, block.expands()) {
            (Self::Timm, true) => [
                ("conv_pw", "bn1"),
                ("conv_dw", "bn2"),
                ("se.conv_reduce", "se.conv_expand"),
                ("conv_pwl", "bn3"),
            ],
            (Self::Timm, false) => [
                ("", ""),
                ("conv_dw", "bn1"),
                ("se.conv_reduce", "se.conv_expand"),
                ("conv_pw", "bn2"),
            ],
            _ => [
                ("_expand_conv", "_bn0"),
                ("_depthwise_conv", "_bn1"),
                ("_se_reduce", "_se_expand"),
                ("_project_conv", "_bn2"),
            ],
        };
        let mut pairs = Vec::new();
        if let Some([conv, norm]) = expand {
            pairs.extend([(conv, theirs[0].0), (norm, theirs[0].1)]);
        }
        pairs.extend([(depthwise, theirs[1].0), (depthwise_norm, theirs[1].1)]);
        if self != Self::Lite {
            pairs.extend([(fc1, theirs[2].0), (fc2, theirs[2].1)]);
        }
        pairs.extend([(project, theirs[3].0), (project_norm, theirs[3].1)]);
        pairs.into_iter().map(|(ours, theirs)| (ours, format!("{at}.{theirs}"))).collect()
    }
}

/// Stage (from 0) and index within it of a block.
fn position(block: &MbConv) -> (usize, usize) {
    let mut numbers = block.prefix.split('.').filter_map(|part| part.parse::<usize>().ok());
    let stage = numbers.next().unwrap_or(1);
    (stage - 1, numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn b1(naming: Naming) -> BTreeMap<String, String> {
        naming.prefixes(&Architecture::efficientnet(1).unwrap())
    }

    #[test]
    fn torchvision_s_names_are_ours() {
        assert!(b1(Naming::Torchvision).iter().all(|(ours, theirs)| ours == theirs));
    }

    #[test]
    fn no_two_tensors_share_a_name() {
        for naming in [Naming::Timm, Naming::EfficientNetPytorch, Naming::Lite] {
            let map = b1(naming);
            let theirs: std::collections::BTreeSet<_> = map.values().collect();
            assert_eq!(theirs.len(), map.len(), "{naming:?}");
        }
    }

    #[test]
    fn lite_has_21_blocks_and_no_gates() {
        let map = b1(Naming::Lite);
        assert!(!map.contains_key("features.1.1.block.0.0"));
        assert!(!map.keys().any(|k| k.contains("fc")));
        assert_eq!(map["features.2.0.block.0.0"], "_blocks.1._expand_conv");
        assert_eq!(map["features.7.0.block.3.1"], "_blocks.20._bn2");
        assert!(!map.values().any(|v| v.starts_with("_blocks.21")));
    }
}
