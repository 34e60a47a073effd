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

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::TrainError;
use crate::cutout::decode::{self, DecodeOptions};
use crate::cutout::{Payload, Reason, Rejection};
use crate::labels::join::Join;
use crate::labels::split::{PAPER_RATIO, stratified};
use crate::labels::{LabelColumns, LabelTable, Split};
use crate::pipeline::Stop;
use crate::random;
use crate::source::list::{ListOptions, Lister};
use crate::source::read::Reader;
use crate::source::{Entry, Locator};
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

/// Where images and labels come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Folders, images, archives, tables, lists.
    pub inputs: Vec<PathBuf>,
    /// The label table.
    pub labels: PathBuf,
    /// The column of ids in the label table and in tables of images, if it is no
    /// usual one.
    pub id_column: Option<String>,
    /// The column of its splits, if it is not called `split`.
    pub split_column: Option<String>,
}

/// Lists the images of `inputs`, and what could not be listed.
///
/// # Errors
/// [`ListError`](crate::source::list::ListError).
pub fn list(
    inputs: &[PathBuf],
    id_column: Option<&str>,
    bands: &[String],
) -> Result<(Vec<Entry>, Vec<String>), TrainError> {
    let options = ListOptions {
        bands: bands.to_vec(),
        id_column: id_column.map(str::to_owned),
        ..ListOptions::default()
    };
    let mut lister = Lister::open(inputs, options)?;
    let mut entries = Vec::new();
    for chunk in lister.by_ref() {
        entries.extend(chunk?.entries);
    }
    let mut problems: Vec<String> =
        lister.problems().iter().map(|p| format!("{}: {}", p.path.display(), p.message)).collect();
    let more = lister.problem_count() - lister.problems().len() as u64;
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Ok((entries, problems))
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
        sources: &Sources,
        recipe: &Recipe,
        stop: &Stop,
    ) -> Result<Option<Self>, TrainError> {
        let classes: Vec<&str> = recipe.classes.iter().map(String::as_str).collect();
        let id = sources.id_column.as_deref();
        let columns = LabelColumns { id, split: sources.split_column.as_deref() };
        let mut table = LabelTable::read(&sources.labels, Some(&classes), columns)?;
        let mut notes = Vec::new();
        if !table.is_split() {
            stratified(&mut table, PAPER_RATIO, recipe.seed);
            notes.push("the labels name no split: 8:1:1 within every class".to_owned());
        }
        let decoding = DecodeOptions::default();
        let (entries, problems) = list(&sources.inputs, id, &decoding.bands)?;
        notes.extend(problems);
        let join = Join::new(&table, entries.iter().map(|entry| entry.id.as_str()));
        notes.extend(join.to_string().lines().map(str::to_owned));

        let budget = AtomicU64::new(CACHE_BYTES);
        let mut bad = Vec::new();
        let mut lines = Vec::new();
        let mut read = |split: Split, crop: usize| {
            let looked: Vec<Result<_, String>> = join
                .pairs
                .par_iter()
                .filter(|(row, _)| table.rows[*row].split == Some(split))
                .map_init(Reader::new, |reader, &(row, image)| {
                    let (row, locator) = (&table.rows[row], &entries[image].locator);
                    if stop.requested() {
                        return Err("stopped".to_owned());
                    }
                    match inspect(reader, locator, &decoding, crop) {
                        Ok((payload, digest)) => {
                            let kept = take(&budget, payload.len() as u64).then_some(payload);
                            let (id, class) = (row.id.clone(), row.class);
                            Ok((Image { id, class, locator: locator.clone(), kept }, digest))
                        }
                        Err(rejection) => Err(format!("{}: {rejection}", row.id)),
                    }
                })
                .collect();
            let mut images = Vec::with_capacity(looked.len());
            for seen in looked {
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
                    Err(what) => bad.push(what),
                }
            }
            Arc::new(images)
        };
        let train = read(Split::Train, recipe.augmentation.crop);
        let val = read(Split::Val, recipe.input.crop);
        if stop.requested() {
            return Ok(None);
        }
        if !bad.is_empty() {
            let some = bad.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
            let more = if bad.len() > 5 { "; …" } else { "" };
            notes.push(format!("{} images cannot be used: {some}{more}", bad.len()));
        }
        let parts: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let digest = hex(&random::digest("training data", 0, &parts));
        let dataset = Self { train, val, digest, notes };
        dataset.check(recipe)?;
        Ok(Some(dataset))
    }

    /// Every output needs images to learn from, and every model some to be
    /// judged by.
    fn check(&self, recipe: &Recipe) -> Result<(), TrainError> {
        let of = |images: &[Image], output: &[String]| {
            images.iter().filter(|i| output.contains(&recipe.classes[i.class])).count()
        };
        for model in &recipe.models {
            for output in &model.outputs {
                if of(&self.train, output) == 0 {
                    return Err(TrainError::Data(format!(
                        "no usable training image of {}: {} has nothing to learn it from",
                        output.join("+"),
                        model.name
                    )));
                }
            }
            if model.outputs.iter().all(|output| of(&self.val, output) == 0) {
                return Err(TrainError::Data(format!(
                    "no usable validation image for {}",
                    model.name
                )));
            }
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
    crop: usize,
) -> Result<(Payload, [u8; 32]), Rejection> {
    let payload = reader.read(locator)?;
    let (width, height) = decode::decode(&payload, options)?.size();
    if width < crop || height < crop {
        let detail = format!("{width}×{height} pixels where {crop}×{crop} are cut out");
        return Err(Rejection::new(Reason::TooSmall, detail));
    }
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
