//! What a store does not have, forbids or cannot do is wrong usage, in words;
//! a store that does not answer is a failure like any other.

use super::{Scene, Server, on_store, store_run};
use crate::util::command::{assert_code, errors};

#[test]
fn what_a_store_refuses_is_wrong_usage() {
    let scene = Scene::new();
    let mut server = Server::start(&scene.path("store"));
    let input = scene.text("store/night/files");
    let refused = |port: u16, output: &str, words: &[&str]| {
        let run = scene.classify(on_store(port), &input, output);
        assert_code(&run, 64);
        for word in words {
            assert!(errors(&run).contains(word), "`{word}` is not in: {}", errors(&run));
        }
    };
    refused(server.port, "s3://nobody/out", &["NoSuchBucket", "s3://nobody/out"]);
    refused(server.closed, "s3://survey/closed", &["403", "Access Denied"]);
    refused(server.port, "https://host/out", &["s3://", "object store"]);
    // A store that puts whatever the condition is found out, and nothing is
    // left of the run that it was told of.
    refused(server.old, "s3://survey/old", &["on condition"]);
    server.fetch("old", &scene.path("old"));
    assert!(!scene.path("old/run.json").exists());
    let mut disabled = on_store(server.port);
    disabled.env("AWS_CONDITIONAL_PUT", "disabled");
    let run = scene.classify(disabled, &input, "s3://survey/disabled");
    assert_code(&run, 64);
    assert!(errors(&run).contains("on condition"), "{}", errors(&run));

    // Parts without a run, and another run.
    std::fs::write(scene.path("part"), b"x").unwrap();
    let part = "parts/catalog/part-000000000000-000000000008.parquet";
    server.tell(&format!("put {} {part}", scene.text("part")));
    refused(server.port, "s3://survey/parts", &["1 part and no run.json that says what it is"]);
    assert_code(&scene.classify(on_store(server.port), &input, "s3://survey/out"), 0);
    let other = scene.classify(on_store(server.port), "s3://survey/night", "s3://survey/out");
    assert_code(&other, 64);
    assert!(errors(&other).contains("another run"), "{}", errors(&other));

    // Of commands that look at a run, and of an export's output.
    for command in ["verify", "status", "catalog"] {
        let run = store_run(server.port, &[command, "s3://survey/none"]);
        assert!(errors(&run).contains("holds no run"), "{command}: {}", errors(&run));
        let run = store_run(server.port, &[command, "https://host/none"]);
        assert_code(&run, 64);
    }
    let export = ["export", "s3://survey/out", "--to", "csv", "-o", "s3://survey/out.csv"];
    let export = store_run(server.port, &export);
    assert_code(&export, 64);
    assert!(errors(&export).contains("on this machine"), "{}", errors(&export));
    server.stop();
}

#[test]
fn a_store_that_does_not_answer_is_a_failure() {
    let scene = Scene::new();
    // A port that nobody listens on any more.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    std::thread::scope(|scope| {
        let input = scope.spawn(|| scene.classify(on_store(port), "s3://survey/night", "out"));
        let local = scene.text("store/night/files");
        let output = scene.classify(on_store(port), &local, "s3://survey/out");
        for run in [input.join().unwrap(), output] {
            assert_code(&run, 2);
            assert!(errors(&run).contains("does not answer"), "{}", errors(&run));
        }
    });
}
