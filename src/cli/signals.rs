//! SIGINT and SIGTERM: the first asks the run to stop in order, the second
//! ends the process at once.

use std::thread;

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level,
};

use crate::pipeline::Stop;

/// Stops `stop` on a signal, from a thread that lives as long as the process.
///
/// # Errors
/// The system's, if handlers cannot be set.
pub fn stop_on_signal(stop: Stop) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if stop.signal().is_some() {
                // Atomic files make this safe at any moment.
                low_level::exit(128 + signal);
            }
            stop.interrupt(signal);
        }
    })?;
    Ok(())
}
