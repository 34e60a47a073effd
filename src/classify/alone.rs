//! Cutouts that a process was at when it died, tried again alone.
//!
//! A process that dies takes every cutout in hand with it, and most have done
//! nothing. So whoever takes over its range has each of them read, decoded and
//! prepared once more with nothing else going on: in a child process, which may
//! die in its turn, or, where no program is named that could be one, in this
//! process, after saying so in the claim. One that ends a process again is a row
//! that says so. Where one was found the whole range is tried, so that several
//! cost one death of the run and not one each.
//!
//! The child is the same command with [`Alone::arguments`]; it answers every
//! row on a line of its input with the same line.
//!
//! Invariant: no cutout is a `crashed` row that did not end a process in which
//! nothing but it was worked on.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;

use tracing::{info, warn};

use super::{ClassifyError, ClassifyOptions, resolved::Resolved, setup};
use crate::cutout::{Reason, Rejection};
use crate::events::{Event, Listener};
use crate::line::{Crops, Cutout, Front, radii, stages};
use crate::model::description::Input;
use crate::model::model_file::Model;
use crate::pipeline::Stop;
use crate::run::{Claim, Manifest, RunFolder};
use crate::source::{Entry, read::Reader};

/// The child's first line.
const READY: &str = "ready";

/// A command that calls [`try_alone`] with the options of this one, and with
/// the range whose number is its last argument.
#[derive(Debug, Clone)]
pub struct Alone {
    /// The program.
    pub program: PathBuf,
    /// What comes before the number of the range, and what comes behind it.
    pub arguments: (Vec<OsString>, Vec<OsString>),
}

/// The rejection of a cutout that ends processes.
pub(super) fn rejection(how: &str) -> Rejection {
    let words =
        format!("it ended the process that worked on it, and again when it was tried alone: {how}");
    Rejection::new(Reason::Crashed, words)
}

/// How the cutouts of a range are tried.
pub(super) struct Trial<'a> {
    pub(super) alone: Option<&'a Alone>,
    pub(super) front: &'a Front,
    pub(super) crops: &'a Crops,
    pub(super) listener: &'a dyn Listener,
    pub(super) stop: &'a Stop,
}

impl Trial<'_> {
    /// Tries the suspects of a claim, notes in it those that end processes, and
    /// says whether all were tried; a stop ends it before.
    ///
    /// # Errors
    /// What the system says of the claim's file.
    pub(super) fn run(
        &self,
        claim: &mut Claim,
        entries: &[Entry],
        radii: &[Option<f64>],
    ) -> Result<bool, ClassifyError> {
        let range = claim.range();
        let suspects: Vec<u64> = claim.left().suspects.iter().copied().collect();
        if suspects.is_empty() {
            return Ok(true);
        }
        let known = claim.left().crashed.len();
        self.listener.tell(Event::Note(&format!(
            "a process died over rows {} to {}: the cutouts that it was at ({}) are tried alone",
            range.first,
            range.last(),
            suspects.len()
        )));
        let mut children = Children { alone: self.alone, range: range.index, child: None };
        if !children.start() {
            return self.in_this_process(claim, entries, radii, &suspects);
        }
        if !self.in_children(claim, entries, &suspects, &mut children)? {
            return Ok(false);
        }
        if claim.left().crashed.len() == known {
            return Ok(true);
        }
        // One that ends processes seldom comes alone.
        let rest: Vec<u64> = (range.first..=range.last())
            .filter(|row| !suspects.contains(row) && !claim.left().crashed.contains_key(row))
            .collect();
        self.in_children(claim, entries, &rest, &mut children)
    }

    fn in_children(
        &self,
        claim: &mut Claim,
        entries: &[Entry],
        rows: &[u64],
        children: &mut Children<'_>,
    ) -> Result<bool, ClassifyError> {
        for &row in rows {
            if self.stop.requested() {
                return Ok(false);
            }
            let Tried::Died(_) = children.try_row(row) else { continue };
            // Of several in one process, which was it? And a signal may have
            // been somebody's.
            let mut tried = children.try_row_in_a_new_one(row);
            if matches!(tried, Tried::Died(status) if status.signal() == Some(libc::SIGKILL)) {
                tried = children.try_row_in_a_new_one(row);
            }
            if self.stop.requested() {
                return Ok(false);
            }
            if let Tried::Died(status) = tried
                && !asked_to_end(status)
            {
                let how = ended(status);
                let entry = &entries[(row - claim.range().first) as usize];
                warn!(row, id = entry.id, "ends processes: {how}");
                self.listener.tell(Event::Note(&format!(
                    "{} ended the process that worked on it, twice ({how}): its row says `{}`",
                    entry.source,
                    Reason::Crashed.code()
                )));
                claim.crashed(row, how);
            }
        }
        Ok(true)
    }

    /// Each after a word in the claim's file: should this process die, whoever
    /// comes next knows over which.
    fn in_this_process(
        &self,
        claim: &Claim,
        entries: &[Entry],
        radii: &[Option<f64>],
        suspects: &[u64],
    ) -> Result<bool, ClassifyError> {
        let mut taster = Taster::new(self.front.clone(), self.crops);
        for &row in suspects {
            if self.stop.requested() {
                return Ok(false);
            }
            claim.try_alone(row)?;
            let place = (row - claim.range().first) as usize;
            taster.try_entry(row, &entries[place], radii[place]);
        }
        Ok(true)
    }
}

