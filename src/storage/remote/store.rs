//! Object stores through the `object_store` crate, for threads that block.
//!
//! Credentials, regions and endpoints come from the environment, as the
//! providers' own tools take them (`AWS_*`, `GOOGLE_*`, `AZURE_*`). Requests that fail
//! are tried again by the crate, with growing pauses, for three minutes. A
//! thread has one request at a time, so the number of readers bounds the
//! number of requests.
//!
//! Archives are read in blocks of [`BLOCK`] bytes, which all readers share:
//! members follow one another, and a request each would take most of the time
//! and of the bill. Memory: [`BLOCKS`] × [`BLOCK`] = 64 MiB. Of mosaics stretches are read
//! ([`Object::read_stretch_at`]).
//!
//! Invariant: an object's size does not change while a run reads it: blocks
//! are asked for with the version (ETag) that was there first.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use futures_util::StreamExt;
use object_store::path::Path as Key;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, ObjectStoreScheme,
    parse_url_opts,
};
use tokio::runtime::{Builder, Runtime};

use super::Whole;
use super::answer::of;

/// Bytes of a block of an archive.
const BLOCK: u64 = 8 << 20;

/// Blocks kept. Readers go through an archive in order, so one or two are in
/// use; the others are of other archives.
const BLOCKS: usize = 8;

/// Prefixes of variables that are the stores' options.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// A block that one thread reads and others wait for; empty until it is read.
type Slot = Arc<Mutex<Option<Arc<[u8]>>>>;

/// The stores of this process.
pub(super) struct Stores {
    pub(super) runtime: Runtime,
    /// By bucket.
    open: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
    /// The block used last in front; an empty one is being fetched.
    blocks: Mutex<VecDeque<(BlockName, Slot)>>,
}

type BlockName = (String, u64);

pub(super) fn stores() -> io::Result<&'static Stores> {
    static STORES: OnceLock<io::Result<Stores>> = OnceLock::new();
    let made = STORES.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("remote")
            .enable_all()
            .build()?;
        Ok(Stores { runtime, open: Mutex::default(), blocks: Mutex::default() })
    });
    made.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// The store of a URL, and the object's name in it.
pub(super) fn locate(url: &str) -> io::Result<(Arc<dyn ObjectStore>, Key)> {
    let invalid = |words: String| io::Error::new(io::ErrorKind::InvalidInput, words);
    if url.starts_with("http") && url.contains(['?', '#']) {
        return Err(invalid("URLs with a query are not read: download first".into()));
    }
    let name = bucket(url);
    let own = own_key(url, &name).transpose().map_err(&invalid)?;
    let whole = if own.is_some() { format!("{name}/") } else { url.to_owned() };
    let parsed = whole.parse().map_err(|error| invalid(format!("not a URL: {error}")))?;
    let key = match own {
        Some(key) => key,
        None => ObjectStoreScheme::parse(&parsed).map_err(|e| invalid(e.to_string()))?.1,
    };
    let mut open = lock(&stores()?.open);
    if let Some(store) = open.get(&name) {
        return Ok((Arc::clone(store), key));
    }
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        VARIABLES.iter().any(|prefix| name.starts_with(prefix)).then_some((name, value))
    });
    let plain = url.starts_with("http://").then(|| ("allow_http".to_owned(), "true".to_owned()));
    let (store, _) =
        parse_url_opts(&parsed, variables.chain(plain)).map_err(|e| invalid(e.to_string()))?;
    let store: Arc<dyn ObjectStore> = Arc::from(store);
    open.insert(name, Arc::clone(&store));
    Ok((store, key))
}

/// The name of an object in a store that has addresses of its own (`s3://`, not `https://`):
/// what stands behind the bucket, to the letter, as the stores' own tools take it. In such a
/// name `%20` is three letters, and `#` and `?` begin nothing.
fn own_key(url: &str, bucket: &str) -> Option<Result<Key, String>> {
    let rest = url.strip_prefix(bucket).filter(|_| !url.starts_with("http"))?;
    Some(Key::parse(rest).map_err(|error| error.to_string()))
}

/// What of a URL decides its store: the scheme and the host, and on the
/// providers' own hosts the first folder, which is the bucket.
fn bucket(url: &str) -> String {
    let parts = if url.starts_with("https://") { 4 } else { 3 };
    url.split('/').take(parts).collect::<Vec<_>>().join("/")
}

/// The whole of an object of at most `limit` bytes, at least one.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Whole> {
    let (store, key) = locate(text(path)?)?;
    stores()?.runtime.block_on(async {
        let found = store.get(&key).await.map_err(of)?;
        let size = found.meta.size;
        if size == 0 || size > limit {
            return Ok(Whole::Size(size));
        }
        Ok(Whole::Bytes(found.bytes().await.map_err(of)?.to_vec()))
    })
}

