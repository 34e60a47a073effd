//! The five kinds of galaxies that are simulated: HIWL's classes.

/// A kind of galaxy (paper, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    /// The label in truth tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Crs => "CRS",
            Self::Ibs => "IBS",
            Self::Css => "CSS",
            Self::Eo => "EO",
            Self::Spi => "SPI",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_classes_of_the_tree() {
        assert_eq!(crate::tree::hiwl().class_names(), Class::ALL.map(Class::label));
    }
}
