//! Cutouts in an object store.

use std::fs;

use super::{Scene, Server, on_store};
use crate::util::catalog::column;
use crate::util::command::{assert_code, errors, hiwl};

#[test]
fn a_prefix_of_a_store_gives_the_rows_of_its_folder() {
    let scene = Scene::new();
    let store = scene.path("store");
    let local = scene.path("store/night");
    assert_code(&scene.classify(hiwl(), local.to_str().unwrap(), "local"), 0);
    let expected = scene.answers("local");
    assert_eq!(expected[0].len(), 80);
    let server = Server::start(&store);

    let run = scene.classify(on_store(server.port), "s3://survey/night", "s3");
    assert_code(&run, 0);
    assert_eq!(scene.answers("s3"), expected);
    assert!(column(&scene.path("s3"), "source")[0].starts_with("s3://survey/night/files/"));
    // Requests that fail are made again.
    let run = scene.classify(on_store(server.flaky), "s3://survey/night/", "flaky");
    assert_code(&run, 0);
    assert_eq!(scene.answers("flaky"), expected);
    assert_code(&hiwl().arg("verify").arg(scene.path("flaky")).output().unwrap(), 0);

    // URLs in a list, of objects that are there and not, and over HTTP.
    let name = column(&scene.path("s3"), "source")[0].clone();
    let key = name.strip_prefix("s3://survey/").unwrap();
    let list = scene.path("list.txt");
    let http = format!("http://127.0.0.1:{}/survey/{key}", server.port);
    fs::write(&list, format!("{name}\ns3://survey/night/none.jpg\n{http}\n{http}?size=9\n"))
        .unwrap();
    let run = scene.classify(on_store(server.port), list.to_str().unwrap(), "list");
    assert_code(&run, 1);
    let [_, _, confidence, .., status] = &scene.answers("list")[..] else { panic!() };
    assert_eq!(status[..], ["ok", "missing", "ok", "unreadable"]);
    assert_eq!((&confidence[0], &confidence[2]), (&expected[2][0], &expected[2][0]));
    let error = &column(&scene.path("list"), "error")[3];
    assert!(error.contains("query"), "{error}");

    // Of a planned run: a shard reads its stretch of the archive, and an
    // archive that was replaced is not taken for the one that was listed.
    let archive = fs::read_dir(local.join("tars")).unwrap().map(|e| e.unwrap().path());
    let archive = archive.into_iter().find(|p| p.extension().is_some_and(|e| e == "tar")).unwrap();
    let url = format!("s3://survey/night/tars/{}", archive.file_name().unwrap().to_str().unwrap());
    let mut plan = on_store(server.port);
    plan.args(["plan", &url, "--shards", "3", "--range-size", "9", "--quiet", "--output"]);
    assert_code(&plan.arg(scene.path("night")).output().unwrap(), 0);
    for shard in ["2", "0", "1"] {
        let mut task = on_store(server.flaky);
        task.args(["classify", "--quiet", "--shard", shard, "--plan"]).arg(scene.path("night"));
        assert_code(&task.output().unwrap(), 0);
    }
    let tars: Vec<String> = expected[2][30..].to_vec();
    assert_eq!(scene.answers("night")[2], tars);
    assert!(server.stop() > 50, "the proxy was passed by");
}

#[test]
fn what_a_store_does_not_have_is_refused_in_words() {
    let scene = Scene::new();
    let server = Server::start(&scene.path("store"));
    for (input, words) in [
        ("s3://survey/none", "no cutout"),
        ("s3://survey/night/labels.csv", "download"),
        ("s3://survey/night/a.tar.gz", "gunzip"),
        ("s3://nobody/night", "NoSuchBucket"),
    ] {
        let run = scene.classify(on_store(server.port), input, "none");
        assert_code(&run, 64);
        assert!(errors(&run).contains(words), "{input}: {}", errors(&run));
    }
    assert!(!scene.path("none").exists());
    server.stop();
}

#[test]
fn objects_whose_store_goes_away_are_not_missing() {
    let scene = Scene::new();
    let mut server = Server::start(&scene.path("store"));
    let names = fs::read_dir(scene.path("store/night/files")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let urls = names.filter(|name| name.ends_with(".jpg"));
    let urls: Vec<String> = urls.map(|name| format!("s3://survey/night/files/{name}")).collect();
    fs::write(scene.path("list.txt"), urls.join("\n")).unwrap();
    let list = scene.text("list.txt");
    let port = server.slow;
    server.tell("away");
    let stopped = scene.classify(on_store(port), &list, "list");
    assert_code(&stopped, 2);
    assert!(errors(&stopped).contains("does not answer"), "{}", errors(&stopped));
    assert!(column(&scene.path("list"), "status").is_empty());
    server.tell("back");
    assert_code(&scene.classify(on_store(port), &list, "list"), 0);
    assert_eq!(column(&scene.path("list"), "status"), vec!["ok"; urls.len()]);
    server.stop();
}

/// As the stores' own tools take them: `%20` is three letters, and `#` begins nothing.
#[test]
fn objects_have_the_names_that_they_have() {
    let scene = Scene::new();
    let files = scene.path("store/night/files");
    let picture = fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().path());
    let picture = picture.filter(|path| path.extension().is_some_and(|e| e == "jpg")).min();
    let odd = scene.path("store/odd%20names");
    fs::create_dir(&odd).unwrap();
    let names = ["a b.jpg", "a%20b.jpg", "galaxy#1.jpg", "ä+1.jpg"];
    for name in names {
        fs::copy(picture.as_ref().unwrap(), odd.join(name)).unwrap();
    }
    // What the names would be if they were read as addresses of the web.
    fs::write(odd.join("galaxy"), "no picture").unwrap();
    let server = Server::start(&scene.path("store"));
    let run = scene.classify(on_store(server.port), "s3://survey/odd%20names/", "odd");
    assert_code(&run, 0);
    let mut sources = column(&scene.path("odd"), "source");
    sources.sort();
    assert_eq!(sources, names.map(|name| format!("s3://survey/odd%20names/{name}")));
    assert_eq!(column(&scene.path("odd"), "status"), ["ok"; 4]);
    server.stop();
}
