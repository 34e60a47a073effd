//! Where in a picture a network sees an answer: class-activation maps, as pictures
//! and numbers.
//!
//! Every network here ends in feature maps `A`, their averages over the `Z` pixels of
//! a map, and a linear layer `w`, `b`. So the logit of output `c` is a mean over the
//! picture, `b[c] + 1/Z Σₓ M(x)`, of the map `M(x) = Σₖ w[c][k] A[k](x)` (Zhou et al.
//! 2016, arXiv:1512.04150). Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) weighs
//! the feature maps by the mean gradient of the logit, which is `w[c][k]/Z`: what it
//! shows is `max(0, M)/Z`, the same picture, without a backward pass.
//!
//! Invariant: the rows of `maps.npy` and `maps.csv` are one another's, in the order
//! of the listing, and a map belongs to the network that answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::hierarchy::Hierarchy;
use super::look::{Names, empty_folder, encode, write};
use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, setup};
use crate::cutout::RgbImage;
use crate::draw::panels::{self, Placed};
use crate::engine::{Device, Infer, InferenceError, Normalisation, Precision, Tensors, Want, open};
use crate::events::{Event, Listener};
use crate::line::{self, Cutout, Found, Waiting};
use crate::model::architecture::Grid;
use crate::model::model_file::Model;
use crate::pipeline::{self, Failure, Graph, Resequencer, Stop, Window};
use crate::storage::output;
use crate::tree::{Prediction, Scheme, Stage2};

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

/// Pictures that the networks see at once.
const BATCH: usize = 16;

/// Pictures on their way to the networks, beyond those that the stages hold.
const WINDOW: usize = 4 * BATCH;

