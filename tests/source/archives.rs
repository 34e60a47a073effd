//! Tar archives: names, what is no cutout, damage.

use tar::{Builder, EntryType, Header};

use super::*;

/// An archive with these members, in order.
pub(super) fn archive(path: &Path, members: &[(&str, &[u8])]) {
    let mut builder = Builder::new(Vec::new());
    for (name, data) in members {
        append(&mut builder, name, data, EntryType::Regular);
    }
    fs::write(path, builder.into_inner().unwrap()).unwrap();
}

fn append(builder: &mut Builder<Vec<u8>>, name: &str, data: &[u8], kind: EntryType) {
    let mut header = Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    builder.append_data(&mut header, name, data).unwrap();
}

#[test]
fn members_are_stretches_of_the_archive() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    let long = format!("{}/{}.jpg", "folder".repeat(20), "name".repeat(40));
    let members: [(&str, &[u8]); 6] = [
        ("x/J000001.01+123456.7.jpg", b"first"),
        ("notes.txt", b"not an image"),
        (&long, &[7; 1500]),
        ("银河.png", b"\0"),
        ("empty.jpg", b""),
        ("x/._a.jpg", b"resource fork"),
    ];
    archive(&path, &members);
    let listing = list(&[&path]);
    let stem = "name".repeat(40);
    assert_eq!(listing.ids(), ["J000001.01+123456.7", &stem, "银河", "empty"]);
    assert_eq!(listing.skipped, 2);
    assert!(listing.problems.is_empty(), "{:?}", listing.problems);
    assert_eq!(listing.entries[1].source, path.join(&long).to_str().unwrap());
    let mut reader = Reader::new();
    assert_eq!(bytes_of(&mut reader, &listing.entries[0]), b"first");
    assert_eq!(bytes_of(&mut reader, &listing.entries[1]), [7; 1500]);
    assert_eq!(bytes_of(&mut reader, &listing.entries[2]), b"\0");
    let empty = reader.read(&listing.entries[3].locator).unwrap_err();
    assert_eq!(empty.reason, Reason::Empty);
}

#[test]
fn archives_are_found_in_folders() {
    let dir = temp();
    touch(dir.path(), &["a.jpg", "z.jpg", "p.tar.gz"]);
    archive(&dir.path().join("m.tar"), &[("1.jpg", b"1"), ("0.jpg", b"0")]);
    let listing = list(&[dir.path()]);
    // Members keep the order of the archive.
    assert_eq!(listing.ids(), ["a", "1", "0", "z"]);
    assert_eq!(listing.problems.len(), 1);
    assert_eq!(listing.problems[0].path, dir.path().join("p.tar.gz"));
}

#[test]
fn what_is_no_plain_member_has_its_row_or_none() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    let mut builder = Builder::new(Vec::new());
    append(&mut builder, "folder.jpg/", b"", EntryType::Directory);
    append(&mut builder, "a.jpg", b"a", EntryType::Regular);
    for (name, kind) in [("s.jpg", EntryType::Symlink), ("h.jpg", EntryType::Link)] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, name, "a.jpg").unwrap();
    }
    append(&mut builder, "pipe.jpg", b"", EntryType::Fifo);
    append(&mut builder, "inner.tar", b"x", EntryType::Regular);
    append(&mut builder, "X_r.fits", b"x", EntryType::Regular);
    append(&mut builder, "X_g.fits", b"x", EntryType::Regular);
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    let listing = list(&[&path]);
    assert_eq!(listing.ids(), ["a", "s", "h", "X_r", "X_g"]);
    let unsupported = Some(Reason::Unsupported);
    assert_eq!(listing.reasons(), [None, unsupported, unsupported, None, None]);
    // The archive inside and, once, the bands.
    assert_eq!(listing.problems.len(), 2, "{:?}", listing.problems);
}

/// A tar header with this type and name, its size field blank or 0.
fn header(kind: u8, name: &str, size: Option<u64>) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::new(kind));
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    match size {
        Some(size) => header.set_size(size),
        None => header.as_old_mut().size = [0; 12],
    }
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn the_label_of_a_volume_is_no_member() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    archive(&path, &[("1.jpg", b"1"), ("2.jpg", b"2")]);
    let members = fs::read(&path).unwrap();
    // GNU tar leaves the size blank, others may write a number.
    for size in [None, Some(0), Some(512)] {
        fs::write(&path, [header(b'V', "night.jpg", size), members.clone()].concat()).unwrap();
        let listing = list(&[&path]);
        assert_eq!(listing.ids(), ["1", "2"], "{size:?}");
        assert!(listing.problems.is_empty(), "{:?}", listing.problems);
        assert_eq!(bytes_of(&mut Reader::new(), &listing.entries[1]), b"2");
    }
}

