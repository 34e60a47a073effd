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
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::{TrainError, ended};
use crate::cutout::prepare::{self, Preparation, Wide};
use crate::cutout::{Decoded, Payload, Reason, Rejection};
use crate::events::{Event, Listener, Silent};
use crate::labels::grammar::Wanted;
use crate::labels::join::Join;
use crate::labels::several;
use crate::labels::soft::SoftLabels;
use crate::labels::split::{self, PAPER_RATIO, stratified};
use crate::labels::votes::VoteTable;
use crate::labels::{LabelColumns, LabelTable, Labelled, Split};
use crate::line::cutout::Bytes;
use crate::line::stages::Fetch;
use crate::line::{self, Cutout, Found, Front, Listed, QUEUE, Reading, Waiting};
use crate::pipeline::{Graph, Sequenced, Stop};
use crate::random;
use crate::run::{Journal, Looking};
use crate::source::Locator;
use crate::source::read::Reader;
use crate::storage::place;
use crate::storage::remote::is_remote;
use crate::train::recipe::{Model, Recipe, Votes};
use crate::tree::Semantics;
use crate::words::{counted, part_of};

/// Encoded bytes that are kept in memory: the paper's whole sample has
/// 0.15 GB at 264 px and 0.4 GB at 424 px.
const CACHE_BYTES: u64 = 2 << 30;

/// Fewer training images of a class are too few to speak of it: the paper's rarest
/// has 463.
const FEW_TO_LEARN: usize = 50;

/// Fewer validation images of a class tell little of its recall.
const FEW_TO_JUDGE: usize = 10;

/// An image with its class.
#[derive(Debug)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// The place of its class in the recipe's; 0 where votes are learned.
    pub class: usize,
    /// The radius of its object, where the run goes by it.
    pub radius: Option<f64>,
    /// What a model of votes learns of it: a number for each of its outputs; or what
    /// a teacher says of it: a probability for each of the recipe's classes.
    pub votes: Option<Box<[f32]>>,
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
    /// SHA-256 over ids, labels, splits, encoded bytes and, where pictures are brought to
    /// a scale by them, radii, hexadecimal.
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
    /// Which of a vote table's votes are learned, where it holds several.
    pub wanted: Wanted,
    /// Probabilities of the classes that are learned in place of the labels, of the
    /// galaxies that the table has.
    pub soft: Option<PathBuf>,
    /// How inputs are listed and read. Its column of ids is the label table's
    /// too.
    pub reading: Reading,
    /// The name of its profile in a model file.
    pub colours: String,
}

