//! A table that gives positions and columns by id, and tables that name members.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float64Type};
use hiwl::cutout::SkyPosition;

use super::archives::archive;
use super::*;

fn joined(table: &Path, carry: &[&str]) -> ListOptions {
    ListOptions { join: Some(table.to_owned()), ..carrying(carry) }
}

/// A folder and an archive, and a table of some of their ids and of others.
fn scene() -> tempfile::TempDir {
    let dir = temp();
    touch(dir.path(), &["files/1.jpg", "files/2.jpg"]);
    archive(&dir.path().join("a.tar"), &[("x/3.jpg", b"three"), ("./4.jpg", b"four")]);
    let text =
        "objID,RA,Dec,z,name\n4,40,4,0.4,four\n1,10,-1,0.1,one\n9,90,9,0.9,nine\n3,,,,three\n";
    fs::write(dir.path().join("t.csv"), text).unwrap();
    dir
}

#[test]
fn ids_lead_to_positions_and_columns_whatever_holds_the_cutouts() {
    let dir = scene();
    let inputs = [dir.path().join("files"), dir.path().join("a.tar")];
    let options = joined(&dir.path().join("t.csv"), &["z", "name"]);
    let listing = try_list(&inputs, options).unwrap();
    assert_eq!(listing.ids(), ["1", "2", "3", "4"]);
    let at = |ra, dec| Some(SkyPosition { ra, dec });
    let positions: Vec<_> = listing.entries.iter().map(|e| e.position).collect();
    assert_eq!(positions, [at(10.0, -1.0), None, None, at(40.0, 4.0)]);
    let types: Vec<_> = listing.schema.fields().iter().map(|f| f.data_type().clone()).collect();
    assert_eq!(types, [DataType::Float64, DataType::Utf8]);
    let (mut z, mut names) = (Vec::new(), Vec::new());
    for batch in listing.carried.iter().flatten() {
        z.extend(batch["z"].as_primitive::<Float64Type>().iter());
        let column = batch["name"].as_string::<i32>();
        names.extend(column.iter().map(|name| name.map(str::to_owned)));
    }
    assert_eq!(z, [Some(0.1), None, None, Some(0.4)]);
    let known = |name: &str| Some(name.to_owned());
    assert_eq!(names, [known("one"), None, known("three"), known("four")]);

    let mut lister = Lister::open(&inputs, joined(&dir.path().join("t.csv"), &["z"])).unwrap();
    lister.by_ref().for_each(|chunk| drop(chunk.unwrap()));
    let told = lister.joined().unwrap().unwrap();
    let words = "t.csv: 1 of 4 cutouts has no row, such as 2; rows without a cutout: 1";
    assert!(told.ends_with(words), "{told}");
}

#[test]
fn what_could_be_meant_twice_or_gives_nothing_is_refused() {
    let dir = scene();
    let at = |name: &str| dir.path().join(name);
    let refused = |table: &str, text: &str, carry: &[&str], inputs: &[PathBuf]| {
        fs::write(at(table), text).unwrap();
        let mut lister = match Lister::open(inputs, joined(&at(table), carry)) {
            Err(error) => return error.to_string(),
            Ok(lister) => lister,
        };
        for chunk in lister.by_ref() {
            if let Err(error) = chunk {
                return error.to_string();
            }
        }
        lister.joined().unwrap_err().to_string()
    };
    let files = [at("files")];
    let words = refused("u.csv", "id,ra,dec\n1,1,1\n1,2,2\n", &[], &files);
    assert!(words.contains("the id 1 is in more than one row"), "{words}");
    // Of an id that no cutout has, nobody asks.
    fs::write(at("v.csv"), "id,ra,dec\n7,1,1\n7,2,2\n2,3,3\n").unwrap();
    assert_eq!(try_list(&files, joined(&at("v.csv"), &[])).unwrap().entries.len(), 2);
    let words = refused("u.csv", "id,z\n1,1\n", &[], &files);
    assert!(words.contains("nothing to join"), "{words}");
    let words = refused("u.csv", "id,z\n1,1\n", &["petroR90"], &files);
    assert!(words.contains("no column 'petroR90'"), "{words}");
    let words = refused("u.csv", "id,ra,dec\nJ12,1,1\n", &[], &files);
    assert!(words.contains("none of the 2 cutouts") && words.contains("J12"), "{words}");
    let words = refused("u.csv", "id,ra,dec\n1.2376e18,1,1\n", &[], &files);
    assert!(words.contains("lost the last digits"), "{words}");
    fs::write(at("paths.csv"), "id,path\n1,files/1.jpg\n").unwrap();
    let words = refused("u.csv", "id,ra,dec\n1,1,1\n", &[], &[at("paths.csv")]);
    assert!(words.contains("a table is among the inputs"), "{words}");
}

