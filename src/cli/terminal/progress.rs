//! Progress of a run: a bar on a terminal, a line now and then elsewhere,
//! events as JSON lines for programs, or nothing.
//!
//! Invariant: the first event of a run that begins is `start`, and the notes that were
//! made before follow it. What is waited for before then a program finds on standard
//! error, at once.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::audience::{Audience, Teller};
use super::{format, shown};
use crate::events::{Event, Listener};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How often an event of progress is written.
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// The bar itself takes what the words leave of a terminal's width.
const BAR: &str = "{wide_bar} {human_pos}/{human_len} · {msg} · {eta} left";

/// What a bar says besides how far it is.
fn message(rate: f64, rejected: u64) -> String {
    let rejected = if rejected == 0 {
        String::new()
    } else {
        format!(" · {} rejected", format::count(rejected))
    };
    format!("{rate:.0}/s{rejected}")
}

/// Told of rows as they are written; tells the audience.
pub struct Progress {
    teller: Teller,
    state: Mutex<State>,
}

struct State {
    /// Of what is counted now: the listing, then the rows.
    began: Instant,
    listed: u64,
    total: u64,
    done: u64,
    rejected: u64,
    told: Option<Instant>,
    /// Whether `start` was told.
    started: bool,
    /// Notes for a program that is still to be told so.
    held: Vec<Value>,
}

impl Listener for Progress {
    fn tell(&self, event: Event<'_>) {
        match event {
            Event::Listed { rows } => self.listed(rows),
            Event::Started { rows } => self.start(rows),
            Event::Advanced { rows, rejected } => self.advance(rows, rejected),
            Event::Part { path, rows } => {
                self.event(
                    json!({"event": "part", "path": path.display().to_string(), "rows": rows}),
                );
            }
            Event::Note(note) => self.note(note),
            Event::Waiting(what) => self.waits(what),
            _ => {}
        }
    }
}

impl Progress {
    /// Progress that has not begun.
    pub fn new(audience: Audience) -> Self {
        let (began, told) = (Instant::now(), None);
        let state = State {
            began,
            listed: 0,
            total: 0,
            done: 0,
            rejected: 0,
            told,
            started: false,
            held: Vec::new(),
        };
        Self { teller: Teller::new(audience), state: Mutex::new(state) }
    }

    /// `rows` more were listed. Said only where listing takes long.
    fn listed(&self, rows: u64) {
        let mut state = self.lock();
        state.listed += rows;
        if state.told.unwrap_or(state.began).elapsed() >= LINE_EVERY {
            state.told = Some(Instant::now());
            self.say(&format!("{} listed", format::counted(state.listed, "input", "inputs")));
        }
    }

    /// A note, for whoever is told; a program's come behind `start`.
    fn note(&self, text: &str) {
        self.say(text);
        let event = json!({"event": "note", "text": text});
        if self.lock().started {
            self.event(event);
        } else if self.teller.audience == Audience::Program {
            self.lock().held.push(event);
        }
    }

    /// What is waited for. A program that has had no event yet would wait in silence.
    fn waits(&self, what: &str) {
        if self.lock().started || self.teller.audience != Audience::Program {
            self.note(what);
        } else {
            shown::say(what);
        }
    }

    /// The run has `total` rows to classify.
    pub fn start(&self, total: u64) {
        let held = {
            let mut state = self.lock();
            (state.total, state.began, state.told) = (total, Instant::now(), None);
            state.started = true;
            std::mem::take(&mut state.held)
        };
        self.teller.style(BAR);
        self.teller.bar.set_length(total);
        self.event(json!({"event": "start", "rows": total}));
        held.into_iter().for_each(|note| self.event(note));
    }

    /// `rows` more were written, `rejected` of them without a label.
    pub fn advance(&self, rows: u64, rejected: u64) {
        let mut state = self.lock();
        state.done += rows;
        state.rejected += rejected;
        let elapsed = state.began.elapsed().as_secs_f64();
        let rate = if elapsed > 0.0 { state.done as f64 / elapsed } else { 0.0 };
        self.teller.bar.set_message(message(rate, state.rejected));
        self.teller.bar.set_position(state.done);

        let every =
            if self.teller.audience == Audience::Program { EVENT_EVERY } else { LINE_EVERY };
        let due = state.told.unwrap_or(state.began).elapsed() >= every;
        if !due || !self.teller.bar.is_hidden() {
            return;
        }
        state.told = Some(Instant::now());
        match self.teller.audience {
            Audience::Nobody => {}
            Audience::Program => self.event(json!({
                "event": "progress", "rows": state.done, "total": state.total,
                "rejected": state.rejected, "images_per_second": rate,
            })),
            Audience::Person => {
                let left = state.total.saturating_sub(state.done) as f64 / rate.max(1e-9);
                self.say(&format!(
                    "{} of {} · {rate:.0} images/s · {} rejected · {} left",
                    format::count(state.done),
                    format::count(state.total),
                    format::count(state.rejected),
                    format::duration(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)),
                ));
            }
        }
    }

    /// Something the person should know while the run goes on.
    pub fn say(&self, message: &str) {
        self.teller.say(message);
    }

    /// Something a program should know.
    pub fn event(&self, event: Value) {
        self.teller.event(event);
    }

    /// The run is over: clears the bar. One that did not begin has its notes all the same.
    pub fn finish(&self) {
        let held = std::mem::take(&mut self.lock().held);
        held.into_iter().for_each(|note| self.event(note));
        self.teller.finish();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a bar of a million cutouts, with room for the bar beside them.
    #[test]
    fn a_bar_fits_sixty_columns() {
        let words = BAR.replace("{wide_bar}", "").replace("{human_pos}", "1,234,567");
        let words = words.replace("{human_len}", "1,234,567").replace("{eta}", "59m");
        let usual = words.replace("{msg}", &message(322.4, 0)).chars().count();
        let rejecting = words.replace("{msg}", &message(322.4, 123)).chars().count();
        assert!(usual <= 40 && rejecting <= 56, "{usual} {rejecting}");
    }
}
