//! Foreign text on a terminal: names of files, columns and classes, ids, and
//! errors that quote them.
//!
//! Whatever is printed passes here and is spelled as `storage/shown.rs` has it. What
//! is written for programs stays what it is: catalogs as they are, JSON with JSON's
//! own escapes, tables where they do not go to a terminal.
//!
//! Invariant: no control character but the end of a line and the tabulator, and
//! no character that turns text around or is not seen, reaches a terminal.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write};

use crate::storage::remote::secrets::concealed;
use crate::storage::shown::acts;
pub use crate::storage::shown::{line, text};

/// JSON text with the same meaning, in which nothing acts: such characters stand
/// in its strings alone, and have escapes there.
pub fn json(value: impl Display) -> String {
    let written = concealed(&value.to_string()).into_owned();
    let is_to_be = |c: char| acts(c) && !matches!(c, '\n' | '\t' | '\r');
    if !written.contains(is_to_be) {
        return written;
    }
    let mut shown = String::with_capacity(written.len() + 16);
    for c in written.chars() {
        if is_to_be(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A line of the program's on standard error. What it says in further lines is
/// set in, so that no name can begin one as the program does.
pub fn say(message: impl Display) {
    let message = message.to_string();
    let message = text(&message);
    // All of them, or a place that is pointed at would move.
    let begins = |line: &str| !line.starts_with(' ') && !line.is_empty();
    let gap = if message.split('\n').skip(1).any(begins) { "\n  " } else { "\n" };
    let said = format!("hiwl: {}\n", message.replace('\n', gap));
    // Standard error that cannot be written to leaves nobody to tell.
    let _ = io::stderr().write_all(said.as_bytes());
}

/// A table for a program, as it is; or for a person, if it goes to a terminal.
pub fn table(text: &str) -> Cow<'_, str> {
    if io::stdout().is_terminal() { self::text(text) } else { text.into() }
}

/// Writes whole lines with nothing in them that acts.
#[derive(Debug)]
pub struct Escaping<W>(pub W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(text(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red and the title of the window, a bell, a carriage return, C1's CSI, a
    /// text turned around, a byte-order mark, a language tag.
    const HOSTILE: &str =
        "a\u{1b}[31m\u{1b}]0;x\u{7}b\rc\u{9b}2J\u{202e}gpj.exe\u{2066}\u{feff}\u{e0041}\u{7f}\u{8}";

    #[test]
    fn nothing_that_acts_is_left_and_the_rest_stays() {
        let shown = text(HOSTILE);
        assert_eq!(
            shown,
            "a\\u{1b}[31m\\u{1b}]0;x\\u{7}b\\rc\\u{9b}2J\\u{202e}gpj.exe\\u{2066}\\u{feff}\\u{e0041}\
             \\u{7f}\\u{8}"
        );
        assert!(!shown.chars().any(acts));
        for plain in ["NGC 1300 — Ωμέγα 🌌 银河", "👩\u{200d}🚀 می\u{200c}خواهم", "one\n\ttwo", ""]
        {
            assert!(matches!(text(plain), Cow::Borrowed(same) if same == plain), "{plain}");
        }
        assert_eq!(text("no https://me:word@host/x"), "no https://***@host/x");
        assert_eq!(line("one\n\ttwo\r"), "one\\n\\ttwo\\r");
    }

    #[test]
    fn json_means_what_it_meant() {
        let value = serde_json::json!({ "name": HOSTILE, "other": "Ω\n" });
        for written in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = json(&written);
            assert!(!shown.chars().any(|c| acts(c) && c != '\n'), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn what_is_logged_passes_too() {
        let mut log = Vec::new();
        writeln!(Escaping(&mut log), "read {HOSTILE}").unwrap();
        let log = String::from_utf8(log).unwrap();
        assert!(log.starts_with("read a\\u{1b}[31m") && log.ends_with("\\u{8}\n"), "{log}");
    }
}
