//! What a run learns from and is judged by: listed, joined with labels, and
//! looked at once before the first step.
//!
//! Every image goes down the stages of [`crate::line`] here, so that a bad one is
//! known, told and left out before an epoch's order is drawn, and so that the run
//! can be pinned to the bytes it learns from. As they are small, their encoded bytes
//! are kept in memory up to a limit; what does not fit is read again.
//!
//! Invariant: images are sorted by id, so that nothing depends on the order of
//! files; of a split that is neither `train` nor `val` nothing is read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::{TrainError, ended};
use crate::cutout::prepare::{self, Preparation, Wide};
use crate::cutout::{Decoded, Payload, Reason, Rejection};
use crate::labels::join::Join;
use crate::labels::split::{PAPER_RATIO, stratified};
use crate::labels::{LabelColumns, LabelTable, Split};
use crate::line::cutout::Bytes;
use crate::line::stages::Fetch;
use crate::line::{self, Cutout, Found, Front, Listed, QUEUE, Reading};
use crate::pipeline::{Graph, Sequenced, Stop};
use crate::random;
use crate::run::Journal;
use crate::source::Locator;
use crate::source::read::Reader;
use crate::storage::remote::is_remote;
use crate::train::recipe::Recipe;

/// Encoded bytes that are kept in memory: the paper's whole sample has
/// 0.15 GB at 264 px and 0.4 GB at 424 px.
const CACHE_BYTES: u64 = 2 << 30;

/// An image with its class.
#[derive(Debug)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// The place of its class in the recipe's.
    pub class: usize,
    /// The radius of its object, where the run goes by it.
    pub radius: Option<f64>,
    locator: Locator,
    kept: Option<Payload>,
}

impl Image {
    /// Its encoded bytes.
    ///
    /// # Errors
    /// The reader's, if they are not in memory.
    pub fn payload(&self, reader: &mut Reader) -> Result<Payload, Rejection> {
        match &self.kept {
            Some(payload) => Ok(payload.clone()),
            None => reader.read(&self.locator),
        }
    }
}

/// Images of both splits.
pub struct Dataset {
    /// What is learned.
    pub train: Arc<Vec<Image>>,
    /// What epochs and models are chosen by.
    pub val: Arc<Vec<Image>>,
    /// SHA-256 over ids, labels, splits and encoded bytes, hexadecimal.
    pub digest: String,
    /// What a person should know: missing counterparts, bad images.
    pub notes: Vec<String>,
    /// How the images are read and decoded.
    pub front: Front,
    /// How they were listed, and become pictures.
    pub reading: Reading,
}

/// Where images and labels come from, and how they are read.
#[derive(Debug, Clone)]
pub struct TrainingData {
    /// Folders, images, archives, tables, lists.
    pub inputs: Vec<PathBuf>,
    /// The label table.
    pub labels: PathBuf,
    /// The column of its splits, if it is not called `split`.
    pub split_column: Option<String>,
    /// How inputs are listed and read. Its column of ids is the label table's
    /// too.
    pub reading: Reading,
    /// The name of its profile in a model file.
    pub colours: String,
}

