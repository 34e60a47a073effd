//! Run folders in an object store: the same files as in a folder, read by every
//! command.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Scene, Server, on_store, store_run};
use crate::util::command::{assert_code, errors, hiwl, run};

#[test]
fn a_run_in_a_store_has_the_files_of_one_in_a_folder_and_every_command_reads_it() {
    let scene = Scene::new();
    let input = scene.text("store/night");
    assert_code(&scene.classify(hiwl(), &input, "local"), 0);
    let mut server = Server::start(&scene.path("store"));
    let port = server.port;
    let url = "s3://survey/runs/out";
    assert_code(&scene.classify(on_store(port), &input, url), 0);
    server.fetch("runs/out", &scene.path("out"));
    scene.assert_same("out", "local");
    // Again, with nothing to do; and a copy is a run like any other.
    assert_code(&scene.classify(on_store(port), &input, url), 0);
    assert_code(&run(["verify", &scene.text("out")]), 0);
    assert_code(&scene.classify(hiwl(), &input, "out"), 0);

    // Requests that fail are made again, and what was done is not done twice.
    let flaky = "s3://survey/runs/flaky/";
    assert_code(&scene.classify(on_store(server.flaky), &input, flaky), 0);
    server.fetch("runs/flaky", &scene.path("flaky"));
    scene.assert_same("flaky", "local");
    assert_code(&store_run(server.flaky, &["verify", flaky]), 0);

    let same = |arguments: &[&str]| {
        let local = scene.text("local");
        let of = |place: &str| -> Vec<String> {
            arguments.iter().map(|a| if *a == "RUN" { place.into() } else { (*a).into() }).collect()
        };
        let here = run(of(&local));
        assert_code(&here, 0);
        let there = on_store(port).args(of(url)).output().unwrap();
        assert_code(&there, 0);
        let (here, there) = (String::from_utf8(here.stdout), String::from_utf8(there.stdout));
        let there = there.unwrap().replace(url, &local);
        // Two runs were not written at one speed.
        let lines = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| !line.contains("images_per_second"))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(lines(&there), lines(&here.unwrap()), "{arguments:?}");
    };
    same(&["verify", "RUN"]);
    same(&["verify", "RUN", "--json"]);
    same(&["catalog", "RUN"]);
    same(&["catalog", "RUN", "--sample", "11", "--random", "--json"]);
    let status = store_run(port, &["status", url, "--json"]);
    assert_code(&status, 0);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("\"rows_done\":80"), "{status}");

    for (format, more) in
        [("csv", "label = 'CRS'"), ("fits", "p_crs > 0"), ("parquet", "p_crs > 0")]
    {
        let export = |place: &str, name: &str| {
            let mut export = on_store(port);
            export.args(["export", place, "--quiet", "--to", format, "--where", more, "-o"]);
            assert_code(&export.arg(scene.path(name)).output().unwrap(), 0);
            let mut bytes = fs::read(scene.path(name)).unwrap();
            if format == "fits" {
                // Cards that say when it was written.
                let dated = |card: &[u8]| {
                    [&b"DATE"[..], b"CHECKSUM", b"DATASUM"].iter().any(|k| card.starts_with(k))
                };
                bytes = bytes.chunks(80).filter(|card| !dated(card)).flatten().copied().collect();
            }
            bytes
        };
        let here = export(&scene.text("local"), &format!("here.{format}"));
        assert!(export(url, &format!("there.{format}")) == here, "{format}");
    }
    server.stop();
}

#[test]
fn a_damaged_part_is_found_and_made_again_once_it_is_removed() {
    let scene = Scene::new();
    let input = scene.text("store/night/files");
    assert_code(&scene.classify(hiwl(), &input, "local"), 0);
    let mut server = Server::start(&scene.path("store"));
    let (port, url) = (server.port, "s3://survey/out");
    assert_code(&scene.classify(on_store(port), &input, url), 0);
    fs::write(scene.path("garbage"), b"PAR1 and no more PAR1").unwrap();
    let part = "out/catalog/part-000000000009-000000000017.parquet";
    server.tell(&format!("put {} {part}", scene.text("garbage")));
    server.tell(&format!("put {} out/catalog/notes.txt", scene.text("garbage")));
    let verify = store_run(port, &["verify", url]);
    assert_code(&verify, 2);
    let text = String::from_utf8(verify.stdout).unwrap();
    assert!(text.contains(&format!("damaged: s3://survey/{part}: it is cut off")), "{text}");
    assert!(text.contains("not part of the run: s3://survey/out/catalog/notes.txt"), "{text}");
    let mut export = on_store(port);
    export.args(["export", url, "--to", "csv", "-o"]).arg(scene.path("no.csv"));
    let export = export.output().unwrap();
    assert!(errors(&export).contains("21 of 30 rows"), "{}", errors(&export));

    server.tell(&format!("delete {part}"));
    server.tell("delete out/catalog/notes.txt");
    assert_code(&store_run(port, &["verify", url]), 2);
    assert_code(&scene.classify(on_store(port), &input, url), 0);
    assert_code(&store_run(port, &["verify", url]), 0);
    server.fetch("out", &scene.path("out"));
    scene.assert_same("out", "local");

    // The listing is looked at too.
    let listing = fs::read_dir(scene.path("out")).unwrap().map(|e| e.unwrap().file_name());
    let listing = listing.into_iter().find(|n| n.to_str().unwrap().starts_with("inputs-")).unwrap();
    let garbage = scene.text("garbage");
    server.tell(&format!("put {garbage} out/{}", listing.to_str().unwrap()));
    let verify = store_run(port, &["verify", url]);
    assert_code(&verify, 2);
    let text = String::from_utf8(verify.stdout).unwrap();
    assert!(text.contains("damaged listing"), "{text}");
    server.stop();
}

