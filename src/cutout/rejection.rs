//! Why a cutout could not be classified: a value that becomes its row.

use std::fmt;
use std::io;
use std::path::Path;

/// The kind of a rejection. Its [`code`](Reason::code) is the catalog's
/// `status`, so codes are part of the file format and never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The file is gone, or a link points nowhere.
    Missing,
    /// The file is there and cannot be read (permission, I/O error).
    Unreadable,
    /// Zero bytes.
    Empty,
    /// The data ends before the image does.
    Truncated,
    /// Neither JPEG, PNG nor FITS by its first bytes.
    NotAnImage,
    /// A valid file of a kind that is not read (12-bit JPEG, FITS with the
    /// wrong number of axes).
    Unsupported,
    /// The file breaks its own format.
    Corrupt,
    /// Larger than the limits that protect memory.
    TooLarge,
    /// Smaller than what the network sees.
    TooSmall,
    /// Much wider than what the network sees, and of unknown scale.
    TooWide,
    /// To be brought to a scale, and the size of its pixels, or of its object,
    /// is not known.
    NoScale,
    /// It shows nothing: one colour, text, an empty sky.
    Blank,
    /// Most of it is brighter than a picture can be.
    Saturated,
    /// No finite pixel, or too few of them.
    NoData,
    /// A band that the run needs is not there.
    MissingBand,
    /// The network's output for it is not finite.
    NotFinite,
    /// Reading or decoding it ended the program, or a part of it.
    Crashed,
    /// Its place on the sky is in none of the mosaics.
    Outside,
}

impl Reason {
    /// Every reason, in the order of summaries.
    pub const ALL: [Self; 18] = [
        Self::Missing,
        Self::Unreadable,
        Self::Empty,
        Self::Truncated,
        Self::NotAnImage,
        Self::Unsupported,
        Self::Corrupt,
        Self::TooLarge,
        Self::TooSmall,
        Self::TooWide,
        Self::NoScale,
        Self::Blank,
        Self::Saturated,
        Self::NoData,
        Self::MissingBand,
        Self::NotFinite,
        Self::Crashed,
        Self::Outside,
    ];

    /// The catalog's `status` for this reason.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::NotAnImage => "not_an_image",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too_large",
            Self::TooSmall => "too_small",
            Self::TooWide => "too_wide",
            Self::NoScale => "no_scale",
            Self::Blank => "blank",
            Self::Saturated => "saturated",
            Self::NoData => "no_data",
            Self::MissingBand => "missing_band",
            Self::NotFinite => "not_finite",
            Self::Crashed => "crashed",
            Self::Outside => "outside",
        }
    }

    /// The reason whose code this is.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.code() == code)
    }
}

/// A cutout that cannot be classified, and why. It travels down the pipeline
/// in place of pixels and becomes a row; it never ends a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Rejection {
    /// The kind, for counting.
    pub reason: Reason,
    /// What was found, for a person.
    pub detail: String,
}

impl Rejection {
    /// A rejection for `reason`, with what was found.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The rejection for what the system, or a store, says of a file.
    pub fn of_io(path: &Path, error: &io::Error) -> Self {
        let reason = match error.kind() {
            // A folder of the path that is a file by now.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Reason::Missing,
            io::ErrorKind::Unsupported => Reason::Unsupported,
            _ => Reason::Unreadable,
        };
        Self::new(reason, format!("{}: {error}", path.display()))
    }

    /// The same rejection, with where it was found in front.
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { detail: format!("{place}: {}", self.detail), ..self }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.detail)
    }
}