impl Dataset {
    /// Lists, joins and looks at everything, with `workers` threads that decode. A
    /// table without splits is split 8:1:1 by the recipe's seed. `None` if
    /// `stop` ended it.
    ///
    /// # Errors
    /// [`TrainError::List`], [`TrainError::Labels`]; [`TrainError::Data`] if
    /// an output of a model would have no image to learn from.
    pub fn read(
        sources: &TrainingData,
        recipe: &Recipe,
        workers: usize,
        stop: &Stop,
    ) -> Result<Option<Self>, TrainError> {
        let classes: Vec<&str> = recipe.classes.iter().map(String::as_str).collect();
        let reading = sources.reading.clone();
        let id = reading.id_column.as_deref();
        let columns = LabelColumns { id, split: sources.split_column.as_deref() };
        let of = ("the recipe", &classes[..]);
        let (mut table, left) = LabelTable::read_within(&sources.labels, of, columns)?;
        let mut notes: Vec<String> = left.note().into_iter().collect();
        if !table.is_split() {
            stratified(&mut table, PAPER_RATIO, recipe.seed);
            notes.push("the labels name no split: 8:1:1 within every class".to_owned());
        }
        let Found { images, problems } = line::list(&sources.inputs, &reading)?;
        notes.extend(problems);
        let join = Join::new(&table, images.iter().map(|image| image.entry.id.as_str()));
        notes.extend(join.to_string().lines().map(str::to_owned));
        if join.pairs.is_empty() {
            return Err(TrainError::Data(format!(
                "none of {} images has one of the {} labels: do their ids agree?",
                images.len(),
                table.rows.len()
            )));
        }
        let remote = sources.inputs.iter().any(|input| is_remote(input))
            || images.iter().any(|image| image.entry.is_remote());
        let front = Front {
            decode: Arc::new(reading.decode_options()),
            remote,
            workers,
            journal: Journal::default(),
        };

        // Ordered by split and id, from now on.
        let mut wanted = Vec::new();
        for split in [Split::Train, Split::Val] {
            let of_split =
                join.pairs.iter().filter(|(row, _)| table.rows[*row].split == Some(split));
            wanted.extend(of_split.map(|&(row, image)| (split, row, image)));
        }
        let listed: Vec<Listed> =
            wanted.iter().map(|&(_, _, image)| images[image].clone()).collect();
        let learned = wanted.iter().take_while(|(split, ..)| *split == Split::Train).count();
        let crops = [recipe.augmentation.crop, recipe.input.crop].map(|c| prepared(&reading, c));
        // In the order of the listing: archives and tables are read once.
        let mut order: Vec<usize> = (0..listed.len()).collect();
        order.sort_by_key(|&place| wanted[place].2);
        let Some(looked) = inspect(&front, &listed, order, crops, learned, stop)? else {
            return Ok(None);
        };

        let mut rejected = Rejected::default();
        let mut lines = Vec::new();
        let (mut train, mut val) = (Vec::new(), Vec::new());
        for (((split, row, _), listed), looked) in wanted.into_iter().zip(listed).zip(looked) {
            let row = &table.rows[row];
            let Looked { digest, kept } = match looked {
                Ok(looked) => looked,
                Err(rejection) => {
                    rejected.add(row.id.clone(), rejection);
                    continue;
                }
            };
            let class = &recipe.classes[row.class];
            for part in [row.id.as_bytes(), class.as_bytes(), split.name().as_bytes()] {
                lines.push(part.to_vec());
            }
            lines.push(digest.to_vec());
            let Listed { entry, radius } = listed;
            let image = Image {
                id: row.id.clone(),
                class: row.class,
                radius,
                locator: entry.locator,
                kept,
            };
            if split == Split::Train { &mut train } else { &mut val }.push(image);
        }
        if !rejected.is_empty() {
            notes.push(rejected.to_string());
        }
        let parts: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let digest = hex(&random::digest("training data", 0, &parts));
        let (train, val) = (Arc::new(train), Arc::new(val));
        let dataset = Self { train, val, digest, notes, front, reading };
        dataset.check(recipe, &rejected)?;
        Ok(Some(dataset))
    }

    /// Arcseconds a pixel of the pictures per arcsecond of an object's radius, where
    /// they were brought to it.
    pub fn scale(&self) -> Option<f64> {
        self.reading.looks.radius_column.as_ref().map(|_| self.reading.scale_per_radius)
    }

    /// How pixels become pictures that squares of `crop` pixels are cut from.
    pub fn preparation(&self, crop: usize) -> Preparation {
        prepared(&self.reading, crop)
    }

    /// Every output needs images to learn from, and every model some to be
    /// judged by.
    fn check(&self, recipe: &Recipe, rejected: &Rejected) -> Result<(), TrainError> {
        // What was rejected is the likely reason, and else never told.
        let why = || if rejected.is_empty() { String::new() } else { format!("; {rejected}") };
        let of = |images: &[Image], output: &[String]| {
            images.iter().filter(|i| output.contains(&recipe.classes[i.class])).count()
        };
        for model in &recipe.models {
            for output in &model.outputs {
                if of(&self.train, output) == 0 {
                    return Err(TrainError::Data(format!(
                        "no usable training image of {}: {} has nothing to learn it from{}",
                        output.join("+"),
                        model.name,
                        why()
                    )));
                }
            }
            if model.outputs.iter().all(|output| of(&self.val, output) == 0) {
                return Err(TrainError::Data(format!(
                    "no usable validation image for {}{}",
                    model.name,
                    why()
                )));
            }
        }
        Ok(())
    }
}

/// Images that cannot be used, by reason.
#[derive(Debug, Default)]
struct Rejected {
    /// Of each reason how many, and the first with its words.
    reasons: BTreeMap<Reason, (u64, String, Rejection)>,
}

impl Rejected {
    fn add(&mut self, id: String, rejection: Rejection) {
        self.reasons.entry(rejection.reason).or_insert((0, id, rejection)).0 += 1;
    }

    fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.reasons.values().map(|(count, ..)| count).sum();
        write!(f, "{all} images cannot be used: ")?;
        for (place, (reason, (count, id, rejection))) in self.reasons.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let such = if *count == 1 { "" } else { "such as " };
            write!(f, "{comma}{count} {} ({such}{id}: {})", reason.code(), rejection.detail)?;
        }
        Ok(())
    }
}

