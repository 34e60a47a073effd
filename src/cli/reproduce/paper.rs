//! What the paper's tables 5 to 7 compare, and its figures (Ma et al., test split).

use clap::ValueEnum;

/// A table of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// HIWL against a single layer (SLWSLM).
    Table5,
    /// HIWL against itself without label smoothing (HMWS).
    Table6,
    /// Ten backbones, plain and with HIWL.
    Table7,
}

/// A row: what is trained, and the paper's figures for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// As the paper calls it.
    pub name: &'static str,
    /// The built-in recipe.
    pub recipe: &'static str,
    /// The backbone.
    pub backbone: &'static str,
    /// Accuracy on the test split; of table 7 the mean of ten runs.
    pub accuracy: f64,
    /// Recall of CRS, IBS, CSS, EO and SPI, where it is told.
    pub recall: Option<[f64; 5]>,
}

const HIWL: Row = Row {
    name: "HIWL",
    recipe: "train-hiwl",
    backbone: "efficientnet-b1",
    accuracy: 0.9632,
    recall: Some([0.9633, 0.9628, 0.7069, 0.9616, 0.9834]),
};

const TABLE5: [Row; 2] = [
    HIWL,
    Row {
        name: "SLWSLM",
        recipe: "train-slwslm",
        accuracy: 0.9590,
        recall: Some([0.9763, 0.9579, 0.6207, 0.9335, 0.9795]),
        ..HIWL
    },
];

const TABLE6: [Row; 2] = [
    HIWL,
    Row {
        name: "HMWS",
        recipe: "train-hmws",
        accuracy: 0.9604,
        recall: Some([0.9668, 0.9616, 0.6724, 0.9437, 0.9821]),
        ..HIWL
    },
];

const fn plain(name: &'static str, backbone: &'static str, accuracy: f64) -> Row {
    Row { name, recipe: "train-plain", backbone, accuracy, recall: None }
}

const fn hiwl(name: &'static str, backbone: &'static str, accuracy: f64) -> Row {
    Row { name, recipe: "train-hiwl", backbone, accuracy, recall: None }
}

const TABLE7: [Row; 20] = [
    plain("Dieleman", "dieleman", 0.9337),
    hiwl("Dieleman", "dieleman", 0.9400),
    plain("ResNet26", "resnet26", 0.9074),
    hiwl("ResNet26", "resnet26", 0.9147),
    plain("VGG16", "vgg16", 0.9431),
    hiwl("VGG16", "vgg16", 0.9469),
    plain("GoogleNet", "googlenet", 0.9480),
    hiwl("GoogleNet", "googlenet", 0.9507),
    plain("ResNet34", "resnet34", 0.9507),
    hiwl("ResNet34", "resnet34", 0.9597),
    plain("ResNet50", "resnet50", 0.9469),
    hiwl("ResNet50", "resnet50", 0.9497),
    plain("EfficientNet-B0", "efficientnet-b0", 0.9521),
    hiwl("EfficientNet-B0", "efficientnet-b0", 0.9577),
    plain("EfficientNet-B1", "efficientnet-b1", 0.9542),
    hiwl("EfficientNet-B1", "efficientnet-b1", 0.9612),
    plain("EfficientNet-B2", "efficientnet-b2", 0.9503),
    hiwl("EfficientNet-B2", "efficientnet-b2", 0.9580),
    plain("Vision Transformer", "vit-b16", 0.9264),
    hiwl("Vision Transformer", "vit-b16", 0.9451),
];

impl Table {
    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table5 => "table5",
            Self::Table6 => "table6",
            Self::Table7 => "table7",
        }
    }

    /// Its rows.
    pub fn rows(self) -> &'static [Row] {
        match self {
            Self::Table5 => &TABLE5,
            Self::Table6 => &TABLE6,
            Self::Table7 => &TABLE7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reproduce::Budget;

    #[test]
    fn every_row_is_a_recipe_at_every_budget() {
        for table in [Table::Table5, Table::Table6, Table::Table7] {
            for row in table.rows() {
                for budget in [Budget::Smoke, Budget::Cpu, Budget::Paper] {
                    let recipe = budget.recipe(row, 3).unwrap();
                    assert_eq!(recipe.seed, 3);
                    let text = toml::to_string(&recipe).unwrap();
                    let again = crate::train::recipe::Recipe::parse(&text, "again".as_ref());
                    assert_eq!(again.unwrap(), recipe, "{} {}", row.recipe, row.backbone);
                }
            }
        }
    }
}
