//! Bzip2 under a limit: SDSS distributes its frames as `.fits.bz2`.
//!
//! As [`super::gzip`]: streams are joined, zeros behind one are padding, and
//! whatever else is not whole is a rejection. The decoder is Rust (libbz2-rs).

use std::io::{ErrorKind, Read};

use bzip2::bufread::BzDecoder;

use super::gzip::behind_padding;
use crate::cutout::{Reason, Rejection};

/// Unpacks bzip2 streams up to `limit` bytes.
///
/// # Errors
/// [`Reason::TooLarge`] past the limit, [`Reason::Truncated`] where a stream
/// ends early, [`Reason::Corrupt`] where it breaks its format or checksum.
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Rejection> {
    let mut unpacked = Vec::new();
    let mut rest = packed;
    loop {
        let mut stream = BzDecoder::new(rest);
        let room = limit - unpacked.len();
        let taken = (&mut stream).take(room as u64 + 1).read_to_end(&mut unpacked);
        taken.map_err(|e| rejection(&e))?;
        if unpacked.len() > limit {
            let detail = format!("bzip2 unpacks to more than {limit} bytes");
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        rest = behind_padding(stream.into_inner());
        if rest.is_empty() {
            return Ok(unpacked);
        }
    }
}

fn rejection(error: &std::io::Error) -> Rejection {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            Rejection::new(Reason::Truncated, "the bzip2 stream ends early")
        }
        _ => Rejection::new(Reason::Corrupt, format!("bzip2: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bzip2::Compression;
    use bzip2::write::BzEncoder;

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = BzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn streams_are_joined_and_padding_is_passed_over() {
        let both = [&pack(b"SIMPLE")[..], &[0; 100], &pack(b"  ="), &[0; 7]].concat();
        assert_eq!(unpack(&both, 100).unwrap(), b"SIMPLE  =");
        let garbage = [&pack(b"SIMPLE")[..], b"garbage"].concat();
        assert_eq!(unpack(&garbage, 100).unwrap_err().reason, Reason::Corrupt);
    }

    #[test]
    fn a_bomb_is_too_large() {
        let bomb = pack(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2000);
        assert_eq!(unpack(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        assert_eq!(unpack(&bomb, (1 << 20) - 1).unwrap_err().reason, Reason::TooLarge);
    }

    #[test]
    fn damage_is_found() {
        let bytes = b"some bytes that hardly compress 0123456789";
        let packed = pack(bytes);
        for end in 1..packed.len() {
            assert_eq!(unpack(&packed[..end], 100).unwrap_err().reason, Reason::Truncated, "{end}");
        }
        for bit in 0..packed.len() * 8 {
            let mut damaged = packed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // A larger block size changes nothing.
            if let Ok(found) = unpack(&damaged, 100) {
                assert_eq!(found, bytes, "{bit}");
            }
        }
    }
}
