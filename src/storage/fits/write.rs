//! FITS images of 32-bit floats, written.
//!
//! Not through cfitsio: it takes brackets and parentheses in a file's path for its
//! extended syntax, reports a full disk as a status of its own, and writes to files only,
//! while these go to memory. What is needed of the standard (version 4.0, sections 3 and
//! 4) is this page. Invariant: texts are printable ASCII and fit their cards, which is
//! for the caller to see to.

use std::io::{self, Write};

use super::{BLOCK, CARD};

/// A header in the making: cards of eighty ASCII characters.
#[derive(Debug, Default)]
pub(crate) struct Header {
    cards: String,
}

impl Header {
    /// A truth value.
    pub(crate) fn logical(&mut self, key: &str, value: bool, comment: &str) {
        self.card(key, &format!("{:>20}", if value { 'T' } else { 'F' }), comment);
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, key: &str, value: i64, comment: &str) {
        self.card(key, &format!("{value:>20}"), comment);
    }

    /// Twelve decimals: a position good to a microarcsecond.
    pub(crate) fn real(&mut self, key: &str, value: f64, comment: &str) {
        self.card(key, &format!("{:>20}", format!("{value:.12E}")), comment);
    }

    /// Quotes in the text are doubled; it must fit its card.
    pub(crate) fn text(&mut self, key: &str, value: &str, comment: &str) {
        let quoted = format!("'{:<8}'", value.replace('\'', "''"));
        self.card(key, &format!("{quoted:<20}"), comment);
    }

    fn card(&mut self, key: &str, value: &str, comment: &str) {
        let separator = if comment.is_empty() { "" } else { " / " };
        let card = format!("{key:<8}= {value}{separator}{comment}");
        debug_assert!(card.is_ascii() && card.len() <= CARD, "{card}");
        self.cards.push_str(&format!("{card:<CARD$}"));
    }

    /// The file of this header and of these values, 32-bit floats.
    pub(crate) fn with_floats(self, values: &[f32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((values.len() * 4).next_multiple_of(BLOCK) + BLOCK);
        self.write_floats(values, &mut bytes).expect("memory takes all");
        bytes
    }

    /// Writes that file, of which no second copy is held.
    pub(crate) fn write_floats(self, values: &[f32], out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.finish())?;
        values.iter().try_for_each(|value| out.write_all(&value.to_be_bytes()))?;
        let bytes = values.len() * 4;
        out.write_all(&vec![0; bytes.next_multiple_of(BLOCK) - bytes])
    }

    fn finish(mut self) -> Vec<u8> {
        self.cards.push_str(&format!("{:<CARD$}", "END"));
        let mut bytes = self.cards.into_bytes();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        bytes
    }
}
