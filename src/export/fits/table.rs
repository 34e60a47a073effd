//! cfitsio writing a binary table behind a primary header: the unsafe edge.
//!
//! The file is opened by `ffdkopn`, which takes a path for a path and not for
//! cfitsio's language of filters and downloads. Rows come as bytes (`ffptbb`)
//! that `layout` made; what cfitsio does is the header, long texts in it, the
//! blocks and the checksums.
#![allow(unsafe_code, reason = "cfitsio is a C library")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use fitsio::sys;

use super::layout::{Layout, TableColumn, ascii};
use crate::export::ExportError;

/// Longest status text, with its end.
const STATUS_TEXT: usize = 31;

/// What the header says.
pub(super) struct TableHeader<'a> {
    rows: u64,
    columns: &'a [TableColumn],
    /// Keyword, value, comment.
    provenance: Vec<(String, String)>,
}

impl<'a> TableHeader<'a> {
    /// Of a table with so many rows.
    pub(super) fn new(rows: u64, layout: &'a Layout) -> Self {
        Self { rows, columns: &layout.columns, provenance: Vec::new() }
    }

    /// Adds where the rows come from: `hiwl.run` becomes `HWRUN`.
    pub(super) fn provenance(&mut self, key: &str, value: &str) {
        let key = key.rsplit('.').next().unwrap_or(key).to_uppercase();
        let keyword: String = format!("HW{}", ascii(&key)).chars().take(8).collect();
        self.provenance.push((keyword, ascii(value)));
    }
}

/// A table being written, row after row.
pub(super) struct NewTable {
    file: Option<NonNull<sys::fitsfile>>,
    path: PathBuf,
    /// Bytes of rows so far.
    written: i64,
}

