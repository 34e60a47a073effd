//! The coefficients of one block, walked over (T.81, F.2.2 and G.1.2).

use super::huffman::{Bits, Broken, Table};

/// Coefficients of a block.
const COEFFICIENTS: usize = 64;

/// A run of zeros as long as one symbol can tell.
const LONGEST_RUN: usize = 15;

/// A DC coefficient: a category and as many bits.
pub fn dc(bits: &mut Bits, table: &Table) -> Result<(), Broken> {
    let category = bits.symbol(table)?;
    bits.skip(category.into());
    Ok(())
}

/// The AC coefficients of a sequential block.
pub fn ac(bits: &mut Bits, table: &Table) -> Result<(), Broken> {
    let mut k = 1;
    while k < COEFFICIENTS {
        let symbol = bits.symbol(table)?;
        let (run, size) = (usize::from(symbol >> 4), usize::from(symbol & 15));
        if size == 0 {
            if run != LONGEST_RUN {
                break;
            }
            k += LONGEST_RUN + 1;
            continue;
        }
        k += run + 1;
        bits.skip(size);
        if k > COEFFICIENTS {
            return Err(Broken::Coefficients);
        }
    }
    Ok(())
}

/// The first scan of a band: notes in `known` which coefficients are not
/// zero. `eob_run` are the blocks without coefficients still to come.
pub fn ac_first(
    bits: &mut Bits,
    table: &Table,
    (start, end): (usize, usize),
    eob_run: &mut u32,
    known: &mut u64,
) -> Result<(), Broken> {
    if *eob_run > 0 {
        *eob_run -= 1;
        return Ok(());
    }
    let mut k = start;
    while k <= end {
        let symbol = bits.symbol(table)?;
        let (run, size) = (usize::from(symbol >> 4), symbol & 15);
        if size == 0 {
            if run != LONGEST_RUN {
                *eob_run = end_of_band(bits, run)? - 1;
                break;
            }
            k += LONGEST_RUN + 1;
            continue;
        }
        k += run;
        bits.skip(size.into());
        if k > end {
            return Err(Broken::Coefficients);
        }
        *known |= 1 << k;
        k += 1;
    }
    Ok(())
}

/// A later scan of a band: one more bit for each coefficient in `known`, and
/// those that become known.
pub fn ac_refine(
    bits: &mut Bits,
    table: &Table,
    (start, end): (usize, usize),
    eob_run: &mut u32,
    known: &mut u64,
) -> Result<(), Broken> {
    let mut k = start;
    while *eob_run == 0 && k <= end {
        let symbol = bits.symbol(table)?;
        let (mut run, size) = (usize::from(symbol >> 4), symbol & 15);
        match size {
            0 if run == LONGEST_RUN => {}
            0 => {
                *eob_run = end_of_band(bits, run)?;
                break;
            }
            1 => bits.skip(1),
            _ => return Err(Broken::Code),
        }
        // Over the known ones, and over as many unknown ones as the run says.
        while k <= end {
            if *known & (1 << k) != 0 {
                bits.skip(1);
            } else if run == 0 {
                break;
            } else {
                run -= 1;
            }
            k += 1;
        }
        if size == 1 {
            if k > end {
                return Err(Broken::Coefficients);
            }
            *known |= 1 << k;
        }
        k += 1;
    }
    if *eob_run > 0 {
        let band = (u64::MAX >> (COEFFICIENTS - 1 - end)) & !((1_u64 << k.min(63)) - 1);
        if k <= end {
            bits.skip((*known & band).count_ones() as usize);
        }
        *eob_run -= 1;
    }
    Ok(())
}

/// How many blocks end here, this one included.
fn end_of_band(bits: &mut Bits, run: usize) -> Result<u32, Broken> {
    // At most 14, as 15 is a run of zeros.
    Ok((1 << run) + bits.take(run as u8)?)
}
