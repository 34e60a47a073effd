//! `-v` and `-vv`: what a person debugs with, on standard error.
//!
//! The library tells it through `tracing`; nothing is listened to unless it is
//! asked for, and what nobody listens to costs a look at one number.

use std::io;

use super::terminal::shown::Escaping;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::time::uptime;

/// Whether somebody wants to know more than how it went.
pub(super) fn is_on() -> bool {
    LevelFilter::current() >= LevelFilter::INFO
}

/// Begins to write what is decided (1: device, engine, precision, what is passed
/// over or tried again) or all that is done (2 and more), once a process.
pub(super) fn start(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Escaping(io::stderr()))
        .with_ansi(false)
        .with_target(false)
        .with_timer(uptime());
    // A second call finds the first one's in place: as good.
    let _ = lines.try_init();
}
