//! Exports of Panoptes, Zooniverse's platform: votes counted by subject.
//!
//! | export | a row is | votes |
//! | --- | --- | --- |
//! | classifications | one volunteer's answers to one subject, as JSON | counted here |
//! | reductions (`question_reducer` of `panoptes_aggregation`) | a subject and a task | `data.<answer>` |
//!
//! What a task asks is not in either, so each is a question by itself, named as
//! the task is (`T0`); an answer is named by its text. Tasks whose answers are no
//! text (drawings, several choices at once) are left out and named. Where a
//! volunteer with a name classified a subject twice, the first counts.
//!
//! An image is seldom named by Zooniverse's number of the subject; `--id` may name
//! an entry of `subject_data` in its place.
//!
//! Invariant: a vote is counted once, for one subject.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use serde_json::Value;

use super::ids::is_float;
use super::schema::{Counted, Measure, VoteSchema};
use super::votes::VoteTable;
use super::{LabelError, cells};
use crate::tree::{Declared, DeclaredAnswer, DeclaredQuestion, Tree};

/// Which export a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Export {
    Classifications,
    Reductions,
}

/// Most tasks, and most answers of one.
const MOST: usize = 1000;

impl Export {
    /// By the names of its columns.
    pub fn of(header: &[String]) -> Option<Self> {
        let there = |names: &[&str]| names.iter().all(|n| header.iter().any(|h| h == n));
        if there(&["classification_id", "workflow_id", "annotations", "subject_ids"]) {
            return Some(Self::Classifications);
        }
        let data = header.iter().any(|name| name.starts_with("data."));
        (there(&["subject_id", "workflow_id", "task", "reducer"]) && data)
            .then_some(Self::Reductions)
    }

    /// Counts the votes; `workflow` is whose, where there are several.
    pub fn read(
        self,
        path: &Path,
        header: &[String],
        id: Option<&str>,
        workflow: Option<&str>,
    ) -> Result<VoteTable, LabelError> {
        let mut votes = Votes::default();
        match self {
            Self::Classifications => votes.classifications(path, id, workflow)?,
            Self::Reductions => votes.reductions(path, header, id, workflow)?,
        }
        votes.table(path, workflow)
    }
}

/// Votes by subject.
#[derive(Default)]
struct Votes {
    workflows: BTreeSet<String>,
    /// Tasks in the order of the file, with their answers.
    tasks: Vec<(String, Vec<String>)>,
    /// Tasks without answers as text.
    other: BTreeSet<String>,
    /// Subjects in the order of the file.
    ids: Vec<String>,
    place: BTreeMap<String, usize>,
    /// Of each subject, its votes by task and answer.
    counts: Vec<BTreeMap<(usize, usize), f32>>,
    notes: Vec<String>,
}

impl Votes {
    fn classifications(
        &mut self,
        path: &Path,
        id: Option<&str>,
        workflow: Option<&str>,
    ) -> Result<(), LabelError> {
        let names = [
            "classification_id",
            "workflow_id",
            "annotations",
            "subject_ids",
            "subject_data",
            "user_name",
        ];
        let select = |header: &[String]| {
            let place = |name: &&str| {
                cells::place(header, &[name]).ok_or_else(|| cells::missing(path, header, name))
            };
            names.iter().map(place).collect()
        };
        let mut seen: HashSet<(String, String)> = HashSet::new();
        let mut repeated = 0_u64;
        cells::each_row(path, select, |row, cells| {
            let [number, of, annotations, subjects, data, user] = cells else { return Ok(()) };
            self.workflows.insert((*of).to_owned());
            if workflow.is_some_and(|wanted| wanted != *of) {
                return Ok(());
            }
            let wrong = |what: String| LabelError::Export {
                path: path.to_owned(),
                row,
                id: (*number).to_owned(),
                what,
            };
            if subjects.is_empty() || subjects.contains([';', ',']) {
                return Err(wrong(format!("its subjects are {subjects:?}, not one")));
            }
            let subject = match id {
                Some(name) if name != "subject_ids" => {
                    entry(data, subjects, name).map_err(wrong)?
                }
                _ => (*subjects).to_owned(),
            };
            refuse_float(path, row, &subject)?;
            if !user.is_empty() && !seen.insert(((*user).to_owned(), subject.clone())) {
                repeated += 1;
                return Ok(());
            }
            let annotations: Vec<Value> = serde_json::from_str(annotations)
                .map_err(|e| wrong(format!("its annotations are no JSON list: {e}")))?;
            let subject = self.subject(&subject);
            for annotation in &annotations {
                let Some(task) = annotation.get("task").and_then(Value::as_str) else {
                    return Err(wrong("an annotation names no task".to_owned()));
                };
                match annotation.get("value") {
                    Some(Value::String(answer)) => {
                        self.vote(subject, task, answer, 1.0).map_err(wrong)?
                    }
                    None | Some(Value::Null) => {}
                    Some(_) => {
                        self.other.insert(task.to_owned());
                    }
                }
            }
            Ok(())
        })?;
        if repeated > 0 {
            self.notes.push(format!(
                "{repeated} classifications repeat one of the same volunteer and subject: not counted"
            ));
        }
        Ok(())
    }

