//! Other names for the catalog's columns.
//!
//! Galaxy Zoo names a column after its question and answer. Our classes are
//! ends of its decision tree, so each probability has an answer to be named
//! after; but it is the probability of the whole way there, where Galaxy Zoo's
//! fractions are those of one question among the people who were asked it.
//! Hence `_probability` and not `_fraction`. The combined class has no answer
//! of its own and keeps its name.

use super::Names;

/// The catalog's names and Galaxy Zoo's, in the spelling that its catalogs
/// share since DECaLS.
const GALAXY_ZOO: [(&str, &str); 6] = [
    ("id", "id_str"),
    ("p_crs", "how-rounded_round_probability"),
    ("p_ibs", "how-rounded_in-between_probability"),
    ("p_css", "how-rounded_cigar-shaped_probability"),
    ("p_eo", "disk-edge-on_yes_probability"),
    ("p_spi", "has-spiral-arms_yes_probability"),
];

/// The name under which a column of the catalog is exported.
pub(super) fn exported(name: &str, names: Names) -> &str {
    match names {
        Names::Catalog => name,
        Names::GalaxyZoo => {
            GALAXY_ZOO.iter().find(|(own, _)| *own == name).map_or(name, |(_, theirs)| theirs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::schema;

    #[test]
    fn every_renamed_column_is_one_of_the_catalogs() {
        for (own, theirs) in GALAXY_ZOO {
            assert!(schema::columns().iter().any(|column| column.name == own), "{own}");
            assert_eq!(exported(own, Names::GalaxyZoo), theirs);
            assert_eq!(exported(own, Names::Catalog), own);
        }
        assert_eq!(exported("p_css_eo", Names::GalaxyZoo), "p_css_eo");
    }
}
