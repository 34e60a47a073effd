//! Every tensor that a network of an architecture has: names and shapes, in
//! the order of torchvision's `state_dict`.
//!
//! Derived from [`Architecture::plan`] alone, so that reading, writing,
//! importing and seeding cannot disagree about what belongs to a network.
//! `num_batches_tracked`, a counter that no arithmetic uses, is left out.

use super::architecture::Architecture;
use super::backbone::Layer;

/// Name and shape of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// torchvision's name.
    pub name: String,
    /// Sizes of its axes: convolutions are `out × in/groups × k × k`.
    pub shape: Vec<usize>,
}

impl Parameter {
    /// Whether it is a running statistic of batch norm, which is not learned.
    pub fn is_running(&self) -> bool {
        self.name.ends_with(".running_mean") || self.name.ends_with(".running_var")
    }
}

/// The tensors of `architecture` with `classes` outputs, learned ones and
/// running statistics, in order.
pub fn parameters(architecture: &Architecture, classes: usize) -> Vec<Parameter> {
    let plan = architecture.plan();
    let mut list = List::default();
    list.layers(&plan.body);
    list.layers(&plan.neck);
    list.linear(plan.classifier, &[classes, plan.features]);
    list.0
}

#[derive(Default)]
struct List(Vec<Parameter>);

impl List {
    fn add(&mut self, name: String, shape: &[usize]) {
        self.0.push(Parameter { name, shape: shape.to_vec() });
    }

    /// A weight and a bias of the outputs.
    fn linear(&mut self, prefix: &str, shape: &[usize]) {
        self.add(format!("{prefix}.weight"), shape);
        self.add(format!("{prefix}.bias"), &shape[..1]);
    }

    fn layers(&mut self, layers: &[Layer]) {
        layers.iter().for_each(|layer| self.layer(layer));
    }

    fn layer(&mut self, layer: &Layer) {
        match layer {
            Layer::Conv(conv) => {
                let input = if conv.depthwise { 1 } else { conv.input };
                let shape = [conv.output, input, conv.kernel, conv.kernel];
                self.add(format!("{}.weight", conv.prefix), &shape);
                if conv.bias {
                    self.add(format!("{}.bias", conv.prefix), &shape[..1]);
                }
            }
            Layer::Norm { prefix, channels } => {
                for part in ["weight", "bias", "running_mean", "running_var"] {
                    self.add(format!("{prefix}.{part}"), &[*channels]);
                }
            }
            Layer::Gate { prefix, channels, squeezed } => {
                self.linear(&format!("{prefix}.fc1"), &[*squeezed, *channels, 1, 1]);
                self.linear(&format!("{prefix}.fc2"), &[*channels, *squeezed, 1, 1]);
            }
            Layer::Residual { branch, skip } => {
                self.layers(branch);
                self.layers(skip);
            }
            Layer::Branches(branches) => branches.iter().for_each(|branch| self.layers(branch)),
            Layer::Linear { prefix, input, output } => self.linear(prefix, &[*output, *input]),
            Layer::Tokens { patch, width, count } => {
                self.add("class_token".into(), &[1, 1, *width]);
                self.linear("conv_proj", &[*width, 3, *patch, *patch]);
                self.add("encoder.pos_embedding".into(), &[1, *count, *width]);
            }
            Layer::Encoder { prefix, width, hidden, .. } => {
                let (name, width) = (|what: &str| format!("{prefix}.{what}"), *width);
                self.linear(&name("ln_1"), &[width]);
                self.add(name("self_attention.in_proj_weight"), &[3 * width, width]);
                self.add(name("self_attention.in_proj_bias"), &[3 * width]);
                self.linear(&name("self_attention.out_proj"), &[width, width]);
                self.linear(&name("ln_2"), &[width]);
                self.linear(&name("mlp.0"), &[*hidden, width]);
                self.linear(&name("mlp.3"), &[width, *hidden]);
            }
            Layer::TokenNorm { prefix, width } => self.linear(prefix, &[*width]),
            Layer::Look(_)
            | Layer::Relu
            | Layer::Silu
            | Layer::MaxPool { .. }
            | Layer::AdaptiveMean(_)
            | Layer::Mean
            | Layer::Flatten
            | Layer::Join(_)
            | Layer::Maxout
            | Layer::Dropout { .. }
            | Layer::ClassToken => {}
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