    fn reductions(
        &mut self,
        path: &Path,
        header: &[String],
        id: Option<&str>,
        workflow: Option<&str>,
    ) -> Result<(), LabelError> {
        let answers: Vec<&String> = header
            .iter()
            .filter(|name| name.starts_with("data.") && !name.starts_with("data.aggregation_"))
            .collect();
        let select = |header: &[String]| {
            let place = |name: &str| {
                cells::place(header, &[name]).ok_or_else(|| cells::missing(path, header, name))
            };
            let mut places = vec![place(id.unwrap_or("subject_id"))?, place("workflow_id")?];
            places.push(place("task")?);
            for name in &answers {
                places.push(place(name)?);
            }
            Ok(places)
        };
        cells::each_row(path, select, |row, cells| {
            let [subject, of, task, counts @ ..] = cells else { return Ok(()) };
            self.workflows.insert((*of).to_owned());
            if workflow.is_some_and(|wanted| wanted != *of) {
                return Ok(());
            }
            let wrong = |what: String| LabelError::Export {
                path: path.to_owned(),
                row,
                id: (*subject).to_owned(),
                what,
            };
            refuse_float(path, row, subject)?;
            let place = self.subject(subject);
            for (name, text) in answers.iter().zip(counts) {
                if text.is_empty() || text.eq_ignore_ascii_case("nan") {
                    continue;
                }
                let count = text.parse::<f32>().ok().filter(|v| *v >= 0.0 && v.is_finite());
                let count = count.ok_or_else(|| wrong(format!("{name} is {text:?}, no count")))?;
                let answer = name.trim_start_matches("data.");
                self.vote(place, task, answer, count).map_err(wrong)?;
            }
            Ok(())
        })
    }

    fn subject(&mut self, id: &str) -> usize {
        if let Some(&place) = self.place.get(id) {
            return place;
        }
        self.ids.push(id.to_owned());
        self.counts.push(BTreeMap::new());
        self.place.insert(id.to_owned(), self.ids.len() - 1);
        self.ids.len() - 1
    }

    fn vote(&mut self, subject: usize, task: &str, answer: &str, count: f32) -> Result<(), String> {
        let answer = slug(answer);
        let at = self.tasks.iter().position(|(name, _)| name == task);
        let at = at.unwrap_or_else(|| {
            self.tasks.push((task.to_owned(), Vec::new()));
            self.tasks.len() - 1
        });
        let answers = &mut self.tasks[at].1;
        let place = answers.iter().position(|known| *known == answer);
        let place = place.unwrap_or_else(|| {
            answers.push(answer);
            answers.len() - 1
        });
        if self.tasks.len() > MOST || self.tasks[at].1.len() > MOST {
            return Err(format!(
                "more than {MOST} tasks, or answers to {task}: is it a free text?"
            ));
        }
        *self.counts[subject].entry((at, place)).or_default() += count;
        Ok(())
    }

