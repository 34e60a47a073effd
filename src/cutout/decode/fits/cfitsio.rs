//! cfitsio's conversion of integer pixels: the unsafe edge of FITS.
//!
//! cfitsio believes what a file says of itself, and reads and writes past its
//! buffers where that is wrong. So it never sees a file that came from
//! outside, nor a name (its names are a language: `[...]` filters rows,
//! `(...)` writes copies, `http://` downloads). [`convert`] takes numbers that
//! this program has found and counted, writes a header of eight records in
//! front of them, of types, lengths and scales that it was given as such, and
//! has cfitsio read that, from memory. Compressed images never come here.
//!
//! cfitsio keeps one stack of error messages for the whole process, so on a
//! failure the messages of other threads are among one's own. Rejections go
//! into the catalog and must not depend on the number of threads: only the
//! text of the status code is reported, and the stack is emptied.
#![allow(unsafe_code, reason = "cfitsio is a C library")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Once;

use fitsio::sys;

use super::layout::Pixels;
use super::scaling::Scaling;
use crate::storage::fits::{BLOCK, CARD};

/// Status: a value does not fit the type asked for; the rest is read.
const NUM_OVERFLOW: c_int = 412;

/// Longest status text, with its end.
const STATUS_TEXT: usize = 31;

/// A cfitsio status other than zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cfitsio: {text} (status {status})")]
pub struct CfitsioError {
    /// The code; see cfitsio's manual, appendix C.
    pub status: i32,
    /// cfitsio's text for the code.
    pub text: String,
}

