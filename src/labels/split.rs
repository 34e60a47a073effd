//! Train, validation and test, in proportion within every class.
//!
//! Galaxies of a class are ordered by a hash of seed and id, and the order is
//! cut. So the split depends on the seed and on which galaxies there are,
//! never on the order of a file.

use std::collections::HashMap;
use std::path::Path;

use super::ids::ID_COLUMNS;
use super::table::{LabelColumns, LabelTable, Split};
use super::{LabelError, cells};
use crate::limits::output::QUOTED;
use crate::limits::shortened;
use crate::random;
use crate::words::counted;

/// Parts of train, validation and test.
pub const PAPER_RATIO: [u32; 3] = [8, 1, 1];

/// What a table of any kind says each galaxy is used for: its column `split`, or the one
/// that is named; `None` if it has none. Ids are of the first of the `usual` columns,
/// unless one is named.
///
/// # Errors
/// [`LabelError::MissingColumn`] for one that is named, [`LabelError::UnknownSplit`], and
/// those of every table.
pub fn of_table(
    path: &Path,
    columns: LabelColumns<'_>,
    usual: &[String],
) -> Result<Option<HashMap<String, Split>>, LabelError> {
    let header = cells::header(path)?;
    let name = columns.split.unwrap_or("split");
    let Some(place) = cells::place(&header, &[name]) else {
        return match columns.split {
            Some(name) => Err(cells::missing(path, &header, name)),
            None => Ok(None),
        };
    };
    // By the ids that the labels were read by: a table may have several columns of them.
    let mut usual: Vec<&str> = usual.iter().map(String::as_str).collect();
    if cells::place(&header, &usual).is_none() {
        usual = ID_COLUMNS.to_vec();
    }
    let mut splits = HashMap::new();
    let select =
        |header: &[String]| Ok(vec![cells::id_place(path, header, columns.id, &usual)?, place]);
    cells::each_row(path, select, |row, cells| {
        let [id, name] = cells else { return Ok(()) };
        let split = Split::from_name(name).ok_or_else(|| LabelError::UnknownSplit {
            path: path.to_owned(),
            row,
            id: (*id).to_owned(),
            split: shortened(name, QUOTED).into_owned(),
        })?;
        splits.insert((*id).to_owned(), split);
        Ok(())
    })?;
    Ok(Some(splits))
}

/// What is to be told of a model that was held against these galaxies, where some are of
/// the split train by the column `split` of a table. A column of that name that says
/// something else says nothing here.
pub fn note_of_training<'i>(
    path: &Path,
    id: Option<&str>,
    galaxies: impl Iterator<Item = &'i String>,
) -> Option<String> {
    let splits = of_table(path, LabelColumns { id, ..LabelColumns::default() }, &[]).ok()??;
    let learned = galaxies.filter(|id| splits.get(*id) == Some(&Split::Train)).count() as u64;
    (learned > 0).then(|| {
        let verb = if learned == 1 { "is" } else { "are" };
        format!(
            "{} {verb} of the split train: a model knows what it learned from better than \
             anything else (--split val or test leaves them out)",
            counted(learned, "galaxy", "galaxies")
        )
    })
}

/// Decides what every galaxy is used for. Of `n` galaxies of a class,
/// round(`n`·train/sum) are for training; of the others, validation has its
/// share rounded down, and the test the rest: so 8:1:1 gives the numbers of
/// the paper's table 2. A ratio of zeros puts everything into train.
pub fn stratified(table: &mut LabelTable, ratio: [u32; 3], seed: u64) {
    let [train, val, test] = ratio.map(u64::from);
    for class in 0..table.classes.len() {
        let mut members: Vec<([u8; 32], usize)> = (0..table.rows.len())
            .filter(|&row| table.rows[row].class == class)
            .map(|row| (key(&table.rows[row].id, seed), row))
            .collect();
        members.sort_unstable();
        let n = members.len() as u64;
        let sum = train + val + test;
        let first = if sum == 0 { n } else { (2 * n * train + sum) / (2 * sum) };
        let second = ((n - first) * val).checked_div(val + test).unwrap_or(0);
        for (place, (_, row)) in members.into_iter().enumerate() {
            let place = place as u64;
            table.rows[row].split = Some(if place < first {
                Split::Train
            } else if place < first + second {
                Split::Val
            } else {
                Split::Test
            });
        }
    }
}

fn key(id: &str, seed: u64) -> [u8; 32] {
    random::digest("split", seed, &[id.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::table::Labelled;

    fn table(sizes: &[usize]) -> LabelTable {
        let row = |class, i| Labelled { id: format!("{class}-{i}"), class, split: None };
        let rows = sizes.iter().enumerate().flat_map(|(c, &n)| (0..n).map(move |i| row(c, i)));
        LabelTable {
            classes: (0..sizes.len()).map(|c| c.to_string()).collect(),
            rows: rows.collect(),
        }
    }

    fn sorted(table: &LabelTable) -> Vec<Labelled> {
        let mut rows = table.rows.clone();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    #[test]
    fn a_split_is_of_the_ids_that_the_labels_were_read_by() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("votes.csv");
        std::fs::write(&path, "objid,dr7objid,split\n1,11,train\n2,12,val\n").unwrap();
        let of = |usual: &[&str]| {
            let usual: Vec<String> = usual.iter().map(|name| (*name).to_owned()).collect();
            let columns = LabelColumns::default();
            of_table(&path, columns, &usual).unwrap().unwrap()
        };
        assert_eq!(of(&["dr7objid", "objid"])["12"], Split::Val);
        assert_eq!(of(&["objid"])["1"], Split::Train);
        // Ids that are none of the table's own are of a usual column.
        assert_eq!(of(&["subject"]).len(), 2);
    }

    #[test]
    fn eight_one_one_gives_the_papers_table_2() {
        let mut table = table(&[8434, 8069, 578, 3903, 7806]);
        stratified(&mut table, PAPER_RATIO, 1);
        let counts = table.counts();
        let of = |split| [0, 1, 2, 3, 4].map(|class| counts.get(class, Some(split)));
        assert_eq!(of(Split::Train), [6747, 6455, 462, 3122, 6245]);
        assert_eq!(of(Split::Val), [843, 807, 58, 390, 780]);
        assert_eq!(of(Split::Test), [844, 807, 58, 391, 781]);
    }

    #[test]
    fn the_split_does_not_depend_on_the_order_of_the_file() {
        let mut forward = table(&[100, 31, 7]);
        let mut backward = forward.clone();
        backward.rows.reverse();
        stratified(&mut forward, PAPER_RATIO, 5);
        stratified(&mut backward, PAPER_RATIO, 5);
        assert_eq!(sorted(&forward), sorted(&backward));

        let mut other = forward.clone();
        stratified(&mut other, PAPER_RATIO, 6);
        assert_ne!(sorted(&forward), sorted(&other));
    }

    #[test]
    fn small_classes_and_odd_ratios() {
        for n in 0..30 {
            for ratio in [[8, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [9, 1, 0]] {
                let mut table = table(&[n]);
                stratified(&mut table, ratio, 0);
                let counts = table.counts();
                assert_eq!(Split::ALL.map(|s| counts.get(0, Some(s))).iter().sum::<usize>(), n);
                for (split, part) in Split::ALL.into_iter().zip(ratio) {
                    if part == 0 && ratio != [0, 0, 0] {
                        assert_eq!(counts.get(0, Some(split)), 0, "{n} in {ratio:?}");
                    }
                }
            }
        }
    }
}
