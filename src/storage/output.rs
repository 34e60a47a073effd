//! Outputs: files and folders by a name that a user typed.
//!
//! What may be there already is looked at: a plain file is replaced, as a
//! whole; a character device or a pipe that somebody reads is written into;
//! anything else (a folder, a link, a disk, a socket, an input of the same
//! command, whatever lies in the folder of a run) is refused and stays as it
//! is. What a killed command left beside the output is swept.
//!
//! Invariant: nothing that is no plain file is ever renamed over or removed.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::IgnoredAny;

use super::file::{TempFile, replace, split, sync_folder};
use super::lock::{lockless, same_file};
use super::remote::{is_remote, is_store};
use super::{StorageError, place, sweep};

/// The name that means standard output.
const STDOUT: &str = "-";

/// Whether an output of this process went to standard output.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether standard output has an output's bytes, so that words go elsewhere.
pub(crate) fn took_stdout() -> bool {
    TAKEN.load(Ordering::Relaxed)
}

/// By which the folder of a run is known.
const RUN: &str = "run.json";

/// Writes bytes where the user wants them. `inputs` are the files that the
/// same command reads.
///
/// # Errors
/// [`StorageError::Output`] if that is a place that is never replaced, and
/// what the system says.
pub(crate) fn write(path: &Path, bytes: &[u8], inputs: &[&Path]) -> Result<(), StorageError> {
    match check(path, inputs)? {
        Target::File => replace(path, bytes),
        Target::Stream => stream(path, bytes).map_err(StorageError::io("write", path)),
        Target::Stdout => to_stdout(&mut &bytes[..]).map(drop),
    }
}

/// Refuses an output into which [`write()`] would not write: before hours of
/// work, and not after them.
///
/// # Errors
/// As [`write()`].
pub(crate) fn refuse(path: &Path, inputs: &[&Path]) -> Result<(), StorageError> {
    check(path, inputs).map(drop)
}

/// The same of all the outputs that a command was given, each with what it will be; one at
/// most is standard output, and none has another format's ending.
///
/// # Errors
/// As [`write()`].
pub(crate) fn refuse_all(
    outputs: &[(Option<&Path>, Written)],
    inputs: &[&Path],
) -> Result<(), StorageError> {
    let mut taken = false;
    for (path, written) in outputs {
        let Some(path) = path else { continue };
        refuse_ending(path, *written)?;
        if let Target::Stdout = check(path, inputs)?
            && std::mem::replace(&mut taken, true)
        {
            let why = "is standard output, which has another output already";
            return Err(StorageError::Output { path: (*path).to_owned(), why });
        }
    }
    Ok(())
}

/// What a command writes, where it writes nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    endings: &'static [&'static str],
    why: &'static str,
}

/// Tables of text.
pub(crate) const CSV: Written =
    Written { endings: &["csv"], why: "has another format's ending, and what is written is CSV" };

/// Drawings.
pub(crate) const SVG: Written =
    Written { endings: &["svg"], why: "has another format's ending, and what is written is SVG" };

/// Pictures.
pub(crate) const PNG: Written =
    Written { endings: &["png"], why: "has another format's ending, and what is written is PNG" };

/// Pages.
pub(crate) const HTML: Written = Written {
    endings: &["html", "htm"],
    why: "has another format's ending, and what is written is HTML",
};

/// Endings of formats that a reader chooses its way of reading by.
const KNOWN: [&str; 22] = [
    "arrow", "csv", "ecsv", "fit", "fits", "fz", "gz", "htm", "html", "jpeg", "jpg", "json", "npy",
    "parquet", "pdf", "png", "svg", "tif", "tsv", "vot", "votable", "xml",
];

/// Refuses an output whose ending promises another format than `written`: that a file
/// called `map.fits` holds CSV would be found out by its reader.
///
/// # Errors
/// [`StorageError::Output`].
fn refuse_ending(path: &Path, written: Written) -> Result<(), StorageError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    let other = |ending: &str| KNOWN.contains(&ending) && !written.endings.contains(&ending);
    if ending.as_deref().is_some_and(other) {
        return Err(StorageError::Output { path: path.to_owned(), why: written.why });
    }
    Ok(())
}

