//! What a worker is, and the graph that runs them.

use std::{
    any::Any,
    fmt, io,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;

use super::{
    link::{Outlet, Stopped, receive},
    meter::{Meter, StageReport, Weigh},
    stop::Stop,
    threads,
};

/// One worker of a stage: state of its own, items in, items out.
pub trait Stage {
    /// What it takes.
    type In;
    /// What it makes.
    type Out;
    /// What ends the run. (What is wrong with one item is a value in `Out`.)
    type Error;

    /// Works on one item, and sends what comes of it.
    ///
    /// # Errors
    /// Ends the run. [`Stopped`] from a send is passed on as [`Ended`].
    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<Self::Error>>;

    /// Sends what is left when the stage before has ended. Not called when
    /// the run is stopped.
    ///
    /// # Errors
    /// As [`process`](Self::process).
    fn finish(&mut self, _out: &Outlet<Self::Out>) -> Result<(), Ended<Self::Error>> {
        Ok(())
    }
}

/// A stage that makes one item of each, by a function. See [`map`].
pub struct Map<F, In, Error> {
    function: F,
    item: PhantomData<fn(In) -> Error>,
}

/// A worker that makes one item of each with `function`.
pub fn map<F, In, Out, Error>(function: F) -> Map<F, In, Error>
where
    F: FnMut(In) -> Result<Out, Error>,
{
    Map { function, item: PhantomData }
}

impl<F, In, Out, Error> Stage for Map<F, In, Error>
where
    F: FnMut(In) -> Result<Out, Error>,
    Out: Weigh,
{
    type In = In;
    type Out = Out;
    type Error = Error;

    fn process(&mut self, item: In, out: &Outlet<Out>) -> Result<(), Ended<Error>> {
        let made = (self.function)(item).map_err(Ended::Failed)?;
        Ok(out.send(made)?)
    }
}

/// Why a worker leaves before its input ends.
#[derive(Debug)]
pub enum Ended<E> {
    /// The run is being stopped by somebody else.
    Stopped,
    /// This worker ends the run.
    Failed(E),
}

impl<E> From<Stopped> for Ended<E> {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Why a run did not finish.
#[derive(Debug)]
pub enum Failure<E> {
    /// A worker met an error that is not a single item's.
    Stage {
        /// Its stage.
        stage: &'static str,
        /// What it met.
        error: E,
    },
    /// A worker panicked: a bug.
    Panic {
        /// Its stage.
        stage: &'static str,
        /// The panic's message.
        message: String,
    },
    /// The system gave no thread: what is left of its memory or of the number
    /// of threads that it allows is too little.
    Thread {
        /// The stage.
        stage: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// Somebody asked for it ([`Stop::signal`] tells whether a signal did).
    Interrupted,
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage { error, .. } => write!(f, "{error}"),
            Self::Panic { stage, message } => {
                write!(f, "a worker of stage `{stage}` panicked: {message}")
            }
            Self::Thread { stage, source } => {
                write!(f, "no thread for the stage `{stage}`: {source}")
            }
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Failure<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stage { error, .. } => error.source(),
            _ => None,
        }
    }
}

/// How a run ended and what its stages did.
#[derive(Debug)]
pub struct Outcome<E> {
    /// `Ok` if every item went all the way.
    pub result: Result<(), Failure<E>>,
    /// The stages in order.
    pub stages: Vec<StageReport>,
    /// From the first worker's start to the last one's end.
    pub elapsed: Duration,
}

/// The receiving end of a stage's channel, to hand to the next stage.
#[must_use = "a stage whose items nobody takes stops the run at once"]
pub struct Inlet<T>(Receiver<T>);

/// A line of stages about to run.
pub struct Graph<E> {
    stop: Stop,
    meters: Vec<Arc<Meter>>,
    bodies: Vec<(Arc<Meter>, Body<E>)>,
}

type Body<E> = Box<dyn FnOnce() -> Result<(), Ended<E>> + Send>;

impl<E: Send + 'static> Graph<E> {
    /// A graph that `stop` can end.
    pub fn new(stop: Stop) -> Self {
        Self { stop, meters: Vec::new(), bodies: Vec::new() }
    }

    fn meter(&mut self, name: &'static str, workers: usize) -> Arc<Meter> {
        let meter = Arc::new(Meter::new(name, workers));
        self.meters.push(Arc::clone(&meter));
        meter
    }

    /// The stage that items come from: one worker, which returns when there
    /// are no more.
    pub fn source<T: Weigh + Send + 'static>(
        &mut self,
        name: &'static str,
        capacity: usize,
        source: impl FnOnce(&Outlet<T>) -> Result<(), Ended<E>> + Send + 'static,
    ) -> Inlet<T> {
        let meter = self.meter(name, 1);
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        let outlet = Outlet::new(sender, self.stop.clone(), Arc::clone(&meter));
        self.bodies.push((meter, Box::new(move || source(&outlet))));
        Inlet(receiver)
    }

    /// A stage of `workers` threads, each with a worker that `make` builds.
    /// At most `capacity` of the items it made wait for the next stage.
    pub fn stage<S>(
        &mut self,
        name: &'static str,
        workers: usize,
        capacity: usize,
        inlet: Inlet<S::In>,
        mut make: impl FnMut() -> S,
    ) -> Inlet<S::Out>
    where
        S: Stage<Error = E> + Send + 'static,
        S::In: Send + 'static,
        S::Out: Weigh + Send + 'static,
    {
        let workers = workers.max(1);
        let meter = self.meter(name, workers);
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        for _ in 0..workers {
            let mut worker = make();
            let input = inlet.0.clone();
            let stop = self.stop.clone();
            let outlet = Outlet::new(sender.clone(), stop.clone(), Arc::clone(&meter));
            let counters = Arc::clone(&meter);
            let body = move || {
                while let Some(item) = receive(&input, &stop, &counters) {
                    counters.received();
                    worker.process(item, &outlet)?;
                }
                if stop.requested() { Err(Ended::Stopped) } else { worker.finish(&outlet) }
            };
            self.bodies.push((Arc::clone(&meter), Box::new(body)));
        }
        Inlet(receiver)
    }

    /// The stage where items end: one worker, so that it sees them in the
    /// order of its channel. `sink` is called with `None` once, after the
    /// last item, unless the run is stopped.
    pub fn sink<T: Send + 'static>(
        &mut self,
        name: &'static str,
        inlet: Inlet<T>,
        mut sink: impl FnMut(Option<T>) -> Result<(), E> + Send + 'static,
    ) {
        let meter = self.meter(name, 1);
        let stop = self.stop.clone();
        let counters = Arc::clone(&meter);
        let body = move || {
            while let Some(item) = receive(&inlet.0, &stop, &counters) {
                counters.received();
                sink(Some(item)).map_err(Ended::Failed)?;
            }
            if stop.requested() {
                return Err(Ended::Stopped);
            }
            sink(None).map_err(Ended::Failed)
        };
        self.bodies.push((meter, Box::new(body)));
    }

    /// Runs all workers to their end.
    pub fn run(self) -> Outcome<E> {
        let began = Instant::now();
        let failure = Arc::new(Mutex::new(None));
        let mut started = Vec::with_capacity(self.bodies.len());
        // Refused before the first starts, or by the system at any of them.
        let mut room = threads::room_for(self.bodies.len());
        for (meter, body) in self.bodies {
            let stop = self.stop.clone();
            let first_failure = Arc::clone(&failure);
            let stage = meter.name();
            let run = move || {
                let began = Instant::now();
                let result = catch_unwind(AssertUnwindSafe(body));
                meter.ended(began.elapsed());
                let failed = match result {
                    Ok(Ok(())) | Ok(Err(Ended::Stopped)) => return,
                    Ok(Err(Ended::Failed(error))) => Failure::Stage { stage, error },
                    Err(panic) => Failure::Panic { stage, message: panic_message(&*panic) },
                };
                // The first one tells; what fails after it fails because of it.
                first_failure.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(failed);
                stop.request();
            };
            let thread =
                std::mem::replace(&mut room, Ok(())).and_then(|()| threads::start(stage, run));
            match thread {
                Ok(thread) => started.push(thread),
                Err(source) => {
                    failure
                        .lock()
                        .unwrap_or_else(|e| e.into_inner())
                        .get_or_insert(Failure::Thread { stage, source });
                    self.stop.request();
                    break;
                }
            }
        }
        for thread in started {
            // The body's panics are caught inside; nothing is left to report.
            let _ = thread.join();
        }
        let failed = failure.lock().unwrap_or_else(|e| e.into_inner()).take();
        let result = match failed {
            Some(failure) => Err(failure),
            None if self.stop.requested() => Err(Failure::Interrupted),
            None => Ok(()),
        };
        Outcome {
            result,
            stages: self.meters.iter().map(|m| m.report()).collect(),
            elapsed: began.elapsed(),
        }
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::pipeline::{Resequencer, Sequenced, Window};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Broken(&'static str);

    impl Weigh for u64 {
        fn weight(&self) -> usize {
            8
        }
    }

    /// Doubles numbers, the odd ones slowly, and misbehaves at 13 if asked.
    #[derive(Clone, Copy)]
    enum Double {
        Well,
        Failing,
        Panicking,
    }

    impl Stage for Double {
        type In = Sequenced<u64>;
        type Out = Sequenced<u64>;
        type Error = Broken;

        fn process(
            &mut self,
            item: Self::In,
            out: &Outlet<Self::Out>,
        ) -> Result<(), Ended<Broken>> {
            if item.item % 7 == 1 {
                thread::sleep(Duration::from_millis(1));
            }
            if item.item == 13 {
                match self {
                    Self::Well => {}
                    Self::Failing => return Err(Ended::Failed(Broken("unlucky"))),
                    Self::Panicking => panic!("out of luck"),
                }
            }
            Ok(out.send(item.map(|n| 2 * n))?)
        }
    }

    /// Runs `0..count` through `workers` doublers; what came out, in order.
    fn run(stop: &Stop, count: u64, workers: usize, double: Double) -> (Outcome<Broken>, Vec<u64>) {
        let mut graph = Graph::new(stop.clone());
        let window = Window::new(16);
        let places = window.clone();
        let numbers = graph.source("count", 2, move |out| {
            for sequence in 0..count {
                places.enter(out)?;
                out.send(Sequenced { sequence, item: sequence })?;
            }
            Ok(())
        });
        let doubled = graph.stage("double", workers, 2, numbers, || double);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&seen);
        let mut resequencer = Resequencer::new();
        graph.sink("collect", doubled, move |item| {
            if let Some(item) = item {
                resequencer.push(item);
            }
            while let Some(number) = resequencer.pop() {
                window.leave(1);
                out.lock().unwrap().push(number);
            }
            Ok(())
        });
        let outcome = graph.run();
        let seen = seen.lock().unwrap().clone();
        (outcome, seen)
    }

    #[test]
    fn every_item_arrives_in_order_with_any_number_of_workers() {
        for workers in [1, 2, 8] {
            let (outcome, seen) = run(&Stop::new(), 500, workers, Double::Well);
            outcome.result.unwrap();
            assert_eq!(seen, (0..500).map(|n| 2 * n).collect::<Vec<_>>());
            let stages = outcome.stages;
            assert_eq!(stages.iter().map(|s| s.items_in).collect::<Vec<_>>(), [0, 500, 500]);
            assert_eq!(stages.iter().map(|s| s.items_out).collect::<Vec<_>>(), [500, 500, 0]);
        }
    }

    #[test]
    fn an_error_names_its_stage_and_keeps_what_came_before_in_order() {
        let (outcome, seen) = run(&Stop::new(), 1_000_000, 4, Double::Failing);
        assert!(
            matches!(&outcome.result, Err(Failure::Stage { stage: "double", error }) if error.0 == "unlucky"),
            "{:?}",
            outcome.result
        );
        assert!(seen.len() <= 13, "13 failed, nothing after it may leave");
        assert!(seen.iter().zip(0..).all(|(a, b)| *a == 2 * b));
    }

    #[test]
    fn a_panic_ends_the_run_and_not_the_process() {
        let (outcome, _) = run(&Stop::new(), 1_000_000, 4, Double::Panicking);
        assert!(
            matches!(&outcome.result, Err(Failure::Panic { stage: "double", message }) if message == "out of luck")
        );
    }

    #[test]
    fn a_stop_wakes_stages_that_block() {
        let stop = Stop::new();
        let mut graph: Graph<Broken> = Graph::new(stop.clone());
        let produced = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&produced);
        let numbers = graph.source("count", 1, move |out| {
            for n in 0u64.. {
                out.send(n)?;
                counter.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let stopper = stop.clone();
        graph.sink("stuck", numbers, move |_| {
            thread::sleep(Duration::from_millis(20));
            stopper.interrupt(15);
            Ok(())
        });
        let outcome = graph.run();
        assert!(matches!(outcome.result, Err(Failure::Interrupted)));
        assert_eq!(stop.signal(), Some(15));
        assert!(produced.load(Ordering::SeqCst) <= 4, "the channel bounds what is made");
    }

    #[test]
    fn the_window_bounds_what_overtakes_a_slow_item() {
        let stop = Stop::new();
        let mut graph: Graph<Broken> = Graph::new(stop);
        let window = Window::new(4);
        let places = window.clone();
        let numbers = graph.source("count", 1, move |out| {
            for sequence in 0..100 {
                places.enter(out)?;
                out.send(Sequenced { sequence, item: sequence })?;
            }
            Ok(())
        });
        struct SlowFirst;
        impl Stage for SlowFirst {
            type In = Sequenced<u64>;
            type Out = Sequenced<u64>;
            type Error = Broken;
            fn process(
                &mut self,
                item: Self::In,
                out: &Outlet<Self::Out>,
            ) -> Result<(), Ended<Broken>> {
                if item.sequence == 0 {
                    thread::sleep(Duration::from_millis(50));
                }
                Ok(out.send(item)?)
            }
        }
        let items = graph.stage("slow first", 3, 1, numbers, || SlowFirst);
        let mut held = 0;
        let mut resequencer = Resequencer::new();
        graph.sink("collect", items, move |item| {
            if let Some(item) = item {
                held += 1;
                resequencer.push(item);
            }
            assert!(held <= 4, "{held} items wait for the first");
            while resequencer.pop().is_some() {
                held -= 1;
                window.leave(1);
            }
            Ok(())
        });
        graph.run().result.unwrap();
    }
}
