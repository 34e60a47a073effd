//! Stepping through a tar archive from header to header.
//!
//! The `tar` crate's `Header` reads the fields; the steps are taken here with
//! positional reads, because its `Entries` borrows the archive for as long as
//! it lasts, reads long names of any length into memory, stops at extension
//! records with a newline in their value, and says of an error neither where
//! it is nor which member it cuts. Understood: v7, ustar, GNU (long names,
//! base-256 sizes) and POSIX.1-2001 ("pax") archives.
//!
//! What a member is good for is left to [`archive`](super::archive).
//! Invariant: data is never read, and memory is bounded by one extension
//! header.

use std::io;

use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::limits;
use crate::storage::digest::hex;
use crate::storage::read_at::Positional;

/// Size of a header, and what data is padded to.
const BLOCK: u64 = 512;

/// One member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its path in the archive; not always UTF-8.
    pub name: Vec<u8>,
    pub kind: MemberKind,
    /// First byte of its data.
    pub offset: u64,
    /// Bytes of data.
    pub length: u64,
    /// Whether the archive holds all of them.
    pub whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    File,
    /// A file with holes, whose data is a map and the pieces.
    Sparse,
    HardLink,
    SymbolicLink,
    /// Folders and devices.
    Other,
}

/// What a step finds.
#[derive(Debug)]
pub(super) enum Step {
    Member(Member),
    /// The end mark.
    End,
    /// The archive cannot be followed any further.
    Damage(String),
    /// The system does not give its bytes.
    Failed(io::Error),
}

/// The place reached in an archive.
pub(super) struct Walker {
    file: Positional,
    /// Bytes of the whole archive.
    length: u64,
    /// Where the next header is.
    next: u64,
    /// Set by a member that the end of the archive cuts.
    cut: Option<String>,
    /// Of the headers so far, and where they are.
    index: Sha256,
}

/// What extension headers say of the member that follows.
#[derive(Default)]
struct Extensions {
    gnu_name: Option<Vec<u8>>,
    pax_name: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
    any: bool,
}

impl Walker {
    /// At the beginning of an archive of `length` bytes.
    pub fn new(file: Positional, length: u64) -> Self {
        Self { file, length, next: 0, cut: None, index: Sha256::new() }
    }

    /// The digest of the headers so far and of where they are, in hexadecimal.
    pub fn index(&self) -> String {
        hex(&self.index.clone().finalize())
    }

    /// The next member, the end, or what is wrong. After anything but a member
    /// there is nothing more to ask for.
    pub fn step(&mut self) -> Step {
        self.try_step().unwrap_or_else(Step::Failed)
    }

    fn try_step(&mut self) -> io::Result<Step> {
        if let Some(words) = self.cut.take() {
            return Ok(Step::Damage(words));
        }
        let mut extensions = Extensions::default();
        loop {
            let at = self.next;
            if at.saturating_add(BLOCK) > self.length {
                return Ok(Step::Damage(self.without_end(at, extensions.any)));
            }
            let header = self.header(at)?;
            if header.as_bytes().iter().all(|b| *b == 0) {
                if extensions.any {
                    return Ok(Step::Damage(format!(
                        "the end mark at byte {at} follows the name of a member that is not there"
                    )));
                }
                return self.behind_end(at);
            }
            if !checksum_holds(&header) {
                return Ok(Step::Damage(self.no_header(at, &header)));
            }
            self.index.update(at.to_le_bytes());
            self.index.update(header.as_bytes());
            let kind = header.entry_type();
            // Where no data follows, the field may hold anything: GNU tar leaves
            // it blank in the label that `tar -V` writes.
            let stated = if has_data(kind) { header.entry_size() } else { Ok(0) };
            let Ok(mut size) = stated else {
                return Ok(Step::Damage(format!("the header at byte {at} has no valid size")));
            };
            if let (Some(pax), false) = (extensions.size, is_extension(kind)) {
                size = pax;
            }
            let offset = self.data_offset(at, &header)?;
            let stored = if has_data(kind) { size } else { 0 };
            let end = offset.checked_add(stored);
            let Some(next) = end.and_then(|e| e.checked_next_multiple_of(BLOCK)) else {
                return Ok(Step::Damage(format!("the header at byte {at} has an absurd size")));
            };
            let whole = end.is_some_and(|e| e <= self.length);
            self.next = next;
            if is_extension(kind) {
                if !whole {
                    return Ok(Step::Damage(format!(
                        "it is cut at byte {}, inside a member's extension header",
                        self.length
                    )));
                }
                if let Err(words) = self.extend(&mut extensions, kind, at, offset, size)? {
                    return Ok(Step::Damage(words));
                }
                continue;
            }
            let name = extensions
                .pax_name
                .or(extensions.gnu_name)
                .unwrap_or_else(|| header.path_bytes().into_owned());
            if !whole {
                self.cut = Some(format!(
                    "it is cut at byte {}: its member {} needs the bytes up to {}",
                    self.length,
                    String::from_utf8_lossy(&name),
                    offset.saturating_add(stored),
                ));
            }
            let kind = match kind {
                EntryType::GNUSparse => MemberKind::Sparse,
                // Before ustar a slash at the end was a folder's only mark.
                EntryType::Regular if name.ends_with(b"/") => MemberKind::Other,
                EntryType::Regular | EntryType::Continuous if extensions.sparse => {
                    MemberKind::Sparse
                }
                EntryType::Regular | EntryType::Continuous => MemberKind::File,
                EntryType::Link => MemberKind::HardLink,
                EntryType::Symlink => MemberKind::SymbolicLink,
                _ => MemberKind::Other,
            };
            return Ok(Step::Member(Member { name, kind, offset, length: stored, whole }));
        }
    }