#[test]
fn absolute_names_are_members_of_their_archive() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    let data = [&b"1"[..], &[0; 511]].concat();
    let member = [header(b'0', "/data/1.jpg", Some(1)), data].concat();
    fs::write(&path, [member, vec![0; 1024]].concat()).unwrap();
    let listing = list(&[&path]);
    assert_eq!(listing.ids(), ["1"]);
    assert_eq!(listing.entries[0].source, path.join("data/1.jpg").to_str().unwrap());
}

#[test]
fn a_member_with_holes_is_rejected_and_the_next_one_found() {
    let dir = temp();
    let sparse = dir.path().join("sparse");
    let file = fs::File::create(&sparse).unwrap();
    // Pieces of data with holes between, more than a first header's map holds.
    use std::os::unix::fs::FileExt;
    for piece in 0..12 {
        file.write_all_at(&[1; 4096], piece << 20).unwrap();
    }
    let mut builder = Builder::new(Vec::new());
    builder.append_file("holes.jpg", &mut fs::File::open(&sparse).unwrap()).unwrap();
    append(&mut builder, "after.jpg", b"after", EntryType::Regular);
    let bytes = builder.into_inner().unwrap();
    assert!(bytes.len() < 1 << 20, "this file system keeps no holes");
    let path = dir.path().join("a.tar");
    fs::write(&path, bytes).unwrap();
    let listing = list(&[&path]);
    assert_eq!(listing.ids(), ["holes", "after"]);
    assert_eq!(listing.reasons(), [Some(Reason::Unsupported), None]);
    assert_eq!(bytes_of(&mut Reader::new(), &listing.entries[1]), b"after");
    assert!(listing.problems.is_empty());
}

#[test]
fn an_archive_cut_anywhere_keeps_what_is_whole() {
    let dir = temp();
    let long = format!("{}.jpg", "n".repeat(300));
    let whole = dir.path().join("whole.tar");
    let members: [(&str, &[u8]); 4] =
        [("a.jpg", &[1; 700]), (&long, &[2; 512]), ("c.jpg", &[3; 1]), ("d.jpg", &[4; 1030])];
    archive(&whole, &members);
    let bytes = fs::read(&whole).unwrap();
    // Where things are, by another reader.
    let mut reader = tar::Archive::new(&bytes[..]);
    let places: Vec<(u64, u64, u64)> = reader
        .entries()
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.raw_header_position(), e.raw_file_position(), e.size()))
        .collect();
    assert_eq!(places.len(), 4);
    let end_mark = bytes.len() as u64 - 1024;

    let path = dir.path().join("cut.tar");
    for cut in (0..=bytes.len()).step_by(256) {
        fs::write(&path, &bytes[..cut]).unwrap();
        let cut = cut as u64;
        let listing = list(&[&path]);
        let expected: Vec<Option<Reason>> = places
            .iter()
            .filter(|(header, _, _)| header + 512 <= cut)
            .map(|(_, data, size)| (data + size > cut).then_some(Reason::Truncated))
            .collect();
        assert_eq!(listing.reasons(), expected, "cut at {cut}");
        let complete = cut >= end_mark + 512;
        assert_eq!(listing.problems.len(), usize::from(!complete), "cut at {cut}");
        for problem in &listing.problems {
            assert_eq!(problem.path, path);
        }
        for (entry, (_, data)) in listing.entries.iter().zip(&members) {
            if rejection(entry).is_none() {
                assert_eq!(bytes_of(&mut Reader::new(), entry), *data, "cut at {cut}");
            }
        }
    }
}

#[test]
fn the_problem_of_a_cut_names_the_byte_and_the_member() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    archive(&path, &[("a.jpg", &[1; 700]), ("b.jpg", &[2; 700])]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..2300]).unwrap();
    let listing = list(&[&path]);
    let words = &listing.problems[0].message;
    assert!(words.contains("byte 2300") && words.contains("b.jpg"), "{words}");
    let detail = &rejection(&listing.entries[1]).unwrap().detail;
    assert!(detail.contains("a.tar") && detail.contains("2048"), "{detail}");
}

#[test]
fn a_damaged_header_is_a_problem_with_its_place() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    archive(&path, &[("a.jpg", b"1"), ("b.jpg", b"2"), ("c.jpg", b"3")]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1024 + 3] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let listing = list(&[&path]);
    assert_eq!(listing.ids(), ["a"]);
    assert!(listing.problems[0].message.contains("byte 1024"), "{:?}", listing.problems);
}

