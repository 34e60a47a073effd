//! Inputs, tables and run folders in an object store: a real S3 server (moto)
//! on this machine, and proxies before it that fail in several ways.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use crate::util::catalog::column;
use crate::util::command::{hiwl, simulate};
use crate::util::python::environment;
use crate::util::root;

mod inputs;
mod mosaics;
mod outputs;
mod refused;
mod shared;
mod tables;

/// The server of a test. What the proxies do, `s3_server.py` says.
struct Server {
    child: Child,
    told: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    port: u16,
    flaky: u16,
    slow: u16,
    old: u16,
    closed: u16,
    counted: u16,
}

impl Server {
    /// A server with the files of a folder in the bucket `survey`.
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(environment("s3-venv", "requirements-s3.txt"))
            .arg(root().join("tests/oracles/s3_server.py"))
            .arg(folder)
            .arg("survey")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let ports: Vec<u16> = line.split_whitespace().map(|p| p.parse().unwrap()).collect();
        let [port, flaky, slow, old, closed, counted] = ports[..] else { panic!("{line}") };
        let told = child.stdin.take();
        Self { child, told, out, port, flaky, slow, old, closed, counted }
    }

    /// Has the server do something, and waits until it has.
    fn tell(&mut self, line: &str) {
        writeln!(self.told.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.out.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{line}");
    }

    /// The objects below a prefix of the bucket, as a folder.
    fn fetch(&mut self, prefix: &str, folder: &Path) {
        self.tell(&format!("get {prefix} {}", folder.display()));
    }

    /// Requests that came to the flaky proxy.
    fn stop(mut self) -> u64 {
        drop(self.told.take());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap();
        rest.trim().parse().unwrap()
    }
}

/// `hiwl` with the credentials of a test.
fn on_store(port: u16) -> Command {
    let mut command = hiwl();
    command
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1");
    command
}

/// The same with arguments, run.
fn store_run(port: u16, arguments: &[&str]) -> Output {
    on_store(port).args(arguments).output().unwrap()
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    /// Files and an archive below `store/night/`.
    fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        simulate(&scene.path("store/night/files"), 30, 61);
        let made = hiwl()
            .args(["simulate", "--format", "tar", "--size", "240", "--count", "50", "--quiet"])
            .arg(scene.path("store/night/tars"))
            .status();
        assert!(made.unwrap().success());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A run into the folder, or the URL, `output`.
    fn classify(&self, mut hiwl: Command, input: &str, output: &str) -> Output {
        hiwl.args(["classify", "--quiet", "--range-size", "9", input, "--output"]);
        if output.contains("://") {
            hiwl.arg(output)
        } else {
            hiwl.arg(self.path(output))
        };
        hiwl.output().unwrap()
    }

    fn answers(&self, output: &str) -> Vec<Vec<String>> {
        let columns = ["id", "label", "confidence", "p_crs", "p_ibs", "p_spi", "status"];
        columns.map(|name| column(&self.path(output), name)).to_vec()
    }

    /// Names and contents of a run's files; the listing, which a store names
    /// by its content, as a folder names it.
    fn files(&self, run: &str) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        for folder in [self.path(run), self.path(run).join("catalog")] {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                if entry.path().is_dir() {
                    continue;
                }
                let name = entry.file_name().into_string().unwrap();
                let name = if name.starts_with("inputs-") { "inputs.parquet".into() } else { name };
                found.push((name, fs::read(entry.path()).unwrap()));
            }
        }
        found.sort();
        found
    }

    /// Asserts that two runs have the same files.
    #[track_caller]
    fn assert_same(&self, run: &str, expected: &str) {
        let (found, expected) = (self.files(run), self.files(expected));
        let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&found), names(&expected));
        for ((name, bytes), (_, other)) in found.iter().zip(&expected) {
            assert!(bytes == other, "{run}/{name} differs");
        }
    }
}
