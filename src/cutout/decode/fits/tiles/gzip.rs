//! GZIP_1 and GZIP_2: a gzip stream a tile (FITS 4.0, section 10.4.2; RFC
//! 1952).
//!
//! Tiles are small and many, so one inflater serves all of them, which
//! flate2's readers of gzip do not allow. Invariant: a tile is as many bytes
//! as one of the types of numbers takes for its pixels, and its checksum
//! holds; no more than that is ever unpacked.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::Damage;

/// Flags of a member's header that announce more of it.
const CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

/// What a stream that stops is.
const ENDS: Damage = Damage("the gzip stream ends early");

/// An inflater, and room for what it unpacks.
pub struct Inflater {
    inflate: Decompress,
    bytes: Vec<u8>,
}

impl Inflater {
    /// An inflater that has unpacked nothing.
    pub fn new() -> Self {
        Self { inflate: Decompress::new(false), bytes: Vec::new() }
    }

    /// Unpacks a stream that holds numbers of 1, 2, 4 or 8 bytes for `pixels`
    /// pixels: the bytes, and how many each number has.
    ///
    /// # Errors
    /// Where the stream is damaged, or holds another number of bytes.
    pub fn unpack(&mut self, stream: &[u8], pixels: usize) -> Result<(&[u8], usize), Damage> {
        let deflated = deflated(stream)?;
        self.inflate.reset(false);
        // The stream's trailer says its length: a cheap way to the size of
        // the numbers, which what is unpacked then has to confirm.
        let (_, length) = trailer(stream).ok_or(ENDS)?;
        let size = [1, 2, 4, 8].into_iter().find(|size| pixels.checked_mul(*size) == Some(length));
        let size = size.ok_or(Damage("a gzip stream of another number of bytes than its tile"))?;
        self.bytes.resize(length, 0);
        let mut read = 0;
        loop {
            let (taken, made) = (self.inflate.total_in(), self.inflate.total_out() as usize);
            let status = self
                .inflate
                .decompress(
                    &deflated[taken as usize..],
                    &mut self.bytes[made..],
                    FlushDecompress::Finish,
                )
                .map_err(|_| Damage("a damaged gzip stream"))?;
            if status == Status::StreamEnd {
                break;
            }
            let now = self.inflate.total_in() + self.inflate.total_out();
            if now == read {
                return Err(ENDS);
            }
            read = now;
        }
        let rest = &deflated[self.inflate.total_in() as usize..];
        if self.inflate.total_out() as usize != length || rest.len() != TRAILER {
            return Err(Damage("a gzip stream of another number of bytes than it says"));
        }
        let mut crc = Crc::new();
        crc.update(&self.bytes);
        if trailer(rest).is_none_or(|(sum, _)| sum != crc.sum()) {
            return Err(Damage("a gzip stream that does not match its checksum"));
        }
        Ok((&self.bytes, size))
    }
}

/// Bytes of a checksum and a length.
const TRAILER: usize = 8;

/// The checksum and the length at the end of a stream. Lengths of 4 GiB and
/// more are no tile.
fn trailer(stream: &[u8]) -> Option<(u32, usize)> {
    let [sum, length] = stream.last_chunk::<TRAILER>()?.as_chunks().0 else { return None };
    Some((u32::from_le_bytes(*sum), u32::from_le_bytes(*length) as usize))
}

/// What follows the header of the one member of a stream.
fn deflated(stream: &[u8]) -> Result<&[u8], Damage> {
    let (head, mut rest) = stream.split_first_chunk::<10>().ok_or(ENDS)?;
    let flags = head[3];
    if head[..3] != [0x1F, 0x8B, 8] || flags & 0xE0 != 0 {
        return Err(Damage("no gzip stream"));
    }
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_first_chunk().ok_or(ENDS)?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..).ok_or(ENDS)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(ENDS)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & CHECKSUM != 0 {
        rest = rest.get(2..).ok_or(ENDS)?;
    }
    Ok(rest)
}

/// Brings shuffled bytes of numbers of `size` bytes back into the order of
/// the numbers.
pub fn unshuffle(shuffled: &[u8], size: usize, out: &mut Vec<u8>) {
    out.resize(shuffled.len(), 0);
    let numbers = shuffled.len() / size;
    for (n, column) in shuffled.chunks_exact(numbers.max(1)).enumerate() {
        for (byte, to) in column.iter().zip(out[n..].iter_mut().step_by(size)) {
            *to = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn pack(bytes: &[u8], named: bool) -> Vec<u8> {
        let builder = if named {
            GzBuilder::new().filename("a").comment("b").extra(vec![1, 2, 3])
        } else {
            GzBuilder::new()
        };
        let mut encoder = builder.write(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn numbers_of_any_size_are_unpacked_again_and_again() {
        let mut inflater = Inflater::new();
        for (named, size) in [(false, 1), (true, 2), (false, 4), (true, 8), (false, 2)] {
            let bytes: Vec<u8> = (0..size * 100).map(|n| (n * n) as u8).collect();
            let packed = pack(&bytes, named);
            assert_eq!(inflater.unpack(&packed, 100), Ok((&bytes[..], size)));
            assert!(inflater.unpack(&packed, 99).is_err());
            assert!(inflater.unpack(&[&packed[..], &[0]].concat(), 100).is_err());
            for end in 0..packed.len() {
                assert!(inflater.unpack(&packed[..end], 100).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_a_stream_is_found_or_harmless() {
        let bytes = b"some bytes that hardly compress 0123456789";
        let packed = pack(bytes, false);
        let mut inflater = Inflater::new();
        for bit in 0..packed.len() * 8 {
            let mut damaged = packed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // Harmless are time and system in the header, and padding.
            if let Ok(found) = inflater.unpack(&damaged, bytes.len()) {
                assert_eq!(found, (&bytes[..], 1), "{bit}");
            }
        }
    }

    #[test]
    fn bytes_are_unshuffled() {
        let mut out = vec![9; 20];
        unshuffle(&[1, 3, 5, 2, 4, 6], 2, &mut out);
        assert_eq!(out, [1, 2, 3, 4, 5, 6]);
        unshuffle(&[], 4, &mut out);
        assert!(out.is_empty());
    }
}