/// Refuses a folder, to be made or there, that lies in the folder of a run.
///
/// # Errors
/// [`StorageError::Output`].
pub(crate) fn refuse_folder(path: &Path) -> Result<(), StorageError> {
    if is_remote(path) || !in_run(path) {
        return Ok(());
    }
    let why = "lies in the folder of a run, into which only the run writes";
    Err(StorageError::Output { path: path.to_owned(), why })
}

/// The same of the folder of a run itself, if it is a new one.
///
/// # Errors
/// As [`refuse_folder`].
pub(crate) fn refuse_run_in_run(path: &Path) -> Result<(), StorageError> {
    let Some(folder) = path.parent().filter(|_| !path.join(RUN).exists()) else { return Ok(()) };
    refuse_folder(folder).map_err(|error| match error {
        StorageError::Output { why, .. } => StorageError::Output { path: path.to_owned(), why },
        error => error,
    })
}

/// What is under an output's name.
enum Target {
    /// A plain file, or nothing.
    File,
    /// What takes bytes and keeps none.
    Stream,
    /// Standard output, whatever it is.
    Stdout,
}

fn check(path: &Path, inputs: &[&Path]) -> Result<Target, StorageError> {
    let refused = |why| Err(StorageError::Output { path: path.to_owned(), why });
    if path == Path::new(STDOUT) {
        return Ok(Target::Stdout);
    }
    if is_remote(path) && !is_store(path) {
        return refused("is an address of the web, to which nothing is written");
    }
    if is_remote(path) && !cfg!(feature = "cloud") {
        return refused("is a URL, and this hiwl was built without the feature `cloud`");
    }
    let (folder, name) = split(path)?;
    if in_run(folder) {
        return refused("lies in the folder of a run, into which only the run writes");
    }
    let look = |found: io::Result<Metadata>| match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some).map_err(StorageError::io("look for", path)),
    };
    let found = look(fs::symlink_metadata(path))?;
    // Shells name pipes and standard output by links.
    let leads_to = look(fs::metadata(path))?;
    let target = match (found.as_ref(), leads_to.as_ref()) {
        (None, _) => Target::File,
        (Some(_), Some(end)) if is_stream(end) => Target::Stream,
        (Some(found), _) if found.is_file() => Target::File,
        (Some(found), _) if found.is_symlink() => return refused("is a link"),
        (Some(found), _) if found.is_dir() => return refused("is a folder"),
        _ => return refused("is no plain file"),
    };
    if let (Target::File, Some(found)) = (&target, &leads_to) {
        let same =
            |input: &&Path| fs::metadata(input).is_ok_and(|it| identity(&it) == identity(found));
        if inputs.iter().any(same) {
            return refused("is an input of this command");
        }
        if is_picture(path) && inputs.iter().any(|input| lies_in(path, input)) {
            return refused("is there, in a folder whose pictures are inputs");
        }
    }
    if let Target::File = target {
        sweep::sweep(folder)?;
        sweep::sweep_old(folder, name)?;
    }
    Ok(target)
}

/// Whether a file is, by its name, what folders are searched for: of those that one run
/// wrote into an input's folder and the next would replace, tables are none.
fn is_picture(path: &Path) -> bool {
    const ENDINGS: [&str; 7] = ["fit", "fits", "fz", "jpeg", "jpg", "png", "tar"];
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}

/// Whether a file that is there lies in a folder, or in one within it.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let folder = fs::canonicalize(folder).ok().filter(|folder| folder.is_dir());
    let path = fs::canonicalize(path).ok();
    folder.zip(path).is_some_and(|(folder, path)| path.starts_with(folder))
}

fn is_stream(found: &Metadata) -> bool {
    found.file_type().is_char_device() || found.file_type().is_fifo()
}

fn identity(of: &Metadata) -> (u64, u64) {
    (of.dev(), of.ino())
}

/// Whether a folder, which need not be there, is that of a run, or lies in one.
fn in_run(folder: &Path) -> bool {
    let Ok(folder) = std::path::absolute(folder) else { return false };
    // As it is: links into a run lead into it.
    let Some(here) = folder.ancestors().find_map(|folder| fs::canonicalize(folder).ok()) else {
        return false;
    };
    here.ancestors().any(|folder| is_run(&folder.join(RUN)))
}

