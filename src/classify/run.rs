//! A run from its options to its report.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use arrow::datatypes::Schema;
use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::{debug, info, warn};

use super::{
    ClassifyError, Devices, KeepFeatures,
    alone::{self, Alone, Trial},
    recipe::{PrecisionChoice, ResampleChoice},
    resolved::Resolved,
    setup,
    sink::{ClaimedRange, Sink},
    tally::Tally,
};
use crate::{
    catalog::{self, Verification, schema},
    cutout::colour,
    engine::Engine,
    events::{Event, Listener},
    line::{Crops, Cutout, Front, Looks, Places, QUEUE, Sources, Waiting, holds_something, radii},
    model::model_file::Model,
    pipeline::{Ended, Failure, Graph, Outlet, Sequenced, StageReport, Stop, Window, memory},
    run::{
        Claimed, InputsWriter, Listing, ModelIdentity, RANGE_SIZE, RowRange, RunError, RunFolder,
        Settings, Shard,
    },
    source::{
        Entry, Locator,
        list::{BandPattern, Lister, Mosaics, RepeatedIds},
    },
    storage::remote::absolute,
    tree::{Naming, Stage2},
    words::counted,
};

/// What a run needs to know, every choice made. A plan keeps what is not of
/// one process alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifyOptions {
    /// Folders, images, archives, tables, lists.
    pub inputs: Vec<PathBuf>,
    /// The run's folder.
    #[serde(skip)]
    pub output: PathBuf,
    /// The model file.
    pub model: PathBuf,
    /// Names under which the files hold the bands that become R, G, B; the
    /// model's names if not given.
    pub bands: Option<[String; 3]>,
    /// How files of one band each are named.
    pub band_pattern: String,
    /// Planes or HDUs of FITS files that do not name them.
    pub cube_bands: Option<Vec<String>>,
    /// The column of tables that holds ids, if it is to be no usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// The column of Parquet tables that holds images, if it is to be no other.
    #[serde(default)]
    pub image_column: Option<String>,
    /// Columns of tables to carry into the catalog.
    pub carry: Vec<String>,
    /// A table that gives positions and these columns to cutouts by their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<PathBuf>,
    /// What to keep of the features in the catalog, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<KeepFeatures>,
    /// Whether the catalog has the concentrations behind expected fractions of votes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concentrations: bool,
    /// The RGB profile that the pipeline expects of the model.
    pub rgb_profile: Option<String>,
    /// Colours and scale, where something is asked of them.
    #[serde(default, skip_serializing_if = "Looks::is_silent")]
    pub looks: Looks,
    /// Mosaics, out of which the sources of the inputs, tables, are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mosaics: Option<Mosaics>,
    /// What happens to cutouts smaller than the crop.
    pub resample: ResampleChoice,
    /// Which rows the 2-class network sees.
    pub stage2: Stage2,
    /// Cutouts a batch.
    pub batch: usize,
    /// Where the networks run.
    #[serde(skip)]
    pub devices: Devices,
    /// What computes the networks, if it is to be another engine than the
    /// default of the devices, or of the run that is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// How the networks hold and multiply numbers.
    pub precision: PrecisionChoice,
    /// Threads that decode, that prepare, and that infer.
    #[serde(skip)]
    pub workers: usize,
    /// Rows of a range; by the size of the run if none are asked for.
    #[serde(default)]
    pub range_size: Option<u64>,
    /// The share of the ranges that is this process's.
    #[serde(skip)]
    pub shard: Option<Shard>,
    /// Archives and tables were copied since they were listed, and are known by
    /// their sizes and indexes, not by their times.
    #[serde(skip)]
    pub copied: bool,
    /// In what processes cutouts are tried over which one died; in this one, if
    /// none is named.
    #[serde(skip)]
    pub alone: Option<Alone>,
}

