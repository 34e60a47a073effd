use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::*;

const CLASSES: [&str; 5] = ["CRS", "IBS", "CSS", "EO", "SPI"];

fn file(text: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("labels.csv");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(text: &str) -> Result<LabelTable, LabelError> {
    let (_folder, path) = file(text.as_bytes());
    LabelTable::read(&path, Some(&CLASSES), LabelColumns::default())
}

fn row(id: &str, class: usize, split: Option<Split>) -> Labelled {
    Labelled { id: id.into(), class, split }
}

#[test]
fn ids_are_text_and_columns_may_stand_anywhere() {
    let table =
        read("split,GalaxyID,note,label\nval,0012,\"a, b\",IBS\ntrain,587722981741363294,,SPI\n");
    let rows =
        vec![row("0012", 1, Some(Split::Val)), row("587722981741363294", 4, Some(Split::Train))];
    assert_eq!(table.unwrap().rows, rows);
}

#[test]
fn spreadsheets_write_byte_order_marks_and_carriage_returns() {
    let table = read("\u{feff}id,label\r\n 7 ,CRS\r\n8,EO\r\n").unwrap();
    assert_eq!(table.rows, [row("7", 0, None), row("8", 3, None)]);
}

#[test]
fn gzipped_tables_are_read() {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"id,label\n7,CRS\n").unwrap();
    let (_folder, path) = file(&encoder.finish().unwrap());
    let table = LabelTable::read(&path, Some(&CLASSES), LabelColumns::default()).unwrap();
    assert_eq!(table.rows, [row("7", 0, None)]);
}

#[test]
fn parquet_is_read_with_ids_as_numbers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("labels.parquet");
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![587_722_981_741_363_294, 12]));
    let labels: ArrayRef = Arc::new(StringArray::from(vec!["SPI", "CSS"]));
    let batch = RecordBatch::try_from_iter([("label", labels), ("objid", ids)]).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let table = LabelTable::read(&path, Some(&CLASSES), LabelColumns::default()).unwrap();
    assert_eq!(table.rows, [row("587722981741363294", 4, None), row("12", 2, None)]);
}

#[test]
fn long_texts_and_too_many_classes_are_refused_with_their_row() {
    let (long, id) = ("L".repeat(65_536), "7".repeat(70_000));
    let open = |text: &str| {
        let (_folder, path) = file(text.as_bytes());
        LabelTable::read(&path, None, LabelColumns::default()).unwrap_err().to_string()
    };
    let error = open(&format!("id,label\n1,A\n2,{long}\n"));
    assert!(error.contains("row 2: a label of 65536 bytes, \"LLL") && error.len() < 400, "{error}");
    let error = open(&format!("id,label\n1,A\n{id},B\n"));
    assert!(error.contains("row 2: an id of 70000 bytes, \"777") && error.len() < 400, "{error}");
    let many: String = (0..1001).map(|n| format!("{n},class {n}\n")).collect();
    let error = open(&format!("id,label\n{many}"));
    assert!(error.contains("row 1001: more than 1000 different labels"), "{error}");
    let error = read(&format!("id,label\n1,{long}\n")).unwrap_err().to_string();
    assert!(error.len() < 500 && error.contains("unknown label"), "{error}");
    let error = read("id,label\n1,CRS\n2\n").unwrap_err().to_string();
    assert!(error.contains("line 3: 1 fields where the header has 2"), "{error}");
}

#[test]
fn what_is_wrong_is_named_with_its_row() {
    let cases = [
        ("id,label\n1,CRS\n2,IBS\n1,CRS\n", "row 3: id 1 was there in row 1"),
        ("id,label\n1,CRS\n2,crs\n", "row 2 (id 2): unknown label \"crs\""),
        ("id,label\n1,CRS\n2,\n", "row 2 (id 2) has no label"),
        ("id,label\n1,CRS\n,EO\n", "row 2: no id"),
        ("id,label,split\n1,CRS,train\n2,EO,dev\n", "row 2 (id 2): unknown split \"dev\""),
        ("id,label,split\n1,CRS,train\n2,EO,\n", "row 2 (id 2): unknown split \"\""),
        ("name,label\n1,CRS\n", "no column of ids (id, GalaxyID, "),
        ("id,shape\n1,CRS\n", "no column label or class"),
        ("id,label,label\n1,CRS,EO\n", "two columns are named \"label\""),
        ("id,label\n", "no rows"),
        ("", "no column of ids"),
        ("id,label\n1,CRS\n2,EO,train\n", "not a readable table"),
    ];
    for (text, phrase) in cases {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(phrase), "{text:?} gave: {error}");
        assert!(error.contains("labels.csv"), "{error}");
    }
}

/// A column of splits that is named.
fn split(name: &str) -> LabelColumns<'_> {
    LabelColumns { split: Some(name), ..LabelColumns::default() }
}

