//! Predictions held against labels: the line of `hiwl classify`, with metrics
//! at its end in place of the catalog.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, setup};
use crate::events::{Event, Listener};
use crate::labels::join::Join;
use crate::labels::table::quoted;
use crate::labels::{LabelTable, Split};
use crate::line::{self, Listed, Waiting};
use crate::metrics::{self, Calibration, Confidences, Confusion};
use crate::model::description::Description;
use crate::model::model_file::Model;
use crate::pipeline::{Failure, Graph, StageReport, Stop};
use crate::run::ModelIdentity;
use crate::tree::Prediction;

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
    let known = model.description.scheme.tree().class_names();
    assert_eq!(labels.classes, known, "the classes of the model");
    let resolved = Resolved::new(options, &model)?;
    let rows = setup::line(&resolved, &model)?;
    for note in &rows.notes {
        listener.tell(Event::Note(note));
    }
    let identity = ModelIdentity::of(&model, &options.model);
    let scheme = &model.description.scheme;
    let answers = 0..scheme.tree().answers().len();
    let columns: Vec<String> = answers.map(|answer| scheme.column_name(answer)).collect();
    let wanted = LabelTable {
        classes: labels.classes.clone(),
        rows: match split {
            Some(split) => labels.of(split).cloned().collect(),
            None => labels.rows.clone(),
        },
    };
    let wait = Waiting { listener: listener.as_ref(), stop };
    let found = line::list(&resolved.inputs, &resolved.reading, &wait)?;
    let Some(found) = found else { return Ok(None) };
    let (entries, mut notes) = (found.images, found.problems);
    let join = Join::new(&wanted, entries.iter().map(|image| image.entry.id.as_str()));
    if join.pairs.is_empty() {
        return Err(ClassifyError::NothingLabelled {
            images: entries.len(),
            labels: wanted.rows.len(),
        });
    }
    notes.extend(join.to_string().lines().map(str::to_owned));
    let trained = (!model.description.untrained).then(|| model.description.input.clone());
    drop(model);

    let truth: Vec<usize> = join.pairs.iter().map(|&(row, _)| wanted.rows[row].class).collect();
    let images: Vec<Listed> = join.pairs.iter().map(|&(_, image)| entries[image].clone()).collect();
    listener.tell(Event::Started { rows: images.len() as u64 });
    let counts = Arc::new(Mutex::new(Counts {
        matrix: Confusion::new(&wanted.classes),
        calibration: Calibration::new(),
        confidences: Confidences::new(),
        predictions: Vec::new(),
        ids: Vec::new(),
        rejected: Vec::new(),
    }));
    let mut graph = Graph::new(stop.clone());
    let window = rows.window();
    let listed = line::source(&mut graph, images, &window);
    let classified = rows.extend(&mut graph, listed);
    let (sink, told) = (Arc::clone(&counts), Arc::clone(listener));
    graph.sink("metrics", classified, move |batch| {
        let Some(batch) = batch else { return Ok(()) };
        let mut counts = sink.lock().unwrap_or_else(|e| e.into_inner());
        let found = batch.item.rows;
        let (count, before) = (found.len(), counts.rejected.len());
        for row in found {
            let truth = truth[row.index as usize];
            match row.outcome {
                Ok(prediction) => {
                    let predicted = prediction.class;
                    counts.matrix.add(truth, predicted);
                    let confidence = f64::from(prediction.confidence);
                    counts.calibration.add(confidence, truth == predicted);
                    counts.confidences.add(truth, predicted, confidence);
                    counts.predictions.push((truth, prediction));
                    counts.ids.push(row.id);
                }
                Err(rejection) => counts.rejected.push((row.id, rejection.to_string())),
            }
        }
        window.leave(count);
        let rejected = (counts.rejected.len() - before) as u64;
        told.tell(Event::Advanced { rows: count as u64, rejected });
        Ok(())
    });
    let outcome = graph.run();
    match outcome.result {
        Ok(()) => {}
        Err(Failure::Interrupted) => return Ok(None),
        Err(failure) => return Err(failure.into()),
    }
    notes.extend(rows.crops.observed.notes(&rows.crops.preparation, trained.as_ref()));
    let mut counts = counts.lock().unwrap_or_else(|e| e.into_inner());
    Ok(Some(Evaluation {
        report: metrics::ClassificationReport::new(&counts.matrix, Some(&counts.calibration))
            .with(&counts.confidences),
        predictions: std::mem::take(&mut counts.predictions),
        ids: std::mem::take(&mut counts.ids),
        columns,
        rejected: std::mem::take(&mut counts.rejected),
        notes,
        model: identity,
        stages: outcome.stages,
        elapsed: outcome.elapsed,
    }))
}

/// What the sink counts.
struct Counts {
    matrix: Confusion,
    calibration: Calibration,
    confidences: Confidences,
    predictions: Vec<(usize, Prediction)>,
    ids: Vec<String>,
    rejected: Vec<(String, String)>,
}
