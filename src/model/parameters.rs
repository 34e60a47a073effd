//! Every tensor that a network of an architecture has: names and shapes, in
//! the order of torchvision's `state_dict`.
//!
//! Derived from [`Architecture::layers`] alone, so that reading, writing,
//! importing and seeding cannot disagree about what belongs to a network.
//! `num_batches_tracked`, a counter that no arithmetic uses, is left out.

use super::architecture::Architecture;

/// Name and shape of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// torchvision's name.
    pub name: String,
    /// Sizes of its axes: convolutions are `out × in/groups × k × k`.
    pub shape: Vec<usize>,
}

/// The tensors of `architecture` with `classes` outputs, learned ones and
/// running statistics, in order.
pub fn parameters(architecture: &Architecture, classes: usize) -> Vec<Parameter> {
    let layers = architecture.layers();
    let mut list = List::default();
    list.conv_and_norm("features.0", [layers.stem, 3, 3, 3]);
    for block in &layers.blocks {
        if let Some(prefix) = block.expand_prefix() {
            list.conv_and_norm(&prefix, [block.expanded, block.input, 1, 1]);
        }
        let kernel = [block.expanded, 1, block.kernel, block.kernel];
        list.conv_and_norm(&block.depthwise_prefix(), kernel);
        let se = block.se_prefix();
        list.add(format!("{se}.fc1.weight"), &[block.squeezed, block.expanded, 1, 1]);
        list.add(format!("{se}.fc1.bias"), &[block.squeezed]);
        list.add(format!("{se}.fc2.weight"), &[block.expanded, block.squeezed, 1, 1]);
        list.add(format!("{se}.fc2.bias"), &[block.expanded]);
        list.conv_and_norm(&block.project_prefix(), [block.output, block.expanded, 1, 1]);
    }
    let last = layers.blocks.last().map_or(layers.stem, |b| b.output);
    list.conv_and_norm(&layers.head_prefix, [layers.features, last, 1, 1]);
    list.add("classifier.1.weight".into(), &[classes, layers.features]);
    list.add("classifier.1.bias".into(), &[classes]);
    list.0
}

#[derive(Default)]
struct List(Vec<Parameter>);

impl List {
    fn add(&mut self, name: String, shape: &[usize]) {
        self.0.push(Parameter { name, shape: shape.to_vec() });
    }

    fn conv_and_norm(&mut self, prefix: &str, shape: [usize; 4]) {
        self.add(format!("{prefix}.0.weight"), &shape);
        for part in ["weight", "bias", "running_mean", "running_var"] {
            self.add(format!("{prefix}.1.{part}"), &shape[..1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learned parameters published for torchvision's models, 1000 classes.
    #[test]
    fn sizes_are_the_published_ones() {
        let published = [
            5_288_548, 7_794_184, 9_109_994, 12_233_232, 19_341_616, 30_389_784, 43_040_704,
            66_347_960,
        ];
        for (index, expected) in published.into_iter().enumerate() {
            let architecture = Architecture::efficientnet(index).unwrap();
            let learned: usize = parameters(&architecture, 1000)
                .iter()
                .filter(|p| !p.name.contains("running_"))
                .map(|p| p.shape.iter().product::<usize>())
                .sum();
            assert_eq!(learned, expected, "B{index}");
        }
    }
}