/// How pixels become pictures that squares of `crop` pixels are cut from. However
/// wide one is, its middle is learned, unless it is asked otherwise.
fn prepared(reading: &Reading, crop: usize) -> Preparation {
    let mut preparation = reading.preparation(crop);
    preparation.wide = reading.looks.wide.unwrap_or(Wide::Crop);
    preparation
}

/// An image that was looked at.
struct Looked {
    /// SHA-256 of its bytes.
    digest: [u8; 32],
    /// They, as long as there is room.
    kept: Option<Payload>,
}

/// What the readers found, by place.
struct Fetched {
    left: AtomicU64,
    places: Vec<OnceLock<Looked>>,
}

/// The first look at an image's bytes: they are pinned, and kept.
struct First {
    locator: Locator,
    place: usize,
    fetched: Arc<Fetched>,
}

impl Fetch for First {
    fn fetch(self, reader: &mut Reader) -> Result<Payload, Rejection> {
        let payload = reader.read(&self.locator)?;
        let fits = take(&self.fetched.left, payload.len() as u64);
        let looked = Looked { digest: digest(&payload), kept: fits.then(|| payload.clone()) };
        // Each place is one image's.
        let _ = self.fetched.places[self.place].set(looked);
        Ok(payload)
    }
}

impl Bytes for First {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Reads, decodes and composes every image, in `order`: what of each is needed
/// later, or why it cannot be used. The first `learned` are prepared for the first
/// crop, the others for the second. `None` if `stop` ended it.
fn inspect(
    front: &Front,
    listed: &[Listed],
    order: Vec<usize>,
    crops: [Preparation; 2],
    learned: usize,
    stop: &Stop,
) -> Result<Option<Vec<Result<Looked, Rejection>>>, TrainError> {
    let places = listed.iter().map(|_| OnceLock::new()).collect();
    let fetched = Arc::new(Fetched { left: AtomicU64::new(CACHE_BYTES), places });
    let images: Vec<Cutout<First>> = order
        .into_iter()
        .map(|place| {
            let Listed { entry, radius } = listed[place].clone();
            let cutout = Cutout::listed(place as u64, false, entry, radius);
            let fetched = Arc::clone(&fetched);
            cutout.advance(|locator| Ok(First { locator, place, fetched }))
        })
        .collect();
    let crops = Arc::new(crops);
    let mut graph = Graph::new(stop.clone());
    let source = graph.source("list", QUEUE, move |out| {
        for (sequence, item) in (0..).zip(images) {
            out.send(Sequenced { sequence, item })?;
        }
        Ok(())
    });
    let seen = front.extend(&mut graph, source, || {
        let crops = Arc::clone(&crops);
        move |cutout: Cutout<Decoded>| {
            let (radius, later) = (cutout.radius, cutout.index >= learned as u64);
            let preparation = &crops[usize::from(later)];
            cutout.advance(|decoded| prepare::whole(decoded, preparation, radius))
        }
    });
    let found = Arc::new(Mutex::new(BTreeMap::new()));
    let (bad, all) = (Arc::clone(&found), Arc::clone(&fetched));
    graph.sink("look", seen, move |cutout| {
        let Some(Sequenced { item: Cutout { index, state, .. }, .. }) = cutout else {
            return Ok(());
        };
        if let Err(rejection) = state {
            // Its bytes are not needed again.
            let kept = all.places[index as usize].get().and_then(|looked| looked.kept.as_ref());
            all.left.fetch_add(kept.map_or(0, |kept| kept.len() as u64), Ordering::Relaxed);
            bad.lock().unwrap_or_else(PoisonError::into_inner).insert(index as usize, rejection);
        }
        Ok(())
    });
    if !ended(graph.run())? {
        return Ok(None);
    }
    let mut bad = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    let fetched = Arc::into_inner(fetched).expect("the stages, which shared it, have ended");
    let looked =
        fetched.places.into_iter().enumerate().map(|(place, looked)| match bad.remove(&place) {
            Some(rejection) => Err(rejection),
            None => Ok(looked.into_inner().expect("what is not rejected was read")),
        });
    Ok(Some(looked.collect()))
}

/// Takes `bytes` off what is left, if there are as many.
fn take(left: &AtomicU64, bytes: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
}

/// SHA-256 of an image's bytes.
fn digest(payload: &Payload) -> [u8; 32] {
    let mut hash = Sha256::new();
    match payload {
        Payload::Single(bytes) => hash.update(bytes),
        Payload::PerBand(bands) => {
            for (name, bytes) in bands {
                hash.update(name);
                hash.update((bytes.len() as u64).to_le_bytes());
                hash.update(bytes);
            }
        }
        Payload::Planes(planes) => {
            for plane in planes {
                hash.update(&plane.band);
                hash.update((plane.values.len() as u64).to_le_bytes());
                plane.values.iter().for_each(|value| hash.update(value.to_le_bytes()));
            }
        }
    }
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