#[test]
fn what_is_larger_than_a_request_goes_in_pieces() {
    let scene = Scene::new();
    // Rows of files that are not there, with texts that do not compress.
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut text =
        |_| -> String { (0..600).map(|_| char::from(random.random_range(b'!'..=b'~'))).collect() };
    let ids: Vec<String> = (0..40_000).map(|i| i.to_string()).collect();
    let texts: Vec<String> = ids.iter().map(&mut text).collect();
    let column =
        |values: &[String]| -> ArrayRef { Arc::new(StringArray::from_iter_values(values)) };
    let columns = [("id", column(&ids)), ("path", column(&ids)), ("text", column(&texts))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(scene.path("table.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let mut server = Server::start(&scene.path("store"));
    let run = |mut hiwl: Command, output: &str| {
        hiwl.args(["classify", "--quiet", "--range-size", "40000", "--carry", "text"]);
        hiwl.arg(scene.path("table.parquet")).args(["--output", output]);
        assert_code(&hiwl.output().unwrap(), 1);
    };
    run(hiwl(), &scene.text("local"));
    run(on_store(server.flaky), "s3://survey/out");
    server.fetch("out", &scene.path("out"));
    scene.assert_same("out", "local");
    let pieces = scene.files("out").iter().filter(|(_, bytes)| bytes.len() > 16 << 20).count();
    assert_eq!(pieces, 2, "the listing and the part");
    assert_code(&store_run(server.flaky, &["verify", "s3://survey/out"]), 0);
    server.stop();
}

/// How many ranges of a run are done.
fn done(port: u16, url: &str) -> u64 {
    let status = store_run(port, &["status", url, "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
    status["ranges_done"].as_u64().unwrap_or(0)
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_run_goes_on_after_a_kill_and_after_the_store_was_away() {
    let scene = Scene::new();
    let input = scene.text("store/night");
    let mut server = Server::start(&scene.path("store"));
    let (port, slow, url) = (server.port, server.slow, "s3://survey/out");
    let size = ["--range-size", "4", "--quiet"];
    let begin = |to: &str| {
        let mut command = on_store(slow);
        command.args(["classify", &input, "--output", to]).args(size);
        command.stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut local = hiwl();
    local.args(["classify", &input, "--output", &scene.text("local")]).args(size);
    assert_code(&local.output().unwrap(), 0);

    let mut killed = begin(url);
    wait_for(|| done(port, url) >= 2);
    killed.kill().unwrap();
    assert!(!killed.wait().unwrap().success());
    let before = done(port, url);
    assert!((2..20).contains(&before), "{before}");
    // Whatever moment it was, what is there is right.
    let verify = store_run(port, &["verify", url, "--json"]);
    assert_code(&verify, 2);
    let found: serde_json::Value = serde_json::from_slice(&verify.stdout).unwrap();
    assert_eq!(found["damaged"].as_array().unwrap().len(), 0);

    let again = begin(url);
    wait_for(|| done(port, url) >= before + 3);
    server.tell("away");
    let away = again.wait_with_output().unwrap();
    assert_code(&away, 2);
    let words = errors(&away);
    assert!(
        words.contains("the same command goes on") && words.contains("does not answer"),
        "{words}"
    );
    server.tell("back");
    assert_code(&begin(url).wait_with_output().unwrap(), 0);
    assert_code(&store_run(port, &["verify", url]), 0);
    server.fetch("out", &scene.path("out"));
    scene.assert_same("out", "local");
    server.stop();
}
