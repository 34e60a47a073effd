//! Threads, asked for only where the process may have them.
//!
//! Where the address space of a process is limited, a thread that gets its
//! stack and then finds no room for the small stack of its signal handlers
//! ends the process (the standard library aborts there). So what many threads
//! take is compared with what is left before the first of them starts, and again
//! before each; one that the system refuses on its own is an error as ever.

use std::io;
use std::thread::{self, JoinHandle};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::memory;

/// What a thread takes of the address space: the stack that the standard
/// library gives it, and its signal stack, guards and first allocations.
const A_THREAD: u64 = (2 << 20) + (64 << 10);

/// What must be left for everything else: more than the allocator may reserve
/// at once between the look and the start.
const SPARE: u64 = 96 << 20;

/// What to do where threads are refused.
pub(crate) const REFUSED: &str = "the memory or the number of threads that this process may have \
     is used up (ulimit -v, ulimit -u, a container's or a scheduler's limit): raise it, or take \
     fewer --workers and a smaller --batch";

/// Threads that the process may not have.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {threads} threads ({source})")]
pub struct NoThreads {
    /// How many were wanted.
    pub threads: usize,
    /// The system's words, or ours where it was not asked.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A pool of `threads` workers, named `{name}-0`, `{name}-1`, …
///
/// # Errors
/// [`NoThreads`].
pub fn pool(name: &'static str, threads: usize) -> Result<ThreadPool, NoThreads> {
    room_for(threads).map_err(|source| NoThreads { threads, source: source.into() })?;
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |i| format!("{name}-{i}"))
        .spawn_handler(|worker| {
            let name = worker.name().unwrap_or(name).to_owned();
            start(&name, || worker.run()).map(drop)
        })
        .build()
        .map_err(|source| NoThreads { threads, source: source.into() })
}

/// Starts a thread, where there is room for it. What those before it have taken
/// meanwhile (the allocator reserves 64 MiB for each of the first) counts.
///
/// # Errors
/// [`room_for`]'s, or the system's.
pub fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    room_for(1)?;
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Whether the limits of this process leave room for `threads` more threads.
///
/// # Errors
/// [`io::ErrorKind::OutOfMemory`] with both figures, if they do not.
pub fn room_for(threads: usize) -> io::Result<()> {
    memory::left().map_or(Ok(()), |left| fit(threads, left))
}

/// Whether threads fit into so much memory.
fn fit(threads: usize, left: u64) -> io::Result<()> {
    let needed = A_THREAD.saturating_mul(threads as u64).saturating_add(SPARE);
    if needed <= left {
        return Ok(());
    }
    let words = format!("they need {} MiB of memory and {} are left", needed >> 20, left >> 20);
    Err(io::Error::new(io::ErrorKind::OutOfMemory, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_the_threads_that_were_asked_for() {
        let pool = pool("count", 3).unwrap();
        assert_eq!(pool.current_num_threads(), 3);
        let name = pool.install(|| thread::current().name().map(str::to_owned));
        assert!(name.unwrap().starts_with("count-"));
    }

    #[test]
    fn threads_are_refused_where_they_do_not_fit() {
        assert!(fit(4, SPARE + 4 * A_THREAD).is_ok());
        let error = fit(4, SPARE + 4 * A_THREAD - 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        assert!(error.to_string().contains("they need 104 MiB"), "{error}");
        assert!(fit(usize::MAX, u64::MAX - 1).is_err());
    }
}
