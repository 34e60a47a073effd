//! The keyword records of a FITS header (FITS 4.0, section 4).
//!
//! One parser for everything that is read of a FITS file, images and tables, and a strict one:
//! what a keyword says is either clear to every reader, or [`Unclear`], which
//! rejects a file where the keyword decides pixels or bands. Unclear are a
//! standard keyword in lower case or after `HIERARCH`, several records of one
//! keyword with different values, and a value of another type than the one
//! asked for: a number in quotes is no number. [`card`] reads single records.
//!
//! Invariant: no lookup takes one of several meanings.

mod card;
pub(crate) mod write;

use crate::limits;
pub use card::CARD;
use card::{Card, Form, Value};

/// Bytes of a FITS block: headers and data are padded to it.
pub const BLOCK: usize = 2880;

/// A keyword whose value is not clear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{keyword} {why}")]
pub struct Unclear {
    /// The keyword.
    pub keyword: String,
    /// What is wrong with it.
    pub why: String,
}

impl Unclear {
    /// A keyword, and what is wrong with it.
    pub fn new(keyword: &str, why: impl Into<String>) -> Self {
        Self { keyword: keyword.to_owned(), why: why.into() }
    }
}

/// The records of one header.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// All records before END, comments too.
    bytes: &'a [u8],
    /// First letters of a keyword, and where its record is; sorted.
    index: Vec<(u64, u32)>,
}

