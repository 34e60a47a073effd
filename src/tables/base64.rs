//! Bytes from the text of an XML element (RFC 4648, section 4), as a stream.
//!
//! The text ends with the element, at `<`. Invariant: what is no letter of the
//! alphabet, no blank and no `=` is an error.

use std::io::{self, BufRead};

/// A stream that is being read.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bits: u32,
    /// How many of the bits are there.
    count: u32,
    padded: bool,
}

impl Decoder {
    /// Fills `out` as far as the element reaches; how many bytes that are.
    pub fn read(&mut self, from: &mut impl BufRead, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            let text = from.fill_buf()?;
            if text.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut used = 0;
            for &letter in text {
                if letter == b'<' {
                    from.consume(used);
                    return Ok(filled);
                }
                used += 1;
                if letter == b'=' {
                    self.padded = true;
                } else if !letter.is_ascii_whitespace() {
                    self.bits = (self.bits << 6) | self.letter(letter)?;
                    self.count += 6;
                }
                if self.count >= 8 {
                    self.count -= 8;
                    out[filled] = (self.bits >> self.count) as u8;
                    self.bits &= (1 << self.count) - 1;
                    filled += 1;
                    if filled == out.len() {
                        break;
                    }
                }
            }
            from.consume(used);
        }
        Ok(filled)
    }

    fn letter(&self, letter: u8) -> io::Result<u32> {
        let value = match letter {
            _ if self.padded => None,
            b'A'..=b'Z' => Some(letter - b'A'),
            b'a'..=b'z' => Some(letter - b'a' + 26),
            b'0'..=b'9' => Some(letter - b'0' + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        };
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it is no base64");
        value.map(u32::from).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> io::Result<Vec<u8>> {
        let (mut decoder, mut from, mut all) = (Decoder::default(), text.as_bytes(), Vec::new());
        loop {
            let mut byte = [0; 2];
            let read = decoder.read(&mut from, &mut byte)?;
            all.extend(&byte[..read]);
            if read < byte.len() {
                return Ok(all);
            }
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn the_standard_s_examples() {
        let cases = [
            ("<", ""),
            ("Zg==<", "f"),
            ("Zm8=<", "fo"),
            ("Zm9v<", "foo"),
            ("Zm9v\n YmE=\n<", "fooba"),
            ("Zm9vYmFy<", "foobar"),
        ];
        for (text, bytes) in cases {
            assert_eq!(decoded(text).unwrap(), bytes.as_bytes(), "{text}");
        }
        assert!(decoded("Zm9v").is_err(), "the element does not end");
        assert!(decoded("Zm-v<").is_err());
        assert!(decoded("Zg==Zg==<").is_err(), "letters behind the padding");
    }
}
