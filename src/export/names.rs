//! Other names for the catalog's columns, from `schemas/names-*.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Names;

/// The catalog's names and Galaxy Zoo's.
static GALAXY_ZOO: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    toml::from_str(include_str!("../../schemas/names-galaxy-zoo.toml"))
        .expect("it is compiled in, and a test parses it")
});

/// The name under which a column of the catalog is exported.
pub(super) fn exported(name: &str, names: Names) -> &str {
    match names {
        Names::Catalog => name,
        Names::GalaxyZoo => GALAXY_ZOO.get(name).map_or(name, String::as_str),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::schema;
    use crate::tree::Scheme;

    #[test]
    fn every_renamed_column_is_one_of_the_catalogs() {
        let columns = schema::columns(&Scheme::hiwl()).unwrap();
        for (own, theirs) in &*GALAXY_ZOO {
            assert!(columns.iter().any(|column| column.name == *own), "{own}");
            assert_eq!(exported(own, Names::GalaxyZoo), theirs);
            assert_eq!(exported(own, Names::Catalog), own);
        }
        assert_eq!(exported("p_css_eo", Names::GalaxyZoo), "p_css_eo");
        assert_eq!(exported("p_spi", Names::GalaxyZoo), "has-spiral-arms_yes_probability");
    }
}