impl<'a> Header<'a> {
    /// Reads the header that starts with `bytes`, up to its END record;
    /// `None` if the bytes end before it. The second value is its length in
    /// bytes, padding included.
    ///
    /// # Errors
    /// Where keywords are no text, or there is no END where one has to be.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Unclear> {
        let mut index = Vec::new();
        for (at, card) in bytes.chunks_exact(CARD).enumerate() {
            if card.starts_with(b"END     ") {
                index.sort_unstable();
                let length = ((at + 1) * CARD).next_multiple_of(BLOCK);
                return Ok(Some((Self { bytes: &bytes[..at * CARD], index }, length)));
            }
            if at == limits::fits::CARDS {
                return Err(Unclear::new("END", format!("is not in the first {at} records")));
            }
            if !card[..9].iter().all(|b| (b' '..=b'~').contains(b)) {
                return Err(Unclear::new(&format!("record {}", at + 1), "is no keyword record"));
            }
            if let Some(card) = Card::parse(card) {
                index.push((first_letters(card.name), at as u32));
            }
        }
        Ok(None)
    }

    /// The bytes of this header alone, up to its END record and padded.
    pub fn whole(&self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        bytes.extend_from_slice(b"END");
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        bytes
    }

    /// An integer; `None` where the keyword is not there.
    ///
    /// # Errors
    /// Where it is not clear, or no integer.
    pub fn integer(&self, keyword: &str) -> Result<Option<i64>, Unclear> {
        match self.one(keyword)? {
            None => Ok(None),
            Some((_, Value::Integer(value))) => Ok(Some(value)),
            Some(_) => Err(Unclear::new(keyword, "is no integer")),
        }
    }

    /// A number, with or without point and exponent; `None` where the keyword
    /// is not there.
    ///
    /// # Errors
    /// Where it is not clear, or no number.
    pub fn number(&self, keyword: &str) -> Result<Option<f64>, Unclear> {
        match self.one(keyword)? {
            None => Ok(None),
            Some((_, Value::Integer(value))) => Ok(Some(value as f64)),
            Some((_, Value::Real(value))) => Ok(Some(value)),
            Some(_) => Err(Unclear::new(keyword, "is no number")),
        }
    }

    /// A logical value; false where the keyword is not there.
    ///
    /// # Errors
    /// Where it is not clear, or neither T nor F.
    pub fn logical(&self, keyword: &str) -> Result<bool, Unclear> {
        match self.one(keyword)? {
            None => Ok(false),
            Some((_, Value::Logical(value))) => Ok(value),
            Some(_) => Err(Unclear::new(keyword, "is neither T nor F")),
        }
    }

    /// A string without trailing blanks, with what CONTINUE records add;
    /// `None` where the keyword is not there.
    ///
    /// # Errors
    /// Where it is not clear, or no string.
    pub fn text(&self, keyword: &str) -> Result<Option<String>, Unclear> {
        match self.one(keyword)? {
            Some((_, Value::Undefined)) => Err(Unclear::new(keyword, "has no value")),
            found => self.string(keyword, found),
        }
    }

    /// The same for a keyword that only names or describes: without a value
    /// it is as if it were not there.
    ///
    /// # Errors
    /// Where it is not clear, or no string.
    pub fn description(&self, keyword: &str) -> Result<Option<String>, Unclear> {
        let found = self.one(keyword)?;
        self.string(keyword, found)
    }

    /// The value of every record of a keyword, in their order; those without
    /// one are left out.
    ///
    /// # Errors
    /// Where one is no string, or a standard keyword in an odd form.
    pub fn texts(&self, keyword: &str) -> Result<Vec<String>, Unclear> {
        let mut texts = Vec::new();
        for (at, card) in self.records(keyword) {
            let value = clear(keyword, &card)?;
            texts.extend(self.string(keyword, Some((at, value)))?);
        }
        Ok(texts)
    }

    /// Whether the name of any record begins so, in any letter case; at most
    /// eight letters.
    pub fn any_begins(&self, start: &str) -> bool {
        let letters = first_letters(start.as_bytes());
        // No letter is below a blank, which is what names are padded with.
        let from = self.index.partition_point(|(first, _)| *first < letters);
        let rest = u64::MAX.checked_shr(8 * start.len() as u32).unwrap_or(0);
        self.index.get(from).is_some_and(|(first, _)| (first ^ letters) & !rest == 0)
    }

    /// What stands in the records of a keyword, for a message.
    pub fn as_written(&self, keyword: &str) -> String {
        let values = self.records(keyword).map(|(_, card)| card.as_written());
        values.collect::<Vec<String>>().join(" and ")
    }

    /// The one value of a keyword, and the number of its record.
    fn one(&self, keyword: &str) -> Result<Option<(usize, Value<'a>)>, Unclear> {
        let mut found = None;
        for (at, card) in self.records(keyword) {
            let value = clear(keyword, &card)?;
            match &found {
                None => found = Some((at, value)),
                Some((_, other)) if *other == value && is_whole(&value) => {}
                Some(_) => return Err(Unclear::new(keyword, "is there twice, and differs")),
            }
        }
        Ok(found)
    }

    /// The records of a keyword in any letter case, in their order.
    fn records(&self, keyword: &str) -> impl Iterator<Item = (usize, Card<'a>)> {
        let letters = first_letters(keyword.as_bytes());
        let from = self.index.partition_point(|(first, _)| *first < letters);
        self.index[from..].iter().take_while(move |(first, _)| *first == letters).filter_map(
            move |(_, at)| {
                let card = Card::parse(self.record(*at as usize)?)?;
                let same = card.name.eq_ignore_ascii_case(keyword.as_bytes());
                same.then_some((*at as usize, card))
            },
        )
    }

    fn record(&self, at: usize) -> Option<&'a [u8]> {
        self.bytes.get(at * CARD..(at + 1) * CARD)
    }

    /// A string with its continuations (FITS 4.0, section 4.2.1.2).
    fn string(
        &self,
        keyword: &str,
        found: Option<(usize, Value<'a>)>,
    ) -> Result<Option<String>, Unclear> {
        let (at, text) = match found {
            None | Some((_, Value::Undefined)) => return Ok(None),
            Some((at, Value::Text(text))) => (at, text),
            Some(_) => return Err(Unclear::new(keyword, "is no string")),
        };
        let mut text = text.into_owned();
        for next in at + 1.. {
            let record = self.record(next).and_then(|card| card.strip_prefix(b"CONTINUE"));
            let Some(rest) = record.filter(|_| text.ends_with('&')) else { break };
            let Value::Text(more) = card::value(rest) else {
                return Err(Unclear::new(keyword, "goes on with what is no string"));
            };
            text.pop();
            text.push_str(&more);
        }
        Ok(Some(text))
    }
}

/// The value of a record, unless some readers do not see it.
fn clear<'a>(keyword: &str, card: &Card<'a>) -> Result<Value<'a>, Unclear> {
    match (card.form, card.value()) {
        (Form::Odd, _) => {
            let card = String::from_utf8_lossy(card.name).into_owned();
            let why = if card.bytes().any(|b| b.is_ascii_lowercase()) {
                "is in lower case"
            } else {
                "is not written as the standard has it"
            };
            Err(Unclear::new(keyword, why))
        }
        (Form::Standard, value) => Ok(value),
    }
}

/// Whether the record says all of its value.
fn is_whole(value: &Value<'_>) -> bool {
    match value {
        Value::Unclear => false,
        Value::Text(text) => !text.ends_with('&'),
        _ => true,
    }
}

