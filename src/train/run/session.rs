//! One model of a run, from where it is to its end: epochs of steps, each
//! followed by validation, with checkpoints after every epoch and every few
//! minutes. Where features are kept an epoch takes a moment, and there is a checkpoint
//! every few minutes and at the end alone.
//!
//! Invariant: a checkpoint is written at the boundary of a step, and going on
//! from it is going on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::feed::{Feed, Shot, View};
use super::initial::Initial;
use super::judge::{self, Judgement};
use super::kept::Prepared;
use super::learner::{Learner, Seen};
use super::plan::Plan;
use super::state::{Best, State};
use super::{Run, TrainError, checkpoint, ended, finish, kept};
use crate::events::TrainingEvent;
use crate::model::saved_weights;
use crate::model::weights::Weights;
use crate::pipeline::Graph;
use crate::train::history::Epoch;
use crate::train::recipe::Phase;
use crate::train::targets;
use crate::tree::arg_max;

/// How often epochs of a moment are told.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// A model being trained.
struct Session {
    run: Arc<Run>,
    plan: Arc<Plan>,
    learner: Learner,
    state: State,
    /// Epochs of the models before it.
    others: Vec<Epoch>,
    /// The best epochs' weights that are on no disk yet.
    pending: Vec<(Best, Weights)>,
    /// Pixels that the models after it will learn.
    later: f64,
    /// When an epoch was told.
    told: Option<Instant>,
    /// The last checkpoint, once there is one, and when it was written.
    saved: (Option<PathBuf>, Instant),
    /// When the last step ended.
    mark: Instant,
    targets: Vec<f32>,
}

/// Trains a model until nothing is left to learn or the run is stopped;
/// `earlier` are the models before it, and `later` the pixels that those after
/// it will learn.
///
/// # Errors
/// [`TrainError`]; what is on disk is good to go on from.
pub fn train(
    run: &Arc<Run>,
    plan: &Arc<Plan>,
    earlier: &[State],
    later: f64,
) -> Result<State, TrainError> {
    let name = &plan.model.name;
    let path = run.folder.last(name);
    let found = if path.exists() {
        Some(checkpoint::read(&path, run.folder.digest(), name)?)
    } else {
        None
    };
    if let Some((state, _)) = &found
        && state.finished
    {
        return Ok(state.clone());
    }
    let mut session = Session::new(run, plan, earlier, later)?;
    if let Some((state, snapshot)) = found {
        session.learner.restore(snapshot)?;
        run.note(&format!(
            "{name} goes on after epoch {}, step {} of the next",
            state.epoch, state.step
        ));
        (session.state, session.saved.0) = (state, Some(path));
    }
    let State { epoch, step, .. } = session.state;
    run.tell(TrainingEvent::Model { pixels: plan.pixels_after(epoch, step) + later });
    let epochs = plan.training.epochs();
    let session = Arc::new(Mutex::new(session));
    loop {
        let epoch = lock(&session).state.epoch;
        let Some((place, phase)) = plan.training.phase(epoch) else { break };
        if !learn(&session, run, plan, phase, epochs)? {
            break;
        }
        let mut session = lock(&session);
        if !session.judge(place, phase, epochs)? || session.state.finished {
            break;
        }
    }
    let mut session = lock(&session);
    if run.stop.requested() && !session.state.finished {
        session.save()?;
    }
    Ok(session.state.clone())
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(|e| e.into_inner())
}

