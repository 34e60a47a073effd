//! Predictions held against labels: the line of `hiwl classify`, with metrics
//! at its end in place of the catalog.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, setup};
use crate::events::{Event, Listener};
use crate::labels::join::Join;
use crate::labels::table::quoted;
use crate::labels::votes::VoteTable;
use crate::labels::{LabelTable, Labelled, Split};
use crate::line::{self, Listed, Waiting};
use crate::metrics::{self, Calibration, Confidences, Confusion};
use crate::model::description::Description;
use crate::model::model_file::Model;
use crate::pipeline::{Failure, Graph, Resequencer, StageReport, Stop};
use crate::run::ModelIdentity;
use crate::tree::{Prediction, Scheme, Stage2, Tree};

/// How good a model is on labelled images.
#[derive(Debug)]
pub struct Evaluation {
    /// Of the images that could be classified.
    pub report: metrics::ClassificationReport,
    /// Of each of them, its class by the labels and what the model said, in the
    /// order of the inputs.
    pub predictions: Vec<(usize, Prediction)>,
    /// Their ids, in the same order.
    pub ids: Vec<String>,
    /// Names of the columns of probabilities, in the order of the predictions'.
    pub columns: Vec<String>,
    /// Ids of the others, and why.
    pub rejected: Vec<(String, String)>,
    /// What has no counterpart, and what could not be listed.
    pub notes: Vec<String>,
    /// The model.
    pub model: ModelIdentity,
    /// Stages of the line.
    pub stages: Vec<StageReport>,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Evaluation {
    /// What was said of each image, as CSV: `id,label,predicted,confidence` and
    /// every probability, empty where it is not known.
    pub fn predictions_csv(&self) -> String {
        let classes: Vec<String> =
            self.report.classes.iter().map(|class| quoted(&class.class)).collect();
        let mut text = "id,label,predicted,confidence".to_owned();
        for column in &self.columns {
            text += &format!(",{}", quoted(column));
        }
        text.push('\n');
        for (id, (truth, said)) in self.ids.iter().zip(&self.predictions) {
            let (label, predicted) = (&classes[*truth], &classes[said.class]);
            text += &format!("{},{label},{predicted},{}", quoted(id), said.confidence);
            for value in &said.probabilities {
                text.push(',');
                text += &value.map_or_else(String::new, |value| value.to_string());
            }
            text.push('\n');
        }
        text
    }
}

/// Names of the classes that a model file tells apart, as labels have them.
///
/// # Errors
/// [`ClassifyError::Model`].
pub fn classes(model: &Path) -> Result<Vec<String>, ClassifyError> {
    Ok(Description::read(model)?.scheme.tree().class_names())
}

/// Classifies the images of the inputs that `labels` knows, or those of them
/// in `split`, and compares. The options' output is not used. `None` if
/// `stop` ended it.
///
/// # Errors
/// [`ClassifyError`]; [`ClassifyError::NothingLabelled`] if no image has a
/// label.
///
/// # Panics
/// If the table's classes are not the model's ([`classes`]).
pub fn evaluate(
    options: &ClassifyOptions,
    labels: &LabelTable,
    split: Option<Split>,
    listener: &Arc<dyn Listener>,
    stop: &Stop,
) -> Result<Option<Evaluation>, ClassifyError> {
    let model = Model::read(&options.model)?;
    let scheme = &model.description.scheme;
    assert_eq!(labels.classes, scheme.tree().class_names(), "the classes of the model");
    let columns = columns(scheme);
    let wanted = LabelTable {
        classes: labels.classes.clone(),
        rows: match split {
            Some(split) => labels.of(split).cloned().collect(),
            None => labels.rows.clone(),
        },
    };
    let Some(Ran { rows, rejected, notes, model, stages, elapsed }) =
        classified(options, model, &wanted, listener, stop)?
    else {
        return Ok(None);
    };
    let mut matrix = Confusion::new(&wanted.classes);
    let (mut calibration, mut confidences) = (Calibration::new(), Confidences::new());
    let (mut predictions, mut ids) = (Vec::new(), Vec::new());
    for (place, id, prediction) in rows {
        let (truth, predicted) = (wanted.rows[place].class, prediction.class);
        matrix.add(truth, predicted);
        let confidence = f64::from(prediction.confidence);
        calibration.add(confidence, truth == predicted);
        confidences.add(truth, predicted, confidence);
        predictions.push((truth, prediction));
        ids.push(id);
    }
    Ok(Some(Evaluation {
        report: metrics::ClassificationReport::new(&matrix, Some(&calibration)).with(&confidences),
        predictions,
        ids,
        columns,
        rejected,
        notes,
        model,
        stages,
        elapsed,
    }))
}

/// How near a model's fractions are to what volunteers, or labels of several questions,
/// say.
#[derive(Debug)]
pub struct VoteEvaluation {
    /// Of the images that could be classified.
    pub report: metrics::VoteReport,
    /// Of each of them, its id and its fractions of those who are asked, answer by answer.
    pub predictions: Vec<(String, Vec<f64>)>,
    /// Names of the answers, `question/answer`.
    pub answers: Vec<String>,
    /// Ids of the others, and why.
    pub rejected: Vec<(String, String)>,
    /// What has no counterpart, and what could not be listed.
    pub notes: Vec<String>,
    /// The model.
    pub model: ModelIdentity,
}

impl VoteEvaluation {
    /// What was said of each image, as CSV: `id`, and `<question>_<answer>_fraction` of
    /// every answer.
    pub fn predictions_csv(&self) -> String {
        let mut text = "id".to_owned();
        for answer in &self.answers {
            text += &format!(",{}", quoted(&format!("{}_fraction", answer.replace('/', "_"))));
        }
        text.push('\n');
        for (id, fractions) in &self.predictions {
            text += &quoted(id);
            fractions.iter().for_each(|value| text += &format!(",{value}"));
            text.push('\n');
        }
        text
    }
}

/// The tree of a model file.
///
/// # Errors
/// [`ClassifyError::Model`].
pub fn tree(model: &Path) -> Result<Tree, ClassifyError> {
    Ok(Description::read(model)?.scheme.tree().clone())
}

/// Classifies the images of the inputs that `votes` knows, or those of them in `split`,
/// of which `splits` says which they are, and compares fractions. Every network sees
/// every image. The options' output is not used. `None` if `stop` ended it.
///
/// # Errors
/// [`ClassifyError`]; [`ClassifyError::NothingLabelled`] if no image has votes,
/// [`ClassifyError::OtherQuestions`] if none is about a question of the model.
pub fn evaluate_votes(
    options: &ClassifyOptions,
    votes: &VoteTable,
    split: Option<(Split, &HashMap<String, Split>)>,
    listener: &Arc<dyn Listener>,
    stop: &Stop,
) -> Result<Option<VoteEvaluation>, ClassifyError> {
    let options = ClassifyOptions { stage2: Stage2::All, ..options.clone() };
    let model = Model::read(&options.model)?;
    let tree = model.description.scheme.tree().clone();
    let (truth, there) = votes.in_tree(&tree);
    if there.is_empty() {
        let names = |tree: &Tree| {
            tree.questions().iter().map(|q| q.name.clone()).collect::<Vec<_>>().join(", ")
        };
        return Err(ClassifyError::OtherQuestions {
            found: names(&votes.schema.tree),
            known: names(&tree),
        });
    }
    let mut notes = vec![format!("{}: {}", votes.schema.title, votes.told)];
    notes.extend(votes.schema.notes.iter().cloned());
    let missing: Vec<&str> =
        tree.questions().iter().map(|q| &*q.name).filter(|name| !there.contains(name)).collect();
    if !missing.is_empty() {
        notes.push(format!("no votes about {}", missing.join(", ")));
    }
    let known = |own: &[f64]| own.iter().any(|value| !value.is_nan());
    let is_in = |id: &String| {
        split.is_none_or(|(split, splits)| splits.get(id).is_some_and(|own| *own == split))
    };
    let places: Vec<usize> =
        (0..votes.ids.len()).filter(|&p| known(&truth[p]) && is_in(&votes.ids[p])).collect();
    let row = |&place: &usize| Labelled { id: votes.ids[place].clone(), class: 0, split: None };
    let wanted =
        LabelTable { classes: vec!["votes".to_owned()], rows: places.iter().map(row).collect() };
    let Some(ran) = classified(&options, model, &wanted, listener, stop)? else { return Ok(None) };
    let (mut predicted, mut expected, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
    for (row, id, said) in ran.rows {
        let of_all: Vec<f64> =
            said.probabilities.iter().map(|p| f64::from(p.unwrap_or(0.0))).collect();
        expected.push(truth[places[row]].clone());
        predictions.push((id, tree.conditional(&of_all)));
        predicted.push(of_all);
    }
    notes.extend(ran.notes);
    Ok(Some(VoteEvaluation {
        report: metrics::VoteReport::new(&tree, &predicted, &expected),
        predictions,
        answers: (0..tree.answers().len()).map(|answer| tree.path(answer)).collect(),
        rejected: ran.rejected,
        notes,
        model: ran.model,
    }))
}

/// Names of the columns of probabilities.
fn columns(scheme: &Scheme) -> Vec<String> {
    (0..scheme.tree().answers().len()).map(|answer| scheme.column_name(answer)).collect()
}

/// What the line made of labelled images.
struct Ran {
    /// Of each image that could be classified, the place of its label, its id and what
    /// was said, in the order of the inputs.
    rows: Vec<(usize, String, Prediction)>,
    rejected: Vec<(String, String)>,
    notes: Vec<String>,
    model: ModelIdentity,
    stages: Vec<StageReport>,
    elapsed: Duration,
}

/// Classifies the images of the inputs that are `wanted`; `None` if `stop` ended it.
fn classified(
    options: &ClassifyOptions,
    model: Model,
    wanted: &LabelTable,
    listener: &Arc<dyn Listener>,
    stop: &Stop,
) -> Result<Option<Ran>, ClassifyError> {
    let resolved = Resolved::new(options, &model)?;
    let rows = setup::line(&resolved, &model)?;
    for note in &rows.notes {
        listener.tell(Event::Note(note));
    }
    let identity = ModelIdentity::of(&model, &options.model);
    let wait = Waiting { listener: listener.as_ref(), stop };
    let found = line::list(&resolved.inputs, &resolved.reading, &wait)?;
    let Some(found) = found else { return Ok(None) };
    let (entries, mut notes) = (found.images, [found.problems, found.notes].concat());
    let join = Join::new(wanted, entries.iter().map(|image| image.entry.id.as_str()));
    if join.pairs.is_empty() {
        return Err(ClassifyError::NothingLabelled {
            images: entries.len(),
            labels: wanted.rows.len(),
        });
    }
    notes.extend(join.to_string().lines().map(str::to_owned));
    let trained = (!model.description.untrained).then(|| model.description.input.clone());
    drop(model);

    let labels: Vec<usize> = join.pairs.iter().map(|&(row, _)| row).collect();
    let images: Vec<Listed> = join.pairs.iter().map(|&(_, image)| entries[image].clone()).collect();
    listener.tell(Event::Started { rows: images.len() as u64 });
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let mut graph = Graph::new(stop.clone());
    let window = rows.window();
    let listed = line::source(&mut graph, images, &window);
    let stream = rows.extend(&mut graph, listed);
    let (sink, told) = (Arc::clone(&seen), Arc::clone(listener));
    let mut order = Resequencer::new();
    graph.sink("metrics", stream, move |batch| {
        let Some(batch) = batch else { return Ok(()) };
        order.push(batch);
        while let Some(batch) = order.pop() {
            let mut seen = sink.lock().unwrap_or_else(|e| e.into_inner());
            let (count, before) = (batch.rows.len(), seen.rejected.len());
            for row in batch.rows {
                match row.outcome {
                    Ok(said) => seen.rows.push((labels[row.index as usize], row.id, said)),
                    Err(rejection) => seen.rejected.push((row.id, rejection.to_string())),
                }
            }
            window.leave(count);
            let rejected = (seen.rejected.len() - before) as u64;
            told.tell(Event::Advanced { rows: count as u64, rejected });
        }
        Ok(())
    });
    let outcome = graph.run();
    match outcome.result {
        Ok(()) => {}
        Err(Failure::Interrupted) => return Ok(None),
        Err(failure) => return Err(failure.into()),
    }
    notes.extend(rows.crops.observed.notes(&rows.crops.preparation, trained.as_ref()));
    let Seen { rows, rejected } =
        std::mem::take(&mut *seen.lock().unwrap_or_else(|e| e.into_inner()));
    let (stages, elapsed) = (outcome.stages, outcome.elapsed);
    Ok(Some(Ran { rows, rejected, notes, model: identity, stages, elapsed }))
}

/// What the sink keeps.
#[derive(Default)]
struct Seen {
    rows: Vec<(usize, String, Prediction)>,
    rejected: Vec<(String, String)>,
}
