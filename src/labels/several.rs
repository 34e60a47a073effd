//! Several labels at once: a table with a column for each question, such as
//! `id,bar,ring,merger`, and an answer or nothing in each cell.
//!
//! Cells hold the answers' names; where a question is answered by yes and no, also
//! `true`, `1`, `y`, `t` and their opposites. What is empty (or `nan`, `null`, `unknown`,
//! `?`) is not known, which is not no. A label is what one volunteer says.
//!
//! Invariant: a question is a column's by its whole name, whatever its case and whatever
//! separates words.

use std::path::Path;

use super::ids::ID_COLUMNS;
use super::schema::{Counted, Measure, VoteSchema};
use super::table::Ids;
use super::votes::VoteTable;
use super::{LabelError, cells};
use crate::tree::{Answer, Declared, Tree};
use crate::words::counted;

/// What says that nothing is known, unless an answer is called so.
const UNKNOWN: [&str; 7] = ["", "nan", "null", "none", "na", "unknown", "?"];

/// What says yes, and no, where these are the answers. (pandas writes whole numbers with
/// gaps as floats.)
const YES: [&str; 6] = ["yes", "true", "1", "1.0", "y", "t"];
const NO: [&str; 6] = ["no", "false", "0", "0.0", "n", "f"];

/// The labels of a table that has a column for questions of `tree`; `None` if it has
/// none. `id` names the column of ids.
///
/// # Errors
/// [`LabelError::NotAnAnswer`], with the row, and those of every table.
pub fn read(path: &Path, tree: &Tree, id: Option<&str>) -> Result<Option<VoteTable>, LabelError> {
    let header = cells::header(path)?;
    let columns = |name: &str| -> Vec<usize> {
        (0..header.len()).filter(|&place| plain(&header[place]) == plain(name)).collect()
    };
    let column = |name: &str| columns(name).first().copied();
    for question in tree.questions() {
        if let [first, second, ..] = columns(&question.name)[..] {
            let both = [first, second].map(|place| header[place].clone());
            return Err(LabelError::TwoColumns {
                path: path.to_owned(),
                of: question.name.clone(),
                both,
            });
        }
    }
    let mut found = Declared::from(tree.clone());
    found.questions.retain(|question| column(&question.name).is_some());
    if found.questions.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = found.questions.iter().map(|q| q.name.clone()).collect();
    for question in &mut found.questions {
        // What leads to it counts if it is labelled too.
        question.after.retain(|path| names.iter().any(|n| path.starts_with(&format!("{n}/"))));
    }
    found.classes.clear();
    let wrong = |what| LabelError::Definition { path: path.to_owned(), what };
    let own = Tree::try_from(found).map_err(wrong)?;
    let places: Vec<usize> = names.iter().filter_map(|name| column(name)).collect();
    let columns = own.answers().iter().map(|a| header[places[a.question]].clone()).collect();
    let title = ("several".to_owned(), format!("labels of {}", names.join(", ")));
    let mut schema =
        VoteSchema::found(title, own, (columns, Measure::Counts), Counted::Nowhere, Vec::new());
    schema.id = ID_COLUMNS.map(str::to_owned).to_vec();
    let tree = schema.tree.clone();
    let (mut ids, mut fractions, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = Ids::new(path);
    let select = |header: &[String]| {
        let mut wanted = vec![cells::id_place(path, header, id, &ID_COLUMNS)?];
        wanted.extend(&places);
        Ok(wanted)
    };
    cells::each_row(path, select, |row, cells| {
        let [id, cells @ ..] = cells else { return Ok(()) };
        seen.insert(row, id)?;
        let mut own = vec![f64::NAN; tree.answers().len()];
        for (question, text) in tree.questions().iter().zip(cells) {
            let answers = &tree.answers()[question.answers.clone()];
            let said = answers.iter().position(|answer| means(text, answer, answers));
            if said.is_none() && UNKNOWN.iter().any(|word| text.eq_ignore_ascii_case(word)) {
                continue;
            }
            let said = said.ok_or_else(|| LabelError::NotAnAnswer {
                path: path.to_owned(),
                row,
                id: (*id).to_owned(),
                column: question.name.clone(),
                value: (*text).to_owned(),
                answers: answers.iter().map(|a| &*a.name).collect::<Vec<_>>().join(", "),
            })?;
            own[question.answers.clone()].fill(0.0);
            own[question.answers.start + said] = 1.0;
        }
        ids.push((*id).to_owned());
        counts.extend(own.iter().map(|v| if v.is_nan() { 0.0 } else { *v as f32 }));
        tree.make_cumulative(&schema.of_questions(), &mut own);
        fractions.extend(own);
        Ok(())
    })?;
    let told = counted(names.len() as u64, "label", "labels") + " of a galaxy, one answer each";
    Ok(Some(VoteTable { schema, ids, fractions, counts: Some(counts), told }))
}

/// Whether a cell gives the answer, which is one of `answers`.
fn means(text: &str, answer: &Answer, answers: &[Answer]) -> bool {
    if plain(text) == plain(&answer.name) {
        return true;
    }
    let says = |words: &[&str], text: &str| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    let yes_and_no = answers.len() == 2
        && answers.iter().any(|a| says(&YES, &a.name))
        && answers.iter().any(|a| says(&NO, &a.name));
    yes_and_no && [&YES, &NO].iter().any(|words| says(*words, text) && says(*words, &answer.name))
}

fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.to_lowercase().chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree() -> Tree {
        serde_json::from_value(serde_json::json!({ "questions": [
            { "name": "bar", "answers": [{"answer": "yes"}, {"answer": "no"}] },
            { "name": "ring", "answers": [{"answer": "yes"}, {"answer": "no"}] },
            { "name": "merger-stage", "answers":
                [{"answer": "none"}, {"answer": "tidal tail"}, {"answer": "merger"}] },
        ] }))
        .unwrap()
    }

    fn read(text: &str) -> Result<Option<VoteTable>, LabelError> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("labels.csv");
        fs::write(&path, text).unwrap();
        super::read(&path, &tree(), None)
    }

    #[test]
    fn two_columns_of_one_question_are_refused_and_floats_are_answers() {
        let error = read("id,bar,Bar,mag\n1,yes,no,17\n").unwrap_err().to_string();
        assert!(error.contains(r#"both "bar" and "Bar" may be bar"#), "{error}");
        let table = read("id,bar\n1,1.0\n2,0.0\n3,\n").unwrap().unwrap();
        assert_eq!(table.fractions[..4], [1.0, 0.0, 0.0, 1.0]);
        assert!(table.fractions[4].is_nan());
    }

    #[test]
    fn a_cell_is_an_answer_or_not_known() {
        let text = "objid,Bar,ring,Merger Stage,mag\n1,yes,0,Tidal-Tail,17\n2,F,,merger,x\n3,,?,,\n4,,na,None,\n";
        let table = read(text).unwrap().unwrap();
        assert_eq!(table.ids, ["1", "2", "3", "4"]);
        let nan = f64::NAN;
        // The last: `none` is an answer of this question, and of no other.
        let expected = [
            [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0],
            [0.0, 1.0, nan, nan, 0.0, 0.0, 1.0],
            [nan; 7],
            [nan, nan, nan, nan, 1.0, 0.0, 0.0],
        ];
        for (found, expected) in table.fractions.iter().zip(expected.concat()) {
            assert!(*found == expected || found.is_nan() && expected.is_nan(), "{table:?}");
        }
        assert_eq!(table.counts.unwrap()[7..14], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(table.schema.tree.questions().len(), 3);
    }

    #[test]
    fn columns_that_are_there_count_and_others_are_no_labels() {
        let table = read("id,ring\n1,true\n").unwrap().unwrap();
        assert_eq!(table.schema.answers(), ["ring/yes", "ring/no"]);
        assert!(read("id,ring_yes,label\n1,0.5,SPI\n").unwrap().is_none());
        let error = read("id,bar,ring\n1,1,0\n7,maybe,1\n").unwrap_err().to_string();
        for word in ["row 2 (id 7)", "bar", "maybe", "yes, no"] {
            assert!(error.contains(word), "{error}");
        }
    }
}
