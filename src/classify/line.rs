//! The line from listed cutouts to classified rows, shared by every mode that
//! ends in predictions.
//!
//! Memory. A [`Window`] of `WINDOW_BATCHES` batches and those with the networks
//! bounds what is in flight, from the source to the sink, and most of it waits as
//! crops: with the defaults (batch 32, 240 px, two batches with the networks)
//! 9 × 32 × 172,800 B = 50 MB, and with a GPU's three batches of 256 at once
//! 10 × 256 × 172,800 B = 442 MB; each further GPU adds 133 MB. Before the crop a cutout is larger (a 424 px JPEG 0.5 MB as
//! pixels, three 424 px FITS bands 2.2 MB), and there the channels are the bound: at
//! most [`QUEUE`](crate::line::QUEUE) + workers of them as bytes, and as many as
//! pixels. The sum does not depend on the number of cutouts.
//!
//! No deadlock: the line needs one batch of cutouts in flight to go on and
//! the window holds several; see [`crate::pipeline::order`].

use std::sync::Arc;

use super::{ClassifyError, hierarchy::Hierarchy};
use crate::{
    catalog::Row,
    cutout::{RgbImage, room},
    line::{Batch, Crops, Cutout, Front, Gather},
    pipeline::{Graph, Inlet, Sequenced, Weigh, Window, map},
    source::Locator,
    tree::Stage2,
};

/// Batches in flight beside those with the networks: one waiting, one being
/// gathered, one leaving, and as many again and one more for what runs ahead.
const WINDOW_BATCHES: usize = 7;

/// What the line needs to know.
#[derive(Clone)]
pub struct Line {
    /// How cutouts are read and decoded.
    pub front: Front,
    /// How they become pictures.
    pub crops: Crops,
    /// The model's networks, on each device.
    pub hierarchies: Vec<Arc<Hierarchy>>,
    /// Which rows networks after the first see.
    pub stage2: Stage2,
    /// Cutouts a batch.
    pub batch: usize,
    /// The pool that infers.
    pub threads: Arc<rayon::ThreadPool>,
    /// What a person should know before it starts.
    pub notes: Vec<String>,
}

impl Line {
    /// The window to take a place in for each cutout at the source, and to
    /// leave at the sink.
    pub fn window(&self) -> Window {
        Window::new((WINDOW_BATCHES + self.lanes()) * self.batch.max(1))
    }

    /// Batches with the networks at once, of all devices.
    fn lanes(&self) -> usize {
        self.hierarchies.iter().map(|hierarchy| hierarchy.lanes()).sum()
    }

    /// Adds the stages to `graph`, after the source behind `listed`. Batches
    /// come out numbered; where several are run at once, in any order.
    pub fn extend(
        &self,
        graph: &mut Graph<ClassifyError>,
        listed: Inlet<Sequenced<Cutout<Locator>>>,
    ) -> Inlet<Sequenced<Classified>> {
        let prepared = self.front.extend(graph, listed, || self.crops.worker());
        let batches = graph.stage("batch", 1, 1, prepared, || {
            Gather::new(self.batch, |cutouts| Ok(Batch { cutouts }))
        });
        // A worker a lane; whichever is free takes the next batch, so that a
        // slower device simply takes fewer.
        let mut lanes =
            self.hierarchies.iter().flat_map(|hierarchy| vec![hierarchy; hierarchy.lanes()]);
        graph.stage("infer", self.lanes(), 1, batches, || {
            let hierarchy = Arc::clone(lanes.next().expect("as many workers as lanes"));
            let stage2 = self.stage2;
            // Where several batches run at once a thread of the line only waits for
            // what computes them, and must not hold one of the pool's.
            let threads = (hierarchy.lanes() == 1).then(|| Arc::clone(&self.threads));
            map(move |Sequenced { sequence, item }: Sequenced<Batch>| {
                let run = || infer(&hierarchy, stage2, item.cutouts);
                let rows = match &threads {
                    Some(threads) => threads.install(run)?,
                    None => run()?,
                };
                Ok(Sequenced { sequence, item: Classified { rows } })
            })
        })
    }
}

