//! The command line: one file per subcommand.
//!
//! A subcommand turns what was typed into what the library needs, runs it,
//! and says how it went. This is the only place that prints to standard
//! output, that knows exit codes, and that wraps errors with `anyhow`.

use std::{
    borrow::Cow,
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Arc,
};

use clap::{CommandFactory, Parser, Subcommand};

use self::terminal::audience::Audience;
use self::terminal::progress::Progress;
use self::terminal::shown::{self, say};
use crate::{
    catalog::CatalogError,
    classify::ClassifyError,
    engine::cuda::CudaError,
    events::Listener,
    pipeline::{Stop, memory},
    run::RunError,
    storage::output,
    train::run::TrainError,
    vectors::VectorError,
};

mod bands;
mod bench;
mod calibrate;
mod card;
mod catalog;
mod choices;
mod classify;
mod cut;
mod demo;
mod embed;
mod evaluate;
mod explain;
mod export;
mod flags;
mod input;
mod labelled;
mod labels;
mod look;
mod looks;
mod manual;
mod map;
mod model;
mod model_output;
mod mosaics;
mod numbers;
mod oddness;
mod plan;
mod report;
mod reproduce;
mod scheduler;
mod share;
mod signals;
mod similar;
mod simulate;
mod status;
pub mod terminal;
mod train;
mod verbosity;
mod verify;

/// Classify galaxies by shape: cutouts in, Parquet catalogs out.
///
/// hiwl reads cutouts of galaxies (JPEG, PNG, FITS; in folders, tar archives
/// or listed in tables), runs the two networks of the HIWL method on each, and
/// writes one catalog row per input: a label of five (CRS completely round, IBS
/// in between, CSS cigar-shaped, EO edge-on, SPI spiral), its probability, and
/// those of the others.
#[derive(Debug, Parser)]
#[command(name = "hiwl", version, arg_required_else_help = true)]
#[command(after_long_help = "\
Exit codes:
  0   all rows have a label
  1   finished; some cutouts were rejected (their rows say why)
  2   failed or incomplete; the same command resumes
  64  wrong usage
  70  a defect of hiwl, which is told; please report it
  129, 130, 143  stopped by SIGHUP, SIGINT, SIGTERM; the same command resumes
Shells say 128 + n of a process that signal n killed (134 aborted, as when
memory is refused, 137 killed, 139 out of bounds): the same command resumes,
and a cutout that kills it again, alone, has a row with status `crashed`.")]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Say what is decided (-v), or all that is done (-vv), on standard error.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Classify(classify::Arguments),
    Embed(embed::Arguments),
    Plan(plan::Arguments),
    Status(status::Arguments),
    Verify(verify::Arguments),
    Catalog(catalog::Arguments),
    Export(export::Arguments),
    Report(report::Arguments),
    Evaluate(evaluate::Arguments),
    Look(look::Arguments),
    Explain(explain::Arguments),
    Similar(similar::Arguments),
    Map(map::Arguments),
    Cut(cut::Arguments),
    Bench(bench::Arguments),
    Labels(labels::Arguments),
    Train(train::Arguments),
    Reproduce(reproduce::Arguments),
    #[command(subcommand)]
    Model(model::Command),
    Simulate(simulate::Arguments),
    Completions(manual::Completions),
    #[command(alias = "licences")]
    Licenses(manual::Licenses),
    #[command(name = "man")]
    Manual(manual::Manual),
}

/// How a command ended, other than by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// All is well.
    Ok,
    /// Finished, and not everything was good: rejected rows, inputs that
    /// could not be listed.
    Flawed,
    /// Something is missing or damaged.
    Incomplete,
    /// A signal ended it, in order.
    Signal(i32),
}

/// Why a command failed.
#[derive(Debug)]
enum CliError {
    /// What was typed cannot be done: exit code 64.
    Usage(anyhow::Error),
    /// It was tried and failed: exit code 2.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Marks an error as one of usage.
fn usage(error: impl Into<anyhow::Error>) -> CliError {
    CliError::Usage(error.into())
}

/// An error of a catalog: a folder that holds none is a mistake of who typed it.
fn of_catalog(error: CatalogError) -> CliError {
    if error.is_usage() { usage(error) } else { error.into() }
}

/// The same of a run.
fn of_run(error: RunError) -> CliError {
    of_catalog(error.into())
}

/// The same of vectors.
fn of_vectors(error: VectorError) -> CliError {
    if error.is_usage() { usage(error) } else { error.into() }
}

const USAGE: u8 = 64;

/// Of a panic.
const DEFECT: u8 = 70;

/// Parses `arguments`, the program's name first, and runs the command.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(bands::joined(arguments)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and go to standard output. A
            // reader that has gone away has read enough.
            let plain = error.render().to_string();
            let _ = match shown::text(&plain) {
                Cow::Borrowed(_) => error.print(),
                // What was typed, or what a pattern matched, would act.
                Cow::Owned(text) => write!(io::stderr(), "{text}"),
            };
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    verbosity::start(cli.verbose);
    // Without it, such a limit ends the process, and nothing worse.
    let _ = signals::survive_file_limits();
    let Ok(result) = catch_unwind(AssertUnwindSafe(|| run(cli.command))) else {
        say("this is a defect of hiwl; please report it");
        return DEFECT.into();
    };
    match result {
        Ok(Exit::Ok) => ExitCode::SUCCESS,
        Ok(Exit::Flawed) => ExitCode::from(1),
        Ok(Exit::Incomplete) => ExitCode::from(2),
        // Shells say 128 + n for signal n; no signal is above 64.
        Ok(Exit::Signal(signal)) => ExitCode::from(128u8.saturating_add(signal as u8)),
        Err(error) => {
            let (code, error) = match error {
                CliError::Usage(error) => (USAGE, error),
                CliError::Failed(error) if is_defect(&error) => (DEFECT, error),
                CliError::Failed(error) => (2, error),
            };
            say(in_words(&error));
            ExitCode::from(code)
        }
    }
}

