//! A quick look at the end of the only scan of a file.
//!
//! To know that nothing is left over after the last block, all blocks have to
//! be walked over, which would make the decoding of every JPEG two fifths
//! slower. But Huffman-coded blocks fall into step from nearly anywhere: this
//! walk starts a few hundred bytes before the end, and if it arrives at the
//! padding of the last byte with a whole MCU, nothing of a few bytes is left
//! over. (More than a few, the decoder itself betrays by not asking for them.)
//!
//! Invariant: its "no" decides nothing, the full walk of
//! [`verify`](super::verify) does. Its "yes" could be wrong where less than
//! eight bytes are left over that happen to be an MCU; the picture is whole
//! then all the same.

use super::huffman::{Bits, Broken};
use super::markers::Outline;
use super::verify::Codes;

/// Bytes before the end at which the walk begins. Streams fall into step
/// after some tens of blocks of two to four bytes.
const WINDOW: usize = 512;

/// MCUs in a row without an error that count as being in step.
const IN_STEP: usize = 8;

/// Whether the scan seems to end with its last block.
pub fn is_clean(file: &[u8], outline: &Outline<'_>) -> bool {
    let [scan] = outline.scans.as_slice() else { return false };
    let Ok(codes) = Codes::of(scan) else { return false };
    let data = &file[scan.data.clone()];
    // A short scan is better walked as a whole.
    let Some(start) = data.len().checked_sub(WINDOW) else { return false };
    let mut bits = Bits::new(&data[start..]);
    let mut good = 0;
    loop {
        match codes.sequential_mcu(&mut bits, &outline.frame, scan) {
            Ok(()) => good += 1,
            Err(Broken::Short) => return false,
            Err(Broken::Code | Broken::Coefficients) => {
                good = 0;
                bits.skip(1);
            }
        }
        match bits.left() {
            // Encoders fill the last byte with ones.
            left @ 0..8 => {
                let ones = (1 << left) - 1;
                return good >= IN_STEP && bits.take(left as u8) == Ok(ones);
            }
            left if left < 0 => return false,
            _ => {}
        }
    }
}