/// The first eight letters of a keyword, in upper case and padded, as a number.
fn first_letters(name: &[u8]) -> u64 {
    let mut letters = [b' '; 8];
    for (letter, byte) in letters.iter_mut().zip(name) {
        *letter = byte.to_ascii_uppercase();
    }
    u64::from_be_bytes(letters)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The bytes of a header of these records.
    pub fn bytes(cards: &[&str]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            cards.iter().chain(&["END"]).flat_map(|c| format!("{c:80}").into_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        bytes
    }

    fn with<T>(cards: &[&str], look: impl Fn(&Header<'_>) -> T) -> T {
        let bytes = bytes(cards);
        let (header, length) = Header::parse(&bytes).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        look(&header)
    }

    #[test]
    fn values_are_found() {
        let cards = [
            "SIMPLE  =                    T / conforms",
            "NAXIS1  =                  255",
            "BSCALE  =              1.5D-02 / scale",
            "EXTNAME = 'it''s / g  '        / name",
            "EMPTY   =",
            "COMMENT NAXIS2  = 3",
            "HIERARCH FPA.ZP = 25.0",
            "NAXIS1  =                  255",
        ];
        with(&cards, |header| {
            assert_eq!(header.logical("SIMPLE"), Ok(true));
            assert_eq!(header.integer("NAXIS1"), Ok(Some(255)), "twice the same");
            assert_eq!(header.number("NAXIS1"), Ok(Some(255.0)));
            assert_eq!(header.number("BSCALE"), Ok(Some(0.015)));
            assert_eq!(header.number("FPA.ZP"), Ok(Some(25.0)));
            assert_eq!(header.text("EXTNAME"), Ok(Some("it's / g".to_owned())));
            assert_eq!(header.description("EMPTY"), Ok(None));
            assert!(header.text("EMPTY").is_err());
            assert_eq!(header.integer("NAXIS2"), Ok(None));
            for start in ["N", "NAXIS", "NAXIS1", "BSCALE", "FPA", "FPA.ZP", "SIMPLE"] {
                assert!(header.any_begins(start), "{start}");
            }
            for start in ["NAXIS2", "NAXIS11", "A", "BSCALER", "Z", "CONTINUE"] {
                assert!(!header.any_begins(start), "{start}");
            }
            assert!(header.number("EMPTY").is_err());
            assert!(header.integer("BSCALE").is_err());
            assert!(header.text("BSCALE").is_err());
            assert!(header.logical("NAXIS1").is_err());
        });
    }

    #[test]
    fn what_readers_disagree_on_is_unclear() {
        for cards in [
            &["BSCALE  = 2.0", "BSCALE  = 3.0"][..],
            &["BSCALE  = 2.0", "bscale  = 2.0"],
            &["bscale  = 2.0"],
            &["HIERARCH BSCALE = 2.0"],
            &["BSCALE  = 2.0", "HIERARCH bscale = 2.0"],
            &["BSCALE  = '2.0'"],
            &["BSCALE  = (2.0, 0.0)", "BSCALE  = (2.0, 0.0)"],
            &["BSCALE  =2.0"],
            &["BSCALE = 2.0"],
        ] {
            assert!(with(cards, |h| h.number("BSCALE")).is_err(), "{cards:?}");
        }
        let unclear = with(&["NAXIS   = 2", "NAXIS   = 3"], |h| h.integer("NAXIS"));
        assert_eq!(unclear.unwrap_err().to_string(), "NAXIS is there twice, and differs");
    }

    #[test]
    fn strings_go_on() {
        let long = ["BANDS   = 'gr&'", "CONTINUE  'i&' / more", "CONTINUE  'z'", "NEXT    = 1"];
        assert_eq!(with(&long, |h| h.text("BANDS")), Ok(Some("griz".to_owned())));
        let alone = ["BANDS   = 'gr&'", "NEXT    = 1"];
        assert_eq!(with(&alone, |h| h.text("BANDS")), Ok(Some("gr&".to_owned())));
        assert!(with(&["BANDS   = 'gr&'", "CONTINUE  5"], |h| h.text("BANDS")).is_err());
        let both = ["EXTNAME = 'COMPRESSED_IMAGE'", "EXTNAME = 'r'"];
        assert_eq!(with(&both, |h| h.texts("EXTNAME").unwrap()), ["COMPRESSED_IMAGE", "r"]);
        assert!(with(&both, |h| h.text("EXTNAME")).is_err());
    }

    #[test]
    fn a_header_without_end_is_none() {
        let bytes = bytes(&["SIMPLE  =                    T"]);
        assert!(Header::parse(&bytes[..CARD]).unwrap().is_none());
        assert!(Header::parse(&bytes[..CARD + 40]).unwrap().is_none());
        assert!(Header::parse(&bytes[..2 * CARD]).unwrap().is_some());
        assert!(Header::parse(&vec![b' '; (limits::fits::CARDS + 1) * CARD]).is_err());
        assert!(Header::parse(&[&b"SIMP\xC3\x89"[..], &[b' '; 80]].concat()).is_err());
    }
}
