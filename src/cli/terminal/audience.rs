//! Who is told of a run, and how: a person by a bar or by lines, a program by JSON
//! lines, or nobody.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::shown;

/// Who is told, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A person: a bar if standard error is a terminal, lines if not.
    Person,
    /// A program: JSON lines on standard output.
    Program,
    /// Nobody.
    Nobody,
}

impl Audience {
    /// Of the flags `--quiet` and `--json`.
    pub fn of_flags(quiet: bool, json: bool) -> Self {
        match (quiet, json) {
            (true, _) => Self::Nobody,
            (_, true) => Self::Program,
            _ => Self::Person,
        }
    }
}

/// What an audience is told through.
pub struct Teller {
    pub(super) audience: Audience,
    pub(super) bar: ProgressBar,
}

impl Teller {
    /// Whoever it is, with a bar if there is a terminal to draw it on.
    pub fn new(audience: Audience) -> Self {
        let bar = if audience == Audience::Person && io::stderr().is_terminal() {
            ProgressBar::no_length()
        } else {
            ProgressBar::hidden()
        };
        Self { audience, bar }
    }

    /// What the bar looks like.
    pub fn style(&self, template: &str) {
        // The templates are constants; were one wrong, the bar would be plain.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("━╸─"));
        }
    }

    /// Something the person should know while the run goes on.
    pub fn say(&self, message: &str) {
        if self.audience == Audience::Person {
            self.bar.suspend(|| shown::say(message));
        }
    }

    /// Something a program should know.
    pub fn event(&self, event: Value) {
        if self.audience == Audience::Program {
            // A reader that has closed its end has stopped listening.
            let _ = writeln!(io::stdout(), "{}", shown::json(event));
        }
    }

    /// The run is over: clears the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
