//! Keyword records of a FITS header (FITS 4.0, section 4).
//!
//! Only reading, only fixed records of 80 bytes, and no allocation: the
//! layout of a file has to be known before cfitsio is shown it. CONTINUE and
//! HIERARCH are not needed for what is read here. As in cfitsio, the first
//! record of a keyword counts.

/// Bytes of a record.
pub const CARD: usize = 80;

/// Bytes of a FITS block: headers and data are padded to it.
pub const BLOCK: usize = 2880;

/// The records of one header, END excluded.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    cards: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header that starts with `bytes`, up to its END record;
    /// `None` if the bytes end before it. The second value is its length in
    /// bytes, padding included.
    pub fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let end = bytes.chunks_exact(CARD).position(|card| &card[..8] == b"END     ")?;
        let length = ((end + 1) * CARD).next_multiple_of(BLOCK);
        Some((Self { cards: &bytes[..end * CARD] }, length))
    }

    /// The value field of a keyword: what follows `= `, with its comment.
    fn field(&self, keyword: &str) -> Option<&'a [u8]> {
        self.cards.chunks_exact(CARD).find_map(|card| {
            let (name, rest) = card.split_at(8);
            let field = rest.strip_prefix(b"= ")?;
            (name.trim_ascii_end() == keyword.as_bytes()).then_some(field)
        })
    }

    /// The value field as it stands, without blanks around it.
    pub fn raw(&self, keyword: &str) -> Option<String> {
        let field = self.field(keyword)?.trim_ascii();
        (!field.is_empty()).then(|| field.escape_ascii().to_string())
    }

    /// The names of the records that have a value.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.cards
            .chunks_exact(CARD)
            .filter(|card| &card[8..10] == b"= ")
            .map(|card| card[..8].trim_ascii_end())
    }

    /// A value that is not a string, without its comment.
    fn token(&self, keyword: &str) -> Option<&'a str> {
        let field = self.field(keyword)?;
        let end = field.iter().position(|b| *b == b'/').unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).ok().map(str::trim).filter(|t| !t.is_empty())
    }

    /// An integer. `None` where the keyword is missing or holds another type.
    pub fn int(&self, keyword: &str) -> Option<i64> {
        self.token(keyword)?.parse().ok()
    }

    /// A number, with FITS's exponent D allowed. `None` where the keyword is
    /// missing, or holds another type.
    pub fn real(&self, keyword: &str) -> Option<f64> {
        let token = self.token(keyword)?;
        // Rust also reads "nan" and "inf", which no FITS header may hold.
        if !token.bytes().all(|b| b.is_ascii_digit() || b"+-.EeDd".contains(&b)) {
            return None;
        }
        token.replace(['D', 'd'], "E").parse().ok()
    }

    /// A logical value that is true.
    pub fn is_true(&self, keyword: &str) -> bool {
        self.token(keyword) == Some("T")
    }

    /// A string, quotes and trailing blanks removed.
    pub fn text(&self, keyword: &str) -> Option<String> {
        let field = self.field(keyword)?.trim_ascii_start().strip_prefix(b"'")?;
        let mut text = Vec::new();
        let mut bytes = field.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            // A quote is written twice; a single one ends the string.
            if byte == b'\'' && bytes.next_if_eq(&b'\'').is_none() {
                break;
            }
            text.push(byte);
        }
        Some(String::from_utf8_lossy(&text).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cards: &[&str]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            cards.iter().chain(&["END"]).flat_map(|c| format!("{c:80}").into_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        bytes
    }

    #[test]
    fn values_are_read() {
        let bytes = header(&[
            "SIMPLE  =                    T / conforms",
            "NAXIS1  =                  255",
            "BSCALE  =              1.5D-02 / scale",
            "EXTNAME = 'it''s / g  '        / name",
            "EMPTY   =",
            "NANS    =                  nan",
            "COMMENT NAXIS2  = 3",
            "NAXIS1  =                    3",
        ]);
        let (header, length) = Header::parse(&bytes).unwrap();
        assert_eq!(length, BLOCK);
        assert!(header.is_true("SIMPLE"));
        assert_eq!(header.int("NAXIS1"), Some(255), "the first record counts");
        assert_eq!(header.real("BSCALE"), Some(0.015));
        assert_eq!(header.text("EXTNAME").as_deref(), Some("it's / g"));
        assert_eq!(header.int("EMPTY"), None);
        assert_eq!(header.real("NANS"), None);
        assert_eq!(header.int("NAXIS2"), None);
        assert_eq!(header.int("BSCALE"), None);
    }

    #[test]
    fn a_header_without_end_is_none() {
        let bytes = header(&["SIMPLE  =                    T"]);
        assert!(Header::parse(&bytes[..CARD]).is_none());
        assert!(Header::parse(&bytes[..CARD + 40]).is_none());
        assert!(Header::parse(&bytes[..2 * CARD]).is_some());
    }
}