/// A batch's rows.
pub struct Classified {
    /// One a cutout, in order.
    pub rows: Vec<Row>,
}

impl Weigh for Classified {
    fn weight(&self) -> usize {
        self.rows.iter().map(|row| size_of::<Row>() + row.id.len() + row.source.len()).sum()
    }
}

/// Runs the networks on a batch, on the threads of the current pool: its rows.
///
/// # Errors
/// If the batch could not be run; an image for which the networks have no
/// finite answer has a row that says so.
pub(super) fn infer(
    hierarchy: &Hierarchy,
    stage2: Stage2,
    cutouts: Vec<Cutout<RgbImage>>,
) -> Result<Vec<Row>, ClassifyError> {
    let images: Vec<&[u8]> = cutouts
        .iter()
        .filter_map(|cutout| cutout.state.as_ref().ok())
        .map(|image| image.pixels.as_slice())
        .collect();
    let mut outcomes = hierarchy.classify(&images, stage2)?.into_iter();
    let rows = cutouts.into_iter().map(|cutout| {
        let cutout = cutout.advance(|image| {
            room::BYTES.give(image.pixels);
            outcomes.next().expect("an outcome for each image of the batch")
        });
        Row {
            index: cutout.index,
            id: cutout.id,
            source: cutout.source,
            position: cutout.position,
            note: cutout.note,
            outcome: cutout.state,
        }
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    use super::*;
    use crate::{
        classify::{ClassifyOptions, recipe::PrecisionChoice, resolved::Resolved, setup},
        line::QUEUE,
        model::model_file::Model,
        pipeline::{Resequencer, Stop},
    };

    /// The rows of some cutouts, in order, and how many batches there were.
    fn rows(line: &Line, paths: &[PathBuf]) -> (Vec<Row>, u64) {
        let mut graph: Graph<ClassifyError> = Graph::new(Stop::new());
        let window = line.window();
        let (places, paths) = (window.clone(), paths.to_vec());
        let listed = graph.source("list", QUEUE, move |out| {
            let last = paths.len() as u64 - 1;
            for (index, path) in (0..).zip(paths) {
                places.enter(out)?;
                let item = Cutout {
                    index,
                    ends_batch: index == last,
                    id: index.to_string(),
                    source: String::new(),
                    position: None,
                    note: None,
                    radius: None,
                    state: Ok(Locator::File(path)),
                };
                out.send(Sequenced { sequence: index, item })?;
            }
            Ok(())
        });
        let classified = line.extend(&mut graph, listed);
        let all = Arc::new(Mutex::new((Vec::new(), 0)));
        let seen = Arc::clone(&all);
        let mut order = Resequencer::new();
        graph.sink("rows", classified, move |batch| {
            batch.into_iter().for_each(|batch| order.push(batch));
            while let Some(batch) = order.pop() {
                let mut seen = seen.lock().unwrap();
                window.leave(batch.rows.len());
                seen.0.extend(batch.rows);
                seen.1 += 1;
            }
            Ok(())
        });
        graph.run().result.unwrap();
        std::mem::take(&mut all.lock().unwrap())
    }

    #[test]
    fn several_devices_give_the_rows_of_one() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let model = Model::read(&fixtures.join("models/untrained-nano.safetensors")).unwrap();
        let entries = std::fs::read_dir(fixtures.join("cutouts/jpeg")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
        let options = ClassifyOptions {
            batch: 2,
            precision: PrecisionChoice::F32,
            workers: 2,
            ..ClassifyOptions::new(Path::new(""))
        };
        let mut line = setup::line(&Resolved::new(&options, &model).unwrap(), &model).unwrap();
        assert_eq!(line.hierarchies.len(), 1);
        let (one, batches) = rows(&line, &paths);
        assert!(one.len() > 8 && batches > 4, "{} rows, {batches} batches", one.len());
        line.hierarchies = vec![Arc::clone(&line.hierarchies[0]); 3];
        let (three, again) = rows(&line, &paths);
        assert_eq!((one, batches), (three, again));
    }
}