    fn header(&self, at: u64) -> io::Result<Header> {
        let mut header = Header::new_old();
        self.file.read_exact_at(header.as_mut_bytes(), at)?;
        Ok(header)
    }

    /// Where a header's data begins: behind it, or behind the further maps of
    /// a GNU sparse file.
    fn data_offset(&self, at: u64, header: &Header) -> io::Result<u64> {
        let mut offset = at + BLOCK;
        let is_sparse = header.entry_type() == EntryType::GNUSparse;
        let mut more = is_sparse && header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while more && offset + BLOCK <= self.length {
            let mut map = tar::GnuExtSparseHeader::new();
            self.file.read_exact_at(map.as_mut_bytes(), offset)?;
            more = map.is_extended();
            offset += BLOCK;
        }
        Ok(offset)
    }

    /// Takes up an extension header; the inner error is the archive's.
    fn extend(
        &mut self,
        extensions: &mut Extensions,
        kind: EntryType,
        at: u64,
        offset: u64,
        size: u64,
    ) -> io::Result<Result<(), String>> {
        // What is said of all members (a commit id) and long link names are
        // of no use here.
        if !matches!(kind, EntryType::GNULongName | EntryType::XHeader) {
            return Ok(Ok(()));
        }
        if size > limits::archive::EXTENSION {
            return Ok(Err(format!("the extension header at byte {at} claims {size} bytes")));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, offset)?;
        self.index.update(&bytes);
        extensions.any = true;
        if kind == EntryType::GNULongName {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            bytes.truncate(end);
            extensions.gnu_name = Some(bytes);
            return Ok(Ok(()));
        }
        if extensions.take_pax(&bytes).is_none() {
            return Ok(Err(format!("the extension header at byte {at} is malformed")));
        }
        Ok(Ok(()))
    }

    /// Words for an archive that ends without its end mark.
    fn without_end(&self, at: u64, in_extension: bool) -> String {
        if self.length == 0 {
            return "it is empty (0 bytes)".into();
        }
        if at == 0 {
            return format!("{} bytes are no tar archive", self.length);
        }
        let place = if in_extension {
            "between a member's long name and its header"
        } else if self.length > at {
            "inside a header"
        } else {
            "without an end mark: members may be missing"
        };
        format!("it ends at byte {} {place}", self.length)
    }

