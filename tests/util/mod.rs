//! What the integration tests share.
#![allow(dead_code, reason = "each subject uses its own part")]

use std::path::{Path, PathBuf};

pub mod catalog;
pub mod command;
pub mod near;
pub mod python;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file under `fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    root().join("fixtures").join(name)
}

/// The folder of real data that `HIWL_DATA` names, if it is set. A test that
/// needs it returns early without it; where it is set and wrong, it fails.
pub fn real_data() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("HIWL_DATA")?);
    assert!(folder.is_dir(), "HIWL_DATA names no folder: {}", folder.display());
    Some(folder)
}