/// Learns what is left of the epoch; whether it came to its end.
fn learn(
    session: &Arc<Mutex<Session>>,
    run: &Arc<Run>,
    plan: &Arc<Plan>,
    phase: Phase,
    epochs: u32,
) -> Result<bool, TrainError> {
    let (shots, batches) = {
        let mut session = lock(session);
        let State { epoch, step, .. } = session.state;
        session.mark = Instant::now();
        let done = session.state.sums.images;
        let name = &plan.model.name;
        run.tell(TrainingEvent::Epoch {
            model: name,
            epoch: epoch + 1,
            epochs,
            size: phase.size,
            done,
            images: plan.images(),
        });
        plan.epoch(epoch, step)
    };
    if run.keeps {
        // Where no step is left, the features that validation needs still are.
        return learn_kept(session, run, plan, phase.size, (&shots, &batches));
    }
    if shots.is_empty() {
        return Ok(!run.stop.requested());
    }
    let feed = Feed {
        images: Arc::clone(&run.data.train),
        shots,
        batches,
        view: View::Augmented {
            recipe: Arc::new(run.recipe.augmentation.clone()),
            seed: plan.seed,
            epoch: lock(session).state.epoch,
            views: plan.training.views,
        },
        size: phase.size,
    };
    let mut graph = Graph::new(run.stop.clone());
    let (batches, window) = feed.extend(&mut graph, &run.data);
    let learning = Arc::clone(session);
    graph.sink("learn", batches, move |batch| {
        let Some(batch) = batch else { return Ok(()) };
        let count = batch.item.outputs.len();
        let seen = Seen::Pictures(&batch.item.pixels, phase.size);
        lock(&learning).learn(&seen, &batch.item.outputs, phase.size)?;
        window.leave(count);
        Ok(())
    });
    ended(graph.run())
}

/// The same from features that are kept.
fn learn_kept(
    session: &Arc<Mutex<Session>>,
    run: &Arc<Run>,
    plan: &Plan,
    size: usize,
    (mut shots, batches): (&[Shot], &[usize]),
) -> Result<bool, TrainError> {
    let mut session = lock(session);
    match session.on_features().prepare(run, plan, size)? {
        None => return Ok(false),
        Some(Prepared::Already) => {}
        Some(Prepared::Now) => {
            // To compute features is not to learn: what is left is told from here on.
            let State { epoch, step, .. } = session.state;
            let pixels = plan.pixels_after(epoch, step) + session.later;
            run.tell(TrainingEvent::Model { pixels });
        }
    }
    session.mark = Instant::now();
    for &count in batches {
        if run.stop.requested() {
            return Ok(false);
        }
        let (batch, rest) = shots.split_at(count);
        shots = rest;
        let epoch = session.state.epoch;
        let features = session.on_features().batch(plan, epoch, batch);
        let images: Vec<usize> = batch.iter().map(|shot| shot.output).collect();
        session.learn(&Seen::Features(&features), &images, size)?;
    }
    Ok(true)
}

impl Session {
    fn new(
        run: &Arc<Run>,
        plan: &Arc<Plan>,
        earlier: &[State],
        later: f64,
    ) -> Result<Self, TrainError> {
        let from_earlier = match &plan.model.starts_from {
            Some(name) => Some(best(run, earlier, name)?),
            None => None,
        };
        let initial = from_earlier.as_ref().unwrap_or(&run.initial);
        let weights = initial.weights(&run.architecture, &plan.model, plan.seed)?;
        let learner = Learner::open(
            &run.recipe,
            &plan.model,
            &run.architecture,
            weights,
            (run.freeze, run.keeps),
            (run.device, run.precision),
        )?;
        let now = Instant::now();
        Ok(Self {
            run: Arc::clone(run),
            plan: Arc::clone(plan),
            learner,
            others: earlier.iter().flat_map(|state| state.history.clone()).collect(),
            pending: Vec::new(),
            later,
            told: None,
            state: State::new(run.folder.digest(), &plan.model.name, &plan.training),
            saved: (None, now),
            mark: now,
            targets: Vec::new(),
        })
    }

    /// The classifier, where features are kept.
    fn on_features(&mut self) -> &mut kept::OnFeatures {
        match &mut self.learner {
            Learner::Classifier(own) => own,
            Learner::Network(_) => unreachable!("features are kept"),
        }
    }