#[test]
fn ids_that_are_floats_are_refused_in_every_kind_of_file() {
    let error = read("id,label\n7,CRS\n5.877229817361203e+17,EO\n").unwrap_err();
    assert!(matches!(&error, LabelError::FloatId { row: 2, .. }), "{error}");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("labels.parquet");
    // Whole as they look in a few digits: the type alone tells.
    let ids: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![6e17, 7e17]));
    let labels: ArrayRef = Arc::new(StringArray::from(vec!["SPI", "CSS"]));
    let batch = RecordBatch::try_from_iter([("label", labels), ("objid", ids)]).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let error = LabelTable::read(&path, Some(&CLASSES), LabelColumns::default()).unwrap_err();
    assert!(matches!(&error, LabelError::FloatIds { column, .. } if column == "objid"), "{error}");
}

#[test]
fn a_column_of_ids_can_be_named_and_usual_ones_are_known() {
    let (_folder, path) = file(b"objid,galaxy,label\n1,a,CRS\n");
    let named = LabelColumns { id: Some("galaxy"), ..LabelColumns::default() };
    assert_eq!(LabelTable::read(&path, Some(&CLASSES), named).unwrap().rows[0].id, "a");
    let usual = LabelTable::read(&path, Some(&CLASSES), LabelColumns::default()).unwrap();
    assert_eq!(usual.rows[0].id, "1");
    let absent = LabelColumns { id: Some("name"), ..LabelColumns::default() };
    let error = LabelTable::read(&path, Some(&CLASSES), absent).unwrap_err().to_string();
    assert!(error.contains("no column name; there are objid, galaxy, label"), "{error}");
    assert_eq!(read("OBJECT_ID,label\n9,CRS\n").unwrap().rows[0].id, "9");
}

#[test]
fn a_column_of_splits_can_be_named() {
    let (_folder, path) = file(b"id,label,fold\n1,CRS,test\n");
    let table = LabelTable::read(&path, Some(&CLASSES), split("fold")).unwrap();
    assert_eq!(table.rows[0].split, Some(Split::Test));
    let error = LabelTable::read(&path, Some(&CLASSES), split("part")).unwrap_err();
    assert!(error.to_string().contains("no column part"), "{error}");
}

#[test]
fn without_a_list_the_classes_are_the_labels_found() {
    let (_folder, path) = file(b"id,label\n1,ring\n2,bar\n3,ring\n");
    let table = LabelTable::read(&path, None, LabelColumns::default()).unwrap();
    assert_eq!(table.classes, ["bar", "ring"]);
    assert_eq!(table.rows.iter().map(|r| r.class).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn labels_of_other_classes_are_left_out_and_counted() {
    let (_folder, path) = file(b"id,label\n1,ring\n2,EO\n3,ring\n4,CRS\n5,bar\n");
    let within = |classes: &[&str]| {
        LabelTable::read_within(&path, ("the model", classes), LabelColumns::default())
    };
    let (table, left) = within(&CLASSES).unwrap();
    assert_eq!(table.rows, [row("2", 3, None), row("4", 0, None)]);
    assert_eq!(table.classes, CLASSES);
    let note = left.note().unwrap();
    assert!(note.contains("3 labels") && note.contains("1 \"bar\", 2 \"ring\""), "{note}");
    assert_eq!(within(&["EO", "CRS", "ring", "bar"]).unwrap().1.note(), None);
    let error = within(&["a", "b"]).unwrap_err().to_string();
    assert!(error.contains("CRS, EO, bar, ring, are not those of the model: a, b"), "{error}");
}

#[test]
fn a_written_table_reads_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("out.csv");
    for split in [Some(Split::Train), None] {
        let table = LabelTable {
            classes: CLASSES.map(String::from).to_vec(),
            rows: vec![row("a,b\"c", 0, split), row("2", 4, split)],
        };
        table.write_csv(&path, &[]).unwrap();
        assert_eq!(
            LabelTable::read(&path, Some(&CLASSES), LabelColumns::default()).unwrap(),
            table
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
}

#[test]
fn the_digest_is_of_the_content_not_of_the_order() {
    let table = read("id,label,split\n1,CRS,train\n2,EO,val\n").unwrap();
    let other_order = read("id,label,split\n2,EO,val\n1,CRS,train\n").unwrap();
    let other_split = read("id,label,split\n1,CRS,train\n2,EO,test\n").unwrap();
    assert_eq!(table.digest(), other_order.digest());
    assert_ne!(table.digest(), other_split.digest());
    assert_eq!(table.digest().len(), 64);
}

#[test]
fn counts_are_a_table_with_totals() {
    let table = read("id,label,split\n1,CRS,train\n2,EO,val\n3,EO,train\n").unwrap();
    let expected = "\
class     train       val     total
CRS           1         0         1
IBS           0         0         0
CSS           0         0         0
EO            1         1         2
SPI           0         0         0
total         2         1         3
";
    assert_eq!(table.counts().to_string(), expected);
}
