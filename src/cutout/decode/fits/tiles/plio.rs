//! PLIO_1: IRAF's line lists, run lengths for masks (FITS 4.0, section
//! 10.4.3; Tody, pl_l2pi in IRAF and in cfitsio's pliocomp.c).
//!
//! A list is a header of words of 16 bits, then instructions of four bits of
//! operation and twelve of data, which keep a current value, the "high" one.
//!
//! Invariant: every value comes from the list; one that ends early, reaches
//! further, or is longer than it says is damage.

use super::Damage;

/// Words of the header of today's lists; older ones have three.
const HEADER: usize = 7;

/// Decodes as many values as `out` has from big-endian words.
///
/// # Errors
/// Where the list is damaged; `out` then holds something of it.
pub fn decode(list: &[u8], out: &mut [i32]) -> Result<(), Damage> {
    let (words, rest) = list.as_chunks();
    let words: Vec<i32> = words.iter().map(|w| i32::from(i16::from_be_bytes(*w))).collect();
    let [_, header, old_length, ..] = words[..] else {
        return Err(Damage("the list ends early"));
    };
    if !rest.is_empty() || words.iter().any(|word| *word < 0 && *word != old_length) {
        return Err(Damage("a list of other than words"));
    }
    // The length is in the third word, or, if that is no length, in the
    // fourth and fifth.
    let (first, length) = if old_length > 0 {
        (3, old_length)
    } else {
        let [_, _, _, low, high, ..] = words[..] else {
            return Err(Damage("the list ends early"));
        };
        (header, (high << 15) + low)
    };
    let known = first == 3 || first == HEADER as i32;
    if !known || usize::try_from(length) != Ok(words.len()) {
        return Err(Damage("a list of another length than it says"));
    }
    let mut instructions = words.get(first as usize..).unwrap_or_default().iter();
    let (mut at, mut high) = (0, 1_i32);
    while let Some(word) = instructions.next() {
        let (operation, data) = (word >> 12, word & 0xFFF);
        match operation {
            // A run of zeros, of the value, of zeros with the value at its end.
            0 | 4 | 5 => {
                let run = out.get_mut(at..at + data as usize).ok_or(BEYOND)?;
                run.fill(if operation == 4 { high } else { 0 });
                if let (5, Some(last)) = (operation, run.last_mut()) {
                    *last = high;
                }
                at += data as usize;
            }
            1 => {
                let more = instructions.next().ok_or(Damage("the list ends early"))?;
                high = (more << 12) + data;
            }
            2 => high = high.checked_add(data).ok_or(LARGE)?,
            3 => high -= data,
            // One value, after a change.
            6 | 7 => {
                let change = if operation == 6 { data } else { -data };
                high = high.checked_add(change).ok_or(LARGE)?;
                *out.get_mut(at).ok_or(BEYOND)? = high;
                at += 1;
            }
            _ => return Err(Damage("a list of other than words")),
        }
        if high < 0 {
            return Err(Damage("a negative value in a mask"));
        }
    }
    if at < out.len() {
        return Err(Damage("the list ends early"));
    }
    Ok(())
}

const BEYOND: Damage = Damage("the list reaches past its tile");
const LARGE: Damage = Damage("a value in a mask is beyond 32 bits");

#[cfg(test)]
mod tests {
    use super::*;

    fn list(instructions: &[i16], values: usize) -> Result<Vec<i32>, Damage> {
        let length = (HEADER + instructions.len()) as i16;
        let words = [&[0, 7, -100, length, 0, 0, 0], instructions].concat();
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        let mut out = vec![-1; values];
        decode(&bytes, &mut out).map(|()| out)
    }

    #[test]
    fn instructions_make_runs() {
        let run = |operation: i16, data: i16| operation << 12 | data;
        let made = list(
            &[run(0, 2), run(2, 4), run(4, 3), run(5, 2), run(7, 1), run(1, 7), 1, run(4, 1)],
            9,
        );
        assert_eq!(made, Ok(vec![0, 0, 5, 5, 5, 0, 5, 4, 4103]));
    }

    #[test]
    fn lists_that_do_not_fill_their_tile_are_damaged() {
        assert!(list(&[0x0002], 2).is_ok());
        assert!(list(&[0x0002], 3).is_err());
        assert!(list(&[0x0002], 1).is_err());
        assert!(list(&[0x1002], 1).is_err(), "half of a value");
        assert!(list(&[0x3002, 0x4001], 1).is_err(), "a negative value");
        assert!(list(&[-3, 0x4001], 1).is_err());
        assert!(list(&[], 1).is_err());
        assert!(decode(&[0; 14], &mut [0]).is_err());
        assert!(decode(&[], &mut [0]).is_err());
    }

    #[test]
    fn lists_of_a_few_words_are_damaged_whatever_the_words() {
        // Found by libFuzzer: a negative word before there is a third.
        assert!(decode(&[0x8A, 0x00], &mut [0; 23]).is_err());
        let words = [-32768_i16, -1, 0, 1, 2, 3, 7];
        let places = words.iter().flat_map(|a| words.iter().map(move |b| [*a, *b]));
        for [a, b] in places {
            for list in [vec![], vec![a], vec![a, b], vec![a, b, a], vec![b, a, b, b]] {
                let bytes: Vec<u8> = list.iter().flat_map(|w| w.to_be_bytes()).collect();
                for end in 0..=bytes.len() {
                    assert!(decode(&bytes[..end], &mut [0; 23]).is_err(), "{list:?} to {end}");
                }
            }
        }
    }

    #[test]
    fn a_value_that_grows_for_ever_is_damage() {
        let more = vec![0x2FFF_i16; 600_000];
        let length = (HEADER + more.len()) as i32;
        let header = [0, 7, -100, (length & 0x7FFF) as i16, (length >> 15) as i16, 0, 0];
        let words = [&header[..], &more].concat();
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(decode(&bytes, &mut [0]), Err(LARGE));
    }
}
