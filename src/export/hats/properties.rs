//! The small files of a HATS catalog: its properties, and its list of pixels.
//!
//! There is no date among the properties: the same catalog gives the same
//! bytes.

use std::fmt::Write;

use super::super::{ExportOptions, ExportReport, RowSource};
use super::FINEST;
use super::partition::Partitions;
use crate::export::ExportError;
use crate::storage::output::NewFolder;

pub(super) fn write(
    folder: &NewFolder,
    source: &RowSource<'_>,
    options: &ExportOptions,
    partitions: &Partitions,
    report: &ExportReport,
) -> Result<(), ExportError> {
    let name = options.output.file_name().map_or("hiwl".into(), |name| name.to_string_lossy());
    let settings = &source.run.manifest().settings;
    let sky: f64 = partitions.iter().map(|pixel| pixel.sky_fraction()).sum();
    let finest = partitions.iter().map(|pixel| pixel.order).max().unwrap_or(0);
    let pairs: Vec<(&str, String)> = vec![
        ("obs_collection", name.into_owned()),
        ("dataproduct_type", "object".into()),
        ("obs_title", "Galaxies classified by shape with hiwl".into()),
        (
            "obs_description",
            format!("model {} (SHA-256 {})", settings.model.name, settings.model.digest),
        ),
        ("prov_progenitor", format!("hiwl run {}", source.run.digest())),
        ("hats_nrows", report.rows.to_string()),
        ("hats_col_ra", "ra".into()),
        ("hats_col_dec", "dec".into()),
        ("hats_col_healpix", "_healpix_29".into()),
        ("hats_col_healpix_order", FINEST.to_string()),
        ("hats_npix_suffix", ".parquet".into()),
        ("hats_order", finest.to_string()),
        ("hats_max_rows", options.rows_per_pixel.to_string()),
        ("hats_builder", format!("hiwl {}", env!("CARGO_PKG_VERSION"))),
        ("hats_estsize", report.bytes.div_ceil(1024).to_string()),
        ("hats_release_date", "2025-08-22".into()),
        ("hats_version", "v1.0".into()),
        ("moc_sky_fraction", format!("{sky:.10}")),
    ];
    let mut text = String::from("#HATS catalog\n");
    for (key, value) in pairs {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key}={}", escaped(&value));
    }
    folder.write("hats.properties", text.as_bytes())?;
    folder.write("properties", text.as_bytes())?;

    let mut text = String::from("Norder,Npix\n");
    for pixel in partitions.iter() {
        let _ = writeln!(text, "{},{}", pixel.order, pixel.index);
    }
    Ok(folder.write("partition_info.csv", text.as_bytes())?)
}

/// A value as Java's properties have it: in ASCII, on one line.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for unit in value.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'\\') => out.push_str("\\\\"),
            Ok(byte @ b' '..=b'~') => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_on_their_line() {
        assert_eq!(escaped("a=b: c"), "a=b: c");
        assert_eq!(escaped("é\n\\星🌌"), "\\u00e9\\u000a\\\\\\u661f\\ud83c\\udf0c");
    }
}