    /// One step on what is seen of training `images`, `size` pixels a side, and a
    /// checkpoint if it is time for one.
    fn learn(&mut self, seen: &Seen<'_>, images: &[usize], size: usize) -> Result<(), TrainError> {
        let Self { run, plan, learner, state, .. } = self;
        let outputs = plan.model.outputs.len();
        let count = images.len();
        self.targets.resize(count * outputs, 0.0);
        let smoothing = plan.training.smoothing;
        if plan.model.votes.is_some() {
            let votes = judge::votes(&run.data.train, images.iter().copied());
            targets::of_votes(&votes, &plan.model.ranges(), smoothing, &mut self.targets);
        } else {
            let own: Vec<usize> = images.iter().map(|&image| plan.output(image)).collect();
            targets::smoothed(&own, outputs, smoothing, &mut self.targets);
            let soft = judge::votes(&run.data.train, images.iter().copied());
            for (soft, row) in soft.into_iter().zip(self.targets.chunks_exact_mut(outputs)) {
                // None of an image that the teacher does not know.
                let of = |own: &Vec<usize>| own.iter().filter_map(|&c| soft.get(c)).sum::<f32>();
                let of: Vec<f32> = plan.classes.iter().map(of).collect();
                let sum: f32 = of.iter().sum();
                if sum > 0.0 {
                    row.iter_mut().zip(of).for_each(|(target, p)| *target = p / sum);
                }
            }
        }
        let step = u64::from(state.epoch) * plan.steps() + state.step;
        let rate = rate(plan, step);
        let seed = plan.dropout_seed(step);
        let targets = &self.targets;
        let output = run.pool.install(|| learner.step(seen, targets, rate, seed))?;
        if !output.loss.is_finite() {
            let step = self.state.step + 1;
            return Err(self.diverged("the loss is", step));
        }
        let (correct, known) = if plan.model.votes.is_some() {
            // Of the first question, which is asked of every galaxy or nearly.
            let first = plan.model.ranges()[0].clone();
            let rows = output.logits.chunks_exact(outputs).zip(targets.chunks_exact(outputs));
            let own = rows.map(|(row, votes)| (&row[first.clone()], &votes[first.clone()]));
            let known: Vec<_> = own.filter(|(_, votes)| votes.iter().any(|v| *v > 0.0)).collect();
            let right = known.iter().filter(|(row, votes)| arg_max(row) == arg_max(votes)).count();
            (right, known.len())
        } else {
            let rows = output.logits.chunks_exact(outputs).zip(images);
            (rows.filter(|(row, image)| arg_max(row) == plan.output(**image)).count(), count)
        };
        let now = Instant::now();
        let sums = &mut state.sums;
        sums.images += count as u64;
        sums.correct += correct as u64;
        sums.unknown += (count - known) as u64;
        sums.loss += output.loss * count as f64;
        sums.seconds += (now - self.mark).as_secs_f64();
        self.mark = now;
        state.step += 1;
        let pixels = (count * size * size) as f64;
        run.tell(TrainingEvent::Batch {
            images: count as u64,
            pixels,
            loss: state.sums.mean_loss(),
            rate: state.sums.rate(),
        });
        if self.saved.1.elapsed() >= self.run.checkpoint_every {
            self.save()?;
        }
        Ok(())
    }

