//! The end of the line: rows into the parts of the catalog.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use crossbeam_channel::Receiver;
use tracing::debug;

use super::{ClassifyError, line::Classified, tally::Tally};
use crate::{
    catalog::PartWriter,
    cutout::Reason,
    events::{Event, Listener},
    line::Sources,
    pipeline::{Resequencer, Sequenced, Window},
    run::{Claim, RowRange, RunFolder},
    source::Entry,
};

/// A range that the source has begun: the claim on it, and the columns that
/// its rows carry. It travels beside the line, one a range, in order.
pub struct ClaimedRange {
    /// The claim.
    pub claim: Claim,
    /// Carried columns, if the run has any.
    pub carried: Option<RecordBatch>,
    /// Archives and tables of its cutouts.
    pub archives: Vec<PathBuf>,
}

/// Writes rows; one of it ends a line.
pub struct Sink {
    /// Where parts go.
    pub run: Arc<RunFolder>,
    /// Ranges in the order in which their rows come.
    pub begun: Receiver<ClaimedRange>,
    /// Places to free.
    pub window: Window,
    /// Whom to tell.
    pub listener: Arc<dyn Listener>,
    sources: Arc<Sources>,
    order: Resequencer<Classified>,
    part: Option<PartWriter>,
    tally: Tally,
    /// Archives and tables of the part.
    archives: Vec<PathBuf>,
    /// Rows of the part whose bytes were not had.
    without_bytes: Vec<u64>,
}

impl Sink {
    /// A sink that has seen nothing.
    pub fn new(
        run: Arc<RunFolder>,
        begun: Receiver<ClaimedRange>,
        window: Window,
        listener: Arc<dyn Listener>,
        sources: Arc<Sources>,
    ) -> Self {
        Self {
            run,
            begun,
            window,
            listener,
            sources,
            order: Resequencer::new(),
            part: None,
            tally: Tally::default(),
            archives: Vec::new(),
            without_bytes: Vec::new(),
        }
    }

    /// Takes a batch's rows; writes those whose turn it is, and adds those of
    /// finished parts to `total`.
    ///
    /// # Errors
    /// The catalog's: the part in hand is then dropped, and those before it
    /// stand.
    pub fn take(
        &mut self,
        batch: Sequenced<Classified>,
        total: &Mutex<Tally>,
    ) -> Result<(), ClassifyError> {
        self.order.push(batch);
        while let Some(Classified { rows }) = self.order.pop() {
            for row in &rows {
                let mut part = match self.part.take() {
                    Some(part) => part,
                    None => self.begin()?,
                };
                part.push(row)?;
                self.tally.add(row);
                if row.outcome.as_ref().is_err_and(|rejection| of_the_source(rejection.reason)) {
                    self.without_bytes.push(row.index);
                }
                if row.index == part.range().last() {
                    self.check_sources(part.range())?;
                    self.finish(part)?;
                    // Only what is committed counts.
                    let written = std::mem::take(&mut self.tally);
                    total.lock().unwrap_or_else(|e| e.into_inner()).merge(written);
                } else {
                    self.part = Some(part);
                }
            }
            self.window.leave(rows.len());
            let rejected = rows.iter().filter(|row| row.outcome.is_err()).count() as u64;
            self.listener.tell(Event::Advanced { rows: rows.len() as u64, rejected });
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<PartWriter, ClassifyError> {
        let ClaimedRange { claim, carried, archives } =
            self.begun.try_recv().expect("the source begins a range before it sends its rows");
        self.archives = archives;
        Ok(PartWriter::create(&self.run, claim, carried)?)
    }

    /// Archives must still be those that were listed. Where files were missing,
    /// their folders must be there, or their store answer.
    fn check_sources(&mut self, range: RowRange) -> Result<(), ClassifyError> {
        // Objects too: one that was opened since is read in the version of then.
        for archive in self.archives.drain(..) {
            self.sources.check_archive(&archive)?;
        }
        let rows = std::mem::take(&mut self.without_bytes);
        if rows.is_empty() {
            return Ok(());
        }
        let (entries, _) = self.run.inputs().range(range.index)?;
        let suspects: Vec<&Entry> =
            rows.iter().filter_map(|row| entries.get((row - range.first) as usize)).collect();
        self.sources.check_store_of(&suspects)?;
        self.sources.check_places(suspects.iter().copied())?;
        Ok(self.sources.check_archives(suspects)?)
    }

    fn finish(&self, part: PartWriter) -> Result<(), ClassifyError> {
        let rows = part.range().count;
        let path = part.commit()?;
        debug!(path = %path.display(), rows, "a part is in its place");
        self.listener.tell(Event::Part { path: &path, rows });
        Ok(())
    }
}

/// Whether a cutout may have been rejected for what its source is, and not it.
fn of_the_source(reason: Reason) -> bool {
    matches!(reason, Reason::Missing | Reason::MissingBand | Reason::Unreadable | Reason::Truncated)
}