impl Dataset {
    /// Lists, joins and looks at everything, with `workers` threads that decode. A
    /// table without splits is split 8:1:1 by the recipe's seed. Pictures that show
    /// nothing are left out if `must_show`, as `hiwl classify` rejects them. In
    /// `output`, the run's folder, a journal says what is looked at, and `listener` is
    /// told what a process that died was at. `None` if `stop` ended it.
    ///
    /// # Errors
    /// [`TrainError::List`], [`TrainError::Labels`]; [`TrainError::Data`] if
    /// an output of a model would have no image to learn from.
    pub fn read(
        sources: &TrainingData,
        recipe: &Recipe,
        must_show: bool,
        workers: usize,
        (output, listener): (&Path, &dyn Listener),
        stop: &Stop,
    ) -> Result<Option<Self>, TrainError> {
        let classes: Vec<&str> = recipe.classes.iter().map(String::as_str).collect();
        let reading = sources.reading.clone();
        let id = reading.id_column.as_deref();
        let split = sources.split_column.as_deref();
        let columns = LabelColumns { id, split, foreign_splits: false };
        let of = ("the recipe", &classes[..]);
        let (mut table, mut notes, votes) = match recipe.of_votes() {
            None => {
                let (table, left) = LabelTable::read_within(&sources.labels, of, columns)?;
                let mut notes: Vec<String> = left.note().into_iter().collect();
                let soft = sources.soft.as_deref().map(|path| taught(path, &classes, id, &table));
                let soft = soft.transpose()?.map(|(soft, note)| {
                    notes.push(note);
                    soft
                });
                (table, notes, soft)
            }
            Some((model, _)) if sources.soft.is_some() => {
                return Err(TrainError::Data(format!(
                    "{} learns votes, and no soft labels",
                    model.name
                )));
            }
            Some((model, learned)) => {
                let labels = match &recipe.tree {
                    Some(tree) => several::read(&sources.labels, tree, id)?,
                    None => None,
                };
                let source = match labels {
                    Some(labels) => labels,
                    None => VoteTable::open(&sources.labels, None, id, &sources.wanted)?,
                };
                let (mut table, notes, votes) = targets(&source, model, learned)?;
                if let Some(splits) = split::of_table(&sources.labels, columns, &source.schema.id)?
                {
                    for row in &mut table.rows {
                        row.split = splits.get(&row.id).copied();
                    }
                }
                (table, notes, Some(votes.into_iter().map(Some).collect()))
            }
        };
        if !table.is_split() {
            stratified(&mut table, PAPER_RATIO, recipe.seed);
            notes.push(format!(
                "the labels name no split: 8:1:1 within every class (hiwl labels LABELS --seed {} \
                 --output FILE writes a table of it)",
                recipe.seed
            ));
        }
        let wait = Waiting { listener: &Silent, stop };
        let found = line::list(&sources.inputs, &reading, &wait)?;
        let Some(Found { images, problems, notes: told }) = found else { return Ok(None) };
        notes.extend(problems.into_iter().chain(told));
        let join = Join::new(&table, images.iter().map(|image| image.entry.id.as_str()));
        notes.extend(join.to_string().lines().map(str::to_owned));
        if join.pairs.is_empty() {
            return Err(TrainError::Data(format!(
                "none of {} has one of {}: do their ids agree?",
                counted(images.len() as u64, "image", "images"),
                counted(table.rows.len() as u64, "label", "labels")
            )));
        }
        let remote = sources.inputs.iter().any(|input| is_remote(input))
            || images.iter().any(|image| image.entry.is_remote());
        let front = Front {
            decode: Arc::new(reading.decode_options()),
            cutting: reading.cutting(),
            remote,
            from_mosaics: reading.mosaics.is_some(),
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
        let looking = Looking::open(&journal_of(output, &listed)?, listed.len() as u64);
        // A journal that cannot be kept says nothing; the run goes on.
        let looking = looking.ok().flatten();
        if let Some(looking) = &looking {
            tell_suspects(looking, &listed, listener);
        }
        let crops = (crops, must_show.then_some(recipe.input.crop));
        let Some(looked) = inspect(&front, &listed, order, crops, learned, looking, stop)? else {
            return Ok(None);
        };

        let mut rejected = Rejected::default();
        let mut lines = Vec::new();
        let (mut train, mut val) = (Vec::new(), Vec::new());
        for (((split, place, _), listed), looked) in wanted.into_iter().zip(listed).zip(looked) {
            let row = &table.rows[place];
            let Looked { digest, kept } = match looked {
                Ok(looked) => looked,
                Err(rejection) => {
                    rejected.add(row.id.clone(), rejection);
                    continue;
                }
            };
            let votes = votes.as_ref().and_then(|votes| votes[place].clone());
            let mut said = recipe.classes[row.class].as_bytes().to_vec();
            if let Some(votes) = &votes {
                said.extend(votes.iter().flat_map(|v| v.to_le_bytes()));
            }
            lines.extend([row.id.as_bytes().to_vec(), said, split.name().as_bytes().to_vec()]);
            lines.push(digest.to_vec());
            let Listed { entry, radius } = listed;
            // By which the same bytes are another picture.
            lines.extend(radius.map(|radius| radius.to_le_bytes().to_vec()));
            let image = Image {
                id: row.id.clone(),
                class: row.class,
                votes,
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
        let mut dataset = Self { train, val, digest, notes, front, reading };
        dataset.check(recipe)?;
        dataset.warn(recipe);
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

    /// Says which classes have too few examples to learn from, or to be judged by.
    fn warn(&mut self, recipe: &Recipe) {
        if recipe.of_votes().is_some() {
            return;
        }
        for (place, class) in recipe.classes.iter().enumerate() {
            let of = |images: &[Image]| images.iter().filter(|i| i.class == place).count();
            let (train, val) = (of(&self.train), of(&self.val));
            if train < FEW_TO_LEARN {
                self.notes.push(format!(
                    "{class} has {train} training images: what is learned from so few seldom \
                     holds for others"
                ));
            }
            if val < FEW_TO_JUDGE {
                self.notes.push(format!(
                    "{class} has {val} validation images: its recall is known to {:.0} % at best",
                    100.0 / val.max(1) as f64
                ));
            }
        }
    }

    /// Every output needs images to learn from, and every model some to be
    /// judged by.
    fn check(&self, recipe: &Recipe) -> Result<(), TrainError> {
        // What was rejected or left out is the likely reason, and else never told.
        let why = || self.notes.iter().map(|note| format!("; {note}")).collect::<String>();
        let of = |images: &[Image], output: &[String]| {
            images.iter().filter(|i| output.contains(&recipe.classes[i.class])).count()
        };
        for model in &recipe.models {
            if model.votes.is_some() {
                for (images, what) in [(&self.train, "training"), (&self.val, "validation")] {
                    if images.is_empty() {
                        let words = format!("no usable {what} image for {}{}", model.name, why());
                        return Err(TrainError::Data(words));
                    }
                }
                continue;
            }
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

/// What a teacher says of each galaxy of the labels, and what to tell of it.
#[allow(clippy::type_complexity, reason = "what was read, and what to say of it")]
fn taught(
    path: &Path,
    classes: &[&str],
    id: Option<&str>,
    table: &LabelTable,
) -> Result<(Vec<Option<Box<[f32]>>>, String), TrainError> {
    let soft = SoftLabels::read(path, classes, id)?;
    let of: Vec<_> = table.rows.iter().map(|row| soft.of.get(&row.id).cloned()).collect();
    let there = of.iter().flatten().count();
    if there == 0 {
        return Err(TrainError::Data(format!("{}: no id is one of the labels'", path.display())));
    }
    let note = format!(
        "{} soft labels; of the others the label is learned",
        part_of(there as u64, of.len() as u64, ["galaxy", "galaxies"], ["has", "have"])
    );
    Ok((of, note))
}

/// What a model learns of the votes of a table, galaxy by galaxy: fractions of those
/// who were asked, or numbers of votes; zeros for a question that nobody was asked.
/// Galaxies without any are left out.
#[allow(clippy::type_complexity, reason = "what was read, and what to say of it")]
fn targets(
    source: &VoteTable,
    model: &Model,
    learned: Votes,
) -> Result<(LabelTable, Vec<String>, Vec<Box<[f32]>>), TrainError> {
    let title = &source.schema.title;
    let mut notes = vec![format!("{title}, fractions of votes: {}", source.told)];
    notes.extend(source.schema.notes.iter().cloned());
    let tree = &source.schema.tree;
    let place = |output: &Vec<String>| tree.answer(output.first().map_or("", String::as_str));
    let places: Vec<Option<usize>> = model.outputs.iter().map(place).collect();
    let ranges = model.ranges();
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for (range, question) in ranges.iter().zip(&model.questions) {
        let whole = places[range.clone()].iter().all(Option::is_some);
        if whole { there.push(range.clone()) } else { missing.push(question.as_str()) }
    }
    if there.is_empty() {
        let found: Vec<&str> = tree.questions().iter().map(|q| q.name.as_str()).collect();
        return Err(TrainError::Data(format!(
            "{title}: no question is one of the recipe's with all its answers; it has {}",
            found.join(", ")
        )));
    }
    if !missing.is_empty() {
        notes.push(format!("no votes to learn from: {}", missing.join(", ")));
    }
    if learned == Votes::Counts && source.counts.is_none() {
        return Err(TrainError::Data(format!(
            "{title}: it does not say how many votes there are; learn fractions (votes = \
             \"fractions\")"
        )));
    }
    let mut table = LabelTable { classes: vec!["votes".to_owned()], rows: Vec::new() };
    let (mut targets, mut without) = (Vec::new(), 0_u64);
    for (row, id) in source.ids.iter().enumerate() {
        let mut own = vec![0.0_f32; places.len()].into_boxed_slice();
        let fractions = source.fractions(row, Semantics::Conditional);
        for range in &there {
            let answers: Vec<usize> = places[range.clone()].iter().flatten().copied().collect();
            let of: Vec<f32> = match (learned, &source.counts) {
                (Votes::Counts, Some(counts)) => {
                    let counts = &counts[row * source.answers()..][..source.answers()];
                    answers.iter().map(|&a| counts[a]).collect()
                }
                _ => {
                    // Debiased fractions add up to 1 only nearly.
                    let sum: f64 = answers.iter().map(|&a| fractions[a]).sum();
                    let known = sum.is_finite() && sum > 0.0;
                    let share = |a: usize| if known { (fractions[a] / sum).max(0.0) } else { 0.0 };
                    answers.iter().map(|&a| share(a) as f32).collect()
                }
            };
            own[range.clone()].copy_from_slice(&of);
        }
        if own.iter().all(|v| *v == 0.0) {
            without += 1;
            continue;
        }
        table.rows.push(Labelled { id: id.clone(), class: 0, split: None });
        targets.push(own);
    }
    if without > 0 {
        let galaxies = counted(without, "galaxy without votes is", "galaxies without votes are");
        notes.push(format!("{galaxies} left out"));
    }
    Ok((table, notes, targets))
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
        write!(f, "{} cannot be used: ", counted(all, "image", "images"))?;
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

/// Begins the name of the journal of what is looked at, in the folder of a run.
const JOURNAL: &str = ".looking-";

/// The journal of these images: of others it has another name, so that a row is
/// what it was. Those of others go.
fn journal_of(output: &Path, listed: &[Listed]) -> Result<PathBuf, TrainError> {
    let names = listed.iter().flat_map(|it| [it.entry.id.as_bytes(), it.entry.source.as_bytes()]);
    let digest = random::digest("looking", 0, &names.collect::<Vec<_>>());
    let name = format!("{JOURNAL}{}", &hex(&digest)[..16]);
    for path in place::entries(output)? {
        let other = path.file_name().and_then(|other| other.to_str());
        if other.is_some_and(|other| other.starts_with(JOURNAL) && other != name) {
            place::remove(&path)?;
        }
    }
    Ok(output.join(name))
}

/// Tells what a process that died was at.
fn tell_suspects(looking: &Looking, listed: &[Listed], listener: &dyn Listener) {
    const NAMED: usize = 8;
    let suspects = &looking.left().suspects;
    if suspects.is_empty() {
        return;
    }
    let mut names: Vec<&str> =
        suspects.iter().map(|&row| listed[row as usize].entry.source.as_str()).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let next = match (suspects.len(), looking.is_gentle()) {
        (1, _) => "; if this one ends too, leave it out",
        (_, true) => {
            "; images are looked at one at a time, so that the next start can name the one that \
             ends it"
        }
        (_, false) => "",
    };
    listener.tell(Event::Note(&format!(
        "the process before this one ended while it was at {}{more}{next}",
        names.join(", ")
    )));
}

/// Reads, decodes and composes every image, in `order`: what of each is needed
/// later, or why it cannot be used. The first `learned` are prepared for the first
/// crop, the others for the second; their middle, of `seen` pixels, must show something.
/// `looking` keeps what is looked at. `None` if `stop` ended it.
fn inspect(
    front: &Front,
    listed: &[Listed],
    order: Vec<usize>,
    (crops, seen): ([Preparation; 2], Option<usize>),
    learned: usize,
    looking: Option<Looking>,
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
    let must_show = seen;
    let seen = front.extend(&mut graph, source, || {
        let crops = Arc::clone(&crops);
        move |cutout: Cutout<Decoded>| {
            let (radius, later) = (cutout.radius, cutout.index >= learned as u64);
            let preparation = &crops[usize::from(later)];
            cutout.advance(|decoded| {
                let picture = prepare::whole(decoded, preparation, radius)?;
                must_show.map_or(Ok(()), |size| prepare::check_shown(&picture, size))?;
                Ok(picture)
            })
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
    let watched = looking.and_then(|looking| looking.begin(&front.journal).ok());
    if !ended(graph.run())? {
        return Ok(None);
    }
    if let Some(watched) = watched {
        watched.done();
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
        Payload::Bands(image) => {
            image.planes.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
    }
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
