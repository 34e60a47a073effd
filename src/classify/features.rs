//! Features of galaxies that a model learned from, and of others: the first half
//! of the line with the first network at its end.
//!
//! Invariant: which galaxies they are follows from the listing and the labels
//! alone, and their features come in the order of the listing.

use std::sync::{Arc, Mutex, PoisonError};

use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, setup};
use crate::cutout::RgbImage;
use crate::engine::{Device, Normalisation, Tensors, Want, open};
use crate::events::{Event, Listener};
use crate::labels::join::Join;
use crate::labels::{LabelTable, Split};
use crate::line::{self, Found, Listed, Waiting};
use crate::model::model_file::Model;
use crate::pipeline::{self, Failure, Graph, Resequencer, Stop, Window};

/// Pictures that the network sees at once.
const BATCH: usize = 32;

/// Pictures on their way to the network, beyond those that the stages hold.
const WINDOW: usize = 4 * BATCH;

/// Features, row by row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// Of galaxies that the model learned from.
    pub learned: Vec<f32>,
    /// Of others.
    pub held_out: Vec<f32>,
    /// Cutouts that could not be used.
    pub rejected: u64,
    /// What could not be listed, and what was taken for granted.
    pub notes: Vec<String>,
}

/// The first network's features of the inputs' galaxies, at most so many of each
/// kind, spread evenly over the listing. What was learned from are those whose
/// split is `train` in `labels`, the others those whose split is `val`; without
/// splits every other galaxy counts as one or the other. `None` if `stop` ended it.
///
/// # Errors
/// [`ClassifyError`].
pub fn features(
    options: &ClassifyOptions,
    model: &Model,
    labels: Option<&LabelTable>,
    most: usize,
    listener: &Arc<dyn Listener>,
    stop: &Stop,
) -> Result<Option<Features>, ClassifyError> {
    let resolved = Resolved::new(options, model)?;
    let (mut front, crops) = (setup::front(&resolved), setup::crops(&resolved));
    let description = &model.description;
    let ((first, architecture), weights) =
        description.networks().zip(&model.networks).next().expect("a model has a network");
    let input = &description.input;
    let network = open::Network {
        architecture,
        outputs: first.outputs(),
        size: input.size,
        normalisation: Normalisation { mean: input.mean, std: input.std },
        weights,
    };
    let Resolved { engine, precision, workers, .. } = resolved;
    let network =
        open::infer(network, Device::Cpu, engine, precision, open::Room::for_many(BATCH))?.network;
    let threads = pipeline::threads::pool("features", workers)?;
    let wait = Waiting { listener: listener.as_ref(), stop };
    let found = line::list(&resolved.inputs, &resolved.reading, &wait)?;
    let Some(Found { images: entries, problems, notes: told }) = found else { return Ok(None) };
    let mut notes = [problems, told].concat();
    let chosen = chosen(&entries, labels, most);
    if chosen.is_empty() {
        let labels = labels.map_or(0, |table| table.rows.len());
        return Err(ClassifyError::NothingLabelled { images: entries.len(), labels });
    }
    let images: Vec<Listed> = chosen.iter().map(|(place, _)| entries[*place].clone()).collect();
    let learned: Vec<bool> = chosen.iter().map(|(_, learned)| *learned).collect();
    front.remote |= images.iter().any(|image| image.entry.is_remote());
    listener.tell(Event::Started { rows: images.len() as u64 });

    let total = Arc::new(Mutex::new(Features::default()));
    let mut graph = Graph::new(stop.clone());
    let window = Window::new(WINDOW + 4 * front.workers);
    let listed = line::source(&mut graph, images, &window);
    let prepared = front.extend(&mut graph, listed, || crops.worker());
    let (sink, told) = (Arc::clone(&total), Arc::clone(listener));
    let mut order = Resequencer::new();
    let mut batch: Vec<(bool, RgbImage)> = Vec::new();
    let seen = move |batch: &mut Vec<(bool, RgbImage)>| {
        let images: Vec<&[u8]> = batch.iter().map(|(_, image)| image.pixels.as_slice()).collect();
        let mut found = Tensors::default();
        threads.install(|| network.run(&images, Want::FEATURES, &mut found))?;
        let mut total = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = found.features.chunks_exact(network.features());
        for ((learned, _), row) in batch.drain(..).zip(rows) {
            let to = if learned { &mut total.learned } else { &mut total.held_out };
            to.extend(row);
        }
        Ok::<_, ClassifyError>(())
    };
    let counted = Arc::clone(&total);
    graph.sink("features", prepared, move |picture| {
        let Some(picture) = picture else {
            return if batch.is_empty() { Ok(()) } else { seen(&mut batch) };
        };
        order.push(picture);
        while let Some(cutout) = order.pop() {
            let rejected = u64::from(cutout.state.is_err());
            match cutout.state {
                Ok(image) => batch.push((learned[cutout.index as usize], image)),
                Err(_) => counted.lock().unwrap_or_else(PoisonError::into_inner).rejected += 1,
            }
            window.leave(1);
            told.tell(Event::Advanced { rows: 1, rejected });
            if batch.len() == BATCH {
                seen(&mut batch)?;
            }
        }
        Ok(())
    });
    match graph.run().result {
        Ok(()) => {}
        Err(Failure::Interrupted) => return Ok(None),
        Err(failure) => return Err(failure.into()),
    }
    notes.extend(crops.observed.notes(&crops.preparation, None));
    let mut found = std::mem::take(&mut *total.lock().unwrap_or_else(PoisonError::into_inner));
    found.notes = notes;
    Ok(Some(found))
}

/// Places of images in the listing, and whether each was learned from.
fn chosen(entries: &[Listed], labels: Option<&LabelTable>, most: usize) -> Vec<(usize, bool)> {
    let of = |wanted: &dyn Fn(Split) -> bool| -> Vec<usize> {
        let Some(table) = labels else { return (0..entries.len()).collect() };
        let rows = table.rows.iter().filter(|row| row.split.is_none_or(wanted)).cloned();
        let table = LabelTable { classes: table.classes.clone(), rows: rows.collect() };
        let join = Join::new(&table, entries.iter().map(|image| image.entry.id.as_str()));
        let mut places: Vec<usize> = join.pairs.iter().map(|&(_, image)| image).collect();
        places.sort_unstable();
        places
    };
    let splits = labels.is_some_and(|table| table.rows.iter().any(|row| row.split.is_some()));
    let (learned, held_out) = if splits {
        (of(&|split| split == Split::Train), of(&|split| split == Split::Val))
    } else {
        let all = of(&|_| true);
        let every_other = |from: usize| all.iter().copied().skip(from).step_by(2).collect();
        (every_other(0), every_other(1))
    };
    let learned = evenly(&learned, most).map(|place| (place, true));
    let mut chosen: Vec<_> =
        learned.chain(evenly(&held_out, most).map(|place| (place, false))).collect();
    chosen.sort_unstable();
    chosen
}

/// At most so many of them, as far apart as they can be.
fn evenly(places: &[usize], most: usize) -> impl Iterator<Item = usize> {
    let count = places.len().min(most);
    (0..count).map(move |k| places[k * places.len() / count])
}