    /// Validation, and the end of the epoch; whether it was not interrupted.
    fn judge(&mut self, place: usize, phase: Phase, epochs: u32) -> Result<bool, TrainError> {
        if !self.learner.is_finite()? {
            return Err(self.diverged("the weights are", self.state.step));
        }
        let (run, plan) = (Arc::clone(&self.run), Arc::clone(&self.plan));
        let began = Instant::now();
        let weights = self.learner.judged()?;
        let outputs = plan.model.outputs.len();
        let logits = match &self.learner {
            Learner::Classifier(own) => Some(kept::classified(&run, &weights, own.val(), outputs)?),
            Learner::Network(_) => judge::logits(&run, &weights, &plan.val, outputs, phase.size)?,
        };
        let Some(logits) = logits else { return Ok(false) };
        assert_eq!(logits.len(), plan.val.len() * outputs, "a row for every validation image");
        let smoothing = plan.training.smoothing;
        let found = match plan.model.votes {
            None => Judgement::new(&plan.model, smoothing, &plan.val, &logits),
            Some(_) => Judgement::of_votes(&run, &plan.model, &plan.val, &logits)?,
        };

        let state = &mut self.state;
        let sums = std::mem::take(&mut state.sums);
        let first = u64::from(state.epoch) * plan.steps();
        let epoch = Epoch {
            model: plan.model.name.clone(),
            epoch: state.epoch + 1,
            size: phase.size,
            learning_rate: rate(&plan, first),
            train_loss: sums.mean_loss(),
            train_accuracy: sums.accuracy(),
            val_loss: found.loss,
            val_accuracy: found.accuracy,
            images_per_s: sums.rate(),
            seconds: sums.seconds + began.elapsed().as_secs_f64(),
            recall: found.recall,
        };
        (state.epoch, state.step) = (epoch.epoch, 0);
        let candidate = Best {
            epoch: epoch.epoch,
            phase: place,
            accuracy: epoch.val_accuracy,
            loss: epoch.val_loss,
        };
        let last_phase = place + 1 == plan.training.phases.len();
        let enough = last_phase && state.stopping.observe(epoch.val_loss, epoch.val_accuracy);
        state.finished = enough || state.epoch >= epochs;
        if enough {
            run.tell(TrainingEvent::Skipped { pixels: plan.pixels_after(state.epoch, 0) });
        }
        if state.rank(candidate.clone(), plan.training.keep) {
            self.pending.push((candidate, weights));
        }
        let best = &state.best;
        self.pending.retain(|(pending, _)| best.iter().any(|best| best.epoch == pending.epoch));
        let often = run.keeps && !state.finished;
        if !often || self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            run.tell(TrainingEvent::Judged { epoch: &epoch, epochs });
            self.told = Some(Instant::now());
        }
        state.history.push(epoch);
        if !often || self.saved.1.elapsed() >= run.checkpoint_every {
            self.save()?;
        }
        Ok(true)
    }

    /// A checkpoint, with all that it speaks of.
    fn save(&mut self) -> Result<(), TrainError> {
        if !self.learner.is_finite()? {
            return Err(self.diverged("the weights are", self.state.step));
        }
        let (run, name) = (Arc::clone(&self.run), self.plan.model.name.clone());
        for (best, weights) in self.pending.drain(..) {
            let description = saved_weights::Description {
                architecture: run.architecture.clone(),
                outputs: self.plan.model.outputs.clone(),
                model: name.clone(),
                epoch: best.epoch,
                accuracy: best.accuracy,
                run: run.folder.digest().to_owned(),
                input: Some(finish::input(&run)),
            };
            saved_weights::write(&run.folder.kept(&name, best.epoch), &description, &weights)?;
        }
        let path = run.folder.last(&name);
        checkpoint::write(&path, &self.state, self.learner.snapshot()?)?;
        // Between epochs, what they came to is told with it.
        if self.state.step == 0 {
            let history: Vec<Epoch> =
                self.others.iter().chain(&self.state.history).cloned().collect();
            run.folder.drop_others(&name, &self.state.best)?;
            run.folder.write_history(&history, &run.outputs())?;
        }
        self.saved = (Some(path), Instant::now());
        // Writing is not learning.
        self.mark = self.saved.1;
        Ok(())
    }

    fn diverged(&self, what: &'static str, step: u64) -> TrainError {
        TrainError::Diverged {
            model: self.plan.model.name.clone(),
            what,
            epoch: self.state.epoch + 1,
            step,
            checkpoint: self.saved.0.clone(),
        }
    }
}

/// The best epoch of an earlier model, to start from.
fn best(run: &Run, earlier: &[State], name: &str) -> Result<Initial, TrainError> {
    let best = earlier.iter().find(|state| state.model == name).and_then(|s| s.best.first());
    let path = run.folder.kept(name, best.map_or(0, |best| best.epoch));
    match saved_weights::read(&path)?.filter(|kept| kept.description.run == run.folder.digest()) {
        Some(kept) => Ok(Initial::SavedWeights(Box::new(kept), path)),
        None => Err(TrainError::Checkpoint { path, what: "not weights of this run".into() }),
    }
}

/// The learning rate of a step, counted from 0 over all epochs.
fn rate(plan: &Plan, step: u64) -> f64 {
    let base = plan.training.optimiser.learning_rate();
    plan.training.schedule.rate(base, step, plan.steps())
}
