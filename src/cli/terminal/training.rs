//! Progress of a training run: a bar within an epoch and a line after each, or
//! JSON lines for programs, or nothing.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::audience::{Audience, Teller};
use super::format;
use crate::events::{Epoch, Event, Listener, TrainingEvent};

/// How often a line is written within an epoch where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Told of batches and epochs; tells the audience.
pub struct TrainingProgress {
    teller: Teller,
    state: Mutex<State>,
}

struct State {
    /// When this process began to learn.
    began: Instant,
    /// Pixels learned since then, and those that are left at most.
    done: f64,
    left: f64,
    /// The epoch at hand: its title, images done and in all, when it began
    /// here.
    title: String,
    images: (u64, u64),
    told: Instant,
}

impl Listener for TrainingProgress {
    fn tell(&self, event: Event<'_>) {
        let event = match event {
            Event::Note(note) | Event::Waiting(note) => return self.say(note),
            Event::Training(event) => event,
            _ => return,
        };
        match event {
            TrainingEvent::Model { pixels } => self.start(pixels),
            TrainingEvent::Epoch { model, epoch, epochs, size, done, images } => {
                self.epoch(model, epoch, epochs, size, done, images);
            }
            TrainingEvent::Batch { images, pixels, loss, rate } => {
                self.batch(images, pixels, loss, rate);
            }
            TrainingEvent::Skipped { pixels } => self.skip(pixels),
            TrainingEvent::Judged { epoch, epochs } => self.epoch_done(epoch, epochs),
        }
    }
}

impl TrainingProgress {
    /// Of a run that has not begun.
    pub fn new(audience: Audience) -> Self {
        let teller = Teller::new(audience);
        teller.style("{prefix} {wide_bar} {pos}/{len} · {msg}");
        let now = Instant::now();
        let state = State {
            began: now,
            done: 0.0,
            left: 0.0,
            title: String::new(),
            images: (0, 0),
            told: now,
        };
        Self { teller, state: Mutex::new(state) }
    }

    /// A model's learning begins: `pixels` are ahead, over its epochs and the
    /// models after it.
    fn start(&self, pixels: f64) {
        let mut state = self.lock();
        (state.began, state.done, state.left) = (Instant::now(), 0.0, pixels);
    }

    /// An epoch (from 1) of `epochs` begins or goes on: `done` of its `images`
    /// are learned.
    fn epoch(&self, model: &str, epoch: u32, epochs: u32, size: usize, done: u64, images: u64) {
        let title = format!("{model} epoch {epoch}/{epochs} {size} px");
        self.teller.bar.set_prefix(title.clone());
        self.teller.bar.set_length(images);
        self.teller.bar.set_position(done);
        let mut state = self.lock();
        state.title = title;
        state.images = (done, images);
        state.told = Instant::now();
    }

    /// A batch of `images` was learned, `pixels` in all; `loss` and `rate`
    /// (images a second) are the epoch's so far.
    fn batch(&self, images: u64, pixels: f64, loss: f64, rate: f64) {
        let mut state = self.lock();
        state.images.0 += images;
        state.done += pixels;
        state.left = (state.left - pixels).max(0.0);
        let left = state.time_left();
        self.teller.bar.set_message(format!("loss {loss:.3} · {rate:.0}/s · {left}"));
        self.teller.bar.set_position(state.images.0);
        if !self.teller.bar.is_hidden() || state.told.elapsed() < LINE_EVERY {
            return;
        }
        state.told = Instant::now();
        let (done, of) = state.images;
        match self.teller.audience {
            Audience::Nobody => {}
            Audience::Program => self.event(json!({
                "event": "progress", "epoch": state.title, "images": done, "of": of,
                "loss": loss, "images_per_second": rate,
            })),
            Audience::Person => self.say(&format!(
                "{}: {} of {} images · loss {loss:.4} · {rate:.1} images/s · {left}",
                state.title,
                format::count(done),
                format::count(of),
            )),
        }
    }

    /// `pixels` that were ahead will not be learned.
    fn skip(&self, pixels: f64) {
        let mut state = self.lock();
        state.left = (state.left - pixels).max(0.0);
    }

    /// An epoch was learned and judged.
    fn epoch_done(&self, epoch: &Epoch, epochs: u32) {
        let left = self.lock().time_left();
        let mut recall = String::new();
        for (class, value) in &epoch.recall {
            // Writing to a string cannot fail.
            let _ = write!(recall, " {class} {value:.3}");
        }
        self.say(&format!(
            "{} epoch {}/{epochs} {} px · loss {:.4} (train {:.4}) · accuracy {:.4} (train {:.4}) \
             · recall{recall} · {:.1} images/s · {left}",
            epoch.model,
            epoch.epoch,
            epoch.size,
            epoch.val_loss,
            epoch.train_loss,
            epoch.val_accuracy,
            epoch.train_accuracy,
            epoch.images_per_s,
        ));
        self.event(json!({"event": "epoch", "epochs": epochs, "epoch": epoch}));
    }

    /// Something the person should know while the run goes on.
    pub fn say(&self, message: &str) {
        self.teller.say(message);
    }

    /// Something a program should know.
    pub fn event(&self, event: Value) {
        self.teller.event(event);
    }

    /// The run is over: clears the bar.
    pub fn finish(&self) {
        self.teller.finish();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl State {
    /// What is left at the rate of this process. Early stopping may make it
    /// less.
    fn time_left(&self) -> String {
        let rate = self.done / self.began.elapsed().as_secs_f64().max(1e-9);
        match Duration::try_from_secs_f64(self.left / rate) {
            Ok(left) if self.done > 0.0 => format!("at most {} left", format::duration(left)),
            _ => "time left not known yet".into(),
        }
    }
}
