//! What processes that died have left: hidden files and folders under names of
//! ours.
//!
//! Whoever writes holds an advisory lock on what it writes, and the system
//! drops that lock when the process dies in whatever way: what was written on
//! this machine and can be locked is nobody's any more. Of another machine's the lock says nothing, since
//! some file systems lock on each machine by itself; it is nobody's after a day
//! without a byte.
//!
//! Invariant: nothing is removed but files and folders whose names
//! [`temporary`] makes, and no link is followed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use super::file::open_own;
use super::remote::is_remote;
use super::{StorageError, place};

/// A name that begins with a dot, for what is still being written:
/// `.<stem>.<machine>-<pid>-<random>.tmp`.
pub(super) fn temporary(stem: &OsStr) -> OsString {
    /// What is kept of the stem: names have 255 bytes at most.
    const STEM: usize = 160;
    let (pid, random) = (std::process::id(), rand::random::<u32>());
    let stem = stem.as_bytes();
    let mut name = vec![b'.'];
    name.extend(&stem[..stem.len().min(STEM)]);
    name.extend(format!(".{}-{pid}-{random:08x}.tmp", machine()).as_bytes());
    OsString::from_vec(name)
}

/// Whether this is a name that [`temporary`] makes.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let hexadecimal =
        |text: &[u8], digits: usize| text.len() == digits && text.iter().all(u8::is_ascii_hexdigit);
    let ours = || {
        let (stem, by) =
            name.as_bytes().strip_prefix(b".")?.strip_suffix(b".tmp").and_then(|name| {
                let dot = name.iter().rposition(|byte| *byte == b'.')?;
                Some((&name[..dot], &name[dot + 1..]))
            })?;
        let mut parts = by.split(|byte| *byte == b'-');
        let (machine, pid, random) = (parts.next()?, parts.next()?, parts.next()?);
        Some(
            !stem.is_empty()
                && hexadecimal(machine, 12)
                && !pid.is_empty()
                && pid.iter().all(u8::is_ascii_digit)
                && hexadecimal(random, 8)
                && parts.next().is_none(),
        )
    };
    ours().unwrap_or(false)
}

/// This machine since it was started last: whose locks are seen by all its
/// processes, in whatever containers they are.
fn machine() -> &'static str {
    static MACHINE: OnceLock<String> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = boot.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        // None elsewhere than on Linux: then nothing is known to be this machine's.
        if digits.is_empty() { format!("{:012x}", rand::random::<u64>() >> 16) } else { digits }
    })
}

/// Whether what is being written can be somebody's on another machine.
fn is_elsewhere(name: &OsStr, path: &Path) -> bool {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    let here = format!(".{}-", machine());
    if name.as_bytes().windows(here.len()).any(|bytes| bytes == here.as_bytes()) {
        return false;
    }
    let age =
        fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).map(|t| t.elapsed());
    // One from the future is not old.
    !age.is_ok_and(|age| age.is_ok_and(|age| age > LONGEST))
}

