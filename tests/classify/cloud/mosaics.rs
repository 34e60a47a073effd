//! Sources in mosaics that lie in an object store.

use std::fs;
use std::path::PathBuf;

use super::{Server, on_store};
use crate::util::catalog::{column, rows};
use crate::util::command::{assert_code, errors, hiwl};

/// Simulated mosaics below `store/sky`, and three sources in the middle rows of the first.
struct Sky {
    folder: tempfile::TempDir,
}

impl Sky {
    fn new() -> Self {
        let sky = Self { folder: tempfile::tempdir().unwrap() };
        let mut simulate = hiwl();
        simulate.args(["simulate", "--mosaics", "--count", "126", "--seed", "3", "--quiet"]);
        assert_code(&simulate.arg(sky.path("store/sky")).output().unwrap(), 0);
        let all = fs::read_to_string(sky.path("store/sky/sources.csv")).unwrap();
        // Nine are a row of galaxies: these are in the fourth of seven.
        let lines: Vec<&str> = all.lines().collect();
        let few = [&lines[..1], &lines[30..33]].concat().join("\n");
        fs::write(sky.path("few.csv"), few + "\n").unwrap();
        sky
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The mosaics below a folder or a URL.
    fn frames(&self, above: &str) -> Vec<String> {
        let names = fs::read_dir(self.path("store/sky/frames")).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| format!("{above}/{}", entry.unwrap().file_name().to_str().unwrap()))
            .collect();
        names.sort();
        names
    }

    fn classify(&self, mut hiwl: std::process::Command, frames: &[String], output: &str) {
        hiwl.args(["classify", "--quiet", "--range-size", "40", "--sources"]);
        let table = if output.starts_with("few") { "few.csv" } else { "store/sky/sources.csv" };
        hiwl.arg(self.path(table)).arg("--mosaics").args(frames);
        let output = hiwl.arg("--output").arg(self.path(output)).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", errors(&output));
    }

    /// The rows of a run but for where they came from.
    fn rows(&self, run: &str) -> Vec<String> {
        let source = |cell: &&str| !cell.starts_with("source=");
        let rows = rows(&self.path(run)).into_iter();
        rows.map(|row| row.split('|').filter(source).collect::<Vec<_>>().join("|")).collect()
    }

    /// Gets of whole objects, of ranges, and bytes of both so far.
    fn counts(&self, server: &mut Server) -> [u64; 3] {
        server.tell(&format!("count {}", self.path("counts").display()));
        let text = fs::read_to_string(self.path("counts")).unwrap();
        let counts: Vec<u64> = text.split(' ').map(|count| count.parse().unwrap()).collect();
        counts.try_into().unwrap()
    }
}

#[test]
fn mosaics_in_a_store_give_the_rows_of_files_by_ranged_reads() {
    let sky = Sky::new();
    let local = sky.frames(sky.path("store/sky/frames").to_str().unwrap());
    let remote = sky.frames("s3://survey/sky/frames");
    assert_eq!(remote.len(), 6);
    let whole: u64 = local.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    sky.classify(hiwl(), &local, "local");
    assert_eq!(sky.rows("local").len(), 126);
    let mut server = Server::start(&sky.path("store"));
    sky.classify(on_store(server.counted), &remote, "s3");
    assert_eq!(sky.rows("s3"), sky.rows("local"));
    let source = &column(&sky.path("s3"), "source")[0];
    assert!(source.starts_with("s3://survey/sky/frames/frame-i-"), "{source}");
    // Each byte about once; the beginnings of the files for the listing too.
    let [objects, ranges, bytes] = sky.counts(&mut server);
    assert_eq!(objects, 0);
    assert!(ranges > 6 && bytes < whole * 11 / 10, "{ranges} ranges, {bytes} of {whole}");

    // What few sources need, and no more.
    sky.classify(hiwl(), &local, "few-local");
    sky.classify(on_store(server.counted), &remote, "few");
    assert_eq!(sky.rows("few"), sky.rows("few-local"));
    let [objects, _, now] = sky.counts(&mut server);
    let few = now - bytes;
    assert!(objects == 0 && few > whole / 50 && few < whole / 4, "{few} of {whole}");

    // Requests that fail are made again.
    sky.classify(on_store(server.flaky), &remote, "flaky");
    assert_eq!(sky.rows("flaky"), sky.rows("local"));
    server.stop();
}

#[test]
fn a_mosaic_that_a_store_does_not_have_is_a_problem_or_a_row() {
    let sky = Sky::new();
    let server = Server::start(&sky.path("store"));
    let mut remote = sky.frames("s3://survey/sky/frames");
    let gone = remote[0].replace("000000", "000009");
    remote.push(gone.clone());
    let mut run = on_store(server.port);
    run.args(["classify", "--quiet", "--sources"]).arg(sky.path("few.csv"));
    run.arg("--mosaics").args(&remote).arg("--output").arg(sky.path("out"));
    let output = run.output().unwrap();
    assert_code(&output, 1);
    let listed = fs::read_to_string(sky.path("out/run.json")).unwrap();
    assert!(listed.contains(&gone) && listed.contains("problems"), "{listed}");
    // Where a row names it, its row says so.
    let table = format!("id,ra,dec,petroR90_r,fits_file_paths\na,120.0,-10.0,6.0,{gone}\n");
    fs::write(sky.path("own.csv"), table).unwrap();
    let mut run = on_store(server.port);
    run.args(["classify", "--quiet", "--sources"]).arg(sky.path("own.csv"));
    assert_code(&run.arg("--output").arg(sky.path("own")).output().unwrap(), 1);
    assert_eq!(column(&sky.path("own"), "status"), ["missing"]);
    server.stop();
}