    fn table(mut self, path: &Path, workflow: Option<&str>) -> Result<VoteTable, LabelError> {
        let wrong = |what: String| LabelError::Definition { path: path.to_owned(), what };
        let workflows: Vec<&str> = self.workflows.iter().map(String::as_str).collect();
        match workflow {
            Some(wanted) if !self.workflows.contains(wanted) => {
                let there = workflows.join(", ");
                return Err(wrong(format!(
                    "no row is of the workflow {wanted}; there are {there}"
                )));
            }
            None if workflows.len() > 1 => {
                let there = workflows.join(", ");
                return Err(wrong(format!("rows of several workflows ({there}): name one")));
            }
            _ => {}
        }
        if !self.other.is_empty() {
            let other = self.other.iter().cloned().collect::<Vec<_>>().join(", ");
            self.notes.push(format!("left out, as their answers are no texts: {other}"));
        }
        // A question of one answer tells nothing.
        let kept: Vec<usize> =
            (0..self.tasks.len()).filter(|&t| self.tasks[t].1.len() > 1).collect();
        if kept.is_empty() {
            return Err(wrong("no task has two answers or more that are texts".to_owned()));
        }
        let question = |&task: &usize| DeclaredQuestion {
            name: self.tasks[task].0.replace('/', "-"),
            after: Vec::new(),
            answers: self.tasks[task]
                .1
                .iter()
                .map(|answer| DeclaredAnswer { answer: answer.clone(), title: String::new() })
                .collect(),
        };
        let questions = kept.iter().map(question).collect();
        let tree = Tree::try_from(Declared { questions, ..Declared::default() }).map_err(wrong)?;
        let answers = tree.answers().len();
        let mut counts = Vec::with_capacity(self.ids.len() * answers);
        let mut fractions = Vec::with_capacity(self.ids.len() * answers);
        for own in &self.counts {
            for &task in &kept {
                let of = |answer| own.get(&(task, answer)).copied().unwrap_or(0.0);
                let votes: Vec<f32> = (0..self.tasks[task].1.len()).map(of).collect();
                let sum: f32 = votes.iter().sum();
                // Nobody answered: 0 of 0 is not known.
                fractions.extend(votes.iter().map(|v| f64::from(*v) / f64::from(sum)));
                counts.extend(votes);
            }
        }
        let columns: Vec<String> = (0..answers).map(|place| tree.path(place)).collect();
        let named = ("panoptes".to_owned(), "Panoptes' export, counted by subject".to_owned());
        let of = (columns, Measure::Counts);
        let schema = VoteSchema::found(named, tree, of, Counted::Nowhere, self.notes);
        let told = "numbers of votes".to_owned();
        Ok(VoteTable { schema, ids: self.ids, fractions, counts: Some(counts), told })
    }
}

/// Refuses a subject's name that has lost digits: two subjects would become one.
fn refuse_float(path: &Path, row: u64, subject: &str) -> Result<(), LabelError> {
    match is_float(subject) {
        true => Err(LabelError::FloatId { path: path.to_owned(), row, id: subject.to_owned() }),
        false => Ok(()),
    }
}

/// An entry of a subject's data, as text.
fn entry(data: &str, subject: &str, name: &str) -> Result<String, String> {
    let data: Value =
        serde_json::from_str(data).map_err(|e| format!("its subject_data are no JSON: {e}"))?;
    // As it stands, or with the marks of hidden entries.
    let own = data.get(subject).ok_or_else(|| format!("its subject_data have no {subject}"))?;
    let found = ["", "#", "!", "//"].iter().find_map(|mark| own.get(format!("{mark}{name}")));
    match found {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(format!("its subject_data have no entry {name}")),
    }
}

