//! Trying again what fails for a moment.
//!
//! Disks, network file systems and systems with many open files refuse a read
//! and grant the next. What stays refused is for the caller to say.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

use tracing::info;

/// How long to wait before each further attempt. Short: a disk that has gone
/// fails every read, and there may be millions.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// Makes an attempt, and two more while what fails may pass.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for pause in PAUSES {
        match attempt() {
            Err(error) if may_pass(&error) => {
                info!("tried again after {pause:?}: {error}");
                thread::sleep(pause);
            }
            answer => return answer,
        }
    }
    attempt()
}

/// Whether an error is one that systems get over.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let kinds = [
        ErrorKind::ConnectionReset,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkDown,
        ErrorKind::NetworkUnreachable,
        ErrorKind::StaleNetworkFileHandle,
        ErrorKind::TimedOut,
        ErrorKind::WouldBlock,
    ];
    kinds.contains(&error.kind()) || matches!(error.raw_os_error(), Some(EIO | ENFILE | EMFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_three_times_and_the_rest_once() {
        let tries = |errno: i32, granted: u32| {
            let mut tries = 0;
            let answer = patiently(|| {
                tries += 1;
                if tries == granted { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
            });
            (tries, answer.is_ok())
        };
        let (eio, enoent, estale) = (5, 2, 116);
        assert_eq!(tries(eio, 3), (3, true));
        assert_eq!(tries(estale, 2), (2, true));
        assert_eq!(tries(eio, 9), (3, false));
        assert_eq!(tries(enoent, 2), (1, false));
    }
}
