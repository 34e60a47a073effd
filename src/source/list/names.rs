//! What a file is by its name, and the id that its name gives it.
//!
//! Whether the content agrees is left to the decoder, which goes by the first
//! bytes. Invariant: an id loses a known image extension and nothing else, so
//! that names such as `J000001.01+123456.7.jpg` keep their dots.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Entry, Locator};
use crate::cutout::{Reason, Rejection};

/// What a name says that a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// JPEG or PNG.
    Picture,
    /// FITS, plain, gzipped or tile-compressed.
    Fits,
    /// An uncompressed tar archive.
    Archive,
    /// A compressed tar archive: it cannot be read at random.
    CompressedArchive,
    /// Anything else.
    Other,
}

const PICTURES: [&str; 3] = ["jpg", "jpeg", "png"];
const FITS: [&str; 3] = ["fits", "fit", "fts"];
const FITS_WRAPPINGS: [&str; 3] = ["gz", "bz2", "fz"];
/// What compresses a file as a whole: extensions, and the command that unpacks.
const COMPRESSIONS: [(&[&str], &str); 5] = [
    (&["gz", "tgz"], "gunzip"),
    (&["bz2", "tbz2"], "bunzip2"),
    (&["xz", "txz"], "unxz"),
    (&["zst", "tzst"], "unzstd"),
    (&["z"], "uncompress"),
];
const COMPRESSED_ARCHIVES: [&str; 9] =
    ["tar.gz", "tgz", "tar.bz2", "tbz2", "tar.xz", "txz", "tar.zst", "tzst", "tar.z"];

impl FileKind {
    /// The kind by a file's name, and the name without its extension.
    pub fn of(name: &str) -> (Self, &str) {
        let ends = |list: &[&str]| list.iter().find_map(|e| without_extension(name, e));
        if let Some(stem) = ends(&PICTURES) {
            return (Self::Picture, stem);
        }
        if let Some(stem) = fits_stem(name) {
            return (Self::Fits, stem);
        }
        if let Some(stem) = ends(&["tar"]) {
            return (Self::Archive, stem);
        }
        if let Some(stem) = ends(&COMPRESSED_ARCHIVES) {
            return (Self::CompressedArchive, stem);
        }
        // What wget makes of a URL: `cutout.jpg?ra=190.1&dec=1.2`. The query
        // tells its cutouts apart, so all of the name is the stem.
        match name.split_once('?').map(|(path, _)| Self::of(path).0) {
            Some(kind) if kind.is_image() => (kind, name),
            _ => (Self::Other, name),
        }
    }

    /// Whether a file of this name is a cutout wherever it is found.
    pub fn is_image(self) -> bool {
        matches!(self, Self::Picture | Self::Fits)
    }
}

/// What a name says that a table of cutouts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableForm {
    /// CSV, TSV, ECSV, also gzipped.
    Text,
    /// Parquet.
    Parquet,
    /// VOTable, also gzipped.
    Xml,
}

impl TableForm {
    /// The form by a file's name; `None` if it is no table by it.
    pub fn of(name: &str) -> Option<Self> {
        let ends = |name: &str, list: &[&str]| {
            list.iter().any(|extension| without_extension(name, extension).is_some())
        };
        if ends(name, &["parquet"]) {
            return Some(Self::Parquet);
        }
        let inner = without_extension(name, "gz").unwrap_or(name);
        if ends(inner, &["csv", "tsv", "ecsv"]) {
            return Some(Self::Text);
        }
        ends(inner, &["vot", "votable", "xml"]).then_some(Self::Xml)
    }
}

/// What to say of a file that is passed over and is or holds cutouts all the
/// same, by its name.
pub(super) fn passed_over(name: &str) -> Option<&'static str> {
    if FileKind::of(name).0.is_image() {
        return None;
    }
    if without_extension(name, "parquet").is_some() {
        return Some("a table in a folder is not read: name it as an input if it holds cutouts");
    }
    if let Some((inner, tool)) = compressed(name) {
        return FileKind::of(inner).0.is_image().then_some(match tool {
            "gunzip" => "a compressed picture is not read: unpack it with gunzip",
            "bunzip2" => "a compressed picture is not read: unpack it with bunzip2",
            "unxz" => "compressed by xz, which is not read: unpack it with unxz",
            "unzstd" => "compressed by zstd, which is not read: unpack it with unzstd",
            _ => "compressed by compress (.Z), which is not read: unpack it with uncompress",
        });
    }
    name.contains('?').then_some(
        "the rest of a URL and no image's name: rename it to end in .jpg, .png or .fits, or name \
         it as an input",
    )
}

/// The name without the extension of a compression, and the command that unpacks
/// it; `None` for any other name.
pub(super) fn compressed(name: &str) -> Option<(&str, &'static str)> {
    COMPRESSIONS.iter().find_map(|(extensions, tool)| {
        extensions.iter().find_map(|e| Some((without_extension(name, e)?, *tool)))
    })
}

/// The name without a FITS extension and its wrapping, if it has one.
pub(super) fn fits_stem(name: &str) -> Option<&str> {
    let inner = FITS_WRAPPINGS.iter().find_map(|w| without_extension(name, w)).unwrap_or(name);
    FITS.iter().find_map(|e| without_extension(inner, e))
}

