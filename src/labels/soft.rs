//! What a teacher says of galaxies: a probability for each class, by id.
//!
//! A catalog of this program (exported as one table), or any table with a column a
//! class, named as the class is, with `p_` before it or `_pred`, `_probability` or
//! `_fraction` behind it, whatever the case and whatever separates words.
//!
//! Invariant of [`SoftLabels`]: probabilities are from 0 to 1 and add up to 1; a
//! galaxy of which the teacher says nothing (a rejected row) is not there.

use std::collections::HashMap;
use std::path::Path;

use super::ids::ID_COLUMNS;
use super::table::Ids;
use super::{LabelError, cells};

/// How far probabilities may be off 1 in sum: of a catalog they are rounded to
/// single precision.
const SLACK: f64 = 0.02;

/// Probabilities of classes by id.
#[derive(Debug, Clone, Default)]
pub struct SoftLabels {
    /// Of each galaxy, in the order of the classes.
    pub of: HashMap<String, Box<[f32]>>,
    /// Rows without probabilities.
    pub without: usize,
}

impl SoftLabels {
    /// Reads a table; `id` names the column of ids.
    ///
    /// # Errors
    /// [`LabelError::MissingColumn`] for a class without a column,
    /// [`LabelError::NotADistribution`], and those of every table.
    pub fn read(path: &Path, classes: &[&str], id: Option<&str>) -> Result<Self, LabelError> {
        let select = |header: &[String]| {
            let mut wanted = vec![cells::id_place(path, header, id, &ID_COLUMNS)?];
            for class in classes {
                let mut places = (0..header.len()).filter(|&place| means(&header[place], class));
                let place = places.next();
                if let (Some(first), Some(second)) = (place, places.next()) {
                    let both = [first, second].map(|place| header[place].clone());
                    let of = (*class).to_owned();
                    return Err(LabelError::TwoColumns { path: path.to_owned(), of, both });
                }
                wanted.push(place.ok_or_else(|| {
                    cells::missing(path, header, &format!("p_{} (of {class})", plain(class)))
                })?);
            }
            Ok(wanted)
        };
        let mut soft = Self::default();
        let mut seen = Ids::new(path);
        cells::each_row(path, select, |row, cells| {
            let [id, numbers @ ..] = cells else { return Ok(()) };
            if numbers.iter().any(|text| text.is_empty() || text.eq_ignore_ascii_case("nan")) {
                soft.without += 1;
                return Ok(());
            }
            seen.insert(row, id)?;
            let parsed: Option<Vec<f64>> = numbers.iter().map(|text| text.parse().ok()).collect();
            let parsed = parsed.filter(|own| {
                let sum: f64 = own.iter().sum();
                own.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() <= SLACK
            });
            let own = parsed.ok_or_else(|| LabelError::NotADistribution {
                path: path.to_owned(),
                row,
                id: (*id).to_owned(),
                value: numbers.join(", "),
            })?;
            let sum: f64 = own.iter().sum();
            soft.of.insert((*id).to_owned(), own.iter().map(|p| (p / sum) as f32).collect());
            Ok(())
        })?;
        Ok(soft)
    }
}

/// Whether a column is the probability of a class.
fn means(column: &str, class: &str) -> bool {
    let column = plain(column);
    let name = column.strip_prefix("p_").unwrap_or(&column);
    let ends = ["_pred", "_probability", "_fraction"];
    let name = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    name == plain(class)
}

fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.to_lowercase().chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<SoftLabels, LabelError> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("soft.csv");
        fs::write(&path, text).unwrap();
        SoftLabels::read(&path, &["CRS", "edge-on"], None)
    }

    #[test]
    fn a_column_a_class_is_found_by_its_name() {
        for header in ["id,p_crs,p_edge_on", "id,edge-on,CRS", "objid,crs_pred,Edge_On_pred"] {
            let swapped = header.contains("edge-on,CRS");
            let row = if swapped { "7,0.25,0.75" } else { "7,0.75,0.25" };
            let soft = read(&format!("{header}\n{row}\n8,,\n")).unwrap();
            assert_eq!(&*soft.of["7"], [0.75, 0.25], "{header}");
            assert_eq!((soft.of.len(), soft.without), (1, 1));
        }
        assert!(read("id,p_crs\n7,1\n").unwrap_err().to_string().contains("p_edge_on"));
    }

    #[test]
    fn what_is_no_distribution_is_named() {
        for row in ["0.9,0.3", "1.2,-0.2", "x,1"] {
            let error = read(&format!("id,crs,edge-on\n1,0.5,0.5\n7,{row}\n")).unwrap_err();
            assert!(error.to_string().contains("row 2 (id 7)"), "{error}");
        }
    }
}
