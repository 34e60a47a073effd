//! One run folder in a store and several processes.

use std::process::{Child, Output, Stdio};

use super::{Scene, Server, on_store, store_run};
use crate::classify::plan::{PODS, manifest};
use crate::util::command::{assert_code, code, errors, hiwl};
use crate::util::python::environment;

/// A run into `url` on the proxy that is slow to put: processes that begin at
/// once all find that there is no run.
fn begin(server: &Server, input: &str, url: &str, size: &str) -> Child {
    let mut command = on_store(server.slow);
    command.args(["classify", input, "--quiet", "--output", url, "--range-size", size]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn processes_that_run_at_once_write_one_catalog() {
    let scene = Scene::new();
    let input = scene.text("store/night/files");
    assert_code(&scene.classify(hiwl(), &input, "local"), 0);
    let mut server = Server::start(&scene.path("store"));
    let url = "s3://survey/together";
    let children: Vec<Child> = (0..3).map(|_| begin(&server, &input, url, "9")).collect();
    for child in children {
        assert_code(&child.wait_with_output().unwrap(), 0);
    }
    server.fetch("together", &scene.path("together"));
    scene.assert_same("together", "local");
    server.stop();
}

#[test]
fn of_two_runs_that_begin_at_once_in_one_place_one_is_refused() {
    let scene = Scene::new();
    let input = scene.text("store/night/files");
    let server = Server::start(&scene.path("store"));
    for round in 0..4 {
        let url = format!("s3://survey/either{round}");
        let children = ["9", "10"].map(|size| begin(&server, &input, &url, size));
        let outputs: Vec<Output> =
            children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let mut codes: Vec<i32> = outputs.iter().map(code).collect();
        codes.sort_unstable();
        let words: String = outputs.iter().map(errors).collect();
        assert_eq!(codes, [0, 64], "{words}");
        assert!(words.contains("another run") && words.contains("rows per range"), "{words}");
        assert_code(&store_run(server.port, &["verify", &url]), 0);
    }
    server.stop();
}

#[test]
fn a_plan_in_a_store_is_done_by_its_shards() {
    let scene = Scene::new();
    let mut server = Server::start(&scene.path("store"));
    let (port, url) = (server.port, "s3://survey/plans/night");
    let plan = |shards: &str| {
        let mut plan = on_store(port);
        plan.args(["plan", "s3://survey/night", "--quiet", "--range-size", "9", "--output", url]);
        plan.args(["--shards", shards]).output().unwrap()
    };
    assert_code(&plan("3"), 0);
    assert_code(&plan("3"), 0);
    a_job_of_it_has_no_volumes(port, url);
    let other = plan("4");
    assert_code(&other, 64);
    assert!(errors(&other).contains("3 shards"), "{}", errors(&other));

    let array = || {
        let verify = store_run(port, &["verify", url, "--array"]);
        (verify.status.code().unwrap(), String::from_utf8(verify.stdout).unwrap())
    };
    assert_eq!(array(), (2, "--array=0-2\n".to_owned()));
    let task = |port: u16, shard: &str| {
        let mut task = on_store(port);
        task.args(["classify", "--quiet", "--plan", url]);
        assert_code(&task.env("SLURM_ARRAY_TASK_ID", shard).output().unwrap(), 0);
    };
    task(port, "1");
    assert_eq!(array(), (2, "--array=0,2\n".to_owned()));
    let status = String::from_utf8(store_run(port, &["status", url, "--json"]).stdout).unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["planned"], &status["ranges_done"]), (&true.into(), &3.into()));
    task(server.flaky, "2");
    task(server.flaky, "0");
    assert_eq!(array(), (0, String::new()));

    assert_code(&scene.classify(hiwl(), &scene.text("store/night"), "local"), 0);
    server.fetch("plans/night", &scene.path("night"));
    assert_eq!(scene.answers("night"), scene.answers("local"));
    assert!(server.stop() > 20, "the proxy was passed by");
}

/// The manifest of the same plan: nothing of it is on a disk.
fn a_job_of_it_has_no_volumes(port: u16, url: &str) {
    let mut plan = on_store(port);
    plan.args(["plan", "s3://survey/night", "--range-size", "9", "--output", url]);
    let printed = plan.args(["--shards", "3", "--for", "kubernetes"]).output().unwrap();
    assert_code(&printed, 0);
    let python = environment("s3-venv", "requirements-s3.txt");
    let objects = manifest(&python, &String::from_utf8(printed.stdout).unwrap());
    for ((object, pod), verb) in objects.iter().zip(PODS).zip(["--plan", "verify"]) {
        let pod = object.pointer(pod).unwrap();
        assert!(pod.get("volumes").is_none(), "{pod}");
        let container = &pod["containers"][0];
        assert!(container.get("volumeMounts").is_none(), "{container}");
        let command = container["command"].as_array().unwrap();
        let place = command.iter().position(|word| word == verb).unwrap();
        assert_eq!(command[place + 1], url);
        assert!(container["envFrom"][0]["secretRef"]["name"].is_string(), "{container}");
    }
}