#[test]
fn what_is_no_archive_is_a_problem_and_the_run_goes_on() {
    let dir = temp();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("1.tar", b"");
    write("2.tar", b"short");
    write("3.tar", &[b'x'; 2000]);
    write("4.tar", &[&[0x1f, 0x8b, 8][..], &[9; 2000]].concat());
    make_pipe(&dir.path().join("5.tar"));
    archive(&dir.path().join("6.tar"), &[("a.jpg", b"1")]);
    let inputs: Vec<PathBuf> = (1..=6).map(|i| dir.path().join(format!("{i}.tar"))).collect();
    for listing in [list(&inputs), list(&[dir.path()])] {
        assert_eq!(listing.ids(), ["a"]);
        let words: Vec<&str> = listing.problems.iter().map(|p| p.message.as_str()).collect();
        let expected = ["0 bytes", "no tar archive", "no tar archive", "gunzip", "named pipe"];
        assert_eq!(words.len(), expected.len());
        for (words, expected) in words.iter().zip(expected) {
            assert!(words.contains(expected), "{words}: {expected}");
        }
    }
}

#[test]
fn an_absurd_size_is_a_cut_and_no_allocation() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    let mut header = Header::new_gnu();
    header.set_path("a.jpg").unwrap();
    for size in [1 << 40, u64::MAX >> 1, u64::MAX] {
        header.set_size(size);
        header.set_cksum();
        fs::write(&path, header.as_bytes()).unwrap();
        let listing = list(&[&path]);
        assert_eq!(listing.problems.len(), 1);
        assert!(listing.reasons().iter().all(|r| *r == Some(Reason::Truncated)));
    }
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    fs::write(&path, header.as_bytes()).unwrap();
    assert_eq!(list(&[&path]).problems.len(), 1);
}

#[test]
fn archives_joined_with_cat_are_told() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    archive(&path, &[("a.jpg", b"1")]);
    let once = fs::read(&path).unwrap();
    fs::write(&path, [&once[..], &once].concat()).unwrap();
    let listing = list(&[&path]);
    assert_eq!(listing.ids(), ["a"]);
    assert!(listing.problems[0].message.contains("--concatenate"), "{:?}", listing.problems);
    // Zeros up to a tape's record are no other archive.
    fs::write(&path, [&once[..], &[0; 8192]].concat()).unwrap();
    assert!(list(&[&path]).problems.is_empty());
}

#[test]
fn compressed_archives_are_refused_with_what_to_do() {
    let dir = temp();
    touch(dir.path(), &["a.tar.gz"]);
    let error = try_list(&[dir.path().join("a.tar.gz")], irg()).unwrap_err();
    assert!(matches!(error, ListError::Compressed { .. }));
    assert!(error.to_string().contains("gunzip"), "{error}");
}

/// Archives with bytes changed at random: every one ends, and what is listed
/// lies within the archive.
#[test]
fn archives_of_any_bytes_end() {
    use rand::{Rng, SeedableRng};
    let dir = temp();
    let path = dir.path().join("a.tar");
    let long = format!("{}.jpg", "n".repeat(300));
    let members: [(&str, &[u8]); 3] = [("a.jpg", &[1; 700]), (&long, &[2; 40]), ("c.jpg", b"3")];
    archive(&path, &members);
    let bytes = fs::read(&path).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    for round in 0..2000 {
        let mut bytes = bytes.clone();
        let header = 512 * random.random_range(0..bytes.len() / 512);
        for _ in 0..random.random_range(1..4) {
            bytes[header + random.random_range(0..512)] = random.random();
        }
        // A right checksum lets the damage through to the fields.
        let mut changed = Header::new_old();
        changed.as_mut_bytes().copy_from_slice(&bytes[header..header + 512]);
        changed.set_cksum();
        bytes[header..header + 512].copy_from_slice(changed.as_bytes());
        fs::write(&path, &bytes).unwrap();
        for entry in list(&[&path]).entries {
            if let Locator::Member { offset, length, .. } = entry.locator {
                assert!(offset + length <= bytes.len() as u64, "round {round}");
            }
        }
    }
}

/// Python's tarfile in its three formats, byte for byte.
#[test]
fn archives_by_python_agree() {
    let dir = temp();
    let folder = dir.path().to_str().unwrap();
    let made = crate::util::python::oracle("archives.py", &["make", folder]);
    for name in made.lines() {
        agrees_with_python(&dir.path().join(name));
    }
    assert_eq!(made.lines().count(), 3);
}

/// Every image in an archive is where Python finds it, with the same bytes.
pub(super) fn agrees_with_python(path: &Path) -> usize {
    use sha2::{Digest, Sha256};
    let members = crate::util::python::oracle("archives.py", &["list", path.to_str().unwrap()]);
    let listing = list(&[path]);
    assert!(listing.problems.is_empty(), "{:?}", listing.problems);
    assert_eq!(listing.entries.len(), members.lines().count());
    let mut reader = Reader::new();
    for (entry, line) in listing.entries.iter().zip(members.lines()) {
        let (digest, name) = line.split_once(' ').unwrap();
        assert_eq!(entry.source, path.join(name).to_str().unwrap());
        let bytes = bytes_of(&mut reader, entry);
        let found: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "{name}");
    }
    listing.entries.len()
}