    /// Words for bytes that should be a header and are not.
    fn no_header(&self, at: u64, header: &Header) -> String {
        if at > 0 {
            return format!(
                "no valid header at byte {at} (checksum): it is damaged, and what follows is lost"
            );
        }
        let tool = match header.as_bytes() {
            [0x1f, 0x8b, ..] => "gzip: unpack it with gunzip",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd: unpack it with unzstd",
            [b'B', b'Z', b'h', ..] => "bzip2: unpack it with bunzip2",
            [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz: unpack it with unxz",
            _ => return "it is no tar archive: its first bytes are no valid header".into(),
        };
        format!("it is compressed by {tool} first")
    }

    /// Whether members follow the end mark at `at`: archives joined with `cat`
    /// have them, and every tool but `tar --ignore-zeros` passes them over.
    fn behind_end(&self, at: u64) -> io::Result<Step> {
        let stop = self.length.min(at.saturating_add(limits::archive::BEHIND_END));
        let mut place = at + BLOCK;
        while place + BLOCK <= stop {
            let header = self.header(place)?;
            if header.as_bytes().iter().any(|b| *b != 0) {
                if !checksum_holds(&header) {
                    break;
                }
                return Ok(Step::Damage(format!(
                    "another archive follows its end mark, from byte {place}, and is not listed: \
                     join archives with tar --concatenate, not with cat"
                )));
            }
            place += BLOCK;
        }
        Ok(Step::End)
    }
}

impl Extensions {
    /// Takes up pax records: `LENGTH KEY=VALUE\n`, LENGTH counting all of it.
    /// `None` if they break that form.
    fn take_pax(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let space = records.iter().position(|b| *b == b' ')?;
            let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            records = records.get(length..)?;
            let equals = record.iter().position(|b| *b == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.pax_name = Some(value.to_owned()),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                _ if key.starts_with(b"GNU.sparse.") => {
                    self.sparse = true;
                    // The name in the header is one that GNU tar made up.
                    if key == b"GNU.sparse.name" {
                        self.pax_name = Some(value.to_owned());
                    }
                }
                _ => {}
            }
        }
        Some(())
    }
}

fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName
            | EntryType::GNULongLink
            | EntryType::XHeader
            | EntryType::XGlobalHeader
    )
}

/// GNU's type of the label that names an archive as a whole.
const VOLUME_LABEL: u8 = b'V';

/// Links, folders, devices and labels have no data whatever their size field
/// says.
fn has_data(kind: EntryType) -> bool {
    !(kind.as_byte() == VOLUME_LABEL
        || kind.is_hard_link()
        || kind.is_symlink()
        || kind.is_dir()
        || kind.is_fifo()
        || kind.is_character_special()
        || kind.is_block_special())
}

/// The checksum of a header: the sum of its bytes, its own eight as spaces.
fn checksum_holds(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum: u32 =
        bytes[..148].iter().chain(&bytes[156..]).map(|b| u32::from(*b)).sum::<u32>() + 8 * 32;
    header.cksum().is_ok_and(|stated| stated == sum)
}

/// The digest of an archive's headers, as far as it can be followed.
pub(crate) fn index(file: Positional, length: u64) -> io::Result<String> {
    let mut walker = Walker::new(file, length);
    loop {
        match walker.step() {
            Step::Member(_) => {}
            Step::End | Step::Damage(_) => return Ok(walker.index()),
            Step::Failed(error) => return Err(error),
        }
    }
}

/// Whether the data at `offset` is still that of a member of `length` bytes:
/// its header, which lies before it, says so.
pub(crate) fn is_member(archive: &Positional, offset: u64, length: u64) -> io::Result<bool> {
    let Some(at) = offset.checked_sub(BLOCK) else { return Ok(false) };
    let mut header = Header::new_old();
    match archive.read_exact_at(header.as_mut_bytes(), at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    Ok(checksum_holds(&header) && header.entry_size().is_ok_and(|size| size == length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_records_may_hold_newlines_and_the_last_one_counts() {
        let mut extensions = Extensions::default();
        let records = b"13 path=a.b\nc\n11 path=z.c\n15 SCHILY.x=\n\n\n\n12 size=4096\n";
        // "13 path=a.b\nc\n" is 14 bytes: lengths that lie are refused.
        assert!(extensions.take_pax(records).is_none());
        let records = b"14 path=a.b\nc\n12 path=z.c\n16 SCHILY.x=\n\n\n\n13 size=4096\n";
        assert!(extensions.take_pax(records).is_some());
        assert_eq!(extensions.pax_name.as_deref(), Some(&b"z.c"[..]));
        assert_eq!(extensions.size, Some(4096));
    }

    #[test]
    fn malformed_pax_records_are_refused() {
        for bad in [&b"x"[..], b"0 a=b\n", b"99 path=a\n", b"5 a=b\n", b"7 pathx\n", b"-6 a=b\n"] {
            assert!(Extensions::default().take_pax(bad).is_none(), "{bad:?}");
        }
    }
}
