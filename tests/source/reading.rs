//! Reading: what cannot be read is a rejection, and nothing waits.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn reason(locator: &Locator) -> Reason {
    Reader::new().read(locator).unwrap_err().reason
}

#[test]
fn what_cannot_be_read_says_why() {
    let dir = temp();
    let at = |name: &str| Locator::File(dir.path().join(name));
    touch(dir.path(), &["file", "folder/x"]);
    fs::write(dir.path().join("empty"), "").unwrap();
    link("gone", dir.path().join("link"));
    make_pipe(&dir.path().join("pipe"));
    assert_eq!(reason(&at("none")), Reason::Missing);
    assert_eq!(reason(&at("link")), Reason::Missing);
    assert_eq!(reason(&at("file/below")), Reason::Missing);
    assert_eq!(reason(&at("empty")), Reason::Empty);
    assert_eq!(reason(&at("folder")), Reason::Unreadable);
    assert_eq!(reason(&at("pipe")), Reason::Unreadable);
    assert_eq!(reason(&Locator::File("/dev/zero".into())), Reason::Unreadable);
    let long = Reader::new().read(&at(&"n".repeat(300))).unwrap_err();
    assert_eq!(long.reason, Reason::Unreadable);
    assert!(long.detail.contains("too long"), "the system's words: {long}");
    let known = Rejection::new(Reason::NoData, "as listed");
    assert_eq!(Reader::new().read(&Locator::Rejected(known.clone())).unwrap_err(), known);
}

#[test]
fn a_file_without_permission_is_unreadable() {
    let dir = temp();
    touch(dir.path(), &["a.jpg"]);
    let path = dir.path().join("a.jpg");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if !is_root() {
        assert_eq!(reason(&Locator::File(path)), Reason::Unreadable);
    }
}

#[test]
fn size_is_limited_before_anything_is_read() {
    let dir = temp();
    let path = dir.path().join("huge.fits");
    // A hole: no byte is on the disk.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(reason(&Locator::File(path.clone())), Reason::TooLarge);
    let member = Locator::Member { archive: path, offset: 0, length: u64::MAX };
    assert_eq!(reason(&member), Reason::TooLarge);
}

#[test]
fn bands_come_in_order_and_the_missing_one_is_named() {
    let dir = temp();
    touch(dir.path(), &["r", "i"]);
    fs::write(dir.path().join("empty"), "").unwrap();
    let bands = |files: &[&str]| {
        Locator::Bands(files.iter().map(|f| ((*f).to_owned(), dir.path().join(f))).collect())
    };
    let Ok(Payload::PerBand(found)) = Reader::new().read(&bands(&["r", "i"])) else { panic!() };
    assert_eq!(found, [("r".into(), b"r".to_vec()), ("i".into(), b"i".to_vec())]);
    let missing = Reader::new().read(&bands(&["r", "g"])).unwrap_err();
    assert_eq!(missing.reason, Reason::MissingBand);
    assert!(missing.detail.starts_with("band g: "), "{missing}");
    assert_eq!(reason(&bands(&["r", "empty"])), Reason::Empty);
}

#[test]
fn an_archive_that_lost_its_end_is_truncated() {
    let dir = temp();
    let path = dir.path().join("a.tar");
    fs::write(&path, [1; 100]).unwrap();
    let member = |offset, length| Locator::Member { archive: path.clone(), offset, length };
    let mut reader = Reader::new();
    let cut = reader.read(&member(90, 11)).unwrap_err();
    assert_eq!(cut.reason, Reason::Truncated);
    assert!(cut.detail.contains("before byte 101"), "{cut}");
    assert_eq!(reason(&member(u64::MAX - 5, 5)), Reason::Truncated);
    // The same reader goes on.
    let Ok(Payload::Single(bytes)) = reader.read(&member(90, 10)) else { panic!() };
    assert_eq!(bytes, [1; 10]);
}

#[test]
fn a_reader_goes_back_and_forth_between_many_archives() {
    let dir = temp();
    let member = |i: u8| Locator::Member {
        archive: dir.path().join(format!("{i}.tar")),
        offset: u64::from(i),
        length: 3,
    };
    for i in 0..20 {
        fs::write(dir.path().join(format!("{i}.tar")), [i; 40]).unwrap();
    }
    let open_files = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter(|e| {
                let target = e.as_ref().ok().and_then(|e| fs::read_link(e.path()).ok());
                target.is_some_and(|t| t.starts_with(dir.path()))
            })
            .count()
    };
    let mut reader = Reader::new();
    for i in (0..20).chain((0..20).rev()).chain([3, 4, 3, 4]) {
        let Ok(Payload::Single(bytes)) = reader.read(&member(i)) else { panic!("{i}") };
        assert_eq!(bytes, [i; 3]);
    }
    let open = open_files();
    assert!((2..=4).contains(&open), "{open} archives are open");
}