/// Removes what dead processes left in `folder`: what has a name of ours and
/// can be locked. Where locks do not work nothing is removed, for a live
/// process cannot be told from a dead one; a leftover does no harm.
pub(crate) fn sweep(folder: &Path) -> Result<(), StorageError> {
    if is_remote(folder) {
        return Ok(());
    }
    for path in place::entries(folder)? {
        let name = path.file_name().unwrap_or_default();
        if !is_temporary(name) || is_elsewhere(name, &path) {
            continue;
        }
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        // To write, which network file systems ask for before they lock.
        let opened = if is_folder { File::open(&path) } else { open_own(&path, false) };
        let Some(_lock_until_removed) = opened.ok().filter(|it| it.try_lock().is_ok()) else {
            continue;
        };
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StorageError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes what versions of before locks left of the output `name` in `folder`:
/// `.<name>.<pid>.tmp` and `.<name>.<pid>-<random>.tmp`. Nothing says whether
/// they are somebody's but that for a day nobody wrote, and that here no such
/// process lives.
pub(super) fn sweep_old(folder: &Path, name: &OsStr) -> Result<(), StorageError> {
    if is_remote(folder) {
        return Ok(());
    }
    let prefix = [b".", name.as_bytes(), b"."].concat();
    for path in place::entries(folder)? {
        let file_name = path.file_name().unwrap_or_default().as_bytes();
        let by = file_name.strip_prefix(&prefix[..]).and_then(|by| by.strip_suffix(b".tmp"));
        let Some((pid, random)) = by
            .and_then(|by| std::str::from_utf8(by).ok())
            .map(|by| by.split_once('-').unwrap_or((by, "00000000")))
        else {
            continue;
        };
        let is_ours = pid.parse::<u32>().is_ok()
            && random.len() == 8
            && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        let lives = || Path::new("/proc").join(pid).exists();
        if is_ours && is_file && !is_elsewhere(OsStr::new(""), &path) && !lives() {
            place::remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::file::TempFile;
    use super::*;

    #[test]
    fn the_sweep_spares_the_living_and_what_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let alive = TempFile::create(folder.path(), "part-1").unwrap();
        let dead = folder.path().join(format!(".part-1.{}-4711-00000001.tmp", machine()));
        let elsewhere = folder.path().join(".part-1.0123456789ab-4711-00000001.tmp");
        let foreign = folder.path().join(".notes.tmp");
        for path in [&dead, &elsewhere, &foreign] {
            fs::write(path, b"half a part").unwrap();
        }
        // A link in such a name, and a folder with something in it.
        let link = folder.path().join(format!(".x.{}-4711-00000002.tmp", machine()));
        std::os::unix::fs::symlink(&foreign, &link).unwrap();
        let half = folder.path().join(format!(".hats.{}-4711-00000003.tmp", machine()));
        fs::create_dir(&half).unwrap();
        fs::write(half.join("x"), b"half a partition").unwrap();
        sweep(folder.path()).unwrap();
        assert!(alive.path().exists() && foreign.exists() && !dead.exists());
        assert!(link.is_symlink() && !half.exists());
        // Of another machine no lock is seen; after a day without a byte it is
        // nobody's there either.
        assert!(elsewhere.exists());
        let yesterday = std::time::SystemTime::now() - Duration::from_secs(25 * 60 * 60);
        File::options().write(true).open(&elsewhere).unwrap().set_modified(yesterday).unwrap();
        sweep(folder.path()).unwrap();
        assert!(alive.path().exists() && foreign.exists() && !elsewhere.exists());
        sweep(&folder.path().join("no such folder")).unwrap();
    }

    #[test]
    fn what_old_versions_left_goes_after_a_day_and_nothing_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let name = |text: &str| folder.path().join(text);
        // No process has a number that large.
        let left =
            [name(".m.safetensors.4294967290.tmp"), name(".m.safetensors.4294967290-0a1b2c3d.tmp")];
        let alive = name(&format!(".m.safetensors.{}.tmp", std::process::id()));
        let others = [
            name(".n.safetensors.4294967290.tmp"),
            name(".m.safetensors.old.tmp"),
            name(".m.safetensors.4294967290"),
            name("m.safetensors"),
        ];
        let young = name(".m.safetensors.4294967291.tmp");
        let yesterday = std::time::SystemTime::now() - Duration::from_secs(25 * 60 * 60);
        for path in left.iter().chain(&others).chain([&alive]) {
            File::create(path).unwrap().set_modified(yesterday).unwrap();
        }
        fs::write(&young, "").unwrap();
        sweep_old(folder.path(), OsStr::new("m.safetensors")).unwrap();
        assert!(left.iter().all(|path| !path.exists()));
        assert!(others.iter().chain([&alive, &young]).all(|path| path.exists()));
    }

    #[test]
    fn creating_and_sweeping_at_once_loses_no_live_file() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| (0..300).for_each(|_| sweep(folder.path()).unwrap()));
            let mut made = 0;
            while made < 10 || !sweeper.is_finished() {
                let temp = TempFile::create(folder.path(), "part-1").unwrap();
                temp.commit("part-1").unwrap();
                made += 1;
            }
        });
    }
}
