//! What a run learns from and is judged by: listed, joined with labels, and
//! looked at once before the first step.
//!
//! Every image is read and decoded here, so that a bad one is known, told and
//! left out before an epoch's order is drawn, and so that the run can be
//! pinned to the bytes it learns from. As they are small, their encoded bytes
//! are kept in memory up to a limit; what does not fit is read again.
//!
//! Invariant: images are sorted by id, so that nothing depends on the order of
//! files; of a split that is neither `train` nor `val` nothing is read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::TrainError;
use crate::cutout::decode::DecodeOptions;
use crate::cutout::prepare::Preparation;
use crate::cutout::{Payload, Reason, Rejection};
use crate::labels::join::Join;
use crate::labels::split::{PAPER_RATIO, stratified};
use crate::labels::{LabelColumns, LabelTable, Split};
use crate::line::{self, Found, Reading};
use crate::pipeline::Stop;
use crate::random;
use crate::source::Locator;
use crate::source::read::Reader;
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
}

impl Dataset {
    /// Lists, joins and looks at everything, on the current rayon pool. A
    /// table without splits is split 8:1:1 by the recipe's seed. `None` if
    /// `stop` ended it.
    ///
    /// # Errors
    /// [`TrainError::List`], [`TrainError::Labels`]; [`TrainError::Data`] if
    /// an output of a model would have no image to learn from.
    pub fn read(
        sources: &TrainingData,
        recipe: &Recipe,
        stop: &Stop,
    ) -> Result<Option<Self>, TrainError> {
        let classes: Vec<&str> = recipe.classes.iter().map(String::as_str).collect();
        let id = sources.reading.id_column.as_deref();
        let columns = LabelColumns { id, split: sources.split_column.as_deref() };
        let mut table = LabelTable::read(&sources.labels, Some(&classes), columns)?;
        let mut notes = Vec::new();
        if !table.is_split() {
            stratified(&mut table, PAPER_RATIO, recipe.seed);
            notes.push("the labels name no split: 8:1:1 within every class".to_owned());
        }
        let reading = &sources.reading;
        let decoding = reading.decode_options();
        let Found { images: entries, problems } =
            line::list(&sources.inputs, reading.list_options(), None)?;
        notes.extend(problems);
        let join = Join::new(&table, entries.iter().map(|image| image.entry.id.as_str()));
        notes.extend(join.to_string().lines().map(str::to_owned));
        if join.pairs.is_empty() {
            return Err(TrainError::Data(format!(
                "none of {} images has one of the {} labels: do their ids agree?",
                entries.len(),
                table.rows.len()
            )));
        }

        let budget = AtomicU64::new(CACHE_BYTES);
        let mut rejected = Rejected::default();
        let mut lines = Vec::new();
        let mut read = |split: Split, crop: usize| {
            let preparation = reading.preparation(crop);
            let looked: Vec<Option<Result<_, (String, Rejection)>>> = join
                .pairs
                .par_iter()
                .filter(|(row, _)| table.rows[*row].split == Some(split))
                .map_init(Reader::new, |reader, &(row, image)| {
                    let (row, locator) = (&table.rows[row], &entries[image].entry.locator);
                    if stop.requested() {
                        return None;
                    }
                    Some(match inspect(reader, locator, &decoding, &preparation) {
                        Ok((payload, digest)) => {
                            let kept = take(&budget, payload.len() as u64).then_some(payload);
                            let (id, class) = (row.id.clone(), row.class);
                            Ok((Image { id, class, locator: locator.clone(), kept }, digest))
                        }
                        Err(rejection) => Err((row.id.clone(), rejection)),
                    })
                })
                .collect();
            let mut images = Vec::with_capacity(looked.len());
            for seen in looked.into_iter().flatten() {
                match seen {
                    Ok((image, digest)) => {
                        let class = &recipe.classes[image.class];
                        for part in [image.id.as_bytes(), class.as_bytes(), split.name().as_bytes()]
                        {
                            lines.push(part.to_vec());
                        }
                        lines.push(digest.to_vec());
                        images.push(image);
                    }
                    Err((id, rejection)) => rejected.add(id, rejection),
                }
            }
            Arc::new(images)
        };
        let train = read(Split::Train, recipe.augmentation.crop);
        let val = read(Split::Val, recipe.input.crop);
        if stop.requested() {
            return Ok(None);
        }
        if !rejected.is_empty() {
            notes.push(rejected.to_string());
        }
        let parts: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let digest = hex(&random::digest("training data", 0, &parts));
        let dataset = Self { train, val, digest, notes };
        dataset.check(recipe, &rejected)?;
        Ok(Some(dataset))
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

/// Takes `bytes` off what is left, if there are as many.
fn take(left: &AtomicU64, bytes: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
}

/// Reads and decodes an image: its bytes and their SHA-256.
fn inspect(
    reader: &mut Reader,
    locator: &Locator,
    options: &DecodeOptions,
    preparation: &Preparation,
) -> Result<(Payload, [u8; 32]), Rejection> {
    let payload = reader.read(locator)?;
    line::picture(&payload, options, preparation)?;
    let mut hash = Sha256::new();
    match &payload {
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
    Ok((payload, hash.finalize().into()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
