//! Commands of this same program, and signals, which are theirs while one runs.
//!
//! Invariant: while a command runs, what ends the program is how the command ended; so a
//! training that is to stop has saved itself before its parent is gone.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::iterator::Signals;

use super::super::terminal::shown::{self, say};
use super::super::{CliError, Exit, signals, usage};

/// Who gets this process's signals.
pub struct Children {
    /// The process that runs; 0 if none does.
    running: Arc<AtomicI32>,
    /// The last signal; 0 if there was none.
    signal: Arc<AtomicI32>,
}

impl Children {
    /// Signals from now on are passed on, or kept for the next [`run`](Self::run).
    ///
    /// # Errors
    /// The system's, if handlers cannot be set.
    pub fn new() -> std::io::Result<Self> {
        let this = Self { running: Arc::default(), signal: Arc::default() };
        let (running, last) = (Arc::clone(&this.running), Arc::clone(&this.signal));
        let mut incoming = Signals::new(signals::wanted())?;
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in incoming.forever() {
                last.store(signal, Ordering::SeqCst);
                pass_on(running.load(Ordering::SeqCst), signal);
            }
        })?;
        Ok(this)
    }

    /// Runs a command to its end and returns what it printed; how it was stopped, if it was
    /// by a signal or may be gone on with.
    ///
    /// # Errors
    /// Of usage where the command says so, else if it does not end with one of the `good`
    /// exit codes.
    pub fn run(
        &self,
        command: &mut Command,
        good: &[i32],
    ) -> Result<Result<Vec<u8>, Exit>, CliError> {
        // One that came when what ran was as good as done.
        let signal = self.signal.load(Ordering::SeqCst);
        if signal != 0 {
            return Ok(Err(Exit::Signal(signal)));
        }
        let words = command.get_args().map(|word| shown::line(word.to_string_lossy()));
        let words = words.collect::<Vec<_>>().join(" ");
        say(format_args!("hiwl {words}"));
        let child = command.stderr(Stdio::inherit()).spawn().context("the program itself")?;
        self.running.store(Pid::from_child(&child).as_raw_nonzero().get(), Ordering::SeqCst);
        // One that came before there was somebody to pass it on to; 0 reaches nobody.
        pass_on(self.running.load(Ordering::SeqCst), self.signal.load(Ordering::SeqCst));
        let output = child.wait_with_output();
        self.running.store(0, Ordering::SeqCst);
        let output = output.context("the program itself")?;
        match output.status.code() {
            Some(code) if good.contains(&code) => Ok(Ok(output.stdout)),
            Some(code @ 129..=143) => Ok(Err(Exit::Signal(code - 128))),
            Some(64) => Err(usage(anyhow!("this command cannot be done: hiwl {words}"))),
            code => match self.signal.load(Ordering::SeqCst) {
                0 => {
                    let code =
                        code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
                    Err(CliError::Failed(anyhow!("{code}: hiwl {words}")))
                }
                signal => Ok(Err(Exit::Signal(signal))),
            },
        }
    }
}

/// Sends a signal to a process, if there is one; who has just ended needs none.
fn pass_on(process: i32, signal: i32) {
    if let (Some(process), Some(signal)) = (Pid::from_raw(process), Signal::from_named_raw(signal))
    {
        let _ = kill_process(process, signal);
    }
}