/// How a process ended, in words that are the same wherever it did so (whether a
/// core was dumped is the machine's).
fn ended(status: ExitStatus) -> String {
    let name = match status.signal() {
        Some(libc::SIGILL) => " (SIGILL)",
        Some(libc::SIGABRT) => " (SIGABRT)",
        Some(libc::SIGBUS) => " (SIGBUS)",
        Some(libc::SIGFPE) => " (SIGFPE)",
        Some(libc::SIGKILL) => " (SIGKILL)",
        Some(libc::SIGSEGV) => " (SIGSEGV)",
        _ => "",
    };
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}{name}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "no word of its end".to_owned(),
    }
}

/// Ended because somebody asked it to.
fn asked_to_end(status: ExitStatus) -> bool {
    matches!(status.signal(), Some(libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT))
}

/// What became of a row.
enum Tried {
    Lived,
    Died(ExitStatus),
    /// No process could be had to try it in.
    Not,
}

/// Children, one at a time.
struct Children<'a> {
    alone: Option<&'a Alone>,
    range: u64,
    child: Option<Child>,
}

impl Children<'_> {
    /// Whether there is a child, or now is one.
    fn start(&mut self) -> bool {
        if self.child.is_none() {
            self.child = self.alone.and_then(|alone| {
                Child::start(alone, self.range)
                    .inspect_err(|error| info!("no process to try cutouts in: {error}"))
                    .ok()
            });
        }
        self.child.is_some()
    }

    fn try_row_in_a_new_one(&mut self, row: u64) -> Tried {
        self.child = None;
        self.try_row(row)
    }

    fn try_row(&mut self, row: u64) -> Tried {
        self.start();
        let Some(child) = &mut self.child else { return Tried::Not };
        if child.lives_through(row) {
            return Tried::Lived;
        }
        let status = child.process.wait();
        self.child = None;
        status.map_or(Tried::Not, Tried::Died)
    }
}

struct Child {
    process: process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Child {
    fn start(alone: &Alone, range: u64) -> io::Result<Self> {
        let (before, behind) = &alone.arguments;
        let mut command = Command::new(&alone.program);
        command.args(before).arg(range.to_string()).args(behind);
        // What a dying process has to say is of no use to who runs this one.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("a child without pipes"));
        };
        let mut child = Self { process, input, output: BufReader::new(output) };
        match child.answers(READY) {
            true => Ok(child),
            false => Err(io::Error::other("it is not ready")),
        }
    }

    fn lives_through(&mut self, row: u64) -> bool {
        writeln!(self.input, "{row}").is_ok() && self.answers(&row.to_string())
    }

    fn answers(&mut self, expected: &str) -> bool {
        let mut line = String::new();
        self.output.read_line(&mut line).is_ok_and(|_| line.trim_end() == expected)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Does with a cutout what the line does, and keeps nothing.
struct Taster {
    front: Front,
    crops: Crops,
    reader: Reader,
}

impl Taster {
    fn new(front: Front, crops: &Crops) -> Self {
        let crops = Crops { observed: Arc::default(), ..crops.clone() };
        Self { reader: front.reader(), front, crops }
    }

    fn try_entry(&mut self, index: u64, entry: &Entry, radius: Option<f64>) {
        let listed = Cutout::listed(index, false, entry.clone(), radius);
        let read = stages::read(&mut self.reader, listed);
        let decoded = stages::decode(&self.front.decode, read);
        // The picture is nobody's.
        drop(stages::crop(&self.crops.preparation, &self.crops.observed, decoded));
    }
}

/// Crops as a run's parts have had them so far: those of the first version show
/// FITS otherwise. Whether that is so.
///
/// # Errors
/// As [`setup::of_old`].
pub(super) fn crops_of_old(
    crops: &mut Crops,
    input: &Input,
    manifest: &Manifest,
    entries: &[Entry],
) -> Result<bool, ClassifyError> {
    let old = manifest.settings.colours.is_none() && entries.iter().any(Entry::may_hold_bands);
    if old {
        // Its parts have them so, and a catalog has one look.
        crops.preparation = Arc::new(setup::of_old(input, &crops.preparation)?);
    }
    Ok(old)
}

/// The child's side: tries each row of the range that `rows` names, a line
/// each, and says so when it has lived through it. Nothing is written into the
/// run's folder.
///
/// # Errors
/// [`ClassifyError`], if the run cannot be read; what is wrong with a cutout
/// does not matter here.
pub fn try_alone(
    options: &ClassifyOptions,
    range: u64,
    rows: impl BufRead,
    mut done: impl Write,
) -> Result<(), ClassifyError> {
    let model = Model::read(&options.model)?;
    let run = RunFolder::open(&options.output)?;
    let (entries, carried) = run.inputs().range(range)?;
    let resolved = Resolved::new(options, &model)?;
    let mut crops = setup::crops(&resolved);
    crops_of_old(&mut crops, &model.description.input, run.manifest(), &entries)?;
    drop(model);
    let column = resolved.reading.looks.radius_column.as_deref();
    let radii = radii(column, carried.as_ref(), entries.len());
    let first = run.range(range)?.first;
    let mut taster = Taster::new(setup::front(&resolved), &crops);
    // Whoever reads this has gone where it cannot be written.
    let mut say = |text: &str| writeln!(done, "{text}").and_then(|()| done.flush()).is_ok();
    if !say(READY) {
        return Ok(());
    }
    for row in rows.lines().map_while(Result::ok) {
        let Ok(index) = row.parse::<u64>() else { continue };
        let place = index.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some((entry, radius)) =
            place.and_then(|place| Some((entries.get(place)?, radii.get(place)?)))
        {
            taster.try_entry(index, entry, *radius);
        }
        if !say(&row) {
            break;
        }
    }
    Ok(())
}