/// `name` without `.extension`, whatever its case; `None` if it ends otherwise.
pub(super) fn without_extension<'a>(name: &'a str, extension: &str) -> Option<&'a str> {
    let dot = name.len().checked_sub(extension.len() + 1)?;
    let bytes = name.as_bytes();
    let matches = bytes[dot] == b'.' && bytes[dot + 1..].eq_ignore_ascii_case(extension.as_bytes());
    // A dot is a whole character, so the cut is between characters.
    matches.then(|| &name[..dot])
}

/// Whether shells' patterns pass a name over: `.snapshot`,
/// `.ipynb_checkpoints` and macOS's `._image.jpg` repeat what is elsewhere.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&b'.')
}

/// The id that a file's name gives.
pub(super) fn cutout_id(name: &str) -> &str {
    let (kind, stem) = FileKind::of(name);
    if kind.is_image() && !stem.is_empty() { stem } else { name }
}

/// The entry of a file of its own: `given` is the path for a person,
/// `absolute` the one to open.
pub(super) fn file_entry(given: &Path, absolute: PathBuf) -> Entry {
    let name = given.file_name().unwrap_or(given.as_os_str()).to_string_lossy();
    let locator = if let Some(rejection) = not_utf8(&absolute) {
        Locator::Rejected(rejection)
    } else {
        Locator::File(absolute)
    };
    Entry {
        id: cutout_id(&name).to_owned(),
        source: given.to_string_lossy().into_owned(),
        locator,
        position: None,
    }
}

/// An entry of a file of its own, now known to be a link that leads nowhere.
pub(super) fn broken_link(mut entry: Entry) -> Entry {
    if let Locator::File(path) = &entry.locator {
        let target = fs::read_link(path).unwrap_or_default();
        let words = format!("a link to {}, which is not there", target.display());
        entry.locator = Locator::Rejected(Rejection::new(Reason::Missing, words));
    }
    entry
}

/// The rejection of a path that a catalog cannot name. Catalogs are UTF-8, and
/// a row whose path cannot be written down cannot be resumed or looked up.
pub(super) fn not_utf8(path: &Path) -> Option<Rejection> {
    path.to_str().is_none().then(|| {
        Rejection::new(
            Reason::Unsupported,
            format!("the path is not UTF-8: rename it ({})", path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn kinds_and_stems() {
        for (name, kind, stem) in [
            ("a.jpg", FileKind::Picture, "a"),
            ("a.JPeG", FileKind::Picture, "a"),
            ("a.b.png", FileKind::Picture, "a.b"),
            ("a.fits", FileKind::Fits, "a"),
            ("a.FIT.gz", FileKind::Fits, "a"),
            ("a.fts.fz", FileKind::Fits, "a"),
            ("a.gz", FileKind::Other, "a.gz"),
            ("a.fits.BZ2", FileKind::Fits, "a"),
            ("a.bz2", FileKind::Other, "a.bz2"),
            ("cutout.jpg?ra=1.5&layer=x", FileKind::Picture, "cutout.jpg?ra=1.5&layer=x"),
            ("cutout.fits?ra=1.5", FileKind::Fits, "cutout.fits?ra=1.5"),
            ("getjpeg?ra=1.5", FileKind::Other, "getjpeg?ra=1.5"),
            ("a.tar?x", FileKind::Other, "a.tar?x"),
            ("a.tar", FileKind::Archive, "a"),
            ("a.TAR.gz", FileKind::CompressedArchive, "a"),
            ("a.tgz", FileKind::CompressedArchive, "a"),
            ("jpg", FileKind::Other, "jpg"),
            ("", FileKind::Other, ""),
        ] {
            assert_eq!(FileKind::of(name), (kind, stem), "{name}");
        }
    }

    #[test]
    fn cutouts_in_a_form_that_is_not_read_are_named() {
        for (name, words) in [
            ("frame.jpg.bz2", "bunzip2"),
            ("a.jpg.gz", "gunzip"),
            ("a.fits.xz", "unxz"),
            ("a.fits.Z", "uncompress"),
            ("getjpeg?ra=1.5&dec=2", "rename"),
            ("t.parquet", "table"),
        ] {
            assert!(passed_over(name).is_some_and(|w| w.contains(words)), "{name}");
        }
        for other in ["notes.txt", "code.c.bz2", "a.fits.gz", "a.fits.bz2", "x.gz", ""] {
            assert_eq!(passed_over(other), None, "{other}");
        }
    }

    #[test]
    fn ids_keep_their_dots_and_any_script() {
        assert_eq!(cutout_id("J000001.01+123456.7.jpg"), "J000001.01+123456.7");
        assert_eq!(cutout_id("007.fits.gz"), "007");
        assert_eq!(cutout_id("银河.é.png"), "银河.é");
        assert_eq!(cutout_id("notes.dat"), "notes.dat");
        assert_eq!(cutout_id(".jpg"), ".jpg");
        assert_eq!(cutout_id("é"), "é");
    }

    #[test]
    fn a_path_that_is_not_utf8_is_a_rejected_entry() {
        let path = Path::new(OsStr::from_bytes(b"/a/b\xff.jpg"));
        let entry = file_entry(path, path.to_owned());
        assert_eq!(entry.id, "b\u{fffd}");
        assert!(matches!(entry.locator, Locator::Rejected(r) if r.reason == Reason::Unsupported));
    }
}
