//! The HIWL hierarchy: a 4-class network, then a 2-class network for what
//! falls in the combined class (paper, section 3.1.2 and 4.1).

use serde::{Deserialize, Serialize};

/// The five classes of the catalog (paper, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// Completely round smooth.
    Crs,
    /// In-between smooth.
    Ibs,
    /// Cigar-shaped smooth.
    Css,
    /// Edge-on.
    Eo,
    /// Spiral.
    Spi,
}

impl Class {
    /// Every class, in the order of the paper's tables.
    pub const ALL: [Self; 5] = [Self::Crs, Self::Ibs, Self::Css, Self::Eo, Self::Spi];

    /// The label in catalogs and label tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Crs => "CRS",
            Self::Ibs => "IBS",
            Self::Css => "CSS",
            Self::Eo => "EO",
            Self::Spi => "SPI",
        }
    }

    /// The class with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.label() == label)
    }
}

/// Which rows the 2-class network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Stage2 {
    /// Those whose most probable class of stage 1 is the combined one: the
    /// paper's routing.
    #[default]
    Routed,
    /// Every row, so that every row has all five probabilities.
    All,
}

/// What the two networks say of one cutout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The label by routing: arg-max of stage 1, and of stage 2 where that is
    /// the combined class.
    pub label: Class,
    /// The label's probability.
    pub confidence: f32,
    /// Stage 1: completely round smooth.
    pub p_crs: f32,
    /// Stage 1: in-between smooth.
    pub p_ibs: f32,
    /// Stage 1: spiral.
    pub p_spi: f32,
    /// Stage 1: the combined class.
    pub p_css_eo: f32,
    /// `p_css_eo` times stage 2's cigar-shaped and edge-on, where it ran.
    pub p_css_and_eo: Option<(f32, f32)>,
}