impl ClassifyOptions {
    /// The defaults of the command line for a model: no inputs, no output, the
    /// processor, as many workers as there are cores.
    pub fn new(model: &Path) -> Self {
        let devices = Devices::Cpu;
        Self {
            inputs: Vec::new(),
            output: PathBuf::new(),
            model: model.to_owned(),
            bands: None,
            band_pattern: BandPattern::default().to_string(),
            cube_bands: None,
            id_column: None,
            image_column: None,
            carry: Vec::new(),
            join: None,
            features: None,
            concentrations: false,
            looks: Looks::default(),
            mosaics: None,
            rgb_profile: None,
            resample: ResampleChoice::default(),
            stage2: Stage2::default(),
            batch: devices.batch(),
            devices,
            engine: None,
            precision: PrecisionChoice::default(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            range_size: None,
            shard: None,
            copied: false,
            alone: None,
        }
    }
}

/// What a run did.
#[derive(Debug)]
pub struct RunReport {
    /// The run's folder.
    pub output: PathBuf,
    /// The model.
    pub model: ModelIdentity,
    /// What the listing found.
    pub listing: Listing,
    /// What this process took for granted, and in what its pictures are unlike
    /// the model's, a line each.
    pub notes: Vec<String>,
    /// The share that was this process's, if it was one of several.
    pub shard: Option<Shard>,
    /// Ranges of the run.
    pub ranges: u64,
    /// Rows of a range; the last may have fewer.
    pub range_size: u64,
    /// Rows that were this process's to make.
    pub planned: u64,
    /// Rows of the parts that it wrote, by label and by reason.
    pub written: Tally,
    /// Ranges without a part when the run ended: of a run that was stopped,
    /// or another live process's.
    pub left: u64,
    /// Whether a stop was asked for.
    pub stopped: bool,
    /// Stages of the line, if it ran.
    pub stages: Vec<StageReport>,
    /// How long the line ran.
    pub elapsed: Duration,
    /// The catalog as a whole, held against its plan: of a run that wrote its
    /// last part, and not of shards, each of which would read what all wrote.
    pub catalog: Option<Verification>,
    /// Largest resident memory in bytes, where the system tells.
    pub peak_memory: Option<u64>,
}

impl RunReport {
    /// Whether every range of this process has its part, and the catalog, if it
    /// was read as a whole, is sound.
    pub fn is_finished(&self) -> bool {
        self.left == 0 && self.catalog.as_ref().is_none_or(Verification::is_complete)
    }

    /// Whether every row has a label and every input could be listed.
    pub fn is_flawless(&self) -> bool {
        self.tally().rejected.is_empty() && self.listing.problems.is_empty()
    }

    /// The labels that rows may have, in the order of the model's classes.
    pub fn classes(&self) -> Vec<String> {
        self.model.scheme().tree().class_names()
    }