impl NewTable {
    /// Begins the table at the end of a FITS file.
    pub(super) fn append(path: &Path, header: &TableHeader<'_>) -> Result<Self, ExportError> {
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| ExportError::Unfit("a path with a zero byte".to_owned()))?;
        let mut file = ptr::null_mut();
        let mut status = 0;
        // SAFETY: the name is a C string, and `file` has room for a pointer.
        unsafe {
            sys::ffdkopn(&mut file, name.as_ptr(), sys::READWRITE as c_int, &mut status);
        }
        let this = Self { file: NonNull::new(file), path: path.to_owned(), written: 0 };
        this.check(status)?;
        this.header(header)?;
        Ok(this)
    }

    /// The next rows, whole.
    pub(super) fn write(&mut self, rows: &[u8]) -> Result<(), ExportError> {
        if rows.is_empty() {
            return Ok(());
        }
        let length = rows.len() as i64;
        let mut status = 0;
        // SAFETY: the file is open, and cfitsio reads `length` bytes through a
        // pointer that is only for historical reasons not one to const.
        unsafe {
            sys::ffptbb(
                self.pointer(),
                1,
                self.written + 1,
                length,
                rows.as_ptr().cast_mut(),
                &mut status,
            );
        }
        self.written += length;
        self.check(status)
    }

    /// Writes checksums (of header and rows) and closes the file.
    pub(super) fn close(mut self) -> Result<(), ExportError> {
        let mut status = 0;
        // SAFETY: the file is open.
        unsafe { sys::ffpcks(self.pointer(), &mut status) };
        self.check(status)?;
        self.forget_the_time()?;
        let file = self.pointer();
        self.file = None;
        // SAFETY: the file is open, and nothing uses it after this.
        unsafe { sys::ffclos(file, &mut status) };
        self.check(status)
    }

    /// Two exports of the same rows are the same bytes, but cfitsio puts the
    /// time into the comments of both checksums. So these comments are written
    /// anew, and the checksum of the whole (FITS standard 4.0, appendix J) with
    /// them.
    fn forget_the_time(&self) -> Result<(), ExportError> {
        /// Characters of an encoded checksum.
        const ENCODED: usize = 16;
        let zero = c"0000000000000000";
        let (mut data, mut whole, mut status) = (0, 0, 0);
        let mut encoded: [c_char; ENCODED + 1] = [0; ENCODED + 1];
        // SAFETY: the file is open, keywords, values and comments are C strings
        // that cfitsio only reads, both sums have room for a number, and
        // ffesum writes 16 characters and a zero.
        unsafe {
            sys::ffmcom(
                self.pointer(),
                c"DATASUM".as_ptr(),
                c"checksum of the data".as_ptr(),
                &mut status,
            );
            sys::ffmkys(
                self.pointer(),
                c"CHECKSUM".as_ptr(),
                zero.as_ptr(),
                c"checksum of header and data".as_ptr(),
                &mut status,
            );
            sys::ffgcks(self.pointer(), &mut data, &mut whole, &mut status);
            sys::ffesum(whole, 1, encoded.as_mut_ptr());
            // "&" leaves the comment as it is.
            sys::ffmkys(
                self.pointer(),
                c"CHECKSUM".as_ptr(),
                encoded.as_ptr(),
                c"&".as_ptr(),
                &mut status,
            );
        }
        self.check(status)
    }

    fn header(&self, header: &TableHeader<'_>) -> Result<(), ExportError> {
        let columns = header.columns;
        let names = CStrings::new(columns.iter().map(|c| &c.name))?;
        let forms = CStrings::new(columns.iter().map(|c| &c.form))?;
        let units = CStrings::new(columns.iter().map(|c| &c.unit))?;
        let rows = i64::try_from(header.rows).unwrap_or(i64::MAX);
        let count = c_int::try_from(columns.len()).unwrap_or(c_int::MAX);
        let mut status = 0;
        // SAFETY: the file is open; each list has `count` pointers to C strings
        // that live until after the call, which does not write to them.
        unsafe {
            sys::ffcrtb(
                self.pointer(),
                sys::BINARY_TBL as c_int,
                rows,
                count,
                names.pointers(),
                forms.pointers(),
                units.pointers(),
                c"HIWL".as_ptr(),
                &mut status,
            );
        }
        self.check(status)?;
        // SAFETY: the file is open.
        unsafe { sys::ffplsw(self.pointer(), &mut status) };
        self.check(status)?;
        for (n, column) in (1..).zip(columns) {
            self.text(&format!("TUCD{n}"), &column.ucd)?;
            self.text(&format!("TCOMM{n}"), &column.description)?;
            if let Some(null) = column.null {
                self.integer(&format!("TNULL{n}"), null)?;
            }
        }
        self.text("RADESYS", "ICRS")?;
        for (keyword, value) in &header.provenance {
            self.text(keyword, value)?;
        }
        Ok(())
    }

    /// A keyword with a text of any length, if there is any.
    fn text(&self, keyword: &str, value: &str) -> Result<(), ExportError> {
        if value.is_empty() {
            return Ok(());
        }
        let (keyword, value) = (c_string(keyword)?, c_string(value)?);
        let mut status = 0;
        // SAFETY: the file is open and the texts are C strings; a null comment
        // is allowed.
        unsafe {
            sys::ffpkls(self.pointer(), keyword.as_ptr(), value.as_ptr(), ptr::null(), &mut status);
        }
        self.check(status)
    }

    fn integer(&self, keyword: &str, value: i64) -> Result<(), ExportError> {
        let keyword = c_string(keyword)?;
        let mut status = 0;
        // SAFETY: the file is open and the keyword a C string; a null comment
        // is allowed.
        unsafe {
            sys::ffpkyj(self.pointer(), keyword.as_ptr(), value, ptr::null(), &mut status);
        }
        self.check(status)
    }

    fn pointer(&self) -> *mut sys::fitsfile {
        self.file.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    fn check(&self, status: c_int) -> Result<(), ExportError> {
        if status == 0 {
            return Ok(());
        }
        let mut text: [c_char; STATUS_TEXT] = [0; STATUS_TEXT];
        // SAFETY: ffgerr writes at most 30 characters and a zero; ffcmsg takes
        // nothing and empties the stack of messages.
        unsafe {
            sys::ffgerr(status, text.as_mut_ptr());
            sys::ffcmsg();
        }
        // SAFETY: the array was zeroed, and what is written ends in a zero.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) };
        Err(ExportError::Fits {
            path: self.path.clone(),
            status,
            text: text.to_string_lossy().into_owned(),
        })
    }
}

impl Drop for NewTable {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let mut status = 0;
            // SAFETY: the file is open and not used after this; what is left
            // of it is removed by whoever made it.
            unsafe {
                sys::ffclos(file.as_ptr(), &mut status);
                sys::ffcmsg();
            }
        }
    }
}

fn c_string(text: &str) -> Result<CString, ExportError> {
    CString::new(text).map_err(|_| ExportError::Unfit("a text with a zero byte".to_owned()))
}

/// Texts as C has lists of them.
struct CStrings {
    _texts: Vec<CString>,
    pointers: Vec<*mut c_char>,
}

impl CStrings {
    fn new<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Self, ExportError> {
        let texts = texts.map(|text| c_string(text)).collect::<Result<Vec<_>, _>>()?;
        let pointers = texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
        Ok(Self { _texts: texts, pointers })
    }

    fn pointers(&self) -> *mut *mut c_char {
        self.pointers.as_ptr().cast_mut()
    }
}
