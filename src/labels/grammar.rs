//! Vote tables that are known by how their columns are named.
//!
//! Galaxy Zoo has named columns in two ways, and every release but the first
//! keeps to one of them:
//!
//! | columns | releases |
//! | --- | --- |
//! | `tNN_question_aMM_answer_{count,fraction,weighted_fraction,debiased,…}` | Galaxy Zoo 2 (Willett et al. 2013, Hart et al. 2016), Hubble, FERENGI, CANDELS |
//! | `question[-campaign]_answer[_fraction,_debiased]`, counts without an end | DECaLS, DESI, UKIDSS, Cosmic Dawn, Euclid, the tables of Zoobot |
//!
//! Numbers of questions and answers mean nothing (Hubble counts answers anew in
//! every task); names do, by `schemas/votes-names.toml`. The tree is the one of
//! `schemas/trees/` whose questions have these answers. A question that it does not
//! have is taken by itself; one that it has with other answers is left out and named.
//!
//! Invariant: a question is taken with all of its answers, or not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

use super::schema::{Counted, Measure, VoteSchema};
use crate::tree::{Declared, DeclaredAnswer, DeclaredQuestion, Tree, galaxy_zoo};

/// What a column says of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The fraction that the authors recommend (Hubble's `best_fraction`).
    Best,
    /// Corrected for distance.
    Debiased,
    /// Of the votes as they were given.
    Fraction,
    /// Weighted by how consistent each volunteer is.
    Weighted,
    /// How many votes.
    Count,
}

impl Kind {
    /// In the order in which they are preferred.
    const ALL: [Self; 5] =
        [Self::Best, Self::Debiased, Self::Fraction, Self::Weighted, Self::Count];

    /// Its name on the command line and in notes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Debiased => "debiased",
            Self::Fraction => "plain",
            Self::Weighted => "weighted",
            Self::Count => "counts",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What is wanted of a table that holds several things.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Which fractions; otherwise the first kind that is there.
    pub kind: Option<Kind>,
    /// Whose votes, where the columns are of several campaigns.
    pub campaign: Option<String>,
}

/// Names in columns, and what they are called in trees.
#[derive(Deserialize)]
struct Names {
    questions: HashMap<String, String>,
    answers: HashMap<String, HashMap<String, String>>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    toml::from_str(include_str!("../../schemas/votes-names.toml"))
        .expect("it is compiled in, and a test parses it")
});

/// A column that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    campaign: String,
    question: String,
    /// `None` for a column of how many were asked.
    answer: Option<String>,
    kind: Kind,
    column: String,
}

/// The schema of a table with these columns; `None` if no column is an answer.
///
/// # Errors
/// A phrase for a person: columns of several campaigns, or no question whole.
pub fn schema(header: &[String], wanted: &Wanted) -> Result<Option<VoteSchema>, String> {
    let mut found: Vec<Found> = header.iter().filter_map(|name| numbered(name)).collect();
    let is_numbered = !found.is_empty();
    if !is_numbered {
        found = plain(header);
    }
    if !found.iter().any(|column| column.answer.is_some()) {
        return Ok(None);
    }
    let campaigns: BTreeSet<String> = found.iter().map(|f| f.campaign.clone()).collect();
    let campaign = match &wanted.campaign {
        Some(campaign) if campaigns.contains(campaign) => campaign.clone(),
        Some(campaign) => {
            let there = words(&campaigns);
            return Err(format!("no column is of the campaign {campaign}; there are {there}"));
        }
        None if campaigns.len() > 1 => {
            let there = words(&campaigns);
            return Err(format!("columns of several campaigns ({there}): name one"));
        }
        None => campaigns.into_iter().next().unwrap_or_default(),
    };
    found.retain(|column| column.campaign == campaign);
    Columns::of(&found)?.schema(wanted, &campaign, is_numbered).map(Some)
}

