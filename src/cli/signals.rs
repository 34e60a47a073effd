//! SIGINT, SIGTERM and SIGHUP: the first asks the run to stop in order, one that comes
//! later ends the process at once; within a second of the first it is the same request,
//! which reached the process in two ways (from its parent, and as one of a group or of a
//! job). SIGXFSZ, by which a limit on the size of
//! files (`ulimit -f`) ends a process, is an error of the write instead.

use std::fs;
use std::sync::{Arc, atomic::AtomicBool};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    iterator::Signals,
    low_level,
};

use crate::pipeline::Stop;

/// Signals within so long of the first ask for the same.
const SAME_REQUEST: Duration = Duration::from_secs(1);

/// Stops `stop` on a signal, from a thread that lives as long as the process.
///
/// # Errors
/// The system's, if handlers cannot be set.
pub fn stop_on_signal(stop: Stop) -> std::io::Result<()> {
    let mut signals = Signals::new(wanted())?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match first {
                None => first = Some(Instant::now()),
                Some(first) if first.elapsed() < SAME_REQUEST => continue,
                // Atomic files make this safe at any moment.
                Some(_) => low_level::exit(128 + signal),
            }
            stop.interrupt(signal);
        }
    })?;
    Ok(())
}

/// The signals that ask for a stop.
pub fn wanted() -> Vec<i32> {
    let mut wanted = vec![SIGINT, SIGTERM];
    // `nohup` ignores it for this process, and those that it starts: so it stays.
    if !is_ignored(SIGHUP, &fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        wanted.push(SIGHUP);
    }
    wanted
}

/// Lets a write beyond the limit of a file's size fail, rather than end the
/// process.
///
/// # Errors
/// The system's, if a handler cannot be set.
pub fn survive_file_limits() -> std::io::Result<()> {
    flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Whether a signal was ignored when the process began, by what the system says
/// of it (`/proc/self/status`).
fn is_ignored(signal: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_told_from_the_mask() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t1\n";
        assert!(is_ignored(SIGHUP, status) && is_ignored(libc::SIGPIPE, status));
        assert!(!is_ignored(SIGTERM, status) && !is_ignored(SIGHUP, ""));
    }
}
