//! Archives with what tar can hold besides files.

use std::fs;
use std::path::Path;

use tar::{Builder, EntryType, Header};

/// Archives, each with the members that must be rows: id and status.
pub fn write(folder: &Path, jpeg: &[u8]) -> Vec<(&'static str, &'static str)> {
    let mut rows = Vec::new();
    let mut archive = Builder::new(Vec::new());
    let header = |kind: EntryType, size: usize| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o644);
        header
    };
    let raw = |kind: EntryType, name: &[u8], link: &[u8], data: &[u8]| {
        let mut header = header(kind, data.len());
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name);
        bytes[157..157 + link.len()].copy_from_slice(link);
        header.set_cksum();
        let mut member = header.as_bytes().to_vec();
        member.extend(data);
        member.resize(member.len().next_multiple_of(512), 0);
        member
    };

    archive.append_data(&mut header(EntryType::Regular, jpeg.len()), "tar-good.jpg", jpeg).unwrap();
    rows.push(("tar-good", "ok"));
    let long = format!("{}/tar-long-name.jpg", "deep/".repeat(60));
    archive.append_data(&mut header(EntryType::Regular, jpeg.len()), &long, jpeg).unwrap();
    rows.push(("tar-long-name", "ok"));
    let records = [("path", "päx/tar-päx.jpg".as_bytes()), ("comment", b"two\nlines")];
    archive.append_pax_extensions(records).unwrap();
    archive.append_data(&mut header(EntryType::Regular, jpeg.len()), "other.jpg", jpeg).unwrap();
    rows.push(("tar-päx", "ok"));
    let mut bytes = archive.into_inner().unwrap();
    // Before the end mark, by hand: names that the crate refuses to write.
    bytes.truncate(bytes.len() - 1024);
    for (name, id) in [
        (&b"../../../../etc/tar-up.jpg"[..], "tar-up"),
        (b"/etc/tar-root.jpg", "tar-root"),
        (b"./tar-dot.jpg", "tar-dot"),
    ] {
        bytes.extend(raw(EntryType::Regular, name, b"", jpeg));
        rows.push((id, "ok"));
    }
    for (kind, id, name, link) in [
        (EntryType::Symlink, "tar-symlink", &b"tar-symlink.jpg"[..], &b"/etc/passwd"[..]),
        (EntryType::Link, "tar-link", b"tar-link.jpg", b"tar-good.jpg"),
        (EntryType::GNUSparse, "tar-sparse", b"tar-sparse.jpg", b""),
    ] {
        bytes.extend(raw(kind, name, link, b""));
        rows.push((id, "unsupported"));
    }
    bytes.extend(raw(EntryType::Regular, b"tar-none.jpg", b"", b""));
    rows.push(("tar-none", "empty"));
    // No cutouts: a folder and a device with an image's name, a text.
    bytes.extend(raw(EntryType::Directory, b"tar-folder.jpg/", b"", b""));
    bytes.extend(raw(EntryType::Char, b"tar-device.jpg", b"", b""));
    bytes.extend(raw(EntryType::Regular, b"notes.txt", b"", b"notes"));
    bytes.extend(raw(EntryType::Regular, b"tar-bad.jpg", b"", b"<html>"));
    rows.push(("tar-bad", "not_an_image"));
    bytes.extend([0; 1024]);
    fs::write(folder.join("members.tar"), &bytes).unwrap();

    // Cut inside a member, and with a header that lies.
    let good = raw(EntryType::Regular, b"tar-cut.jpg", b"", jpeg);
    fs::write(folder.join("cut.tar"), &good[..good.len() / 2]).unwrap();
    rows.push(("tar-cut", "truncated"));
    let mut lies = raw(EntryType::Regular, b"tar-lies.jpg", b"", jpeg);
    lies[124..136].copy_from_slice(b"77777777777\0");
    let mut header = Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&lies[..512]);
    header.set_cksum();
    lies[..512].copy_from_slice(header.as_bytes());
    fs::write(folder.join("lies.tar"), lies).unwrap();
    rows.push(("tar-lies", "truncated"));
    for (name, bytes) in [
        ("empty.tar", vec![]),
        ("text.tar", b"no archive".to_vec()),
        ("zeros.tar", vec![0; 10_240]),
        (
            "noise.tar",
            (0..10_240u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
        ),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    rows
}
