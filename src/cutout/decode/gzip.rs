//! Gzip under a limit, so that a bomb is an error and not an allocation.
//!
//! What follows is in safe Rust, like all that reads a file before pixels are
//! found. Bzip2 has the same rules, in [`super::bzip2`].

use std::io::{ErrorKind, Read};

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
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Rejection> {
    // The trailer's length is only a hint (modulo 2^32, and anyone's claim),
    // so it is trusted no further than what deflate can reach: 1,032 to 1.
    let claimed = packed.last_chunk().map_or(0, |b| u32::from_le_bytes(*b) as usize);
    let mut unpacked = Vec::with_capacity(claimed.min(packed.len().saturating_mul(16)).min(limit));
    let mut rest = packed;
    loop {
        let mut member = GzDecoder::new(rest);
        let room = limit - unpacked.len();
        let taken = (&mut member).take(room as u64 + 1).read_to_end(&mut unpacked);
        taken.map_err(|e| rejection(&e))?;
        if unpacked.len() > limit {
            let detail = format!("gzip unpacks to more than {limit} bytes");
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        rest = behind_padding(member.into_inner());
        if rest.is_empty() {
            return Ok(unpacked);
        }
    }
}

/// What follows the zeros at the beginning of `bytes`.
pub fn behind_padding(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    &bytes[zeros..]
}

fn rejection(error: &std::io::Error) -> Rejection {
    match error.kind() {
        ErrorKind::UnexpectedEof => Rejection::new(Reason::Truncated, "the gzip stream ends early"),
        _ => Rejection::new(Reason::Corrupt, format!("gzip: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
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
            assert_eq!(unpack(&packed[..end], 100).unwrap_err().reason, Reason::Truncated, "{end}");
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
