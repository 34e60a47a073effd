//! What files state of themselves is held against limits, whatever asks for it:
//! words or a row, in a bounded memory, exit code 64, 1 or 2.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::util::catalog::column;
use crate::util::command::{assert_code, errors, hiwl, run, simulate};

/// Runs `hiwl` in little memory: what every usual run takes, and no more.
fn confined(arguments: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 2000000 && exec \"$@\"", "sh"]).arg(hiwl().get_program());
    let model = crate::util::fixture("models/untrained-nano.safetensors");
    shell.args(arguments).env("HIWL_MODEL", model).env("MALLOC_ARENA_MAX", "2").output().unwrap()
}

/// Asserts that a command ends with a code and these words, and not many more.
#[track_caller]
fn told(output: &Output, code: i32, words: &[&str]) {
    assert_code(output, code);
    let said = errors(output);
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(said.len() < 2000, "{} bytes", said.len());
    assert!(!said.contains("panicked") && !said.contains("defect"), "{said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn rows_with_long_texts_are_rejected_and_the_others_classified() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    simulate(&at("in"), 1, 3);
    let image = fs::read_dir(at("in")).unwrap().map(|entry| entry.unwrap().path());
    let image = image.filter(|path| path.extension().is_some_and(|e| e == "jpg")).min().unwrap();
    let (id, note) = ("i".repeat(70_000), "n".repeat(100_000));
    let image = text(&image);
    let rows = [("good", image, "a"), (&*id, image, "b"), ("note", image, &*note)];
    let mut csv = "id,path,note\n".to_owned();
    for (id, path, note) in rows {
        csv.push_str(&format!("{id},{path},{note}\n"));
    }
    fs::write(at("t.csv"), csv).unwrap();
    let texts = |of: fn(&(&str, &str, &str)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let columns = [
        ("id", texts(|row| row.0.to_owned())),
        ("path", texts(|row| row.1.to_owned())),
        ("note", texts(|row| row.2.to_owned())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(at("t.parquet")).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    for table in ["t.csv", "t.parquet"] {
        let (input, output) = (at(table), at(&format!("{table}.run")));
        let arguments = ["classify", "--carry", "note", text(&input), "-o", text(&output)];
        assert_code(&confined(&arguments), 1);
        let [ids, status] = ["id", "status"].map(|name| column(&output, name));
        assert_eq!(status, ["ok", "unsupported", "unsupported"], "{table}");
        assert_eq!(ids[1], format!("{}…", "i".repeat(1024)));
        let [why, notes] = ["error", "note"].map(|name| column(&output, name));
        assert_eq!(why[1], "its id has 70000 bytes: at most 1024");
        assert_eq!(why[2], "column note has 100000 bytes: at most 65536");
        assert_eq!(notes, ["a", "b", ""]);
        assert_code(&run(["verify", text(&output)]), 0);
    }
}

#[test]
fn a_table_that_unpacks_to_one_line_and_one_of_many_columns_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    simulate(&at("in"), 1, 3);
    // 2.2 GB of one line, in members of 16 MiB each.
    let packed = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut bomb = packed(b"id,label\n1,");
    let member = packed(&vec![b'x'; 16 << 20]);
    (0..140).for_each(|_| bomb.extend(&member));
    assert!(bomb.len() < 4 << 20, "{}", bomb.len());
    fs::write(at("labels.csv.gz"), bomb).unwrap();
    let (input, labels) = (at("in"), at("labels.csv.gz"));
    let output = confined(&["evaluate", text(&input), "--labels", text(&labels)]);
    told(&output, 64, &["labels.csv.gz", "longer than 1 MiB"]);

    let wide = (0..300_000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
    fs::write(at("wide.csv"), &wide[..1_000_000]).unwrap();
    let (wide, run) = (at("wide.csv"), at("run"));
    let output = confined(&["classify", text(&wide), "-o", text(&run)]);
    told(&output, 64, &["wide.csv", "columns; at most 20000"]);
    let output = confined(&["evaluate", text(&input), "--labels", text(&wide)]);
    told(&output, 64, &["wide.csv", "columns; at most 20000"]);
}

#[test]
fn a_page_that_unpacks_to_much_more_than_it_is_makes_its_row_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let zeros = vec![0u8; 300 << 20];
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values([&zeros]));
    let batch = RecordBatch::try_from_iter([("image", images)]).unwrap();
    drop(zeros);
    let codec = Codec::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    let file = File::create(at("t.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    drop(batch);
    assert!(fs::metadata(at("t.parquet")).unwrap().len() < 1 << 20);
    let (input, output) = (at("t.parquet"), at("run"));
    assert_code(&confined(&["classify", text(&input), "-o", text(&output)]), 1);
    assert_eq!(column(&output, "status"), ["corrupt"]);
    let why = &column(&output, "error")[0];
    assert!(why.contains("a page of") && why.contains("unpacks to 314572804"), "{why}");
}

#[test]
fn settings_that_are_no_settings_by_their_size_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    simulate(&at("in"), 1, 3);
    let (input, run, big) = (at("in"), at("run"), at("big.toml"));
    File::create(&big).unwrap().set_len(5 << 30).unwrap();
    let words = "it has 5368709120 bytes, and at most 1048576 are read";
    let output = confined(&["classify", text(&input), "-o", text(&run), "--pipeline", text(&big)]);
    told(&output, 64, &["big.toml", words]);
    fs::create_dir(&run).unwrap();
    File::create(run.join("run.json")).unwrap().set_len(5 << 30).unwrap();
    for command in ["verify", "status", "catalog"] {
        let output = confined(&[command, text(&run)]);
        assert!(output.status.code().is_some_and(|code| code == 2 || code == 64));
        assert!(errors(&output).contains("at most 67108864 are read"), "{}", errors(&output));
    }
}