/// Converts big-endian numbers to physical values. Undefined and infinite
/// ones become NaN, those too small for the type's normal numbers zero;
/// values beyond the range of `f32` become infinite.
///
/// # Errors
/// cfitsio's status, if it cannot read them.
///
/// # Panics
/// If `numbers` are not as many as `out`.
pub fn convert(
    pixels: Pixels,
    scaling: &Scaling,
    numbers: &[u8],
    out: &mut [f32],
) -> Result<(), CfitsioError> {
    assert_eq!(Some(numbers.len()), out.len().checked_mul(pixels.bytes()), "a value a number");
    if out.is_empty() {
        return Ok(());
    }
    assert_thread_safe();
    // One buffer a thread: to get fresh memory from the system takes longer
    // than to copy a cutout into it.
    thread_local! {
        static FILE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut file = FILE.take();
    file.clear();
    write_header(&mut file, pixels, scaling, out.len());
    file.extend_from_slice(numbers);
    file.resize(file.len().next_multiple_of(BLOCK), 0);
    // SAFETY: `file` is what `write_header` wrote for `out.len()` numbers, and the
    // numbers, which are as many by the assertion above.
    let answer = unsafe { read(&mut file, out) };
    if file.capacity() <= KEPT {
        FILE.set(file);
    }
    answer
}

/// Most bytes that a thread keeps between images.
const KEPT: usize = 4 << 20;

/// The header of an image of one axis.
fn write_header(header: &mut Vec<u8>, pixels: Pixels, scaling: &Scaling, count: usize) {
    let bitpix = match pixels {
        Pixels::U8 => 8,
        Pixels::I16 => 16,
        Pixels::I32 => 32,
        Pixels::I64 => 64,
        Pixels::F32 => -32,
        Pixels::F64 => -64,
    };
    let mut card = |keyword: &str, value: &dyn std::fmt::Display| {
        header.extend_from_slice(format!("{keyword:<8}= {value:>20}").as_bytes());
        header.resize(header.len().next_multiple_of(CARD), b' ');
    };
    card("SIMPLE", &"T");
    card("BITPIX", &bitpix);
    card("NAXIS", &1);
    card("NAXIS1", &count);
    if !scaling.is_none() {
        // The shortest digits that read back as the same number.
        card("BSCALE", &format_args!("{:E}", scaling.scale));
        card("BZERO", &format_args!("{:E}", scaling.zero));
    }
    if let Some(blank) = scaling.blank {
        card("BLANK", &blank);
    }
    header.extend_from_slice(b"END");
    header.resize(BLOCK, b' ');
}

/// Reads the pixels of the first image of a file of this module's making,
/// which has as many as `out`.
///
/// # Safety
/// cfitsio takes the header at its word: it must be [`write_header`]'s for
/// `out.len()` pixels, the pixels must follow it, and padding to whole blocks.
unsafe fn read(file: &mut [u8], out: &mut [f32]) -> Result<(), CfitsioError> {
    let mut open: *mut sys::fitsfile = ptr::null_mut();
    // cfitsio keeps the addresses of these two until the file is closed.
    let mut start: *mut c_void = file.as_mut_ptr().cast();
    let mut size = file.len();
    let mut status = 0;
    // SAFETY: the name is a C string. `start` and `size` describe `file`,
    // which is borrowed for as long as cfitsio has it: it is closed below,
    // on every path. Opened read-only and without a function to reallocate,
    // cfitsio leaves the bytes as they are. It reads what the caller promises to
    // be a whole file, so that no record leads it past the end of `file`.
    unsafe {
        sys::ffomem(
            &mut open,
            c"cutout".as_ptr(),
            sys::READONLY as c_int,
            &raw mut start,
            &raw mut size,
            0,
            None,
            &mut status,
        );
    }
    check(status)?;
    let mut blank = f32::NAN;
    let mut any_blank = 0;
    // SAFETY: the file is open, as the status says, and the image has
    // `out.len()` pixels by its header (the caller's promise): as many values of
    // the type named, for which there is room in `out`, are written.
    unsafe {
        sys::ffgpv(
            open,
            sys::TFLOAT as c_int,
            1,
            out.len() as i64,
            (&raw mut blank).cast(),
            out.as_mut_ptr().cast(),
            &mut any_blank,
            &mut status,
        );
    }
    let mut closing = 0;
    // SAFETY: the file is open and not used after this.
    unsafe { sys::ffclos(open, &mut closing) };
    if status == NUM_OVERFLOW {
        clear_messages();
        // cfitsio has put the largest float where a value did not fit.
        for value in out.iter_mut().filter(|v| v.abs() == f32::MAX) {
            *value = f32::INFINITY.copysign(*value);
        }
        return check(closing);
    }
    check(status).and(check(closing))
}

/// cfitsio has to be built with its locks, or threads corrupt its tables.
fn assert_thread_safe() {
    static CHECKED: Once = Once::new();
    CHECKED.call_once(|| {
        // SAFETY: takes nothing and only returns how cfitsio was built.
        let reentrant = unsafe { sys::fits_is_reentrant() };
        assert_eq!(reentrant, 1, "cfitsio was built without --enable-reentrant");
    });
}

fn check(status: c_int) -> Result<(), CfitsioError> {
    if status == 0 {
        return Ok(());
    }
    clear_messages();
    let mut text: [c_char; STATUS_TEXT] = [0; STATUS_TEXT];
    // SAFETY: ffgerr writes at most 30 characters and a zero.
    unsafe { sys::ffgerr(status, text.as_mut_ptr()) };
    // SAFETY: the array was zeroed, and what is written ends in a zero.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    Err(CfitsioError { status, text: text.to_string_lossy().into_owned() })
}

fn clear_messages() {
    // SAFETY: takes nothing; cfitsio locks its stack.
    unsafe { sys::ffcmsg() };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the standard says, without cfitsio.
    fn plain(pixels: Pixels, scaling: &Scaling, numbers: &[u8]) -> Vec<f32> {
        let each = numbers.chunks_exact(pixels.bytes()).map(|b| {
            let wide = |b: &[u8]| i64::from_be_bytes(b.try_into().unwrap());
            let integer = match pixels {
                Pixels::U8 => i64::from(b[0]),
                Pixels::I16 => i64::from(i16::from_be_bytes(b.try_into().unwrap())),
                Pixels::I32 => i64::from(i32::from_be_bytes(b.try_into().unwrap())),
                Pixels::I64 => wide(b),
                Pixels::F32 => {
                    let value = f32::from_be_bytes(b.try_into().unwrap());
                    return if value.is_subnormal() { 0.0 } else { f64::from(value) };
                }
                Pixels::F64 => {
                    let value = f64::from_be_bytes(b.try_into().unwrap());
                    return if value.is_subnormal() { 0.0 } else { value };
                }
            };
            if scaling.blank == Some(integer) { f64::NAN } else { integer as f64 }
        });
        let defined = |v: f64| if v.is_finite() { scaling.apply(v) as f32 } else { f32::NAN };
        each.map(defined).collect()
    }

    #[test]
    fn any_numbers_are_converted_as_the_standard_says() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let kinds = [Pixels::U8, Pixels::I16, Pixels::I32, Pixels::I64, Pixels::F32, Pixels::F64];
        for (round, pixels) in kinds.into_iter().cycle().take(600).enumerate() {
            let count = random.random_range(0..2000);
            let mut numbers: Vec<u8> = vec![0; count * pixels.bytes()];
            random.fill(&mut numbers[..]);
            let scaling = match round % 3 {
                0 => Scaling::NONE,
                1 => Scaling { scale: 0.0123, zero: -4.5e-7, blank: Some(-7) },
                _ => Scaling { scale: -2.0, zero: 32768.0, blank: Some(100) },
            };
            let scaling =
                if pixels.are_integers() { scaling } else { Scaling { blank: None, ..scaling } };
            // What is in `out` before must not matter.
            let mut out: Vec<f32> = (0..count).map(|_| random.random()).collect();
            convert(pixels, &scaling, &numbers, &mut out).unwrap();
            let expected = plain(pixels, &scaling, &numbers);
            for (at, (found, wanted)) in out.iter().zip(&expected).enumerate() {
                let same = found == wanted || (found.is_nan() && wanted.is_nan());
                assert!(same, "{pixels:?} {scaling:?} {at}: {found} {wanted}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "a value a number")]
    fn counts_that_disagree_never_reach_c() {
        let _ = convert(Pixels::I16, &Scaling::NONE, &[0; 7], &mut [0.0; 4]);
    }
}