#[test]
fn a_table_may_name_members_of_archives() {
    let dir = scene();
    archive(&dir.path().join("sub.TAR"), &[("5.jpg", b"old"), ("5.jpg", b"new")]);
    let text = "id,path,ra,dec\na,a.tar/x/3.jpg,1,2\nb,a.tar/4.jpg,,\nc,a.tar/nine.jpg,,\n\
                d,sub.TAR/5.jpg,,\ne,files/1.jpg,,\nf,none.tar/1.jpg,,\n";
    fs::write(dir.path().join("m.csv"), text).unwrap();
    let listing = list(&[dir.path().join("m.csv")]);
    assert_eq!(listing.ids(), ["a", "b", "c", "d", "e", "f"]);
    let mut reader = Reader::new();
    for (id, bytes) in [("a", &b"three"[..]), ("b", b"four"), ("d", b"new"), ("e", b"files/1.jpg")]
    {
        assert_eq!(bytes_of(&mut reader, listing.entry(id)), bytes, "{id}");
    }
    assert!(matches!(listing.entry("a").locator, Locator::Member { .. }));
    assert_eq!(listing.entry("a").position, Some(SkyPosition { ra: 1.0, dec: 2.0 }));
    let missing = rejection(listing.entry("c")).unwrap();
    assert_eq!(missing.reason, Reason::Missing);
    assert!(missing.detail.contains("a.tar has no picture nine.jpg"), "{missing}");
    // Of a file that is not there, reading says so.
    assert_eq!(listing.entry("f").locator, Locator::File(dir.path().join("none.tar/1.jpg")));
    // The same from a typed table.
    let ids: Vec<_> = listing.entries.iter().map(|e| e.locator.clone()).collect();
    let batch = RecordBatch::try_from_iter(["id", "path"].map(|name| {
        let column = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(usize::from(name == "path")).unwrap().to_owned());
        let column: arrow::array::StringArray = column.map(Some).collect();
        (name, std::sync::Arc::new(column) as arrow::array::ArrayRef)
    }))
    .unwrap();
    let file = fs::File::create(dir.path().join("m.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let typed = list(&[dir.path().join("m.parquet")]);
    assert_eq!(typed.entries.iter().map(|e| e.locator.clone()).collect::<Vec<_>>(), ids);

    // Archives are pinned as those that are inputs, and walked once for all tables: what is
    // written into one meanwhile is seen by its pin.
    let pins = |inputs: &[PathBuf]| {
        let mut lister = Lister::open(inputs, irg()).unwrap();
        lister.by_ref().for_each(|chunk| drop(chunk.unwrap()));
        lister.pins().clone()
    };
    let archives = ["a.tar", "sub.TAR"].map(|name| dir.path().join(name));
    let walked = pins(&archives);
    assert_eq!(walked.len(), 2);
    assert!(walked.values().all(|pin| pin.index.is_some()));
    let tables = ["m.csv", "m.parquet"].map(|name| dir.path().join(name));
    assert_eq!(pins(&tables), walked);
    let mut lister = Lister::open(&tables, irg()).unwrap();
    let first = lister.next().unwrap().unwrap();
    archive(&dir.path().join("a.tar"), &[("x/3.jpg", b"another")]);
    let second = lister.next().unwrap().unwrap();
    assert!(lister.next().is_none());
    let places = |chunk: &hiwl::source::list::Chunk| {
        chunk.entries.iter().map(|entry| entry.locator.clone()).collect::<Vec<_>>()
    };
    assert_eq!(places(&first), places(&second));
    assert_eq!(lister.pins(), &walked);
}

#[test]
fn positions_that_are_no_numbers_are_told_and_of_a_type_refused() {
    let dir = scene();
    let files = [dir.path().join("files")];
    let table = dir.path().join("odd.csv");
    for (rows, words) in [
        ("1,10:20:30,+1:2:3\n2,20,2\n", "ra '10:20:30', dec '+1:2:3' (row 1)"),
        ("1,10,1\n2,400,2\n", "ra 400, dec 2 (row 2) are on no sky"),
    ] {
        fs::write(&table, format!("id,ra,dec\n{rows}")).unwrap();
        let listing = try_list(&files, joined(&table, &[])).unwrap();
        let [problem] = &listing.problems[..] else { panic!("{:?}", listing.problems) };
        assert!(problem.message.contains(words), "{problem:?}");
        assert_eq!(listing.entries.iter().filter(|entry| entry.position.is_some()).count(), 1);
    }
    // A table that says of what types it is, and of which units.
    let votable = |field: &str, cell: &str| {
        fs::write(
            dir.path().join("t.vot"),
            format!(
                "<VOTABLE><RESOURCE><TABLE><FIELD name='id' datatype='char' arraysize='*'/>\
                 <FIELD name='RAJ2000' {field}/><FIELD name='DEJ2000' {field}/><DATA><TABLEDATA>\
                 <TR><TD>1</TD><TD>{cell}</TD><TD>{cell}</TD></TR></TABLEDATA></DATA></TABLE>\
                 </RESOURCE></VOTABLE>"
            ),
        )
        .unwrap();
        try_list(&files, joined(&dir.path().join("t.vot"), &[]))
    };
    let error = votable("datatype='char' arraysize='*'", "1:2:3").unwrap_err().to_string();
    assert!(error.contains("numbers, in degrees"), "{error}");
    let error = votable("datatype='double' unit='rad'", "0.5").unwrap_err().to_string();
    assert!(error.contains("'RAJ2000' is in rad, and is read in degrees"), "{error}");
    let listing = votable("datatype='double' unit='deg'", "0.5").unwrap();
    assert_eq!(listing.entries[0].position, Some(SkyPosition { ra: 0.5, dec: 0.5 }));
}