fn words(campaigns: &BTreeSet<String>) -> String {
    let name = |c: &String| if c.is_empty() { "one without a name".to_owned() } else { c.clone() };
    campaigns.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The columns of a campaign, by question and answer.
struct Columns {
    /// Questions in the order of the file, with answers in their order.
    questions: Vec<(String, Vec<String>)>,
    columns: BTreeMap<(String, String, Kind), String>,
    totals: BTreeMap<String, String>,
}

impl Columns {
    fn of(found: &[Found]) -> Result<Self, String> {
        let mut all =
            Self { questions: Vec::new(), columns: BTreeMap::new(), totals: BTreeMap::new() };
        for Found { question, answer, kind, column, .. } in found {
            let Some(answer) = answer else {
                all.totals.insert(question.clone(), column.clone());
                continue;
            };
            let place = all.questions.iter().position(|(name, _)| name == question);
            let place = place.unwrap_or_else(|| {
                all.questions.push((question.clone(), Vec::new()));
                all.questions.len() - 1
            });
            let answers = &mut all.questions[place].1;
            if !answers.contains(answer) {
                answers.push(answer.clone());
            }
            let key = (question.clone(), answer.clone(), *kind);
            if let Some(other) = all.columns.insert(key, column.clone()) {
                return Err(format!("{other} and {column} are the same answer"));
            }
        }
        Ok(all)
    }

    fn schema(
        &self,
        wanted: &Wanted,
        campaign: &str,
        is_numbered: bool,
    ) -> Result<VoteSchema, String> {
        let mut notes = Vec::new();
        let sorted = |answers: &[String]| -> Vec<String> {
            let mut answers = answers.to_vec();
            answers.sort_unstable();
            answers
        };
        let same = |tree: &Tree, name: &str, own: &[String]| {
            tree.question(name).is_some_and(|place| {
                let answers = &tree.answers()[tree.questions()[place].answers.clone()];
                let names: Vec<String> = answers.iter().map(|a| a.name.clone()).collect();
                sorted(&names) == sorted(own)
            })
        };
        let matched = |tree: &Tree| self.questions.iter().filter(|(q, a)| same(tree, q, a)).count();
        // The first of those with the most questions.
        let best = galaxy_zoo().iter().rev().max_by_key(|tree| matched(tree));
        let best = best.filter(|tree| matched(tree) > 0);
        let tree = match best {
            Some(tree) => {
                let kept: Vec<&str> = self
                    .questions
                    .iter()
                    .filter(|(name, answers)| same(tree, name, answers))
                    .map(|(name, _)| name.as_str())
                    .collect();
                let (own, left): (Vec<_>, Vec<_>) = self
                    .questions
                    .iter()
                    .filter(|(name, _)| !kept.contains(&name.as_str()))
                    .partition(|(name, answers)| {
                        tree.question(name).is_none() && answers.len() > 1
                    });
                let left: Vec<String> = left
                    .into_iter()
                    .map(|(name, answers)| format!("{name} ({})", answers.join(", ")))
                    .collect();
                if !own.is_empty() {
                    let names: Vec<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
                    notes.push(format!("asked of every galaxy, as it seems: {}", names.join(", ")));
                }
                if !left.is_empty() {
                    notes.push(format!(
                        "left out, as no question of {} has these answers: {}",
                        tree.name(),
                        left.join("; ")
                    ));
                }
                let jumped = jumped(tree, &kept);
                if !jumped.is_empty() {
                    notes.push(format!(
                        "not in the table, and taken as if all had answered so that they were asked on: {}",
                        jumped.join(", ")
                    ));
                }
                let mut declared = Declared::from(pruned(tree, &kept)?);
                declared.questions.extend(own.into_iter().map(alone));
                Tree::try_from(declared)?
            }
            None => self.alone(&mut notes)?,
        };
        let names: Vec<(String, String)> = tree
            .answers()
            .iter()
            .map(|a| (tree.questions()[a.question].name.clone(), a.name.clone()))
            .collect();
        let column = |(question, answer): &(String, String), kind: Kind| {
            self.columns.get(&(question.clone(), answer.clone(), kind)).cloned()
        };
        let all = |kind: Kind| names.iter().map(|at| column(at, kind)).collect::<Option<Vec<_>>>();
        let (columns, measure, kinds) = self.chosen(&names, wanted)?;
        notes.push(format!("the votes are {kinds}"));
        let totals: Option<Vec<String>> =
            tree.questions().iter().map(|q| self.totals.get(&q.name).cloned()).collect();
        let counted = match (all(Kind::Count), all(Kind::Fraction), totals) {
            (Some(counts), ..) => Counted::Columns(counts),
            (None, Some(fractions), Some(totals)) => Counted::Shares(fractions, totals),
            _ => Counted::Nowhere,
        };
        let named = match (tree.name(), campaign) {
            ("", "") => "questions without a known tree".to_owned(),
            ("", campaign) => campaign.to_owned(),
            (tree, "") => tree.to_owned(),
            (tree, campaign) => format!("{tree}, campaign {campaign}"),
        };
        let form = if is_numbered { "numbered columns" } else { "Zooniverse's columns" };
        let title = format!("{named} ({form})");
        Ok(VoteSchema::found((named, title), tree, (columns, measure), counted, notes))
    }

    /// The column of each answer: of the kind that is wanted, or of the first that
    /// is there.
    fn chosen(
        &self,
        names: &[(String, String)],
        wanted: &Wanted,
    ) -> Result<(Vec<String>, Measure, String), String> {
        let column = |(question, answer): &(String, String), kind: Kind| {
            self.columns.get(&(question.clone(), answer.clone(), kind)).cloned()
        };
        let mut used = BTreeSet::new();
        let mut columns = Vec::new();
        for name in names {
            let kinds: Vec<Kind> = match wanted.kind {
                Some(kind) => vec![kind],
                None => Kind::ALL.to_vec(),
            };
            let found = kinds.into_iter().find_map(|kind| Some((kind, column(name, kind)?)));
            let (kind, found) = found.ok_or_else(|| {
                let kind = wanted.kind.map_or("", Kind::name);
                format!("no {kind} column for {}/{}", name.0, name.1)
            })?;
            used.insert(kind);
            columns.push(found);
        }
        let kinds = used.iter().map(|kind| match kind {
            Kind::Count => "counts".to_owned(),
            kind => format!("{} fractions", kind.name()),
        });
        let words = kinds.collect::<Vec<_>>().join(" and ");
        if used.contains(&Kind::Count) {
            // One measure for all: what is nowhere but counted is counted.
            let counts: Option<Vec<String>> =
                names.iter().map(|name| column(name, Kind::Count)).collect();
            let words = "counts".to_owned();
            return match counts {
                Some(counts) => Ok((counts, Measure::Counts, words)),
                None => Err("some answers are counted and some are fractions".to_owned()),
            };
        }
        Ok((columns, Measure::Fractions, words))
    }

    /// Each question by itself.
    fn alone(&self, notes: &mut Vec<String>) -> Result<Tree, String> {
        let questions = self.questions.iter().filter(|(_, answers)| answers.len() > 1);
        let questions: Vec<DeclaredQuestion> = questions.map(alone).collect();
        if questions.is_empty() {
            let (name, answers) = &self.questions[0];
            return Err(format!(
                "of {name} it has one answer, {}: without the others its votes are not known",
                answers.join(", ")
            ));
        }
        notes.push("no known tree has its questions: each is taken by itself".to_owned());
        Tree::try_from(Declared { questions, ..Declared::default() })
    }
}

/// A question by itself.
fn alone((name, answers): &(String, Vec<String>)) -> DeclaredQuestion {
    let answer = |a: &String| DeclaredAnswer { answer: a.clone(), title: String::new() };
    let answers = answers.iter().map(answer).collect();
    DeclaredQuestion { name: name.clone(), after: Vec::new(), answers }
}

/// Questions that are not kept, and of which some answers and not others lead to one that is:
/// how many went that way is not known.
fn jumped(tree: &Tree, kept: &[&str]) -> Vec<String> {
    let is_kept = |name: &str| kept.contains(&name);
    let mut found: Vec<usize> = Vec::new();
    for own in tree.questions().iter().filter(|own| is_kept(&own.name)) {
        let mut leading = own.after.clone();
        // Whoever leads to a question stands before it.
        for (place, question) in tree.questions().iter().enumerate().rev() {
            let leads = question.answers.clone().filter(|answer| leading.contains(answer)).count();
            if leads == 0 || is_kept(&question.name) {
                continue;
            }
            leading.extend(question.after.iter().copied());
            if leads < question.answers.len() && !found.contains(&place) {
                found.push(place);
            }
        }
    }
    found.sort_unstable();
    found.into_iter().map(|place| tree.questions()[place].name.clone()).collect()
}

/// A tree with these of its questions. What came after one that is left out comes
/// after what that came after.
fn pruned(tree: &Tree, kept: &[&str]) -> Result<Tree, String> {
    let mut declared = Declared::from(tree.clone());
    if kept.len() == declared.questions.len() {
        return Ok(tree.clone());
    }
    let mut above: HashMap<String, Vec<String>> = HashMap::new();
    let mut questions = Vec::new();
    for mut question in declared.questions {
        let mut after: Vec<String> = Vec::new();
        for answer in &question.after {
            let name = answer.split('/').next().unwrap_or_default();
            let instead = above.get(name).cloned().unwrap_or_else(|| vec![answer.clone()]);
            for answer in instead {
                if !after.contains(&answer) {
                    after.push(answer);
                }
            }
        }
        if kept.contains(&question.name.as_str()) {
            question.after = after;
            questions.push(question);
        } else {
            above.insert(question.name, after);
        }
    }
    declared.questions = questions;
    // The ends of the way down may be gone.
    declared.classes.clear();
    Tree::try_from(declared)
}

/// `tNN_question_aMM_answer_kind`, or `tNN_question_count`.
fn numbered(column: &str) -> Option<Found> {
    const ENDS: [(&str, Kind); 11] = [
        ("_best_fraction", Kind::Best),
        ("_debiased_fraction", Kind::Debiased),
        ("_debiased", Kind::Debiased),
        ("_weighted_fraction", Kind::Weighted),
        ("_weighted_frac", Kind::Weighted),
        ("_weight_fraction", Kind::Weighted),
        ("_count_fraction", Kind::Fraction),
        ("_fraction", Kind::Fraction),
        ("_frac", Kind::Fraction),
        ("_total_count", Kind::Count),
        ("_count", Kind::Count),
    ];
    let lower = column.to_ascii_lowercase();
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = lower.strip_prefix('t').filter(|rest| digits(rest) == 2)?;
    let rest = rest[2..].strip_prefix('_')?;
    let (name, kind) =
        ENDS.iter().find_map(|(end, kind)| Some((rest.strip_suffix(end)?, *kind)))?;
    // The first _aMM_ is where the answer begins.
    let split = name.match_indices("_a").find_map(|(at, _)| {
        let count = digits(&name[at + 2..]);
        let answer = name[at + 2 + count..].strip_prefix('_').filter(|_| count > 0)?;
        Some((&name[..at], answer))
    });
    let (question, answer) = match split {
        Some((question, answer)) => (question, Some(answer)),
        None if kind == Kind::Count => (name, None),
        None => return None,
    };
    let question = question_name(&question.replace('_', "-"));
    let answer = answer.map(|answer| answer_name(&question, &answer.replace('_', "-")));
    Some(Found { campaign: String::new(), question, answer, kind, column: column.to_owned() })
}

/// `question[-campaign]_answer[_kind]`, or `question_total-votes`.
fn plain(header: &[String]) -> Vec<Found> {
    const TOTAL: &str = "total-votes";
    let known: BTreeSet<&str> = galaxy_zoo()
        .iter()
        .flat_map(|tree| tree.questions().iter().map(|q| q.name.as_str()))
        .chain(NAMES.questions.keys().map(String::as_str))
        .collect();
    // Questions that the table itself says are such.
    let own: BTreeSet<String> = header
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .filter_map(|name| {
            let (question, rest) = name.split_once('_')?;
            (rest == TOTAL || rest.ends_with("_fraction")).then(|| question.to_owned())
        })
        .collect();
    let mut found = Vec::new();
    for column in header {
        let lower = column.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('_').collect();
        let (question, answer, kind) = match parts[..] {
            [question, TOTAL] => (question, None, Kind::Count),
            [question, answer] => (question, Some(answer), Kind::Count),
            [question, answer, "fraction"] => (question, Some(answer), Kind::Fraction),
            [question, answer, "debiased"] => (question, Some(answer), Kind::Debiased),
            [question, answer, "count"] => (question, Some(answer), Kind::Count),
            _ => continue,
        };
        // The longest question that the name begins with.
        let begins = |name: &&&str| {
            question.strip_prefix(**name).is_some_and(|r| r.is_empty() || r.starts_with('-'))
        };
        let named = known.iter().filter(begins).max_by_key(|name| name.len());
        let (question, campaign) = match named {
            Some(name) => (*name, question[name.len()..].trim_start_matches('-')),
            None if own.contains(question) => (question, ""),
            None => continue,
        };
        let question = question_name(question);
        let answer = answer.map(|answer| answer_name(&question, answer));
        let (campaign, column) = (campaign.to_owned(), column.clone());
        found.push(Found { campaign, question, answer, kind, column });
    }
    // A table of something else may have a column or two that look so.
    let answers = |question: &str| {
        let own = found.iter().filter(|f| f.question == question && f.answer.is_some());
        own.map(|f| f.answer.clone()).collect::<BTreeSet<_>>().len()
    };
    let few: BTreeSet<String> =
        found.iter().map(|f| f.question.clone()).filter(|q| answers(q) < 2).collect();
    found.retain(|f| !few.contains(&f.question));
    found
}

fn question_name(name: &str) -> String {
    NAMES.questions.get(name).cloned().unwrap_or_else(|| name.to_owned())
}

fn answer_name(question: &str, name: &str) -> String {
    let known = NAMES.answers.get(question).and_then(|answers| answers.get(name));
    known.cloned().unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn numbered_columns_are_read_by_their_names() {
        let of =
            |name: &str| numbered(name).map(|f| (f.question, f.answer.unwrap_or_default(), f.kind));
        let is = |q: &str, a: &str, kind| Some((q.to_owned(), a.to_owned(), kind));
        let cases = [
            (
                "t11_arms_number_a31_1_weighted_fraction",
                is("spiral-arm-count", "1", Kind::Weighted),
            ),
            (
                "t07_rounded_a01_completely_round_fraction",
                is("how-rounded", "round", Kind::Fraction),
            ),
            (
                "t00_smooth_or_featured_a0_smooth_weighted_frac",
                is("smooth-or-featured", "smooth", Kind::Weighted),
            ),
            (
                "T01_SMOOTH_OR_FEATURES_A01_SMOOTH_DEBIASED",
                is("smooth-or-featured", "smooth", Kind::Debiased),
            ),
            (
                "t19_clumps_count_a53_more_than_4_frac",
                is("clump-count", "more-than-4", Kind::Fraction),
            ),
            ("t19_clumps_count_count", is("clump-count", "", Kind::Count)),
            ("t16_clumps_count_total_count", is("clump-count", "", Kind::Count)),
            ("t01_smooth_or_features_a01_smooth_flag", None),
            ("t01_smooth_or_features_a01_smooth_weight", None),
            ("total_count", None),
            ("t1_x_a1_y_count", None),
        ];
        for (name, expected) in cases {
            assert_eq!(of(name), expected, "{name}");
        }
    }

    #[test]
    fn campaigns_are_told_apart_and_one_is_asked_for() {
        let names = header(&[
            "id_str",
            "smooth-or-featured-gz2_smooth",
            "smooth-or-featured-gz2_featured-or-disk",
            "smooth-or-featured-gz2_artifact",
            "smooth-or-featured-gz2_total-votes",
            "smooth-or-featured-dr5_smooth",
            "smooth-or-featured-dr5_featured-or-disk",
            "smooth-or-featured-dr5_artifact",
            "mag_r",
        ]);
        let error = schema(&names, &Wanted::default()).unwrap_err();
        assert!(error.contains("several campaigns (dr5, gz2)"), "{error}");
        let wanted = Wanted { campaign: Some("gz2".into()), ..Wanted::default() };
        let found = schema(&names, &wanted).unwrap().unwrap();
        assert_eq!(found.measure, Measure::Counts);
        assert_eq!(found.columns, names[1..4]);
        assert_eq!(found.counted, Counted::Columns(names[1..4].to_vec()));
    }

    #[test]
    fn questions_of_no_tree_are_taken_by_themselves() {
        let names = header(&["id", "ring_total-votes", "ring_yes", "ring_no", "mag_r"]);
        let found = schema(&names, &Wanted::default()).unwrap().unwrap();
        assert_eq!(found.answers(), ["ring/yes", "ring/no"]);
        assert_eq!(schema(&header(&["id", "mag_r", "mag_g"]), &Wanted::default()).unwrap(), None);
        let one = header(&["id", "t00_smooth_or_featured_a0_smooth_weighted_frac"]);
        let error = schema(&one, &Wanted::default()).unwrap_err();
        assert!(error.contains("one answer, smooth"), "{error}");
    }

    #[test]
    fn a_question_beside_a_tree_is_taken_by_itself() {
        let names = header(&[
            "iauname",
            "smooth-or-featured_smooth_fraction",
            "smooth-or-featured_featured-or-disk_fraction",
            "smooth-or-featured_artifact_fraction",
            "bar_maybe_fraction",
            "bar_no_fraction",
            "ring_yes_fraction",
            "ring_no_fraction",
        ]);
        let found = schema(&names, &Wanted::default()).unwrap().unwrap();
        let answers = found.answers();
        assert_eq!(answers.len(), 5, "{answers:?}");
        assert_eq!(answers[3..], ["ring/yes", "ring/no"]);
        let notes = found.notes.join("\n");
        assert!(notes.contains("bar (maybe, no)") && notes.contains("seems: ring"), "{notes}");
    }

    #[test]
    fn a_question_that_is_not_there_is_passed_over_in_the_tree() {
        let gz2 = &galaxy_zoo()[0];
        let kept = ["smooth-or-featured", "has-spiral-arms", "something-odd"];
        let tree = pruned(gz2, &kept).unwrap();
        // Of edge-on disks nobody asks for arms; how many were, is not known.
        assert_eq!(jumped(gz2, &kept), ["disk-edge-on"]);
        assert!(jumped(gz2, &["smooth-or-featured", "disk-edge-on", "has-spiral-arms"]).is_empty());
        let after = |name: &str| {
            let question = &tree.questions()[tree.question(name).unwrap()];
            question.after.iter().map(|&a| tree.path(a)).collect::<Vec<_>>()
        };
        assert_eq!(after("has-spiral-arms"), ["smooth-or-featured/featured-or-disk"]);
        let odd = after("something-odd");
        assert!(odd.contains(&"has-spiral-arms/no".to_owned()), "{odd:?}");
        assert!(odd.contains(&"smooth-or-featured/smooth".to_owned()), "{odd:?}");
    }

    #[test]
    fn names_lead_to_questions_and_answers_of_trees() {
        let trees = galaxy_zoo();
        for (name, question) in &NAMES.questions {
            assert!(trees.iter().any(|t| t.question(question).is_some()), "{name} = {question}");
        }
        for (question, answers) in &NAMES.answers {
            for answer in answers.values() {
                let path = format!("{question}/{answer}");
                assert!(trees.iter().any(|t| t.answer(&path).is_some()), "{path}");
            }
        }
        assert!(trees.iter().all(|tree| !tree.classes().is_empty()));
    }
}