/// An answer as a name: `![image](url) Smooth` is `smooth`.
fn slug(answer: &str) -> String {
    let mut text = String::new();
    let mut rest = answer;
    while let Some(at) = rest.find("![") {
        text.push_str(&rest[..at]);
        let end = rest[at..].find(')').map_or(rest.len(), |end| at + end + 1);
        rest = &rest[end..];
    }
    text.push_str(rest);
    let letters = text.trim().to_lowercase();
    let words = letters.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    if slug.is_empty() { "answer".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::grammar::Wanted;
    use super::*;

    fn read(text: &str, id: Option<&str>, workflow: Option<&str>) -> Result<VoteTable, LabelError> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("export.csv");
        fs::write(&path, text).unwrap();
        let wanted = Wanted { campaign: workflow.map(str::to_owned), ..Wanted::default() };
        VoteTable::open(&path, None, id, &wanted)
    }

    /// A row of an export.
    fn row(
        number: u32,
        user: &str,
        workflow: u32,
        subject: u32,
        answers: &[(&str, &str)],
    ) -> String {
        let answers: Vec<String> = answers
            .iter()
            .map(|(task, value)| format!("{{\"\"task\"\":\"\"{task}\"\",\"\"value\"\":{value}}}"))
            .collect();
        let data = format!("{{\"\"{subject}\"\":{{\"\"Filename\"\":\"\"g{subject}\"\"}}}}");
        format!("{number},{user},{workflow},\"[{}]\",\"{data}\",{subject}\n", answers.join(","))
    }

    const HEADER: &str =
        "classification_id,user_name,workflow_id,annotations,subject_data,subject_ids\n";

    #[test]
    fn votes_are_counted_by_subject() {
        let smooth = ("T0", "\"\"![s](x.png) Smooth\"\"");
        let disk = ("T0", "\"\"Features or Disk\"\"");
        let text = [
            HEADER.to_owned(),
            row(1, "", 7, 10, &[smooth, ("T1", "\"\"Yes\"\"")]),
            row(2, "", 7, 10, &[disk, ("T2", "[1]")]),
            row(3, "ann", 7, 10, &[smooth]),
            row(4, "ann", 7, 10, &[disk]),
            row(5, "ann", 7, 11, &[disk]),
            row(6, "", 7, 12, &[("T0", "null")]),
        ]
        .concat();
        let votes = read(&text, None, None).unwrap();
        assert_eq!(votes.ids, ["10", "11", "12"]);
        assert_eq!(votes.schema.answers(), ["T0/smooth", "T0/features-or-disk"]);
        assert_eq!(votes.counts.as_deref().unwrap(), [2.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        assert!((votes.fractions[0] - 2.0 / 3.0).abs() < 1e-12);
        assert!(votes.fractions[4].is_nan());
        let notes = votes.schema.notes.join("\n");
        assert!(notes.contains("1 classifications repeat"), "{notes}");
        assert!(notes.contains("no texts: T2"), "{notes}");
        assert_eq!(read(&text, Some("Filename"), None).unwrap().ids, ["g10", "g11", "g12"]);
        let floats = text.replace("g11", "5.8772295223017504e+17");
        let error = read(&floats, Some("Filename"), None).unwrap_err().to_string();
        assert!(error.contains("floating-point number"), "{error}");
        let error = read(&text, Some("iauname"), None).unwrap_err().to_string();
        assert!(error.contains("row 1 (1)") && error.contains("no entry iauname"), "{error}");
    }

    #[test]
    fn one_of_several_workflows_is_asked_for() {
        let yes = ("T0", "\"\"Yes\"\"");
        let no = ("T0", "\"\"No\"\"");
        let text = [
            HEADER.to_owned(),
            row(1, "", 7, 10, &[yes]),
            row(2, "", 8, 10, &[no]),
            row(3, "", 8, 11, &[yes]),
        ]
        .concat();
        let error = read(&text, None, None).unwrap_err().to_string();
        assert!(error.contains("several workflows (7, 8)"), "{error}");
        let votes = read(&text, None, Some("8")).unwrap();
        assert_eq!(votes.counts.unwrap(), [1.0, 0.0, 0.0, 1.0]);
        assert!(read(&text, None, Some("9")).unwrap_err().to_string().contains("there are 7, 8"));
    }

    #[test]
    fn reductions_are_long() {
        let text = "subject_id,workflow_id,task,reducer,data.aggregation_version,data.yes,data.no\n\
                    5,1,T0,question_reducer,4.1.0,3.0,\n5,1,T1,question_reducer,4.1.0,1,1\n\
                    6,1,T0,question_reducer,4.1.0,,2\n";
        let votes = read(text, None, None).unwrap();
        assert_eq!(votes.schema.answers(), ["T0/yes", "T0/no", "T1/yes", "T1/no"]);
        assert_eq!(votes.counts.unwrap(), [3.0, 0.0, 1.0, 1.0, 0.0, 2.0, 0.0, 0.0]);
    }
}
