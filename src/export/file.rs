//! The output while it is written: beside its final name, under one that
//! begins with a dot.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::ExportError;
use crate::storage::file::{TempFile, sync_folder};

/// Says no to an output that is there, unless it is a file to be replaced.
pub(super) fn refuse_existing(path: &Path, overwrite: bool) -> Result<(), ExportError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        found => Some(found.map_err(ExportError::io("look for", path))?),
    };
    match found {
        Some(found) if found.is_dir() || !overwrite => {
            Err(ExportError::Exists { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The folder and the name of a path.
fn split(path: &Path) -> Result<(PathBuf, String), ExportError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| {
        ExportError::Unfit(format!("`{}` is no name for an output", path.display()))
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")).to_owned(), name.to_owned()))
}

/// A file that appears when it is committed.
pub(super) struct NewFile {
    temp: TempFile,
    name: String,
}

impl NewFile {
    /// Begins the file `path`.
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        let (folder, name) = split(path)?;
        Ok(Self { temp: TempFile::create(&folder, &name)?, name })
    }

    /// Where it is for now.
    pub(super) fn path(&self) -> &Path {
        self.temp.path()
    }

    /// The file, open for reading and writing.
    pub(super) fn file(&self) -> &File {
        self.temp.file()
    }

    /// Writes bytes at its end.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<(), ExportError> {
        self.file().write_all(bytes).map_err(ExportError::io("write", self.path()))
    }

    /// Puts it in place; returns its size in bytes.
    pub(super) fn commit(self) -> Result<u64, ExportError> {
        let metadata = self.file().metadata();
        let bytes = metadata.map_err(ExportError::io("look at", self.path()))?.len();
        self.temp.commit(&self.name)?;
        Ok(bytes)
    }
}

/// A folder that appears when it is committed. Dropped before, it goes with
/// all that is in it.
pub(super) struct NewFolder {
    path: PathBuf,
    target: PathBuf,
}

impl NewFolder {
    /// Begins the folder `path`.
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        let (folder, name) = split(path)?;
        loop {
            let hidden =
                format!(".{name}.{}-{:08x}.tmp", std::process::id(), rand::random::<u32>());
            let made = folder.join(hidden);
            match fs::create_dir(&made) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created.map_err(ExportError::io("create", &made))?,
            }
            return Ok(Self { path: made, target: folder.join(name) });
        }
    }

    /// Where it is for now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it, whose folders are made; on disk when this returns.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let path = self.path.join(name);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(ExportError::io("write", &path))
    }

    /// Puts it in place, with the names of its files on disk.
    pub(super) fn commit(self) -> Result<(), ExportError> {
        sync_all_folders(&self.path)?;
        fs::rename(&self.path, &self.target)
            .map_err(ExportError::io("put in place", &self.target))?;
        sync_folder(
            self.target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")),
        )?;
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // After a commit the name is gone and this finds nothing.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn sync_all_folders(folder: &Path) -> Result<(), ExportError> {
    for path in crate::storage::file::entries(folder)? {
        if path.is_dir() {
            sync_all_folders(&path)?;
        }
    }
    Ok(sync_folder(folder)?)
}