/// Whether this is the description of a run, of whichever kind: it has settings,
/// or the data that it learns from.
fn is_run(description: &Path) -> bool {
    /// Largest description that is read.
    const LARGEST: u64 = 256 << 20;
    let is_small = fs::symlink_metadata(description)
        .is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
    let Some(bytes) = is_small.then(|| fs::read(description).ok()).flatten() else { return false };
    #[derive(serde::Deserialize)]
    struct Description {
        settings: Option<IgnoredAny>,
        recipe: Option<IgnoredAny>,
    }
    // One that cannot be read may be a run's all the same.
    serde_json::from_slice::<Description>(&bytes)
        .map_or(true, |it| it.settings.is_some() || it.recipe.is_some())
}

/// Sends bytes to standard output. A reader that has gone away has read enough.
fn to_stdout(bytes: &mut dyn io::Read) -> Result<u64, StorageError> {
    TAKEN.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    match io::copy(bytes, &mut out).and_then(|count| out.flush().map(|()| count)) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        sent => sent.map_err(StorageError::io("write", Path::new("standard output"))),
    }
}

fn stream(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let open = |flags| OpenOptions::new().write(true).custom_flags(flags).open(path);
    // Of a pipe, this fails where nobody reads, and the other would wait.
    drop(open(libc::O_NONBLOCK).map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::other("it is a named pipe that nobody reads"),
        _ => error,
    })?);
    let mut file = open(libc::O_NOCTTY)?;
    file.write_all(bytes)?;
    file.flush()
}

/// A file that appears when it is committed.
pub(crate) enum NewFile {
    /// Under a name of its own until then.
    Named {
        temp: TempFile,
        /// The one that it gets; `None` for standard output, which has it when it is whole.
        name: Option<OsString>,
    },
    /// Standard output's, without a name that could stay behind; the path is for messages.
    Nameless { path: PathBuf, file: File },
}

impl NewFile {
    /// Begins the file `path`, which is written at random and so can be no
    /// stream.
    ///
    /// # Errors
    /// As [`write()`].
    pub(crate) fn create(path: &Path, inputs: &[&Path]) -> Result<Self, StorageError> {
        if path != Path::new(STDOUT) {
            return Self::create_by_name(path, inputs);
        }
        let here = std::env::temp_dir();
        let (path, file) =
            place::nameless("stdout".as_ref()).map_err(StorageError::io("write in", &here))?;
        Ok(Self::Nameless { path, file })
    }

    /// The same of one that is opened by its [`path`](Self::path), as a library does.
    ///
    /// # Errors
    /// As [`write()`].
    pub(crate) fn create_by_name(path: &Path, inputs: &[&Path]) -> Result<Self, StorageError> {
        match check(path, inputs)? {
            Target::File => {}
            Target::Stream => {
                let why = "is a device or a pipe, and a plain file is needed (or -)";
                return Err(StorageError::Output { path: path.to_owned(), why });
            }
            Target::Stdout => {
                let here = std::env::temp_dir();
                // What a killed command left; where that may not be looked for it stays.
                let _ = sweep::sweep(&here);
                let temp = TempFile::create(&here, "hiwl-stdout")?;
                return Ok(Self::Named { temp, name: None });
            }
        }
        let (folder, name) = split(path)?;
        Ok(Self::Named { temp: TempFile::create(folder, name)?, name: Some(name.to_owned()) })
    }

    /// Where it is for now, or was.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Named { temp, .. } => temp.path(),
            Self::Nameless { path, .. } => path,
        }
    }

    /// The file, open for reading and writing.
    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Named { temp, .. } => temp.file(),
            Self::Nameless { file, .. } => file,
        }
    }

    /// Writes bytes at its end.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file().write_all(bytes).map_err(StorageError::io("write", self.path()))
    }

    /// Puts it in place; returns its size in bytes.
    pub(crate) fn commit(self) -> Result<u64, StorageError> {
        let metadata = self.file().metadata();
        let bytes = metadata.map_err(StorageError::io("look at", self.path()))?.len();
        if let Self::Named { temp, name: Some(name) } = self {
            temp.commit(name)?;
            return Ok(bytes);
        }
        let mut file = self.file();
        file.rewind().map_err(StorageError::io("read back", self.path()))?;
        to_stdout(&mut file)?;
        Ok(bytes)
    }
}

