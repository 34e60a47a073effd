//! Processes that plan at once, and processes killed at any moment.
//!
//! The processes are this test program itself, told to run [`child`] alone.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hiwl::catalog::verify;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const ROWS: u64 = 30_000;
const SIZE: u64 = 500;
const FOLDER: &str = "HIWL_TEST_RUN_FOLDER";

/// What a child process does: the whole run, as far as it gets.
#[test]
#[ignore = "run by the other tests of this file, in processes of their own"]
fn child() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    write_missing(&plan(Path::new(&dir), ROWS, SIZE)).unwrap();
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "catalog::killed::child", "--ignored"])
        .env(FOLDER, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_that_run_at_once_write_one_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("out");
    let children: Vec<Child> = (0..3).map(|_| spawn(&dir)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(verify(&dir).unwrap().is_complete());
    assert_eq!(contents(&dir).len(), 2, "no lock and no temporary file is left");
}

#[test]
fn a_run_killed_again_and_again_ends_as_an_undisturbed_one() {
    let (folder, undisturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = complete(undisturbed.path(), ROWS, SIZE);
    let dir = folder.path().join("out");
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut killed = 0;
    for _ in 0..12 {
        let mut child = spawn(&dir);
        std::thread::sleep(Duration::from_millis(random.random_range(2..120)));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        // Whatever moment it was, what is there is right.
        if dir.join("run.json").exists() {
            let found = verify(&dir).unwrap();
            assert!(found.damaged.is_empty() && found.listing.is_none(), "{found:?}");
            assert!(found.stray.is_empty(), "{found:?}");
        }
    }
    assert!(killed > 0, "every process had finished before it was killed");
    assert!(spawn(&dir).wait().unwrap().success());
    assert!(verify(&dir).unwrap().is_complete());
    assert_eq!(contents(&dir.join("catalog")), contents(&expected.catalog()));
    assert_eq!(contents(&dir)[..], contents(undisturbed.path())[..]);
}
