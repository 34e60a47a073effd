//! Counts in Thrift's compact protocol, in which Parquet's footers and headers of
//! pages are written, before they are read.
//!
//! The reader passes over what it does not know: lists in lists, of as many values as
//! they state, of which truth values take no byte. A list of five bytes keeps it busy
//! for 2³¹ steps, and a footer has room for millions of such. Every value that a
//! writer writes takes a byte; so the counts of all lists and maps together are held
//! against the bytes.
//!
//! What is no such text, or ends early, is left to the reader to refuse. It takes a
//! known field for what it should be, whatever type it states: a text that lies about
//! these is read otherwise here and there, and its counts may pass.
//!
//! Invariant: takes as many steps as there are bytes, at most.

/// Depth beyond which the reader gives up.
const DEPTH: usize = 64;

/// Whether the struct that `bytes` begin with states no more values than there are
/// bytes.
pub(super) fn counts_fit(bytes: &[u8]) -> bool {
    let mut walk = Walk { rest: bytes, left: bytes.len() as u64 };
    !matches!(walk.structure(DEPTH), Err(End::TooMany))
}

/// Why a walk ends before the end.
enum End {
    /// More values are stated than there are bytes.
    TooMany,
    /// It is for the reader to say what is wrong.
    Elsewhere,
}

struct Walk<'a> {
    rest: &'a [u8],
    /// Values that may still be stated.
    left: u64,
}

impl Walk<'_> {
    fn byte(&mut self) -> Result<u8, End> {
        let (first, rest) = self.rest.split_first().ok_or(End::Elsewhere)?;
        self.rest = rest;
        Ok(*first)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), End> {
        let bytes = usize::try_from(bytes).map_err(|_| End::Elsewhere)?;
        self.rest = self.rest.get(bytes..).ok_or(End::Elsewhere)?;
        Ok(())
    }

    /// A number in sevens of bits.
    fn number(&mut self) -> Result<u64, End> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(End::Elsewhere)
    }

    fn structure(&mut self, depth: usize) -> Result<(), End> {
        loop {
            let head = self.byte()?;
            if head & 0xF == 0 {
                return Ok(());
            }
            // The number of the field, where it is not a step from the last.
            if head >> 4 == 0 {
                self.number()?;
            }
            // A truth value is its type.
            if !matches!(head & 0xF, 1 | 2) {
                self.value(head & 0xF, depth)?;
            }
        }
    }

    /// A value of a field, or of a list, where truth values take no byte.
    fn value(&mut self, kind: u8, depth: usize) -> Result<(), End> {
        let deeper = depth.checked_sub(1).ok_or(End::Elsewhere)?;
        match kind {
            1 | 2 => Ok(()),
            3 => self.skip(1),
            4..=6 => self.number().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.number()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                self.values(count, &[head & 0xF], deeper)
            }
            11 => match self.number()? {
                0 => Ok(()),
                count => {
                    let kinds = self.byte()?;
                    self.values(count, &[kinds >> 4, kinds & 0xF], deeper)
                }
            },
            12 => self.structure(deeper),
            13 => self.skip(16),
            _ => Err(End::Elsewhere),
        }
    }

    fn values(&mut self, count: u64, kinds: &[u8], depth: usize) -> Result<(), End> {
        let stated = count.saturating_mul(kinds.len() as u64);
        self.left = self.left.checked_sub(stated).ok_or(End::TooMany)?;
        for _ in 0..count {
            kinds.iter().try_for_each(|kind| self.value(*kind, depth))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_the_bytes_are_seen_however_deep() {
        // A list of 2³¹ − 1 truth values, as a field and in lists, sets and structs.
        let many = [0xF1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07];
        let nested: [&[u8]; 5] = [&[0x19], &[0x1A], &[0x19, 0x19], &[0x1C, 0x19], &[0x0C, 9, 0x29]];
        for before in nested {
            assert!(!counts_fit(&[before, &many[..], &[0; 40]].concat()), "{before:?}");
        }
        // As keys and values of a map.
        assert!(!counts_fit(&[0x1B, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0x11, 0, 0]));
        // In all more than the bytes, in none of the lists.
        let some = [0x19, 0xF1, 30].repeat(4);
        assert!(some.len() + 29 >= 30 && !counts_fit(&[&some[..], &[0; 29]].concat()));
        assert!(counts_fit(&[&some[..3], &[0; 29]].concat()));
    }

    #[test]
    fn what_is_no_struct_is_left_to_the_reader() {
        let nested = [0x1C; 100_000];
        for bytes in [&[][..], &[0x15], &[0x18, 0xFF, 0xFF], &[0x1E], &[0x19, 0x1E, 0], &nested] {
            assert!(counts_fit(bytes), "{} bytes", bytes.len());
        }
        // Of every kind of value one, and the end.
        let whole = [
            0x11, 0x12, 0x13, 7, 0x14, 8, 0x15, 0x80, 1, 0x16, 3, 0x17, 0, 0, 0, 0, 0, 0, 0, 0,
            0x18, 2, b'a', b'b', 0x19, 0x25, 1, 2, 0x1B, 1, 0x55, 1, 2, 0x1C, 0x15, 1, 0, 0,
        ];
        assert!(counts_fit(&whole));
    }
}