/// An object that is read in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    url: String,
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
}

impl Object {
    /// Asks for the object's size and version.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let url = text(path)?.to_owned();
        let (store, key) = locate(&url)?;
        let meta = stores()?.runtime.block_on(async { store.head(&key).await }).map_err(of)?;
        Ok(Self { url, store, meta })
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.meta.size
    }

    /// The store's word for this version of it.
    pub(crate) fn version(&self) -> Option<String> {
        self.meta.e_tag.clone()
    }

    /// Fills `buffer` from byte `offset`.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.meta.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut filled = 0;
        let mut at = offset;
        while at < end {
            let index = at / BLOCK;
            let block = self.block(index)?;
            let from = (at - index * BLOCK) as usize;
            let stretch = block.get(from..).unwrap_or_default();
            let length = stretch.len().min(buffer.len() - filled);
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer[filled..filled + length].copy_from_slice(&stretch[..length]);
            filled += length;
            at += length as u64;
        }
        Ok(())
    }

    /// A block of the object: from another reader, or from the store.
    fn block(&self, index: u64) -> io::Result<Arc<[u8]>> {
        let stores = stores()?;
        let name = (self.url.clone(), index);
        let place = {
            let mut blocks = lock(&stores.blocks);
            let known = blocks.iter().position(|(known, _)| *known == name);
            let block = match known.and_then(|at| blocks.remove(at)) {
                Some(block) => block,
                None => (name, Arc::default()),
            };
            let place = Arc::clone(&block.1);
            blocks.push_front(block);
            blocks.truncate(BLOCKS);
            place
        };
        // Whoever comes meanwhile waits for this one request.
        let mut place = lock(&place);
        if let Some(block) = &*place {
            return Ok(Arc::clone(block));
        }
        let range = index * BLOCK..self.meta.size.min((index + 1) * BLOCK);
        let block: Arc<[u8]> = Arc::from(self.range(range)?.as_ref());
        *place = Some(Arc::clone(&block));
        Ok(block)
    }

    /// Fills `buffer` from byte `offset` by a request of its own, of no byte more: for who
    /// reads stretches far from one another, and each once.
    pub(crate) fn read_stretch_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.meta.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        if buffer.is_empty() {
            return Ok(());
        }
        let bytes = self.range(offset..end)?;
        if bytes.len() != buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    /// A range of the version of the object that was opened.
    fn range(&self, range: Range<u64>) -> io::Result<bytes::Bytes> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: self.meta.e_tag.clone(),
            ..GetOptions::default()
        };
        let bytes = stores()?.runtime.block_on(async {
            self.store.get_opts(&self.meta.location, options).await?.bytes().await
        });
        bytes.map_err(of)
    }
}

/// The URLs of the objects below a prefix, in the order of their names.
///
/// # Errors
/// The store's; one that lists in no order is refused, since rows follow it.
pub(crate) fn list(path: &Path) -> io::Result<impl Iterator<Item = io::Result<String>> + use<>> {
    let url = text(path)?.trim_end_matches('/').to_owned();
    let (store, prefix) = locate(&url)?;
    let stores = stores()?;
    let root = url.strip_suffix(prefix.as_ref()).unwrap_or(&url).trim_end_matches('/').to_owned();
    // Fused: it is asked again after its end, and streams panic then.
    let mut objects = store.list(Some(&prefix)).fuse();
    let mut last = String::new();
    Ok(std::iter::from_fn(move || {
        let object = stores.runtime.block_on(objects.next())?;
        Some(object.map_err(of).and_then(|object| {
            let name = object.location.to_string();
            if name <= last {
                return Err(io::Error::other("the store lists its objects in no order"));
            }
            last.clone_from(&name);
            Ok(format!("{root}/{name}"))
        }))
    }))
}

pub(super) fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_bucket() {
        assert_eq!(bucket("s3://b/c/d.jpg"), "s3://b");
        assert_eq!(bucket("https://host/c/d.jpg"), "https://host/c");
        assert!(locate("https://host/cutout.jpg?ra=1").is_err());
    }

    #[test]
    fn names_of_objects_are_taken_to_the_letter() {
        let of = |url: &str| own_key(url, &bucket(url)).map(|key| key.unwrap().to_string());
        for name in ["a%20b/c.jpg", "gal#1.jpg", "what?.jpg", "a b.jpg", "ä.jpg", "d/e.jpg"] {
            assert_eq!(of(&format!("s3://bucket/{name}")).as_deref(), Some(name));
        }
        assert_eq!(of("gs://bucket/folder/").as_deref(), Some("folder"));
        assert_eq!(of("s3://bucket").as_deref(), Some(""));
        assert_eq!(of("https://host/bucket/a%20b.jpg"), None);
    }
}
