//! cfitsio on a file that is already in memory: the unsafe edge of FITS.
//!
//! Files are never opened by name, because cfitsio's names are a language
//! (`[...]` filters rows, `(...)` writes copies, `http://` downloads), and
//! cutout identifiers come from outside. Everything here is read-only.
//! [`super::layout`] has checked the file before it comes here.
//!
//! cfitsio keeps one stack of error messages for the whole process, so on a
//! failure the messages of other threads are among one's own. Rejections go
//! into the catalog and must not depend on the number of threads: only the
//! text of the status code is reported, and the stack is emptied.
#![allow(unsafe_code, reason = "cfitsio is a C library")]

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Once;

use fitsio::sys;

/// Status: a value does not fit the type asked for; the rest is read.
const NUM_OVERFLOW: c_int = 412;

/// Longest status text, with its end.
const STATUS_TEXT: usize = 31;

/// Most axes asked for.
const MAX_AXES: usize = 9;

/// A cfitsio status other than zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cfitsio: {text} (status {status})")]
pub struct CfitsioError {
    /// The code; see cfitsio's manual, appendix C.
    pub status: i32,
    /// cfitsio's text for the code.
    pub text: String,
}

/// A FITS file in memory, open for reading.
pub struct MemoryFile<'a> {
    file: NonNull<sys::fitsfile>,
    /// What cfitsio keeps pointers to; dropped after the file is closed.
    _anchor: Box<Anchor>,
    bytes: PhantomData<&'a [u8]>,
}

/// cfitsio does not keep the address and the size of the bytes, but the
/// addresses of the variables that hold them, so these must not move.
struct Anchor {
    start: UnsafeCell<*mut c_void>,
    size: UnsafeCell<usize>,
}

impl<'a> MemoryFile<'a> {
    /// Opens the bytes of a FITS file at its first HDU.
    ///
    /// # Errors
    /// cfitsio's status, if it cannot read the first header.
    pub fn open(bytes: &'a [u8]) -> Result<Self, CfitsioError> {
        assert_thread_safe();
        let anchor = Box::new(Anchor {
            start: UnsafeCell::new(bytes.as_ptr().cast_mut().cast()),
            size: UnsafeCell::new(bytes.len()),
        });
        let mut file = ptr::null_mut();
        let mut status = 0;
        // SAFETY: the name is a C string; the anchor's cells stay where they
        // are until the file is closed (see Drop) and the bytes outlive it
        // ('a). Opened read-only, cfitsio neither writes to the bytes nor
        // reallocates them (no function for it is given).
        unsafe {
            sys::ffomem(
                &mut file,
                c"cutout".as_ptr(),
                sys::READONLY as c_int,
                anchor.start.get(),
                anchor.size.get(),
                0,
                None,
                &mut status,
            );
        }
        check(status)?;
        let file = NonNull::new(file).ok_or_else(|| CfitsioError {
            status: 0,
            text: "no file and no error from ffomem".to_owned(),
        })?;
        Ok(Self { file, _anchor: anchor, bytes: PhantomData })
    }

    /// Goes to an HDU, counted from 1.
    ///
    /// # Errors
    /// cfitsio's status, if there is no such HDU or its header is broken.
    pub fn go_to(&mut self, hdu: usize) -> Result<(), CfitsioError> {
        let number = c_int::try_from(hdu).unwrap_or(c_int::MAX);
        let mut status = 0;
        // SAFETY: the file is open; a null type is allowed.
        unsafe { sys::ffmahd(self.file.as_ptr(), number, ptr::null_mut(), &mut status) };
        check(status)
    }

    /// Axes of the current image, fastest first.
    ///
    /// # Errors
    /// cfitsio's status, if the HDU is not an image.
    pub fn axes(&mut self) -> Result<Vec<u64>, CfitsioError> {
        let mut axes: [c_long; MAX_AXES] = [0; MAX_AXES];
        let (mut bitpix, mut count, mut status) = (0, 0, 0);
        // SAFETY: the file is open, and at most MAX_AXES lengths are written.
        unsafe {
            sys::ffgipr(
                self.file.as_ptr(),
                MAX_AXES as c_int,
                &mut bitpix,
                &mut count,
                axes.as_mut_ptr(),
                &mut status,
            );
        }
        check(status)?;
        let count = usize::try_from(count).unwrap_or(0).min(MAX_AXES);
        Ok(axes[..count].iter().map(|n| u64::try_from(*n).unwrap_or(0)).collect())
    }

    /// Reads pixels of the current image, scaled by BSCALE and BZERO, from
    /// the pixel `first` (from 0) on. Undefined pixels (NaN, BLANK) become
    /// NaN; values beyond the range of `f32` become infinite.
    ///
    /// # Errors
    /// cfitsio's status, if the pixels cannot be read.
    pub fn read(&mut self, first: u64, out: &mut [f32]) -> Result<(), CfitsioError> {
        let mut blank = f32::NAN;
        let (mut any_blank, mut status) = (0, 0);
        // SAFETY: the file is open, and `out` has room for as many values of
        // the type named as are asked for.
        unsafe {
            sys::ffgpv(
                self.file.as_ptr(),
                sys::TFLOAT as c_int,
                i64::try_from(first + 1).unwrap_or(i64::MAX),
                i64::try_from(out.len()).unwrap_or(i64::MAX),
                (&raw mut blank).cast(),
                out.as_mut_ptr().cast(),
                &mut any_blank,
                &mut status,
            );
        }
        if status == NUM_OVERFLOW {
            clear_messages();
            // cfitsio has put the largest float where a value did not fit.
            for value in out.iter_mut().filter(|v| v.abs() == f32::MAX) {
                *value = f32::INFINITY.copysign(*value);
            }
            return Ok(());
        }
        check(status)
    }
}

impl Drop for MemoryFile<'_> {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: the file is open and not used after this; the anchor and
        // the bytes are still alive.
        unsafe { sys::ffclos(self.file.as_ptr(), &mut status) };
        if status != 0 {
            clear_messages();
        }
    }
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