/// A folder that appears when it is committed. Dropped before, it goes with
/// all that is in it.
pub(crate) struct NewFolder {
    path: PathBuf,
    target: PathBuf,
    /// Held, so that it is known to be somebody's.
    _lock: File,
}

impl NewFolder {
    /// Begins the folder `path`, of which there is none.
    ///
    /// # Errors
    /// As [`write()`].
    pub(crate) fn create(path: &Path) -> Result<Self, StorageError> {
        if let Target::Stdout = check(path, &[])? {
            let why = "is standard output, and a folder is made";
            return Err(StorageError::Output { path: path.to_owned(), why });
        }
        let (folder, name) = split(path)?;
        loop {
            let made = folder.join(sweep::temporary(name));
            match fs::create_dir(&made) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                created => created.map_err(StorageError::io("create", &made))?,
            }
            // As with files, another process may sweep it before it is locked.
            let lock = match File::open(&made) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(StorageError::io("open", &made))?,
            };
            let free = match lock.try_lock() {
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) if !lockless(&error) => {
                    return Err(StorageError::io("lock", &made)(error));
                }
                _ => same_file(&lock, &made),
            };
            if free {
                return Ok(Self { path: made, target: path.to_owned(), _lock: lock });
            }
        }
    }

    /// Where it is for now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it; on disk when this returns.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.path.join(name);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(StorageError::io("write", &path))
    }

    /// Puts it in place, with the names of its files on disk.
    pub(crate) fn commit(self) -> Result<(), StorageError> {
        sync_all_folders(&self.path)?;
        // Over a folder that came meanwhile only if that is empty.
        fs::rename(&self.path, &self.target)
            .map_err(StorageError::io("put in place", &self.target))?;
        sync_folder(self.target.parent().unwrap_or(Path::new("")))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // After a commit the name is gone and this finds nothing.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn sync_all_folders(folder: &Path) -> Result<(), StorageError> {
    for path in place::entries(folder)? {
        if path.is_dir() {
            sync_all_folders(&path)?;
        }
    }
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn an_ending_is_no_promise_of_another_format() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str, written| refuse_ending(&dir.path().join(name), written);
        for name in ["map.csv", "MAP.CSV", "map", "map.txt", "map.v2", "like.dat"] {
            of(name, CSV).unwrap();
        }
        for (name, written) in
            [("map.fits", CSV), ("map.PNG", SVG), ("map.svg", CSV), ("page.pdf", HTML)]
        {
            let error = of(name, written).unwrap_err();
            assert!(error.is_usage(), "{error}");
            assert!(error.to_string().contains("another format's ending"), "{error}");
        }
        of("page.htm", HTML).unwrap();
        refuse_ending(Path::new("-"), CSV).unwrap();
        assert!(KNOWN.is_sorted());
    }

    fn refused(path: &Path, inputs: &[&Path]) -> String {
        let error = write(path, b"x", inputs).unwrap_err();
        assert!(error.is_usage(), "{error}");
        error.to_string()
    }

    #[test]
    fn only_plain_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("new"), b"1", &[]).unwrap();
        write(&at("new"), b"2", &[&at("other")]).unwrap();
        assert_eq!(fs::read(at("new")).unwrap(), b"2");

        symlink(at("new"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, words) in [
            ("link", "a link"),
            ("dangling", "a link"),
            ("folder", "a folder"),
            ("socket", "no plain"),
        ] {
            let text = refused(&at(name), &[]);
            assert!(text.contains(words), "{text}");
        }
        assert!(at("link").is_symlink() && at("dangling").is_symlink() && at("folder").is_dir());
        assert!(!at("nowhere").exists());

        // By another name, and through a link.
        fs::hard_link(at("new"), at("same")).unwrap();
        for input in ["new", "link"] {
            assert!(refused(&at("same"), &[&at(input)]).contains("an input"));
        }
        assert_eq!(fs::read(at("new")).unwrap(), b"2");
    }

    #[test]
    fn devices_and_pipes_are_written_into_and_stay() {
        write(Path::new("/dev/null"), b"x", &[]).unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let full = write(Path::new("/dev/full"), b"x", &[]).unwrap_err();
        assert!(full.is_storage_full(), "{full}");
        assert!(NewFile::create(Path::new("/dev/null"), &[]).is_err());

        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = write(&pipe, b"x", &[]).unwrap_err().to_string();
        assert!(error.contains("nobody reads"), "{error}");

        let both = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let mut head = Command::new("head");
        let reader = head.arg("-c4").arg(&pipe).stdout(Stdio::piped()).spawn().unwrap();
        write(&pipe, b"four", &[]).unwrap();
        assert_eq!(reader.wait_with_output().unwrap().stdout, b"four");
        drop(both);
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }

    /// What is to go to standard output is whole before, and has no name that a killed
    /// command could leave behind.
    #[test]
    fn what_goes_to_standard_output_has_no_name() {
        let by_name = NewFile::create_by_name(Path::new(STDOUT), &[]).unwrap();
        assert!(by_name.path().exists());
        let file = NewFile::create(Path::new(STDOUT), &[]).unwrap();
        file.append(b"rows").unwrap();
        assert!(!file.path().exists(), "{}", file.path().display());
        assert_eq!(file.file().metadata().unwrap().len(), 4);
        let named = tempfile::tempdir().unwrap();
        let file = NewFile::create(&named.path().join("x"), &[]).unwrap();
        assert!(file.path().exists());
        assert_eq!((file.append(b"x").unwrap(), file.commit().unwrap()), ((), 1));
    }

    #[test]
    fn nothing_is_written_into_the_folder_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir_all(run.join("catalog")).unwrap();
        fs::write(run.join(RUN), r#"{"settings": {}}"#).unwrap();
        symlink(&run, folder.path().join("link")).unwrap();
        let names = ["run/run.json", "run/new.csv", "run/catalog/part", "link/new.csv"];
        for name in names.into_iter().chain(["run/made/by/nobody/x.csv"]) {
            let text = refused(&folder.path().join(name), &[]);
            assert!(text.contains("the folder of a run"), "{text}");
        }
        for name in ["run", "run/new", "run/catalog", "link/a/b"] {
            assert!(refuse_folder(&folder.path().join(name)).is_err(), "{name}");
        }
        refuse_folder(&folder.path().join("new/er")).unwrap();
        refuse_run_in_run(&run).unwrap();
        refuse_run_in_run(&folder.path().join("another")).unwrap();
        assert!(refuse_run_in_run(&run.join("catalog")).is_err());
        assert!(refuse_run_in_run(&run.join("new")).is_err());
        // Somebody else's file of that name is no run.
        fs::create_dir(folder.path().join("theirs")).unwrap();
        fs::write(folder.path().join("theirs").join(RUN), r#"{"scripts": {}}"#).unwrap();
        write(&folder.path().join("theirs/x.csv"), b"x", &[]).unwrap();
        assert_eq!(fs::read(run.join(RUN)).unwrap(), br#"{"settings": {}}"#);
        write(&folder.path().join("new.csv"), b"x", &[]).unwrap();
    }

    #[test]
    fn what_a_killed_command_left_is_swept_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.csv");
        let file = TempFile::create(folder.path(), "out.csv").unwrap();
        let left = NewFolder::create(&folder.path().join("hats")).unwrap();
        left.write("x", b"x").unwrap();
        write(&output, b"x", &[]).unwrap();
        assert!(file.path().exists() && left.path().exists(), "both are still being written");

        // What a kill does to them: locks go, names stay.
        let names = [file.path().to_owned(), left.path().to_owned()];
        file.file().unlock().unwrap();
        left._lock.unlock().unwrap();
        write(&output, b"x", &[]).unwrap();
        assert!(names.iter().all(|name| !name.exists()));
        assert_eq!(place::entries(folder.path()).unwrap(), [output]);
    }
}
