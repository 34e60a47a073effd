//! Packed files under a limit, so that a bomb is an error and not an allocation:
//! gzip, and bzip2, in which SDSS distributes its frames (`.fits.bz2`).
//!
//! Both have the same rules. What follows is in safe Rust, like all that reads a
//! file before pixels are found (flate2's and libbz2-rs's own decoders).

use std::io::{ErrorKind, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;

use crate::cutout::{Reason, Rejection};

/// Unpacks gzip members (FITS archives concatenate them) up to `limit` bytes.
/// Zeros behind a member are padding, as of tapes and downloads of whole blocks:
/// gzip and Python pass them over, and so it is here.
///
/// # Errors
/// [`Reason::TooLarge`] past the limit, [`Reason::Truncated`] where the
/// stream ends early, [`Reason::Corrupt`] where it breaks its format or
/// checksum.
pub fn gzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, Rejection> {
    // The trailer's length is only a hint (modulo 2^32, and anyone's claim),
    // so it is trusted no further than what deflate can reach: 1,032 to 1.
    let claimed = packed.last_chunk().map_or(0, |b| u32::from_le_bytes(*b) as usize);
    let unpacked = Vec::with_capacity(claimed.min(packed.len().saturating_mul(16)).min(limit));
    streams("gzip", packed, unpacked, limit, GzDecoder::new, GzDecoder::into_inner)
}

/// Unpacks bzip2 streams up to `limit` bytes, as [`gzip`] does.
///
/// # Errors
/// The same.
pub fn bzip2(packed: &[u8], limit: usize) -> Result<Vec<u8>, Rejection> {
    streams("bzip2", packed, Vec::new(), limit, BzDecoder::new, BzDecoder::into_inner)
}

/// What one stream after the other unpacks to, behind `unpacked`.
fn streams<'a, D: Read>(
    format: &str,
    packed: &'a [u8],
    mut unpacked: Vec<u8>,
    limit: usize,
    open: impl Fn(&'a [u8]) -> D,
    close: impl Fn(D) -> &'a [u8],
) -> Result<Vec<u8>, Rejection> {
    let mut rest = packed;
    loop {
        let mut stream = open(rest);
        let room = limit - unpacked.len();
        let taken = (&mut stream).take(room as u64 + 1).read_to_end(&mut unpacked);
        taken.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                Rejection::new(Reason::Truncated, format!("the {format} stream ends early"))
            }
            _ => Rejection::new(Reason::Corrupt, format!("{format}: {error}")),
        })?;
        if unpacked.len() > limit {
            let detail = format!("{format} unpacks to more than {limit} bytes");
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        rest = behind_padding(close(stream));
        if rest.is_empty() {
            return Ok(unpacked);
        }
    }
}

/// What follows the zeros at the beginning of `bytes`.
fn behind_padding(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    &bytes[zeros..]
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ::bzip2::write::BzEncoder;
    use flate2::write::GzEncoder;

    use super::*;

    mod gzip {
        use super::*;
        use crate::cutout::decode::unpack::gzip as unpack;

        fn pack(bytes: &[u8]) -> Vec<u8> {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }

        #[test]
        fn members_are_joined() {
            let both = [pack(b"SIMPLE"), pack(b"  =")].concat();
            assert_eq!(unpack(&both, 100).unwrap(), b"SIMPLE  =");
        }

        #[test]
        fn zeros_behind_a_member_are_padding_and_anything_else_is_not() {
            let (one, two) = (pack(b"SIMPLE"), pack(b"  ="));
            let zeros = vec![0; 513];
            assert_eq!(unpack(&[&one[..], &zeros].concat(), 100).unwrap(), b"SIMPLE");
            let both = [&one[..], &zeros, &two, &zeros].concat();
            assert_eq!(unpack(&both, 100).unwrap(), b"SIMPLE  =");
            assert_eq!(unpack(&both, 8).unwrap_err().reason, Reason::TooLarge);
            for garbage in [&b"x"[..], b"\0\0xy", b"\0\x1f\x8b\x08 no member"] {
                let reason = unpack(&[&one[..], garbage].concat(), 100).unwrap_err().reason;
                assert!(matches!(reason, Reason::Corrupt | Reason::Truncated), "{garbage:?}");
            }
        }

        #[test]
        fn a_bomb_is_too_large() {
            let bomb = pack(&vec![0; 1 << 20]);
            assert!(bomb.len() < 2000);
            assert_eq!(unpack(&bomb, 1 << 20).unwrap().len(), 1 << 20);
            assert_eq!(unpack(&bomb, (1 << 20) - 1).unwrap_err().reason, Reason::TooLarge);
        }

        #[test]
        fn every_cut_is_truncated() {
            let packed = pack(b"some bytes that hardly compress 0123456789");
            for end in 1..packed.len() {
                assert_eq!(
                    unpack(&packed[..end], 100).unwrap_err().reason,
                    Reason::Truncated,
                    "{end}"
                );
            }
        }

        #[test]
        fn a_flipped_bit_is_corrupt() {
            let mut packed = pack(b"some bytes that hardly compress 0123456789");
            packed[20] ^= 1;
            assert!(matches!(
                unpack(&packed, 100).unwrap_err().reason,
                Reason::Corrupt | Reason::Truncated
            ));
        }
    }

    mod bzip2 {
        use super::*;
        use crate::cutout::decode::unpack::bzip2 as unpack;

        fn pack(bytes: &[u8]) -> Vec<u8> {
            let mut encoder = BzEncoder::new(Vec::new(), ::bzip2::Compression::best());
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
                assert_eq!(
                    unpack(&packed[..end], 100).unwrap_err().reason,
                    Reason::Truncated,
                    "{end}"
                );
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
}
