//! Foreign text for people: names of files, columns and classes, ids, and errors
//! that quote them.
//!
//! A terminal obeys escape sequences, and a text that turns the direction of
//! writing reads as another, in a page too. What is no letter, mark or blank is
//! shown as `\u{1b}`. Passwords and signatures of URLs are not shown to anyone.
//!
//! Invariant: no control character but the end of a line and the tabulator, and no
//! character that turns text around or is not seen, is left.

use std::borrow::Cow;
use std::fmt::Display;

use super::remote::secrets::concealed;

/// Whether a character acts on a terminal or on the reading of a text and is not
/// seen itself. The joiners of Arabic, Indic and emoji are left as they are.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text of several lines, each with nothing in it that acts.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |c| acts(c) && !matches!(c, '\n' | '\t'))
}

/// Foreign text within a line: its line ends are shown too.
pub fn line(text: impl Display) -> String {
    escaped(&text.to_string(), acts).into_owned()
}

fn escaped(text: &str, is_to_be: impl Fn(char) -> bool) -> Cow<'_, str> {
    match concealed(text) {
        Cow::Borrowed(text) => spelled(text, is_to_be),
        Cow::Owned(text) => spelled(&text, is_to_be).into_owned().into(),
    }
}

fn spelled(text: &str, is_to_be: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_to_be) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\r' if is_to_be(c) => shown.push_str("\\r"),
            '\n' if is_to_be(c) => shown.push_str("\\n"),
            '\t' if is_to_be(c) => shown.push_str("\\t"),
            c if is_to_be(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown.into()
}
