//! Notes of rows that have a label, counted by what they say.
//!
//! A note tells of one image, in its numbers; a summary tells how many images say
//! the like. Invariant: a kind's own kind is itself, so that counts can be added.

use std::collections::BTreeMap;

/// Kinds that are told apart; a hostile archive may say anything.
const KINDS: usize = 50;
/// What those beyond them are counted under.
const OTHERS: &str = "other notes";
/// Stands behind a keyword's value in a note.
const NOT_UNDERSTOOD: &str = " is not understood";

/// What a note says, without what is of one image: numbers, values, and what
/// comes behind a semicolon.
pub fn kind(note: &str) -> String {
    // A value may hold anything.
    if let Some((before, value)) = note.split_once(" = ")
        && value.contains(NOT_UNDERSTOOD)
    {
        return format!("{before} = …{NOT_UNDERSTOOD}");
    }
    let said = note.split(';').next().unwrap_or_default();
    let plain = |word| if str::parse::<f64>(word).is_ok() { "…" } else { word };
    said.split_whitespace().map(plain).collect::<Vec<_>>().join(" ")
}

/// Counts rows that say such a thing.
pub fn count(notes: &mut BTreeMap<String, u64>, note: &str, rows: u64) {
    let mut kind = kind(note);
    if notes.len() >= KINDS && !notes.contains_key(&kind) {
        kind = OTHERS.to_owned();
    }
    *notes.entry(kind).or_default() += rows;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_one_kind_are_counted_together() {
        let mut notes = BTreeMap::new();
        for note in [
            "no position: CRPIX1 is missing",
            "no position: CRPIX1 is missing",
            "no position: the bands put the centre up to 3.2 arcsec apart",
            "no position: the bands put the centre up to 17.0 arcsec apart; CRPIX lies outside",
            "no position: RADESYS = 'a; b' is not understood",
            "no position: RADESYS = 7 is not understood",
        ] {
            count(&mut notes, note, 1);
        }
        let told: Vec<(&str, u64)> = notes.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
        assert_eq!(
            told,
            [
                ("no position: CRPIX1 is missing", 2),
                ("no position: RADESYS = … is not understood", 2),
                ("no position: the bands put the centre up to … arcsec apart", 2),
            ]
        );
        notes.keys().for_each(|told| assert_eq!(kind(told), *told));
    }

    #[test]
    fn there_are_not_more_kinds_than_a_person_reads() {
        let mut notes = BTreeMap::new();
        (0..1000).for_each(|i| count(&mut notes, &format!("keyword K{i} is missing"), 2));
        assert_eq!((notes.len(), notes[OTHERS]), (KINDS + 1, 2 * 950));
    }
}