/// Writes, for each picture of the inputs, its panels (picture, heat map, overlay)
/// into the options' output, a folder that is made or is empty; and beside them
/// `maps.npy`, the maps `M` as `[pictures][side][side]` in f32, with a line each in
/// `maps.csv`. `None` if `stop` ended it.
///
/// # Errors
/// [`ClassifyError`]; [`ClassifyError::Answer`] if the model's tree has no such
/// answer, or several; [`ClassifyError::Pictures`] if the folder holds anything or
/// cannot be written.
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
    output::refuse_folder(&resolved.output)?;
    let mut explainer = Explainer {
        hierarchy: setup::hierarchy(&resolved, &model, Device::Cpu)?.0,
        stage2: resolved.stage2,
        networks: networks(&resolved, &model)?,
        target,
        output: Output::new(&resolved.output, asked.sheet.is_some()),
    };
    let threads = pipeline::threads::pool("explain", resolved.workers)?;
    let (mut front, crops) = (setup::front(&resolved), setup::crops(&resolved));
    let wait = Waiting { listener: listener.as_ref(), stop };
    let found = line::list(&resolved.inputs, &resolved.reading, &wait)?;
    let Some(Found { images, problems }) = found else { return Ok(None) };
    front.remote |= images.iter().any(|image| image.entry.is_remote());
    if let Some(path) = asked.sheet.as_ref().filter(|_| images.len() > SHEET) {
        let found = images.len();
        return Err(ClassifyError::Sheet { path: path.clone(), found, most: SHEET });
    }
    explainer.output.begin()?;
    listener.tell(Event::Started { rows: images.len() as u64 });
    let state = Arc::new(Mutex::new((explainer, Vec::new())));
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
            let (explainer, rejected) = &mut *state;
            let Some(picture) = picture else {
                return threads.install(|| explainer.take(&mut batch, rejected));
            };
            order.push(picture);
            while let Some(cutout) = order.pop() {
                window.leave(1);
                let refused = u64::from(cutout.state.is_err());
                told.tell(Event::Advanced { rows: 1, rejected: refused });
                batch.push(cutout);
                if batch.len() == BATCH {
                    threads.install(|| explainer.take(&mut batch, rejected))?;
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
    let (explainer, rejected) = &mut *state;
    let written = explainer.output.end(asked.sheet.as_deref())?;
    let trained = (!model.description.untrained).then_some(&model.description.input);
    let (count, mut notes) = (problems.len(), problems);
    notes.extend(crops.observed.notes(&crops.preparation, trained));
    Ok(Some(Explained { written, rejected: std::mem::take(rejected), problems: count, notes }))
}

/// The answer that a person means by a name: a class, an answer, or
/// `question/answer`.
fn target(scheme: &Scheme, name: &str) -> Result<usize, ClassifyError> {
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

/// A network with its last layer at hand.
struct Explainable {
    name: String,
    network: Box<dyn Infer>,
    /// `[outputs][features]`.
    weight: Vec<f32>,
    /// Where its maps lie.
    grid: Grid,
}

/// All of a model's, in single precision on the processor.
fn networks(run: &Resolved, model: &Model) -> Result<Vec<Explainable>, ClassifyError> {
    let input = &model.description.input;
    let named = model.description.networks().zip(&model.networks);
    let open = named.map(|((network, architecture), weights)| {
        if !architecture.backbone.is_default() {
            let what = "explanations of another backbone than an EfficientNet";
            return Err(InferenceError::Unsupported { engine: "candle", what }.into());
        }
        let (outputs, features) = (network.outputs(), architecture.plan().features);
        let opened = open::Network {
            architecture,
            outputs,
            size: input.size,
            normalisation: Normalisation { mean: input.mean, std: input.std },
            weights,
        };
        let opened = open::infer(opened, Device::Cpu, run.engine, Precision::F32, BATCH)?;
        Ok(Explainable {
            name: network.name.clone(),
            network: opened.network,
            weight: weights.values("classifier.1.weight", &[outputs, features])?,
            grid: architecture.grid(input.size),
        })
    });
    open.collect()
}

/// Pictures in, files out.
struct Explainer {
    hierarchy: Hierarchy,
    stage2: Stage2,
    networks: Vec<Explainable>,
    /// The answer that is asked about, if it is one for all.
    target: Option<usize>,
    output: Output,
}

impl Explainer {
    /// Explains a batch, and leaves it empty.
    fn take(
        &mut self,
        batch: &mut Vec<Cutout<RgbImage>>,
        rejected: &mut Vec<(String, String)>,
    ) -> Result<(), ClassifyError> {
        let pictures = batch.iter().filter_map(|cutout| cutout.state.as_ref().ok());
        let images: Vec<&[u8]> = pictures.map(|image| image.pixels.as_slice()).collect();
        let predictions = self.hierarchy.classify(&images, self.stage2)?;
        let scheme = Arc::clone(self.hierarchy.scheme());
        // Of each picture the answer, and who gives it.
        let targets: Vec<Option<Target>> = predictions
            .iter()
            .map(|found| found.as_ref().ok().map(|found| self.target_of(&scheme, found)))
            .collect();
        let mut maps: Vec<Option<Seen>> = images.iter().map(|_| None).collect();
        for (place, explainable) in self.networks.iter().enumerate() {
            let here: Vec<(usize, usize)> = targets
                .iter()
                .enumerate()
                .filter_map(|(k, target)| target.map(|target| (k, target)))
                .filter(|(_, target)| target.network == place)
                .map(|(k, target)| (k, target.output))
                .collect();
            if here.is_empty() {
                continue;
            }
            let seen: Vec<&[u8]> = here.iter().map(|&(k, _)| images[k]).collect();
            let mut found = Tensors::default();
            explainable.network.run(&seen, Want::LOGITS | Want::MAPS, &mut found)?;
            for (order, (k, output)) in here.into_iter().enumerate() {
                maps[k] = Some(explainable.seen(&found, order, output));
            }
        }
        let mut outcomes = predictions.into_iter().zip(targets).zip(maps);
        for cutout in batch.drain(..) {
            let picture = match cutout.state {
                Ok(picture) => picture,
                Err(rejection) => {
                    rejected.push((cutout.id, rejection.to_string()));
                    continue;
                }
            };
            match outcomes.next().expect("an outcome for each picture") {
                ((Ok(prediction), Some(target)), Some(seen)) => {
                    let tree = scheme.tree();
                    let row = Row {
                        id: &cutout.id,
                        index: cutout.index,
                        source: &cutout.source,
                        label: &tree.classes()[prediction.class].name,
                        confidence: prediction.confidence,
                        answer: tree.path(target.answer),
                        network: &self.networks[target.network].name,
                        logit: seen.logit,
                    };
                    self.output.add(&row, &picture, &seen)?;
                }
                ((Err(rejection), _), _) => rejected.push((cutout.id, rejection.to_string())),
                _ => unreachable!("a prediction has a target, and a target a map"),
            }
        }
        Ok(())
    }

    /// What of the networks is asked about a picture.
    fn target_of(&self, scheme: &Scheme, prediction: &Prediction) -> Target {
        let class = || scheme.tree().classes()[prediction.class].answer;
        let answer = self.target.unwrap_or_else(class);
        let networks = scheme.networks().iter().enumerate();
        let mut heads = networks.flat_map(|(at, n)| n.heads.iter().map(move |head| (at, head)));
        heads
            .find_map(|(network, head)| {
                let place = head.answers.iter().position(|own| *own == answer)?;
                Some(Target { answer, network, output: head.outputs.start + place })
            })
            .expect("every answer is given by a network of the scheme")
    }
}

/// An answer, and which output of which network gives it.
#[derive(Debug, Clone, Copy)]
struct Target {
    answer: usize,
    network: usize,
    output: usize,
}

/// A map, and what its mean comes to with the bias.
struct Seen {
    grid: Grid,
    map: Vec<f32>,
    logit: f32,
}

impl Explainable {
    /// What the image at a place of a batch shows of an output.
    fn seen(&self, found: &Tensors, image: usize, output: usize) -> Seen {
        let (features, side) = (self.network.features(), self.network.map_side());
        let plane = side * side;
        let maps = &found.maps[image * features * plane..][..features * plane];
        let weight = &self.weight[output * features..][..features];
        Seen {
            grid: self.grid,
            map: activation(maps, weight, plane),
            logit: found.logits[image * self.network.outputs() + output],
        }
    }
}

/// The class-activation map of an output, `[plane]`: the sum of feature maps
/// (`[features][plane]`), each by the output's weight for it.
pub fn activation(maps: &[f32], weight: &[f32], plane: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; plane];
    for (map, weight) in maps.chunks_exact(plane).zip(weight) {
        let weight = f64::from(*weight);
        sums.iter_mut().zip(map).for_each(|(sum, value)| *sum += weight * f64::from(*value));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// A line of `maps.csv`.
struct Row<'a> {
    id: &'a str,
    index: u64,
    source: &'a str,
    label: &'a str,
    confidence: f32,
    answer: String,
    network: &'a str,
    logit: f32,
}

/// The folder, and what is written at its end.
struct Output {
    folder: PathBuf,
    names: Names,
    lines: csv::Writer<Vec<u8>>,
    maps: Vec<f32>,
    side: usize,
    written: u64,
    /// Panels for a sheet, if there is to be one.
    sheet: Option<Vec<RgbImage>>,
}

impl Output {
    fn new(folder: &Path, sheet: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            names: Names::default(),
            lines: csv::Writer::from_writer(Vec::new()),
            maps: Vec::new(),
            side: 0,
            written: 0,
            sheet: sheet.then(Vec::new),
        }
    }

    /// Makes the folder.
    fn begin(&mut self) -> Result<(), ClassifyError> {
        empty_folder(&self.folder)?;
        let columns =
            ["id", "picture", "source", "label", "confidence", "answer", "network", "logit"];
        self.lines.write_record(columns).map_err(|error| self.refused(error))
    }

    fn add(&mut self, row: &Row<'_>, picture: &RgbImage, seen: &Seen) -> Result<(), ClassifyError> {
        let name = self.names.of(row.id, row.index);
        let path = self.folder.join(&name);
        let Grid { side, first, step } = seen.grid;
        let panels = panels::three(picture, Placed { map: &seen.map, side, first, step });
        write(&path, &panels).map_err(|source| ClassifyError::Pictures { path, source })?;
        let picture = name.to_string_lossy();
        let (confidence, logit) = (row.confidence.to_string(), row.logit.to_string());
        let cells: [&str; 8] = [
            row.id,
            &picture,
            row.source,
            row.label,
            &confidence,
            &row.answer,
            row.network,
            &logit,
        ];
        self.lines.write_record(cells).map_err(|error| self.refused(error))?;
        self.maps.extend(&seen.map);
        self.side = side;
        self.written += 1;
        self.sheet.iter_mut().for_each(|sheet| sheet.push(panels.clone()));
        Ok(())
    }

    /// Writes the tables and the sheet; returns how many pictures there are.
    fn end(&mut self, sheet: Option<&Path>) -> Result<u64, ClassifyError> {
        let put = |name: &str, bytes: &[u8]| {
            let path = self.folder.join(name);
            fs::write(&path, bytes).map_err(|source| ClassifyError::Pictures { path, source })
        };
        self.lines.flush().map_err(|error| self.refused(error.into()))?;
        put("maps.csv", self.lines.get_ref())?;
        put("maps.npy", &npy(&self.maps, [self.written as usize, self.side, self.side]))?;
        if let (Some(path), Some(panels)) = (sheet, self.sheet.as_ref().filter(|p| !p.is_empty())) {
            let mut bytes = Vec::new();
            encode(&mut bytes, &panels::below(panels))
                .map_err(|source| ClassifyError::Pictures { path: path.to_owned(), source })?;
            output::write(path, &bytes, &[])?;
        }
        Ok(self.written)
    }

    /// Lines could not be gathered.
    fn refused(&self, error: csv::Error) -> ClassifyError {
        ClassifyError::Pictures { path: self.folder.join("maps.csv"), source: error.into() }
    }
}

/// An array as NumPy's files have it (NEP 1, version 1.0).
fn npy(values: &[f32], shape: [usize; 3]) -> Vec<u8> {
    let [a, b, c] = shape;
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({a}, {b}, {c}), }}");
    // Ten bytes stand before it; a line's end closes it, at a multiple of 64.
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
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

    #[test]
    fn a_map_is_the_weighted_sum_of_feature_maps() {
        let maps = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
        assert_eq!(activation(&maps, &[2.0, -0.5], 4), [-3.0, -6.0, -9.0, -12.0]);
    }
}
