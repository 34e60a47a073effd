//! Labels meet images. Neither list is trusted to be complete: what has no
//! counterpart is listed, and training goes on with the rest.
//!
//! Invariant: pairs are sorted by id, so that what follows does not depend on
//! the order of a file or a folder.

use std::collections::HashMap;
use std::fmt;

use super::LabelTable;
use crate::words::counted;

/// Which image belongs to which label.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Join {
    /// Places in the table and in the list of images, sorted by id.
    pub pairs: Vec<(usize, usize)>,
    /// Ids with a label and no image, sorted.
    pub without_image: Vec<String>,
    /// Ids with an image and no label, sorted.
    pub without_label: Vec<String>,
    /// Ids with several images, sorted; the first image is used.
    pub repeated: Vec<String>,
}

impl Join {
    /// Joins a table with the ids of images.
    pub fn new<'a>(table: &LabelTable, images: impl IntoIterator<Item = &'a str>) -> Self {
        let mut place: HashMap<&str, usize> = HashMap::new();
        let mut join = Self::default();
        for (index, id) in images.into_iter().enumerate() {
            if *place.entry(id).or_insert(index) != index {
                join.repeated.push(id.to_owned());
            }
        }
        for (row, labelled) in table.rows.iter().enumerate() {
            match place.remove(labelled.id.as_str()) {
                Some(image) => join.pairs.push((row, image)),
                None => join.without_image.push(labelled.id.clone()),
            }
        }
        join.without_label = place.into_keys().map(str::to_owned).collect();
        join.pairs.sort_by(|a, b| table.rows[a.0].id.cmp(&table.rows[b.0].id));
        for list in [&mut join.without_image, &mut join.without_label, &mut join.repeated] {
            list.sort_unstable();
            list.dedup();
        }
        join
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} with a label", counted(self.pairs.len() as u64, "image", "images"))?;
        let lists = [
            ("label", "labels", " without an image", &self.without_image),
            ("image", "images", " without a label", &self.without_label),
            ("id", "ids", " with several images (the first is used)", &self.repeated),
        ];
        for (one, more_of_it, what, ids) in lists {
            if !ids.is_empty() {
                let more = if ids.len() > 5 { ", …" } else { "" };
                let some = ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
                let counted = counted(ids.len() as u64, one, more_of_it);
                writeln!(f, "{counted}{what}: {some}{more}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labelled;

    #[test]
    fn what_has_no_counterpart_is_listed() {
        let row = |id: &str| Labelled { id: id.into(), class: 0, split: None };
        let table = LabelTable {
            classes: vec!["CRS".into()],
            rows: vec![row("9"), row("10"), row("7"), row("8")],
        };
        let join = Join::new(&table, ["7", "5", "10", "7", "9", "6"]);
        // Sorted as text: ids are no numbers.
        assert_eq!(join.pairs, [(1, 2), (2, 0), (0, 4)]);
        assert_eq!(join.without_image, ["8"]);
        assert_eq!(join.without_label, ["5", "6"]);
        assert_eq!(join.repeated, ["7"]);
        let text = join.to_string();
        assert!(text.contains("2 images without a label: 5, 6\n"), "{text}");
        assert!(text.contains("1 label without an image: 8\n"), "{text}");
    }
}
