//! Parquet tables in an object store.

use std::fs::{self, File};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::{Scene, Server, on_store};
use crate::util::catalog::column;
use crate::util::command::{assert_code, errors, hiwl};

/// Tables of the files of a scene beside them: one that holds them, one of
/// their paths, one that is cut off.
fn write_tables(scene: &Scene) -> usize {
    let folder = scene.path("store/night/files");
    let names = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".jpg"));
    names.sort();
    let ids = || -> ArrayRef {
        Arc::new(StringArray::from_iter_values(names.iter().map(|n| n.trim_end_matches(".jpg"))))
    };
    let z: ArrayRef = Arc::new(Float64Array::from_iter_values((0..names.len()).map(|i| i as f64)));
    let files: Vec<Vec<u8>> = names.iter().map(|n| fs::read(folder.join(n)).unwrap()).collect();
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(&files));
    let paths = names.iter().map(|name| format!("files/{name}"));
    let paths: ArrayRef = Arc::new(StringArray::from_iter_values(paths));
    let write = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = File::create(scene.path("store/night").join(name)).unwrap();
        let groups = WriterProperties::builder().set_max_row_group_row_count(Some(7)).build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(groups)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    write("images.parquet", vec![("id", ids()), ("image", images), ("z", z.clone())]);
    write("paths.parquet", vec![("id", ids()), ("path", paths), ("z", z)]);
    let whole = fs::read(scene.path("store/night/images.parquet")).unwrap();
    fs::write(scene.path("store/night/cut.parquet"), &whole[..whole.len() / 2]).unwrap();
    names.len()
}

#[test]
fn a_table_in_a_store_gives_the_rows_of_its_file() {
    let scene = Scene::new();
    let rows = write_tables(&scene);
    let server = Server::start(&scene.path("store"));
    for table in ["images", "paths"] {
        let local = scene.text(&format!("store/night/{table}.parquet"));
        assert_code(&scene.classify(hiwl(), &local, table), 0);
        let expected = scene.answers(table);
        assert_eq!(expected[0].len(), rows);
        let url = format!("s3://survey/night/{table}.parquet");
        for (port, output) in [(server.port, "there"), (server.flaky, "flaky")] {
            let output = format!("{table}-{output}");
            assert_code(&scene.classify(on_store(port), &url, &output), 0);
            assert_eq!(scene.answers(&output), expected, "{output}");
            assert!(column(&scene.path(&output), "source")[0].starts_with("s3://survey/night/"));
        }
        // Carried columns, and a shard that begins within the table.
        let mut plan = on_store(server.port);
        plan.args(["plan", &url, "--shards", "4", "--range-size", "9", "--carry", "z", "--quiet"]);
        let planned = format!("{table}-plan");
        assert_code(&plan.arg("--output").arg(scene.path(&planned)).output().unwrap(), 0);
        let mut task = on_store(server.flaky);
        task.args(["classify", "--quiet", "--shard", "2", "--plan"]).arg(scene.path(&planned));
        assert_code(&task.output().unwrap(), 0);
        assert_eq!(scene.answers(&planned)[2], expected[2][18..27]);
        assert_eq!(column(&scene.path(&planned), "z")[0], format!("{:016x}", 18f64.to_bits()));
    }
    for (table, words) in [("none", "404"), ("cut", "not a readable Parquet file")] {
        let url = format!("s3://survey/night/{table}.parquet");
        let run = scene.classify(on_store(server.port), &url, "refused");
        assert_code(&run, 64);
        assert!(errors(&run).contains(words), "{}", errors(&run));
    }
    assert!(server.stop() > 50, "the proxy was passed by");
}

/// Members of an archive in a store, by their paths through it: the rows of the archive, which
/// is pinned as one on disk is.
#[test]
fn a_table_names_members_of_an_archive_in_a_store() {
    let scene = Scene::new();
    let tars = fs::read_dir(scene.path("store/night/tars")).unwrap();
    let mut tars = tars.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let tar = tars.find(|name| name.ends_with(".tar")).unwrap();
    let local = scene.text(&format!("store/night/tars/{tar}"));
    assert_code(&scene.classify(hiwl(), &local, "local"), 0);
    let expected = scene.answers("local");
    assert_eq!(expected[0].len(), 50);
    let mut table = "id,path\n".to_owned();
    for (id, source) in expected[0].iter().zip(column(&scene.path("local"), "source")) {
        let (_, member) = source.split_once(".tar/").unwrap();
        table.push_str(&format!("{id},s3://survey/night/tars/{tar}/{member}\n"));
    }
    // What is not in it, and a prefix that is called like an archive.
    table.push_str(&format!("a,s3://survey/night/tars/{tar}/none.jpg\n"));
    table.push_str("b,s3://survey/night/none.tar/1.jpg\n");
    fs::write(scene.path("members.csv"), table).unwrap();
    let server = Server::start(&scene.path("store"));
    let run = scene.classify(on_store(server.flaky), &scene.text("members.csv"), "there");
    assert_code(&run, 1);
    for (found, expected) in scene.answers("there").iter().zip(&expected) {
        assert_eq!(found[..50], expected[..]);
    }
    assert_eq!(scene.answers("there")[6][50..], ["missing", "missing"]);
    let why = &column(&scene.path("there"), "error")[50];
    assert!(why.contains(&format!("{tar} has no picture none.jpg")), "{why}");
    let run_json = fs::read_to_string(scene.path("there/run.json")).unwrap();
    let run_json: serde_json::Value = serde_json::from_str(&run_json).unwrap();
    let pin = &run_json["listing"]["archives"][format!("s3://survey/night/tars/{tar}")];
    assert!(pin["index"].is_string() && pin["version"].is_string(), "{pin}");
    server.stop();
}

#[test]
fn a_table_whose_store_goes_away_ends_the_run_and_makes_no_rows() {
    let scene = Scene::new();
    write_tables(&scene);
    let mut server = Server::start(&scene.path("store"));
    let mut plan = on_store(server.slow);
    plan.args(["plan", "s3://survey/night/images.parquet", "--shards", "1", "--quiet"]);
    assert_code(&plan.arg("--output").arg(scene.path("night")).output().unwrap(), 0);
    let port = server.slow;
    let run = || {
        let mut task = on_store(port);
        task.args(["classify", "--quiet", "--shard", "all", "--plan"]).arg(scene.path("night"));
        task.spawn().unwrap()
    };
    server.tell("away");
    assert_eq!(run().wait().unwrap().code(), Some(2));
    assert!(column(&scene.path("night"), "status").is_empty());
    server.tell("back");
    assert_eq!(run().wait().unwrap().code(), Some(0));
    assert!(column(&scene.path("night"), "status").iter().all(|status| status == "ok"));
    server.stop();
}
