//! CSV and Parquet tables.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use hiwl::cutout::SkyPosition;

use super::*;

fn csv(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn rows_become_entries_and_ids_stay_text() {
    let dir = temp();
    let text = "\u{feff}Path, ID ,RA,dec\n\
        img/a.jpg,007,10.5,-3\n\
        /abs/b.jpg,银河,nan,1\n\
        \"c, d.jpg\",1e5,,\n\
        e.jpg,587722952230175035,-10,89.5\n\
        e.jpg,587722952230175035,-999,-999\n";
    let path = csv(dir.path(), "t.csv", text);
    let listing = list(&[&path]);
    let ids = ["007", "银河", "1e5", "587722952230175035", "587722952230175035"];
    assert_eq!(listing.ids(), ids);
    let at = |ra, dec| Some(SkyPosition { ra, dec });
    let positions: Vec<_> = listing.entries.iter().map(|e| e.position).collect();
    assert_eq!(positions, [at(10.5, -3.0), None, None, at(350.0, 89.5), None]);
    assert_eq!(listing.entries[0].locator, Locator::File(dir.path().join("img/a.jpg")));
    assert_eq!(listing.entries[1].source, "/abs/b.jpg");
    assert_eq!(listing.entries[2].locator, Locator::File(dir.path().join("c, d.jpg")));
    assert!(listing.carried.iter().all(Option::is_none));
    assert!(listing.problems.is_empty());
}

#[test]
fn rows_that_lead_nowhere_are_rejected_with_their_line() {
    let dir = temp();
    let text = b"id,path,ra\n,a.jpg,1\nb,,1\nc,c.jpg\nd,d.jpg,1,2\ne,e\xff.jpg,1\n\nf,f.jpg,1\n";
    let path = dir.path().join("t.csv");
    fs::write(&path, text).unwrap();
    let listing = list(&[&path]);
    assert_eq!(listing.ids(), ["", "b", "c", "d", "e", "f"]);
    let expected =
        [Reason::Corrupt, Reason::Missing, Reason::Corrupt, Reason::Corrupt, Reason::Unsupported];
    for ((entry, reason), line) in listing.entries.iter().zip(expected).zip(2..) {
        let rejection = rejection(entry).unwrap();
        assert_eq!(rejection.reason, reason, "{rejection}");
        assert!(rejection.detail.contains(&format!("line {line}")), "{rejection}");
        assert_eq!(entry.source, format!("{} line {line}", path.display()));
    }
    assert!(rejection(&listing.entries[5]).is_none());
}

#[test]
fn bands_in_a_path_stand_for_every_band() {
    let dir = temp();
    let path = csv(dir.path(), "t.csv", "id,path\nX,{band}/X_{band}.fits\n");
    let listing = list(&[&path]);
    let files = ["i", "r", "g"].map(|b| (b.into(), dir.path().join(format!("{b}/X_{b}.fits"))));
    assert_eq!(listing.entries[0].locator, Locator::Bands(files.into()));
    let missing = Reader::new().read(&listing.entries[0].locator).unwrap_err();
    assert_eq!(missing.reason, Reason::MissingBand);
    let listing = try_list(&[&path], ListOptions::default()).unwrap();
    assert_eq!(listing.reasons(), [Some(Reason::Unsupported)]);
}

#[test]
fn sexagesimal_positions_are_one_problem() {
    let dir = temp();
    let text = "id,path,ra,dec\na,a.jpg,12:30:00,+1\nb,b.jpg,12:30:01,+1\nc,c.jpg,1,+1\n";
    let listing = list(&[csv(dir.path(), "t.csv", text)]);
    assert_eq!(listing.entries.len(), 3);
    assert!(listing.entries[2].position.is_some());
    assert_eq!(listing.problems.len(), 1);
    assert!(listing.problems[0].message.contains("12:30:00"), "{:?}", listing.problems);
}

#[test]
fn missing_columns_are_named_with_those_there() {
    let dir = temp();
    let path = csv(dir.path(), "t.csv", "galaxy,path,z\n1,a.jpg,0.1\n");
    let error = try_list(&[&path], irg()).unwrap_err().to_string();
    assert!(error.contains("t.csv: no column of ids (id, GalaxyID, "), "{error}");
    assert!(error.ends_with("it has: galaxy, path, z: name it with --id"), "{error}");
    let path = csv(dir.path(), "t.csv", "id,path,z\n1,a.jpg,0.1\n");
    let error = try_list(&[&path], carrying(&["z", "mag"])).unwrap_err().to_string();
    assert!(error.ends_with("no column 'mag'; it has: id, path, z"), "{error}");
    let error = try_list(&[dir.path()], carrying(&["z"])).unwrap_err();
    assert!(matches!(error, ListError::NoTable { .. }), "{error}");
    let error = try_list(&[csv(dir.path(), "e.csv", "")], irg()).unwrap_err();
    assert!(matches!(error, ListError::NoIds { .. }), "{error}");
}

#[test]
fn ids_are_found_by_their_usual_names_or_named() {
    let dir = temp();
    let path = csv(dir.path(), "t.csv", "dr7objid,name,path\n587722981736120347,a,a.jpg\n");
    assert_eq!(list(&[&path]).ids(), ["587722981736120347"]);
    let named = ListOptions { id_column: Some("name".into()), ..irg() };
    assert_eq!(try_list(&[&path], named).unwrap().ids(), ["a"]);
    let absent = ListOptions { id_column: Some("galaxy".into()), ..irg() };
    let error = try_list(&[&path], absent).unwrap_err();
    assert!(matches!(error, ListError::NoColumn { .. }), "{error}");
}

#[test]
fn ids_that_are_floats_are_refused_with_their_line() {
    let dir = temp();
    let text = "id,path\n587722981736120347,a.jpg\n5.877229817361203e+17,b.jpg\n";
    let error = try_list(&[csv(dir.path(), "t.csv", text)], irg()).unwrap_err();
    let ListError::FloatId { row, id, .. } = &error else { panic!("{error}") };
    assert_eq!((row.as_str(), id.as_str()), ("line 3", "5.877229817361203e+17"));
}

#[test]
fn blanks_after_commas_are_for_the_eye() {
    let dir = temp();
    let text = "id, path, ra, dec, z, kind\n 1 , a.jpg, 10.5, -3, 0.25, ring\n\
                2, \"b.jpg\", 11.5, -4, 0.5, \"two \"\"x\"\"\"\n";
    let path = csv(dir.path(), "t.csv", text);
    let listing = try_list(&[&path], carrying(&["z", "kind"])).unwrap();
    assert_eq!(listing.ids(), ["1", "2"]);
    for (entry, name) in listing.entries.iter().zip(["a.jpg", "b.jpg"]) {
        assert_eq!(entry.locator, Locator::File(dir.path().join(name)));
    }
    assert_eq!(listing.entries[0].position.map(|p| (p.ra, p.dec)), Some((10.5, -3.0)));
    assert_eq!(*listing.schema.field(0).data_type(), DataType::Float64);
    let carried = listing.carried[0].as_ref().unwrap();
    let kinds = carried.column(1).as_string::<i32>();
    assert_eq!((kinds.value(0), kinds.value(1)), ("ring", "two \"x\""));
}

#[test]
fn a_row_without_a_file_keeps_its_position() {
    let dir = temp();
    let text = "id,path,ra,dec\na,,10.5,-3\n,b.jpg,11.5,-4\nc,c.jpg,12.5\n";
    let listing = list(&[csv(dir.path(), "t.csv", text)]);
    let positions: Vec<_> =
        listing.entries.iter().map(|e| e.position.map(|p| (p.ra, p.dec))).collect();
    // Of a line with too few fields nothing is known to be what it seems.
    assert_eq!(positions, [Some((10.5, -3.0)), Some((11.5, -4.0)), None]);
    assert_eq!(listing.reasons()[..2], [Some(Reason::Missing), Some(Reason::Corrupt)]);
}

#[test]
fn carried_columns_have_the_types_of_all_their_rows() {
    let dir = temp();
    let mut text = String::from("id,path,n,z,ok,name,mixed,none\n");
    for i in 0..5000 {
        // A float and a word far behind the first rows.
        let mixed = if i == 4999 { "N/A".into() } else { i.to_string() };
        let z = if i == 4998 { "0.5".into() } else { i.to_string() };
        text += &format!("{i},{i}.jpg,{i},{z},True,0{i},{mixed},\n");
    }
    text += "bad,bad.jpg,1\n";
    let path = csv(dir.path(), "t.csv", &text);
    let columns = ["mixed", "n", "z", "ok", "name", "none"];
    let listing = try_list(&[&path], carrying(&columns)).unwrap();
    let types: Vec<_> = listing.schema.fields().iter().map(|f| f.data_type().clone()).collect();
    use DataType::{Boolean, Float64, Int64, Utf8};
    assert_eq!(types, [Utf8, Int64, Float64, Boolean, Utf8, Utf8]);
    let batches: Vec<&RecordBatch> = listing.carried.iter().flatten().collect();
    assert_eq!(batches.iter().map(|b| b.num_rows()).collect::<Vec<_>>(), [4096, 905]);
    let last = batches[1];
    assert_eq!(last.column(0).as_string::<i32>().value(903), "N/A");
    assert_eq!(last.column(1).as_primitive::<Int64Type>().value(903), 4999);
    assert_eq!(last.column(2).as_primitive::<Float64Type>().value(902), 0.5);
    assert!(last.column(3).as_boolean().value(903));
    assert_eq!(last.column(4).as_string::<i32>().value(903), "04999");
    assert_eq!(last.column(5).null_count(), 905);
    // The malformed line has its row, and no values.
    assert_eq!(listing.entries[5000].id, "bad");
    assert!(last.columns().iter().all(|c| c.is_null(904)));
}

#[test]
fn whole_numbers_of_many_digits_are_carried_digit_by_digit() {
    let dir = temp();
    let text = "id,path,big,small\na,a.jpg,1237668296598749301,1\nb,b.jpg,nan,2.5\n\
                c,c.jpg,1237668296598749303,3\n";
    let path = csv(dir.path(), "t.csv", text);
    let listing = try_list(&[&path], carrying(&["big", "small"])).unwrap();
    let batch = listing.carried[0].as_ref().unwrap();
    assert_eq!(batch["big"].as_string::<i32>().value(0), "1237668296598749301");
    assert_eq!(batch["big"].as_string::<i32>().value(2), "1237668296598749303");
    assert_eq!(batch["small"].as_primitive::<Float64Type>().values(), &[1.0, 2.5, 3.0]);
    let text = "id,path,big\na,a.jpg,1237668296598749301\nb,b.jpg,\n";
    let path = csv(dir.path(), "whole.csv", text);
    let listing = try_list(&[&path], carrying(&["big"])).unwrap();
    let batch = listing.carried[0].as_ref().unwrap();
    assert_eq!(batch["big"].as_primitive::<Int64Type>().value(0), 1_237_668_296_598_749_301);
}

#[test]
fn radii_and_positions_in_other_units_are_refused() {
    let dir = temp();
    let ecsv = |ra: &str, radius: &str| {
        let text = format!(
            "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n\
             # - {{name: id, datatype: string}}\n# - {{name: path, datatype: string}}\n\
             # - {{name: ra, unit: {ra}, datatype: float64}}\n\
             # - {{name: dec, unit: {ra}, datatype: float64}}\n\
             # - {{name: r90, unit: {radius}, datatype: float64}}\n\
             id,path,ra,dec,r90\na,a.jpg,0.5,0.25,0.15\n"
        );
        let path = csv(dir.path(), "t.ecsv", &text);
        let radius_column = Some("r90".to_owned());
        try_list(&[&path], ListOptions { radius_column, ..carrying(&["r90"]) })
    };
    assert!(ecsv("deg", "arcsec").is_ok());
    let error = ecsv("rad", "arcsec").unwrap_err().to_string();
    assert!(error.contains("'ra' is in rad"), "{error}");
    let error = ecsv("deg", "arcmin").unwrap_err().to_string();
    assert!(error.contains("'r90' is in arcmin, and is read in arcseconds"), "{error}");
}

#[test]
fn tables_and_other_inputs_stand_side_by_side() {
    let dir = temp();
    touch(dir.path(), &["in/a.jpg"]);
    let whole = csv(dir.path(), "1.csv", "id,path,N\n1,a.jpg,7\n");
    let floats = csv(dir.path(), "2.csv", "id,path,n\n2,b.jpg,0.5\n");
    let inputs = [whole, dir.path().join("in"), floats];
    let listing = try_list(&inputs, carrying(&["n"])).unwrap();
    assert_eq!(listing.ids(), ["1", "a", "2"]);
    assert_eq!(listing.schema.field(0).data_type(), &DataType::Float64);
    let value = |i: usize| {
        let batch = listing.carried[i].as_ref().unwrap();
        batch.column(0).as_primitive::<Float64Type>().value(0)
    };
    assert_eq!((value(0), value(2)), (7.0, 0.5));
    assert!(listing.carried[1].is_none());
}

#[test]
fn a_quotation_mark_left_open_does_not_swallow_the_file() {
    let dir = temp();
    let rows: String = (0..100_000).map(|i| format!("{i},{i}.jpg,some words\n")).collect();
    let path = csv(dir.path(), "t.csv", &format!("id,path,n\na,a.jpg,1\nb,\"b.jpg,2\n{rows}"));
    let error = try_list(&[&path], irg()).unwrap_err();
    assert!(matches!(&error, ListError::Csv { line: 3, .. }), "{error}");
    assert!(error.to_string().contains("quotation mark"), "{error}");
}

/// pyarrow and pandas write, and say what is in the tables.
#[test]
fn tables_by_python_agree() {
    let dir = temp();
    crate::util::python::oracle("tables.py", &[dir.path().to_str().unwrap()]);
    let at = |name: &str| dir.path().join(name);

    let listing = try_list(&[at("plain.parquet")], carrying(&["n", "f", "ok", "word"])).unwrap();
    assert_eq!(listing.entries.len(), 10_000);
    assert_eq!(listing.entries[9_999].id, (587_722_952_230_175_035_i64 + 9_999).to_string());
    assert_eq!(listing.entries[1].locator, Locator::File(at("img/1.jpg")));
    assert_eq!(listing.entries[1].position, Some(SkyPosition { ra: 1.0, dec: 0.5 }));
    // Every seventh row has no path, every eleventh no position.
    let reasons = listing.reasons();
    assert!((0..10_000).all(|i| reasons[i].is_some() == (i % 7 == 3)), "{:?}", &reasons[..20]);
    assert_eq!(reasons[3], Some(Reason::Missing));
    assert_eq!(listing.entries[3].source, format!("{} row 4", at("plain.parquet").display()));
    assert_eq!(listing.entries[11].position, None);
    assert_eq!(listing.entries[22].position, None);
    let types: Vec<_> = listing.schema.fields().iter().map(|f| f.data_type().clone()).collect();
    use DataType::{Boolean, Float32, Int16, Utf8};
    assert_eq!(types, [Int16, Float32, Boolean, Utf8]);
    let row = 5_000 - 4_096;
    let batch = listing.carried[1].as_ref().unwrap();
    assert_eq!(batch.column(0).as_primitive::<arrow::datatypes::Int16Type>().value(row), 5_000);
    assert_eq!(batch.column(3).as_string::<i32>().value(row), "w0");

    let listing = list(&[at("texts.parquet")]);
    assert_eq!(listing.ids(), ["007", "", "é", ""]);
    let corrupt = Some(Reason::Corrupt);
    assert_eq!(listing.reasons(), [None, corrupt, None, corrupt]);

    assert_eq!(list(&[at("bytes.parquet")]).ids(), ["a", "b"]);
    assert_eq!(list(&[at("pandas.csv")]).ids(), ["7", "a \"b\", c", "two\nlines"]);
    // int16 beside pandas' text of the same column.
    let mixed = [at("plain.parquet"), at("pandas.csv")];
    let listing = try_list(&mixed, carrying(&["n"])).unwrap();
    assert_eq!(listing.schema.field(0).data_type(), &DataType::Int64);

    let error = try_list(&[at("plain.parquet")], carrying(&["day"])).unwrap_err();
    assert!(matches!(&error, ListError::ColumnType { column, .. } if column == "day"), "{error}");
    let error = try_list(&[at("floats.parquet")], irg()).unwrap_err();
    assert!(matches!(&error, ListError::ColumnType { column, .. } if column == "id"), "{error}");
}

/// Parquet files with bytes changed at random are rows or an error.
#[test]
fn parquet_files_of_any_bytes_end() {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;
    use rand::{Rng, SeedableRng};
    let dir = temp();
    let paths = StringArray::from_iter_values((0..300).map(|i| format!("{i}.jpg")));
    let columns: [(&str, ArrayRef); 2] = [
        ("id", std::sync::Arc::new(Int64Array::from_iter_values(0..300))),
        ("path", std::sync::Arc::new(paths)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let path = dir.path().join("t.parquet");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    for _ in 0..1000 {
        let mut bytes = bytes.clone();
        for _ in 0..random.random_range(1..4) {
            let place = random.random_range(0..bytes.len());
            bytes[place] = random.random();
        }
        fs::write(&path, &bytes).unwrap();
        refused += usize::from(try_list(&[&path], irg()).is_err());
    }
    assert!(refused > 0);
}

#[test]
fn what_is_no_parquet_file_is_refused() {
    let dir = temp();
    for (name, bytes) in [("a.parquet", &b""[..]), ("b.parquet", &[b'x'; 4000])] {
        fs::write(dir.path().join(name), bytes).unwrap();
        let error = try_list(&[dir.path().join(name)], irg()).unwrap_err();
        assert!(matches!(error, ListError::Parquet { .. }), "{error}");
    }
}

/// astropy writes one table in eight formats, each also gzipped; all are the same
/// listing, and the same labels.
#[test]
fn tables_by_astropy_agree() {
    use arrow::datatypes::Float64Type;
    use hiwl::labels::{LabelColumns, LabelTable};
    let dir = temp();
    let folder = dir.path().to_str().unwrap();
    let names = crate::util::python::oracle("astropy_tables.py", &[folder]);
    let mut seen = 0;
    for name in names.lines() {
        let path = dir.path().join(name);
        let listing = try_list(&[&path], carrying(&["z", "votes", "ok"]))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(listing.entries.len(), 5000, "{name}");
        assert!(listing.problems.is_empty() && listing.reasons().iter().all(Option::is_none));
        let last = &listing.entries[4999];
        assert_eq!(last.id, "587722952230180034", "{name}");
        assert_eq!(last.locator, Locator::File(dir.path().join("img/4999.jpg")), "{name}");
        assert_eq!(last.position, Some(SkyPosition { ra: 319.25, dec: 49.0 }), "{name}");
        let batch = listing.carried.last().unwrap().as_ref().unwrap();
        let at = batch.num_rows() - 1;
        let number = |column: usize| {
            let values = arrow::compute::cast(batch.column(column), &DataType::Float64).unwrap();
            values.as_primitive::<Float64Type>().value(at)
        };
        assert_eq!((number(0), number(1)), (4999.0 / 8.0, 49.0), "{name}");
        let ok = arrow::compute::cast(batch.column(2), &DataType::Boolean).unwrap();
        assert!(!ok.as_boolean().value(at), "{name}");

        let table = LabelTable::read(&path, None, LabelColumns::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(table.rows.len(), 5000, "{name}");
        assert_eq!(table.rows[4999].id, "587722952230180034", "{name}");
        assert_eq!(table.classes[table.rows[4999].class], "SPI", "{name}");
        seen += 1;
    }
    assert_eq!(seen, 16);
}
