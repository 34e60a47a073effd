//! Folders: order, what is taken, links, bands.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn names_come_in_the_order_of_their_bytes_through_subfolders() {
    let dir = temp();
    let names =
        ["b.jpg", "a/z.png", "a/B.JPEG", "a.jpg", "c/d/e.fits.gz", "10.jpg", "9.jpg", "é.jpg"];
    touch(dir.path(), &names);
    let listing = list(&[dir.path()]);
    assert_eq!(listing.ids(), ["10", "9", "B", "z", "a", "b", "e", "é"]);
    let source = dir.path().join("c/d/e.fits.gz");
    assert_eq!(listing.entry("e").source, source.to_str().unwrap());
    assert_eq!(listing.entry("e").locator, Locator::File(source));
    assert_eq!((listing.skipped, listing.problems.len()), (0, 0));
}

#[test]
fn the_order_does_not_depend_on_the_disk() {
    let (first, second) = (temp(), temp());
    let names: Vec<String> = (0..500).map(|i| format!("{}.jpg", i * 7919 % 500)).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    touch(first.path(), &names);
    names.reverse();
    touch(second.path(), &names);
    let (first, second) = (list(&[first.path()]), list(&[second.path()]));
    assert_eq!(first.ids(), second.ids());
    names.sort_unstable();
    let sorted: Vec<&str> = names.iter().map(|n| n.trim_end_matches(".jpg")).collect();
    assert_eq!(first.ids(), sorted);
}

#[test]
fn what_is_no_image_is_counted() {
    let dir = temp();
    let others = ["labels.csv", "list.txt", "x.fits.xz", "README", ".hidden.jpg", "._a.jpg"];
    touch(dir.path(), &others);
    touch(dir.path(), &["a.jpg", ".snapshot/a.jpg"]);
    let listing = list(&[dir.path()]);
    assert_eq!(listing.ids(), ["a"]);
    // The hidden folder counts as one.
    assert_eq!(listing.skipped, others.len() as u64 + 1);
    // A cutout that is not read is told, and nothing else.
    assert_eq!(listing.problems.len(), 1, "{:?}", listing.problems);
    assert!(listing.problems[0].path.ends_with("x.fits.xz"));
}

#[test]
fn relative_inputs_give_relative_sources_and_absolute_paths() {
    // Tests run in the root of the package.
    let listing = list(&["tests/../tests/source"]);
    assert!(listing.entries.is_empty());
    let given = Path::new("fixtures/cutouts/jpeg");
    let listing = list(&[given]);
    let id = &listing.entries[0].id;
    assert_eq!(listing.entries[0].source, given.join(format!("{id}.jpg")).to_str().unwrap());
    let Locator::File(path) = &listing.entries[0].locator else { panic!("{listing:?}") };
    assert!(path.is_absolute() && path.is_file(), "{path:?}");
}

#[test]
fn links_are_followed_and_broken_ones_have_their_row() {
    let dir = temp();
    touch(dir.path(), &["real/a.jpg", "in/b.jpg"]);
    link(dir.path().join("real"), dir.path().join("in/folder"));
    link("../real/a.jpg", dir.path().join("in/c.jpg"));
    link("gone.jpg", dir.path().join("in/d.jpg"));
    link("e.jpg", dir.path().join("in/e.jpg"));
    link("/nowhere", dir.path().join("in/data"));
    let listing = list(&[dir.path().join("in")]);
    assert_eq!(listing.ids(), ["b", "c", "d", "e", "a"]);
    let missing = Some(Reason::Missing);
    assert_eq!(listing.reasons(), [None, None, missing, missing, None]);
    assert!(rejection(&listing.entries[2]).unwrap().detail.contains("gone.jpg"));
    assert_eq!(listing.problems.len(), 1);
    assert_eq!(listing.problems[0].path, dir.path().join("in/data"));
}

#[test]
fn loops_of_links_are_problems_and_end() {
    let dir = temp();
    touch(dir.path(), &["a/x.jpg", "b/y.jpg"]);
    link("..", dir.path().join("a/up"));
    link(".", dir.path().join("a/self"));
    link("../b", dir.path().join("a/to_b"));
    link("../a", dir.path().join("b/to_a"));
    let listing = list(&[dir.path()]);
    // a, then a/to_b (b/to_a is a again), then b, then b/to_a (whose to_b is b).
    assert_eq!(listing.ids(), ["y", "x", "x", "y"]);
    // In each of the two visits to a: up and self; and one to_x each.
    assert_eq!(listing.problems.len(), 6, "{:#?}", listing.problems);
    assert!(listing.problems.iter().all(|p| p.message.contains("a link back")));
}

