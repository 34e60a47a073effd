//! The engine: stages of workers joined by bounded channels.
//!
//! A [`Graph`] is a line of stages. The first is a source, the last a sink,
//! each in between has any number of workers, and every arrow is a bounded
//! channel: a slow stage holds up those before it, so that memory is bounded
//! by capacities and not by the size of the archive. The engine spawns,
//! links, measures and shuts down; it knows nothing of galaxies, and the
//! stages know nothing of threads.
//!
//! - [`stage`]: what a worker is, and the graph that runs them.
//! - [`link`]: channels that can be stopped while they block.
//! - [`meter`]: what each stage did and waited for; names the bottleneck.
//! - [`order`]: sequence numbers, the window of items in flight, the
//!   resequencer.
//! - [`stop`]: how a run ends early, in order.
//! - [`threads`]: threads, where the process may have them.
//!
//! Invariant: when [`Graph::run`] returns, every thread it started has ended,
//! whether the run finished, failed, panicked or was interrupted.

pub mod link;
pub mod memory;
pub mod meter;
pub mod order;
pub mod stage;
pub mod stop;
pub mod threads;

pub use link::{Outlet, Stopped};
pub use meter::{Meter, StageReport, Weigh, bottleneck};
pub use order::{Resequencer, Sequenced, Window};
pub use stage::{Ended, Failure, Graph, Inlet, Outcome, Stage, map};
pub use stop::Stop;
