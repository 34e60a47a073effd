//! Identifiers of objects: which column of a table holds them, and which
//! texts are none.
//!
//! Vote tables, label tables and tables of cutouts share this, so that labels
//! and images that belong together are joined whatever survey named the column.
//!
//! Invariant: an identifier is text as it stands in the file. Whole numbers
//! keep all their digits; a floating-point number is refused, because the 17
//! digits that it keeps are fewer than a survey's identifiers have, and two
//! galaxies may then share one.

/// Names that the column of identifiers has in the releases of Galaxy Zoo, SDSS,
/// the Legacy Surveys, Euclid and their tables on the web; the first that is
/// there is taken.
pub const ID_COLUMNS: [&str; 16] = [
    "id",
    "GalaxyID",
    "id_str",
    "object_id",
    "objid",
    "dr7objid",
    "dr8objid",
    "dr8_id",
    "iauname",
    "source_id",
    "SourceID",
    "zooniverse_id",
    "subject_id",
    "survey_id",
    "targetid",
    "objno",
];

/// Whether a text is a floating-point number: a decimal point among digits, or
/// an exponent with its sign, as every program writes one that was meant to be
/// whole (`5.877229817361203e+17`, `5.87723E+17`, `587722981736120347.0`).
///
/// `12e34` is not: identifiers in hexadecimal look so, and no usual program
/// writes a float without point and sign.
pub fn is_float(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let fraction_fits = fraction.is_none_or(|f| f.is_empty() || is_number(f));
    let (signed, exponent_fits) = match exponent {
        Some(exponent) => {
            let digits = exponent.strip_prefix(['+', '-']);
            (digits.is_some(), is_number(digits.unwrap_or(exponent)))
        }
        None => (false, true),
    };
    is_number(whole) && fraction_fits && exponent_fits && (fraction.is_some() || signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_told_from_identifiers() {
        for float in [
            "5.877229817361203e+17",
            "5.877229817361203e17",
            "5.87723E+17",
            "587722981736120347.0",
            "6e+17",
            "-1.5",
            "12.",
            " 1.0 ",
        ] {
            assert!(is_float(float), "{float}");
        }
        for id in [
            "587722981736120347",
            "12e34",
            "123e4567",
            "J000001.01+123456.7",
            "1.2.3",
            "7443-12701",
            "",
            ".",
            ".5",
            "e+5",
            "1.5x",
            "007",
            "nan",
            "1.5e",
        ] {
            assert!(!is_float(id), "{id}");
        }
    }
}
