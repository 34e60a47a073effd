//! Where in a picture a network sees an answer: heat maps, as pictures and numbers.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `explainer` | the networks and their maps |
//! | `output` | the folder: panels, `maps.npy`, `maps.fits`, `maps.csv` |
//!
//! Invariant: the rows of all files of numbers are one another's, in the order of the
//! listing, and a map belongs to the network that answers.

mod explainer;
mod output;

pub use explainer::{Explainer, Explanation, MapKind, Seen, activation};

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use self::explainer::BATCH;
use self::output::{Output, Row};
use super::hierarchy::Hierarchy;
use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, setup};
use crate::cutout::RgbImage;
use crate::engine::Device;
use crate::events::{Event, Listener};
use crate::line::{self, Cutout, Found, Waiting};
use crate::model::model_file::Model;
use crate::pipeline::{self, Failure, Graph, Resequencer, Stop, Window};
use crate::storage::output::refuse_folder;
use crate::tree::{Scheme, Stage2};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct ExplainOptions {
    /// A class or an answer of the model's tree; each picture's own class if none.
    pub answer: Option<String>,
    /// A file for all panels, one below the other, of at most [`SHEET`] pictures.
    pub sheet: Option<PathBuf>,
}

/// Pictures on a sheet, at most.
pub const SHEET: usize = 64;

/// What was written.
#[derive(Debug, Default)]
pub struct Explained {
    /// Pictures.
    pub written: u64,
    /// Ids of the others, and why.
    pub rejected: Vec<(String, String)>,
    /// Inputs that could not be listed.
    pub problems: usize,
    /// Which, and what was taken for granted.
    pub notes: Vec<String>,
}

/// Pictures on their way to the networks, beyond those that the stages hold.
const WINDOW: usize = 4 * BATCH;

/// Writes, for each picture of the inputs, its panels (picture, heat map, overlay)
/// into the options' output, a folder that is made or is empty; and beside them the
/// maps, `[pictures][side][side]` in f32, as `maps.npy` and `maps.fits`, with a line
/// each in `maps.csv`. `None` if `stop` ended it.
///
/// # Errors
/// [`ClassifyError`]; [`ClassifyError::Answer`] if the model's tree has no such
/// answer, or several; [`ClassifyError::Maps`] if answers that may be asked about are of
/// networks whose maps have different sizes; [`ClassifyError::Pictures`] if the folder
/// holds anything or cannot be written.
pub fn explain(
    options: &ClassifyOptions,
    asked: &ExplainOptions,
    listener: &Arc<dyn Listener>,
    stop: &Stop,
) -> Result<Option<Explained>, ClassifyError> {
    let model = Model::read(&options.model)?;
    let resolved = Resolved::new(options, &model)?;
    let scheme = &model.description.scheme;
    let target = asked.answer.as_deref().map(|name| target(scheme, name)).transpose()?;
    refuse_folder(&resolved.output)?;
    let explainer = Explainer::new(&model, resolved.engine)?;
    let side = explainer.side(target)?;
    let mut task = Task {
        hierarchy: setup::hierarchy(&resolved, &model, Device::Cpu, None)?.0,
        stage2: resolved.stage2,
        explainer,
        target,
        output: Output::new(&resolved.output, side, asked.sheet.is_some()),
    };
    let threads = pipeline::threads::pool("explain", resolved.workers)?;
    let (mut front, crops) = (setup::front(&resolved), setup::crops(&resolved));
    let wait = Waiting { listener: listener.as_ref(), stop };
    let found = line::list(&resolved.inputs, &resolved.reading, &wait)?;
    let Some(Found { images, problems, notes: told }) = found else { return Ok(None) };
    front.remote |= images.iter().any(|image| image.entry.is_remote());
    if let Some(path) = asked.sheet.as_ref().filter(|_| images.len() > SHEET) {
        let found = images.len();
        return Err(ClassifyError::Sheet { path: path.clone(), found, most: SHEET });
    }
    task.output.begin()?;
    listener.tell(Event::Started { rows: images.len() as u64 });
    let state = Arc::new(Mutex::new((task, Vec::new())));
    if !images.is_empty() {
        let mut graph = Graph::new(stop.clone());
        let window = Window::new(WINDOW + 4 * front.workers);
        let listed = line::source(&mut graph, images, &window);
        let prepared = front.extend(&mut graph, listed, || crops.worker());
        let (state, told) = (Arc::clone(&state), Arc::clone(listener));
        let mut order = Resequencer::new();
        let mut batch: Vec<Cutout<RgbImage>> = Vec::new();
        graph.sink("explain", prepared, move |picture| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let (task, rejected) = &mut *state;
            let Some(picture) = picture else {
                return threads.install(|| task.take(&mut batch, rejected));
            };
            order.push(picture);
            while let Some(cutout) = order.pop() {
                window.leave(1);
                let refused = u64::from(cutout.state.is_err());
                told.tell(Event::Advanced { rows: 1, rejected: refused });
                batch.push(cutout);
                if batch.len() == BATCH {
                    threads.install(|| task.take(&mut batch, rejected))?;
                }
            }
            Ok(())
        });
        match graph.run().result {
            Ok(()) => {}
            Err(Failure::Interrupted) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        }
    }
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let (task, rejected) = &mut *state;
    let written = task.output.end(asked.sheet.as_deref())?;
    let trained = (!model.description.untrained).then_some(&model.description.input);
    let (count, mut notes) = (problems.len(), [problems, told].concat());
    notes.extend(crops.observed.notes(&crops.preparation, trained));
    Ok(Some(Explained { written, rejected: std::mem::take(rejected), problems: count, notes }))
}