#[test]
fn a_folder_that_cannot_be_read_is_a_problem() {
    let dir = temp();
    touch(dir.path(), &["a.jpg", "locked/b.jpg", "z.jpg"]);
    let locked = dir.path().join("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let listing = list(&[dir.path()]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
    if is_root() {
        return;
    }
    assert_eq!(listing.ids(), ["a", "z"]);
    assert_eq!(listing.problems.len(), 1);
    assert_eq!(listing.problems[0].path, locked);
}

#[test]
fn a_folder_that_vanishes_after_it_was_named_is_a_problem() {
    let dir = temp();
    touch(dir.path(), &["gone/a.jpg", "stays/b.jpg"]);
    let inputs = [dir.path().join("gone"), dir.path().join("stays")];
    let mut lister = Lister::open(&inputs, irg()).unwrap();
    fs::remove_dir_all(&inputs[0]).unwrap();
    let ids: Vec<String> = lister.by_ref().flat_map(|c| c.unwrap().entries).map(|e| e.id).collect();
    assert_eq!(ids, ["b"]);
    assert_eq!(lister.problems()[0].path, inputs[0]);
}

#[test]
fn names_that_are_not_utf8_are_rejected_rows() {
    let dir = temp();
    fs::write(dir.path().join(OsStr::from_bytes(b"\xe9.jpg")), "x").unwrap();
    let folder = dir.path().join(OsStr::from_bytes(b"d\xff"));
    touch(&folder, &["a.jpg", "X_r.fits", "X_i.fits", "X_g.fits"]);
    let listing = list(&[dir.path()]);
    assert_eq!(listing.ids(), ["X", "a", "\u{fffd}"]);
    assert_eq!(listing.reasons(), [Some(Reason::Unsupported); 3]);
    assert!(rejection(&listing.entries[1]).unwrap().detail.contains("UTF-8"));
}

#[test]
fn band_files_are_one_entry_a_galaxy_within_their_folder() {
    let dir = temp();
    let files =
        ["p/A_g.fits", "p/A_i.fits", "p/A_r.fits", "p/A_u.fits", "p/A.png", "p/cube_1.fits"];
    touch(dir.path(), &files);
    touch(dir.path(), &["q/A_g.fits", "q/A_r.fits", "q/B_u.fits"]);
    let listing = list(&[dir.path()]);
    assert_eq!(listing.ids(), ["A", "A", "cube_1", "A", "B"]);
    let p = dir.path().join("p");
    assert_eq!(listing.entries[1].source, p.join("A_{band}.fits").to_str().unwrap());
    let expected = ["i", "r", "g"].map(|b| (b.to_owned(), p.join(format!("A_{b}.fits"))));
    assert_eq!(listing.entries[1].locator, Locator::Bands(expected.into()));
    let lacks = rejection(&listing.entries[3]).unwrap();
    assert_eq!(lacks.reason, Reason::MissingBand);
    assert_eq!(lacks.detail, "no file for band i; there is r, g");
    assert_eq!(listing.reasons()[4], Some(Reason::MissingBand));
    assert_eq!(listing.skipped, 1, "A_u");
}

#[test]
fn a_broken_link_to_a_band_stays_with_its_group() {
    let dir = temp();
    touch(dir.path(), &["A_g.fits", "A_i.fits"]);
    link("gone.fits", dir.path().join("A_r.fits"));
    link("gone.fits", dir.path().join("cube.fits"));
    let named = ["A_g.fits", "A_i.fits", "A_r.fits", "cube.fits"].map(|n| dir.path().join(n));
    for listing in [list(&[dir.path()]), list(&named)] {
        assert_eq!(listing.ids(), ["A", "cube"]);
        assert_eq!(listing.reasons(), [None, Some(Reason::Missing)]);
        let found = Reader::new().read(&listing.entries[0].locator).unwrap_err();
        assert_eq!(found.reason, Reason::MissingBand);
        assert!(found.detail.starts_with("band r: "), "{found}");
    }
}

#[test]
fn the_band_pattern_is_the_users() {
    let dir = temp();
    touch(
        dir.path(),
        &["cutout-HSC-I-7.fits", "cutout-HSC-R-7.fits", "cutout-HSC-G-7.fits", "7_r.fits"],
    );
    let options = ListOptions {
        band_pattern: "cutout-{band}-{id}.fits".parse().unwrap(),
        bands: ["HSC-I", "HSC-R", "HSC-G"].map(String::from).into(),
        ..ListOptions::default()
    };
    let listing = try_list(&[dir.path()], options).unwrap();
    assert_eq!(listing.ids(), ["7_r", "7"]);
    assert!(matches!(&listing.entries[1].locator, Locator::Bands(b) if b.len() == 3));
}

#[test]
fn cutouts_that_are_not_read_are_told_and_names_from_urls_are() {
    let dir = temp();
    let url = "cutout.jpg?ra=190.1&dec=1.2&layer=ls-dr9";
    touch(dir.path(), &[url, "a.fits.xz", "b.fits.xz", "notes.txt", "getjpeg?ra=1"]);
    let listing = list(&[dir.path()]);
    // The query is what tells such cutouts apart.
    assert_eq!(listing.ids(), [url]);
    assert_eq!(listing.skipped, 4);
    let told: Vec<&str> = listing.problems.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("unxz") && told[0].contains("1 more"), "{told:?}");
    assert!(told[1].contains("rename"), "{told:?}");
    assert_eq!(listing.problems[0].path, dir.path().join("a.fits.xz"));
}

#[test]
fn twenty_thousand_files_stream() {
    let dir = temp();
    for i in 0..20_000 {
        fs::write(dir.path().join(format!("{i:05}.jpg")), b"").unwrap();
    }
    let mut lister = Lister::open(&[dir.path().to_owned()], irg()).unwrap();
    let mut next = 0;
    let mut chunks = 0;
    for chunk in lister.by_ref() {
        chunks += 1;
        for entry in chunk.unwrap().entries {
            assert_eq!(entry.id, format!("{next:05}"));
            next += 1;
        }
    }
    assert_eq!((next, chunks), (20_000, 5));
}

/// In a list of hundreds of archives one that holds nothing would go unnoticed.
#[test]
fn what_holds_no_cutouts_is_told() {
    let dir = temp();
    let at = |name: &str| dir.path().join(name);
    touch(dir.path(), &["bare/inner/notes.md", "full/a.jpg"]);
    tar::Builder::new(fs::File::create(at("bare.tar")).unwrap()).finish().unwrap();
    let listing = list(&[&at("bare"), &at("full"), &at("bare.tar")]);
    assert_eq!(listing.ids(), ["a"]);
    let told: Vec<_> = listing.problems.iter().map(|told| (&told.path, &*told.message)).collect();
    let why = "no cutouts in it";
    assert_eq!(told, [(&at("bare"), why), (&at("bare.tar"), why)]);
}