fn run(command: Command) -> Result<Exit, CliError> {
    match command {
        Command::Demo(arguments) => arguments.run(),
        Command::Classify(arguments) => arguments.run(),
        Command::Embed(arguments) => arguments.run(),
        Command::Plan(arguments) => arguments.run(),
        Command::Status(arguments) => arguments.run(),
        Command::Verify(arguments) => arguments.run(),
        Command::Catalog(arguments) => arguments.run(),
        Command::Export(arguments) => arguments.run(),
        Command::Report(arguments) => arguments.run(),
        Command::Evaluate(arguments) => arguments.run(),
        Command::Look(arguments) => arguments.run(),
        Command::Explain(arguments) => arguments.run(),
        Command::Similar(arguments) => arguments.run(),
        Command::Map(arguments) => arguments.run(),
        Command::Cut(arguments) => arguments.run(),
        Command::Bench(arguments) => arguments.run(),
        Command::Labels(arguments) => arguments.run(),
        Command::Train(arguments) => arguments.run(),
        Command::Reproduce(arguments) => arguments.run(),
        Command::Model(command) => command.run(),
        Command::Simulate(arguments) => arguments.run(),
        Command::Completions(arguments) => arguments.run(Cli::command()),
        Command::Licenses(arguments) => arguments.run(),
        Command::Manual(arguments) => arguments.run(Cli::command()),
    }
}

/// Runs what tells how far it is and ends on a signal: with a bar for a person, unless
/// it is to be `quiet`. What it found, and what may have stopped it.
///
/// # Errors
/// The system's, if signals cannot be waited for.
fn watched<T>(
    quiet: bool,
    run: impl FnOnce(&Arc<dyn Listener>, &Stop) -> T,
) -> Result<(T, Stop), CliError> {
    let stop = Stop::new();
    signals::stop_on_signal(stop.clone())?;
    let progress = Arc::new(Progress::new(if quiet { Audience::Nobody } else { Audience::Person }));
    let listener: Arc<dyn Listener> = progress.clone();
    let found = run(&listener, &stop);
    progress.finish();
    Ok((found, stop))
}

/// Whether an error is a worker's panic.
fn is_defect(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClassifyError::Panic(_)))
        || matches!(error.downcast_ref(), Some(TrainError::Panic(_)))
}

/// An error with its causes, each said once: many of ours quote their cause.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !words.contains(&cause) {
            words = if words.is_empty() { cause } else { format!("{words}: {cause}") };
        }
    }
    words
}

/// Says why `--device auto` does not mean the GPU, where there is a driver.
fn say_hindrance(hindrance: Option<CudaError>) {
    if let Some(error) = hindrance {
        say(format_args!("on the processor, since the GPU cannot be used: {error}"));
    }
}

/// Says on standard error what went wrong, a line each.
fn complain(lines: &[String]) {
    for line in lines {
        say(line);
    }
}

/// Says, before the work begins, that whoever started this process has limited
/// its memory to little: an allocation that is refused ends it without a chance
/// to say why.
fn say_memory_limit() {
    /// What every usual run takes, with much to spare.
    const ENOUGH: u64 = 2 << 30;
    if let Some(limit) = memory::limit().filter(|limit| *limit < ENOUGH) {
        say(format_args!(
            "the memory of this process is limited to {} (ulimit -v, ulimit -d): if an \
             allocation fails, raise the limit, or take fewer --workers and a smaller --batch",
            terminal::format::bytes(limit)
        ));
    }
}

/// Writes text for a person to standard output.
fn print(text: &str) -> Result<(), CliError> {
    tell(&shown::text(text))
}

/// Writes JSON and the end of its line to standard output.
fn print_json(value: impl Display) -> Result<(), CliError> {
    tell(&(shown::json(value) + "\n"))
}

/// Writes what a command says of its work to standard output; to standard error where an
/// output has gone there (`--output -`), for one stream holds one thing.
fn tell(text: &str) -> Result<(), CliError> {
    if output::took_stdout() {
        // Standard error that cannot be written to leaves nobody to tell.
        let _ = write!(io::stderr(), "{text}");
        return Ok(());
    }
    write(text)
}

/// Writes a table for a program to standard output.
fn print_table(text: &str) -> Result<(), CliError> {
    write(&shown::table(text))
}

/// Writes a script to standard output, to the letter.
fn print_script(text: &str) -> Result<(), CliError> {
    write(text)
}

/// Writes to standard output. A reader that has gone away (`hiwl … | head`)
/// has read enough; anything else is an error.
fn write(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