    /// Rows by label and by reason: of the whole catalog where it was read,
    /// of what this process wrote otherwise.
    pub fn tally(&self) -> Tally {
        match &self.catalog {
            Some(whole) => Tally {
                rows: whole.rows_found,
                labels: whole.labels.clone(),
                rejected: whole.rejected.clone(),
                notes: whole.notes.clone(),
                example: whole.example.clone(),
            },
            None => self.written.clone(),
        }
    }
}

/// Classifies the inputs, or what of them is left to do, into the run's
/// folder. `stop` ends it early and in order.
///
/// # Errors
/// [`ClassifyError`]; what is committed stays, and the same call goes on.
pub fn run(
    options: &ClassifyOptions,
    listener: &Arc<dyn Listener>,
    stop: &Stop,
) -> Result<RunReport, ClassifyError> {
    let model = Model::read(&options.model)?;
    let resolved = Resolved::into_run(options, &model)?;
    // Before the listing, which may take an hour: a model that cannot run.
    let mut line = setup::line(&resolved, &model)?;
    let preparation = &resolved.preparation;
    info!(
        model = %resolved.model.display(), untrained = model.description.untrained,
        devices = ?resolved.devices, precision = resolved.precision.name(),
        batch = resolved.batch, workers = resolved.workers, "networks are ready"
    );
    for note in &line.notes {
        info!("{note}");
        listener.tell(Event::Note(note));
    }
    let (run, settings) = open(&resolved, &model, listener.as_ref(), stop)?;
    let input = model.description.input.clone();
    drop(model);
    if let Some(shard) = resolved.shard {
        run.check_shards(shard.count())?;
    }

    let run = Arc::new(run);
    let missing = run.missing_ranges(resolved.shard)?;
    let planned = missing.iter().map(|range| range.count).sum();
    info!(
        rows = run.manifest().listing.rows,
        ranges = missing.len(),
        left = planned,
        "inputs are listed"
    );
    listener.tell(Event::Started { rows: planned });
    let tally = Arc::new(Mutex::new(Tally::default()));
    let (mut stages, mut elapsed) = (Vec::new(), Duration::ZERO);
    let away = Arc::new(Mutex::new(None));
    if !missing.is_empty() {
        let sources = Arc::new(Sources::of(&run.manifest().listing, options.copied));
        sources.check_stores()?;
        let (first, _) = run.inputs().range(missing[0].index)?;
        // Tables and lists lead to stores from local files.
        line.front.remote |= first.iter().any(Entry::is_remote);
        if alone::crops_of_old(&mut line.crops, &input, run.manifest(), &first)? {
            listener.tell(Event::Note(
                "this run was begun by a version that showed FITS by astropy's defaults, not as \
                 the model's pictures were made, and goes on so; begin another for better labels",
            ));
        }
        let window = line.window();
        let (claims, begun) = crossbeam_channel::unbounded();
        let mut graph = Graph::new(stop.clone());
        let source = RangeSource {
            run: Arc::clone(&run),
            sources: Arc::clone(&sources),
            missing,
            radius_column: resolved.reading.looks.radius_column.clone(),
            front: line.front.clone(),
            crops: line.crops.clone(),
            alone: options.alone.clone(),
            listener: Arc::clone(listener),
            window: window.clone(),
            claims,
            stop: stop.clone(),
            away: Arc::clone(&away),
        };
        let listed = graph.source("list", QUEUE, move |out| source.send_all(out));
        let classified = line.extend(&mut graph, listed);
        let mut sink = Sink::new(Arc::clone(&run), begun, window, Arc::clone(listener), sources);
        let total = Arc::clone(&tally);
        graph.sink("catalog", classified, move |batch| match batch {
            Some(batch) => sink.take(batch, &total),
            None => Ok(()),
        });
        let outcome = graph.run();
        stages = outcome.stages;
        elapsed = outcome.elapsed;
        match outcome.result {
            Ok(()) | Err(Failure::Interrupted) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    let away = away.lock().unwrap_or_else(|e| e.into_inner()).take();
    if let Some(error) = away.filter(|_| !stop.requested()) {
        return Err(error);
    }
    let left = run.missing_ranges(resolved.shard)?.len() as u64;
    let whole = left == 0 && resolved.shard.is_none();
    let trained = (!settings.model.untrained).then_some(&input);
    let notes = line.crops.observed.notes(preparation, trained);
    let written = tally.lock().unwrap_or_else(|e| e.into_inner()).clone();
    Ok(RunReport {
        output: resolved.output,
        model: settings.model,
        listing: run.manifest().listing.clone(),
        notes,
        shard: resolved.shard,
        ranges: run.ranges().count() as u64,
        range_size: run.manifest().settings.range_size,
        planned,
        written,
        left,
        stopped: stop.requested(),
        stages,
        elapsed,
        catalog: if whole { Some(catalog::verify(run.dir())?) } else { None },
        peak_memory: memory::peak_resident(),
    })
}

/// The run that is asked for: the one in its folder, or a new one.
pub(super) fn open(
    resolved: &Resolved,
    model: &Model,
    listener: &dyn Listener,
    stop: &Stop,
) -> Result<(RunFolder, Settings), ClassifyError> {
    let settings = settings(resolved, model);
    let wait = Waiting { listener, stop };
    let own = schema::own(&settings.model.scheme())?;
    let run = RunFolder::open_or_create(&resolved.output, &settings, &wait, |inputs| {
        list(resolved, &own, inputs, listener, stop)
    })?;
    Ok((run, settings))
}

/// Everything that decides the result, as the run folder pins it.
fn settings(resolved: &Resolved, model: &Model) -> Settings {
    let Resolved { reading, preparation, .. } = resolved;
    let inputs = resolved.inputs.iter().map(|path| absolute_text(path));
    let mut identity = ModelIdentity::of(model, &resolved.model);
    if resolved.concentrations {
        identity.naming = Naming::Concentrations;
    }
    Settings {
        inputs: inputs.collect(),
        band_pattern: Some(reading.band_pattern.to_string()),
        bands: reading.bands.to_vec(),
        id_column: reading.id_column.clone(),
        image_column: reading.image_column.clone(),
        carry: resolved.carry.clone(),
        join: reading.join.as_deref().map(absolute_text),
        model: ModelIdentity { features: resolved.features, ..identity },
        mosaics: reading.mosaics.as_ref().map(|mosaics| {
            let files = mosaics.files.iter().map(|path| absolute_text(path));
            let mut pinned = json!({ "files": files.collect::<Vec<_>>(), "scale": mosaics.scale });
            if !mosaics.masks.is_empty() {
                pinned["masks"] = json!(mosaics.masks);
            }
            pinned
        }),
        preparation: json!({
            "crop": {
                "size": preparation.size,
                // As the first version pinned it, for which the model's name was
                // the profile; what bands become stands under `colours`.
                "profile": colour::profile(&model.description.input.rgb_profile),
                "resample": preparation.resample,
            },
            "cube_bands": reading.cube_bands,
        }),
        colours: Some(reading.looks.pinned(preparation)),
        colours_asked: !reading.looks.is_silent(),
        stage2: resolved.stage2,
        engine: resolved.engine.and_then(Engine::to_name),
        precision: resolved.precision,
        range_size: resolved.range_size.unwrap_or(RANGE_SIZE),
        usual_ranges: resolved.range_size.is_none(),
    }
}

fn absolute_text(path: &Path) -> String {
    absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Puts every input into the plan.
fn list(
    resolved: &Resolved,
    own: &Schema,
    inputs: &mut InputsWriter,
    listener: &dyn Listener,
    stop: &Stop,
) -> Result<(), ClassifyError> {
    let mut lister = Lister::open(&resolved.inputs, resolved.list_options())?;
    let wait = Waiting { listener, stop };
    inputs.carry(lister.carried(), own)?;
    for told in lister.told() {
        listener.tell(Event::Note(told));
    }
    let mut places = Places::default();
    let mut ids = Ok(RepeatedIds::default());
    while let Some(chunk) = lister.next_or_wait(&wait) {
        if stop.requested() {
            return Err(ClassifyError::Stopped);
        }
        let chunk = chunk?;
        chunk.entries.iter().for_each(|entry| places.note(entry));
        if let Ok(repeated) = &mut ids
            && let Err(error) = chunk.entries.iter().try_for_each(|entry| repeated.add(&entry.id))
        {
            ids = Err(error);
        }
        listener.tell(Event::Listed { rows: chunk.entries.len() as u64 });
        match &chunk.carried {
            Some(values) => inputs.push_with(&chunk.entries, values)?,
            None => chunk.entries.iter().try_for_each(|entry| inputs.push(entry))?,
        }
    }
    for path in resolved.inputs.iter().filter(|path| holds_something(path)) {
        inputs.folder(absolute_text(path));
    }
    for folder in places.into_folders() {
        inputs.place(folder.display().to_string());
    }
    inputs.pins(lister.pins());
    inputs.skip(lister.skipped());
    if let Some(told) = lister.joined()? {
        listener.tell(Event::Note(&told));
        inputs.joined(told);
    }
    for line in lister.passed_over() {
        listener.tell(Event::Note(&line));
    }
    match ids.and_then(RepeatedIds::count) {
        Ok(count) => inputs.repeated_ids(count),
        // They are counted for a person: no reason to end a run.
        Err(error) => {
            listener.tell(Event::Note(&format!("ids that repeat were not counted: {error}")));
        }
    }
    for problem in lister.problems() {
        let text = format!("{}: {}", problem.path.display(), problem.message);
        listener.tell(Event::Note(&text));
        inputs.problem(text);
    }
    let more = lister.problem_count() - lister.problems().len() as u64;
    if more > 0 {
        inputs.problem(format!("and {more} more"));
    }
    Ok(())
}

/// Where the line begins: the ranges without a part, row by row.
struct RangeSource {
    run: Arc<RunFolder>,
    sources: Arc<Sources>,
    missing: Vec<RowRange>,
    radius_column: Option<String>,
    front: Front,
    crops: Crops,
    alone: Option<Alone>,
    listener: Arc<dyn Listener>,
    window: Window,
    claims: Sender<ClaimedRange>,
    stop: Stop,
    /// Why ranges were passed over: the first reason.
    away: Arc<Mutex<Option<ClassifyError>>>,
}

/// How long to wait for ranges that others hold when nothing else is left. A
/// network file system takes a while to see that a machine is gone; who works
/// on a range takes minutes.
const PATIENCE: Duration = Duration::from_secs(10);

impl RangeSource {
    fn send_all(
        self,
        out: &Outlet<Sequenced<Cutout<Locator>>>,
    ) -> Result<(), Ended<ClassifyError>> {
        let failed = |error: RunError| Ended::Failed(error.into());
        let mut sequence = 0;
        let mut waiting = None;
        // A range that is another's when first asked for is asked for again at
        // the end: the other may have died meanwhile, or only been removing
        // what a dead one left.
        let mut turns: VecDeque<(RowRange, bool)> =
            self.missing.into_iter().map(|range| (range, true)).collect();
        while let Some((range, first)) = turns.pop_front() {
            let mut claim = match self.run.claim(range.index).map_err(failed)? {
                Claimed::Ours(claim) => claim,
                Claimed::Elsewhere if first => {
                    debug!(range = range.index, "another process works on it");
                    turns.push_back((range, false));
                    continue;
                }
                Claimed::Elsewhere => {
                    let since: &Instant = waiting.get_or_insert_with(|| {
                        let ranges = counted(turns.len() as u64 + 1, "range", "ranges");
                        self.listener.tell(Event::Waiting(&format!(
                            "other processes work on the rest ({ranges}): waiting up to {} s, should \
                             one of them have died",
                            PATIENCE.as_secs()
                        )));
                        Instant::now()
                    });
                    if since.elapsed() < PATIENCE && !self.stop.requested() {
                        std::thread::sleep(Duration::from_millis(100));
                        turns.push_back((range, false));
                    }
                    continue;
                }
                Claimed::Complete => continue,
            };
            let (entries, carried) = self.run.inputs().range(range.index).map_err(failed)?;
            let here = self.sources.check_archives(&entries);
            if let Err(error) = here.and_then(|()| self.sources.check_places(&entries)) {
                // It waits for its archive, or its disk; the others need not.
                warn!(range = range.index, "waits: {error}");
                let mut away = self.away.lock().unwrap_or_else(|e| e.into_inner());
                away.get_or_insert(error.into());
                continue;
            }
            debug!(range = range.index, rows = range.count, "begun");
            let radii = radii(self.radius_column.as_deref(), carried.as_ref(), entries.len());
            let trial = Trial {
                alone: self.alone.as_ref(),
                front: &self.front,
                crops: &self.crops,
                listener: self.listener.as_ref(),
                stop: &self.stop,
            };
            if !trial.run(&mut claim, &entries, &radii).map_err(Ended::Failed)? {
                return Err(Ended::Stopped);
            }
            claim.begin(&self.front.journal).map_err(failed)?;
            let crashed = claim.left().crashed.clone();
            // The sink has gone only if the run is being stopped.
            let archives = Sources::archives_of(&entries);
            self.claims
                .send(ClaimedRange { claim, carried, archives })
                .map_err(|_| Ended::Stopped)?;
            for (index, (entry, radius)) in (range.first..).zip(entries.into_iter().zip(radii)) {
                self.window.enter(out)?;
                let mut item = Cutout::listed(index, index == range.last(), entry, radius);
                if let Some(how) = crashed.get(&index) {
                    item.state = Err(alone::rejection(how));
                }
                out.send(Sequenced { sequence, item })?;
                sequence += 1;
            }
        }
        Ok(())
    }
}
