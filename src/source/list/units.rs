//! Units that tables declare, of the columns that have one unit here: positions in degrees,
//! sizes in arcseconds.
//!
//! Invariant: a number is taken as degrees or arcseconds where its table says so or says
//! nothing, and refused where it says anything else.

use std::path::Path;

use super::ListError;
use crate::limits::output::QUOTED;
use crate::limits::shortened;
use crate::tables::Column;

/// What a column is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Degrees,
    Arcseconds,
    Pixels,
}

impl Unit {
    fn words(self) -> &'static str {
        match self {
            Self::Degrees => "degrees",
            Self::Arcseconds => "arcseconds",
            Self::Pixels => "pixels",
        }
    }

    /// As FITS, VOTable and astropy write it, and people.
    fn is_written(self, unit: &str) -> bool {
        let unit = unit.trim_matches(['\'', '[', ']', ' ']).to_lowercase();
        let names: &[&str] = match self {
            Self::Degrees => &["deg", "degs", "degree", "degrees", "degr", "°"],
            Self::Arcseconds => &["arcsec", "arcsecs", "arcsecond", "arcseconds", "asec", "\""],
            Self::Pixels => &["pix", "pixel", "pixels"],
        };
        unit.is_empty() || names.contains(&&*unit)
    }
}

/// Refuses a column whose table says that it is in another unit.
///
/// # Errors
/// [`ListError::Unit`].
pub(super) fn check(table: &Path, column: &Column, wanted: Unit) -> Result<(), ListError> {
    match &column.unit {
        Some(unit) if !wanted.is_written(unit) => Err(ListError::Unit {
            table: table.to_owned(),
            column: shortened(&column.name, QUOTED).into_owned(),
            found: shortened(unit, QUOTED).into_owned(),
            wanted: wanted.words(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_the_ones_wanted_or_refused_by_name() {
        let of = |unit: Option<&str>, wanted| {
            let column = Column {
                name: "ra".to_owned(),
                cells: Ok(arrow::datatypes::DataType::Float64),
                unit: unit.map(str::to_owned),
            };
            check(Path::new("t.fits"), &column, wanted).map_err(|error| error.to_string())
        };
        for unit in [None, Some("deg"), Some("Degrees"), Some(" deg "), Some("[deg]")] {
            assert_eq!(of(unit, Unit::Degrees), Ok(()), "{unit:?}");
        }
        assert_eq!(of(Some("arcsec"), Unit::Arcseconds), Ok(()));
        for unit in ["rad", "h", "hourangle", "arcmin", "mdeg"] {
            let words = of(Some(unit), Unit::Degrees).unwrap_err();
            assert!(words.contains(&format!("in {unit}")) && words.contains("degrees"), "{words}");
        }
        let words = of(Some("arcmin"), Unit::Arcseconds).unwrap_err();
        assert_eq!(
            words,
            "t.fits: column 'ra' is in arcmin, and is read in arcseconds: convert it, and the \
             unit with it"
        );
    }
}