/// The answer that a person means by a name: a class, an answer, or
/// `question/answer`.
pub(super) fn target(scheme: &Scheme, name: &str) -> Result<usize, ClassifyError> {
    let tree = scheme.tree();
    if let Some(class) = tree.class(name) {
        return Ok(tree.classes()[class].answer);
    }
    let named = |answer: &usize| tree.answers()[*answer].name == name || tree.path(*answer) == name;
    let found: Vec<usize> = (0..tree.answers().len()).filter(named).collect();
    match found[..] {
        [one] => Ok(one),
        _ => {
            let among = if found.is_empty() { (0..tree.answers().len()).collect() } else { found };
            let known: Vec<String> = among.into_iter().map(|answer| tree.path(answer)).collect();
            Err(ClassifyError::Answer { asked: name.to_owned(), known: known.join(", ") })
        }
    }
}

/// Pictures in, files out.
struct Task {
    hierarchy: Hierarchy,
    stage2: Stage2,
    explainer: Explainer,
    /// The answer that is asked about, if it is one for all.
    target: Option<usize>,
    output: Output,
}

impl Task {
    /// Explains a batch, and leaves it empty.
    fn take(
        &mut self,
        batch: &mut Vec<Cutout<RgbImage>>,
        rejected: &mut Vec<(String, String)>,
    ) -> Result<(), ClassifyError> {
        let pictures = batch.iter().filter_map(|cutout| cutout.state.as_ref().ok());
        let images: Vec<&[u8]> = pictures.map(|image| image.pixels.as_slice()).collect();
        let found =
            self.explainer.explanations(&self.hierarchy, self.stage2, &images, self.target)?;
        let mut outcomes = found.into_iter();
        let scheme = Arc::clone(self.hierarchy.scheme());
        let tree = scheme.tree();
        for cutout in batch.drain(..) {
            let outcome = cutout.state.and_then(|picture| {
                let found = outcomes.next().expect("an outcome for each picture")?;
                Ok((picture, found))
            });
            let (picture, Explanation { prediction, answer, seen }) = match outcome {
                Ok(found) => found,
                Err(rejection) => {
                    rejected.push((cutout.id, rejection.to_string()));
                    continue;
                }
            };
            let row = Row {
                id: &cutout.id,
                index: cutout.index,
                source: &cutout.source,
                label: &tree.classes()[prediction.class].name,
                confidence: prediction.confidence,
                answer: tree.path(answer),
                network: self.explainer.network(answer),
            };
            self.output.add(&row, &picture, &seen)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_by_any_of_their_names_and_doubtful_ones_refused() {
        let hiwl = Scheme::hiwl();
        let path = |name: &str| target(&hiwl, name).map(|answer| hiwl.tree().path(answer));
        assert_eq!(path("CSS").unwrap(), "css-or-eo/CSS");
        assert_eq!(path("CSS+EO").unwrap(), "shape/CSS+EO");
        assert_eq!(path("shape/SPI").unwrap(), "shape/SPI");
        let error = path("spiral").unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("shape/CRS"), "{error}");
    }
}
