//! Cutouts in object stores and on web servers, and run folders in stores:
//! `s3://`, `gs://`, `az://`, `https://`.
//!
//! A URL stands where a path does, as text: in inputs, in lists, in tables, in
//! the listing, and as a run's folder. This file tells one from the other;
//! `store` reads, `folder` keeps files below a prefix, `answer` says what went
//! wrong, in programs that are built with the feature `cloud`. Others say so
//! for each URL that they meet.
//!
//! `secrets` knows what of a URL is nobody's business.
//!
//! Invariant: a URL never reaches the file system.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) mod secrets;

#[cfg(feature = "cloud")]
mod answer;
#[cfg(feature = "cloud")]
mod folder;
#[cfg(feature = "cloud")]
mod store;

#[cfg(feature = "cloud")]
pub(crate) use folder::{entries, exists, fetch, put, put_new, remove};
#[cfg(feature = "cloud")]
pub(crate) use store::{Object, list, read};

/// Schemes that are read.
const SCHEMES: [&str; 9] =
    ["s3://", "s3a://", "gs://", "az://", "azure://", "abfs://", "abfss://", "https://", "http://"];

/// What a store is told that cannot hold a run.
#[cfg(feature = "cloud")]
const NO_CONDITIONS: &str = "this store cannot put an object on condition that there is none \
    (If-None-Match), without which two processes may begin two runs in one place";

/// What [`read`] found.
#[derive(Debug)]
pub(crate) enum Whole {
    /// The bytes of an object.
    #[cfg_attr(not(feature = "cloud"), expect(dead_code, reason = "only a store gives any"))]
    Bytes(Vec<u8>),
    /// How many it has, where these are none or too many.
    #[cfg_attr(not(feature = "cloud"), expect(dead_code, reason = "only a store gives any"))]
    Size(u64),
}

/// What is in a folder of a store.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its name in the folder.
    pub(crate) name: String,
    /// When it was put there; folders do not say.
    pub(crate) modified: Option<SystemTime>,
}

/// Whether files can be kept below a URL: of a store, and not of a web server.
pub(crate) fn is_store(url: &Path) -> bool {
    is_remote(url) && !url.as_os_str().as_encoded_bytes().starts_with(b"http")
}

/// Whether a path is a URL.
pub(crate) fn is_remote(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    SCHEMES.iter().any(|scheme| bytes.starts_with(scheme.as_bytes()))
}

/// The absolute form of a path, links and `..` kept as they are; a URL, and `-`
/// for standard input, as they are.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    if is_remote(path) || path == Path::new("-") {
        return Ok(path.to_owned());
    }
    std::path::absolute(path)
}

/// What a path in a list or a table leads to, relative to its folder.
pub(crate) fn join(folder: &Path, path: &Path) -> PathBuf {
    if is_remote(path) { path.to_owned() } else { folder.join(path) }
}

/// Bytes of a file or an object.
pub(crate) fn size(path: &Path) -> io::Result<u64> {
    if is_remote(path) {
        Object::open(path).map(|object| object.size())
    } else {
        Ok(std::fs::metadata(path)?.len())
    }
}

#[cfg(not(feature = "cloud"))]
pub(crate) use without::{Object, entries, exists, fetch, list, put, put_new, read, remove};

/// What a program without the feature answers.
#[cfg(not(feature = "cloud"))]
mod without {
    use std::fs::File;
    use std::io::{self, Write};
    use std::path::Path;

    use super::{Listed, Whole};

    fn unsupported() -> io::Error {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "a URL, and this hiwl was built without the feature `cloud`",
        )
    }

    /// An object that cannot be.
    #[derive(Debug, Clone)]
    pub(crate) enum Object {}

    impl Object {
        pub(crate) fn open(_: &Path) -> io::Result<Self> {
            Err(unsupported())
        }

        pub(crate) fn size(&self) -> u64 {
            match *self {}
        }

        pub(crate) fn version(&self) -> Option<String> {
            match *self {}
        }

        pub(crate) fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn read_stretch_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
            match *self {}
        }
    }

    pub(crate) fn read(_: &Path, _: u64) -> io::Result<Whole> {
        Err(unsupported())
    }

    pub(crate) fn list(_: &Path) -> io::Result<std::iter::Empty<io::Result<String>>> {
        Err(unsupported())
    }

    pub(crate) fn exists(_: &Path) -> io::Result<bool> {
        Err(unsupported())
    }

    pub(crate) fn entries(_: &Path) -> io::Result<Vec<Listed>> {
        Err(unsupported())
    }

    pub(crate) fn fetch(_: &Path, _: &mut dyn Write) -> io::Result<()> {
        Err(unsupported())
    }

    pub(crate) fn put(_: &Path, _: &File) -> io::Result<()> {
        Err(unsupported())
    }

    pub(crate) fn put_new(_: &Path, _: &File) -> io::Result<bool> {
        Err(unsupported())
    }

    pub(crate) fn remove(_: &Path) -> io::Result<()> {
        Err(unsupported())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_paths_and_stay_as_they_are() {
        for url in ["s3://bucket/a b/c.jpg", "https://host/x.fits", "gs://b/", "az://c/d.tar"] {
            assert!(is_remote(Path::new(url)), "{url}");
            assert_eq!(absolute(Path::new(url)).unwrap().to_str(), Some(url));
            assert_eq!(join(Path::new("/data"), Path::new(url)).to_str(), Some(url));
        }
        for path in ["s3:/bucket", "/data/s3://x", "ftp://host/x", "-", "https:", ""] {
            assert!(!is_remote(Path::new(path)), "{path}");
        }
        assert_eq!(join(Path::new("/data"), Path::new("x.jpg")), Path::new("/data/x.jpg"));
    }
}
