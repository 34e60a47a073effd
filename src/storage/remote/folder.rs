//! A prefix of a store as a folder, for whoever keeps files there.
//!
//! An object appears whole or not at all, so there are no temporary names and
//! nothing to flush. What fails is tried again by the crate: to put the same
//! bytes twice is to put them once. What is read goes through `store`.
//!
//! Memory: one piece of [`PIECE`] bytes.
//!
//! Invariant: of those who put a new object under one name, one is told that
//! it did, or nobody is; a store that cannot promise that is refused.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
};

use super::answer::of;
use super::store::{locate, stores, text};
use super::{Listed, NO_CONDITIONS};

/// Bytes of a request, which has half a minute: more are put and fetched in
/// pieces. Stores want at least 5 MiB of all but the last.
const PIECE: u64 = 16 << 20;

/// How often a new object is put where nobody says whether it was ...
const ATTEMPTS: u32 = 4;
/// ... within this time: a store that is away, the crate waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether there is an object of this name.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    let (store, key) = locate(text(path)?)?;
    match stores()?.runtime.block_on(async { store.head(&key).await }) {
        Ok(_) => Ok(true),
        Err(error) => match of(error) {
            error if error.kind() == ErrorKind::NotFound => Ok(false),
            error => Err(error),
        },
    }
}

/// The objects and folders in a folder, in no order.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<Listed>> {
    let (store, prefix) = locate(text(folder)?)?;
    let listed =
        stores()?.runtime.block_on(async { store.list_with_delimiter(Some(&prefix)).await });
    let listed = listed.map_err(of)?;
    let name = |key: &Key| key.filename().unwrap_or_default().to_owned();
    let objects = listed.objects.iter().map(|object| Listed {
        name: name(&object.location),
        modified: Some(SystemTime::from(object.last_modified)),
    });
    let folders = listed.common_prefixes.iter();
    let folders = folders.map(|folder| Listed { name: name(folder), modified: None });
    // Some stores keep an empty object that stands for the folder itself.
    Ok(objects.filter(|object| !object.name.is_empty()).chain(folders).collect())
}

/// Writes the bytes of an object to the end of a writer.
pub(crate) fn fetch(path: &Path, to: &mut dyn Write) -> io::Result<()> {
    let (store, key) = locate(text(path)?)?;
    let runtime = &stores()?.runtime;
    let found = runtime.block_on(async { store.get(&key).await }).map_err(of)?;
    let (size, version) = (found.meta.size, found.meta.e_tag.clone());
    if size <= PIECE {
        let bytes = runtime.block_on(found.bytes()).map_err(of)?;
        return to.write_all(&bytes);
    }
    drop(found);
    let mut at = 0;
    while at < size {
        let end = size.min(at + PIECE);
        let options = GetOptions {
            range: Some(GetRange::Bounded(at..end)),
            if_match: version.clone(),
            ..GetOptions::default()
        };
        let piece = runtime.block_on(async { store.get_opts(&key, options).await?.bytes().await });
        to.write_all(&piece.map_err(of)?)?;
        at = end;
    }
    Ok(())
}

/// Puts a file under a name; an object that has it is replaced.
pub(crate) fn put(path: &Path, file: &File) -> io::Result<()> {
    let (store, key) = locate(text(path)?)?;
    let runtime = &stores()?.runtime;
    let size = file.metadata()?.len();
    if size <= PIECE {
        let payload = piece(file, 0, size)?;
        return runtime.block_on(async { store.put(&key, payload).await }).map_err(of).map(drop);
    }
    let mut upload = runtime.block_on(async { store.put_multipart(&key).await }).map_err(of)?;
    let sent = match send_pieces(upload.as_mut(), file, size) {
        // Put together at the first request, whose answer was lost: to the
        // second there is no such upload any more.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let there = runtime.block_on(async { store.head(&key).await });
            if there.is_ok_and(|object| object.size == size) { Ok(()) } else { Err(error) }
        }
        sent => sent,
    };
    if sent.is_err() {
        // What it leaves otherwise has no name and is nobody's, but is paid for.
        let _ = runtime.block_on(upload.abort());
    }
    sent
}

/// Removes an object.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let (store, key) = locate(text(path)?)?;
    stores()?.runtime.block_on(async { store.delete(&key).await }).map_err(of)
}

fn send_pieces(upload: &mut dyn MultipartUpload, file: &File, size: u64) -> io::Result<()> {
    let runtime = &stores()?.runtime;
    let mut at = 0;
    while at < size {
        let length = PIECE.min(size - at);
        let sent = upload.put_part(piece(file, at, length)?);
        runtime.block_on(sent).map_err(of)?;
        at += length;
    }
    runtime.block_on(upload.complete()).map_err(of).map(drop)
}

fn piece(file: &File, at: u64, length: u64) -> io::Result<PutPayload> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes.into())
}

/// Puts a small file under a name that no object has; says whether it did.
/// Whose bytes an object has that was there, who asks must look.
///
/// # Errors
/// The store's; [`ErrorKind::Unsupported`] if it does not put on condition.
pub(crate) fn put_new(path: &Path, file: &File) -> io::Result<bool> {
    let (store, key) = locate(text(path)?)?;
    let runtime = &stores()?.runtime;
    let payload = piece(file, 0, file.metadata()?.len())?;
    let (mut attempts, begun) = (ATTEMPTS, Instant::now());
    loop {
        attempts -= 1;
        match runtime.block_on(create(store.as_ref(), &key, payload.clone())) {
            Ok(()) => break,
            // Also what a store answers while another's request is under way:
            // then there may be no object in the end.
            Err(Error::AlreadyExists { .. }) if attempts == 0 || exists(path)? => return Ok(false),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => match of(error) {
                error if error.kind() == ErrorKind::Unsupported => return Err(unconditional()),
                // An answer may have been lost, and the crate does not repeat
                // what it cannot know to be repeatable. This is.
                error
                    if error.kind() == ErrorKind::Other
                        && attempts > 0
                        && begun.elapsed() < PATIENCE => {}
                error => return Err(error),
            },
        }
    }
    // Stores that do not know the condition put all the same.
    match runtime.block_on(create(store.as_ref(), &key, payload)) {
        Ok(()) => {
            let _ = runtime.block_on(async { store.delete(&key).await });
            Err(unconditional())
        }
        Err(_) => Ok(true),
    }
}

async fn create(store: &dyn ObjectStore, key: &Key, bytes: PutPayload) -> Result<(), Error> {
    store.put_opts(key, bytes, PutMode::Create.into()).await.map(drop)
}

fn unconditional() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, NO_CONDITIONS)
}
