//! Planning, claiming and writing: who may do what, and what is left when it
//! fails.

use std::fs;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use hiwl::catalog::{PartWriter, verify};
use hiwl::run::{RunError, Shard};
use hiwl::storage::StorageError;

use super::*;

#[test]
fn a_run_is_listed_once_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("made/on the way");
    let run = plan(&dir, 10, 4);
    assert_eq!(run.manifest().listing.rows, 10);
    assert_eq!(run.ranges().map(|range| range.count).collect::<Vec<_>>(), [4, 4, 2]);
    let again = RunFolder::open_or_create(&dir, &settings(4), &(), |_| -> Result<(), RunError> {
        panic!("it is listed already")
    });
    assert_eq!(again.unwrap().digest(), run.digest());
    let names: Vec<String> = contents(&dir).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["inputs.parquet", "run.json"]);
    let (entries, carried) = run.inputs().range(2).unwrap();
    assert_eq!((entries, carried), (vec![entry(8), entry(9)], None));
}

#[test]
fn the_same_run_planned_and_written_elsewhere_is_the_same_bytes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = complete(a.path(), 5_000, 4_500);
    let second = complete(b.path(), 5_000, 4_500);
    assert_eq!(contents(a.path()), contents(b.path()));
    assert_eq!(contents(&first.catalog()), contents(&second.catalog()));
}

#[test]
fn another_run_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), 10, 4);
    let mut other = settings(4);
    other.model.untrained = false;
    other.preparation["size"] = json!(224);
    let error = RunFolder::open_or_create(folder.path(), &other, &(), list(10)).unwrap_err();
    let RunError::OtherRun { differences, .. } = &error else { panic!("{error}") };
    assert_eq!(differences.len(), 2);
    let text = error.to_string();
    assert!(text.contains("model untrained: yes → no"), "{text}");
    assert!(text.contains("preparation size: 240 → 224"), "{text}");
}

#[test]
fn an_empty_or_failed_listing_leaves_nothing_behind() {
    #[derive(Debug)]
    struct Failed;
    impl From<RunError> for Failed {
        fn from(_: RunError) -> Self {
            panic!("the listing failed, not the catalog")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/b");
    let empty = RunFolder::open_or_create(&dir, &settings(4), &(), list(0));
    assert!(matches!(empty, Err(RunError::NoInputs)));
    assert!(!folder.path().join("a").exists());

    let failed = RunFolder::open_or_create(&dir, &settings(4), &(), |writer: &mut InputsWriter| {
        (0..9).for_each(|index| writer.push(&entry(index)).unwrap());
        Err(Failed)
    });
    assert!(matches!(failed, Err(Failed)));
    assert!(!folder.path().join("a").exists());

    // A folder that was there stays, as it was.
    fs::write(folder.path().join("notes.txt"), "the user's").unwrap();
    assert!(RunFolder::open_or_create(folder.path(), &settings(4), &(), list(0)).is_err());
    assert_eq!(contents(folder.path()), [("notes.txt".into(), b"the user's".to_vec())]);
}

#[test]
fn what_is_not_a_run_is_refused_and_kept() {
    let open =
        |dir: &Path| RunFolder::open_or_create(dir, &settings(4), &(), list(10)).unwrap_err();
    let folder = tempfile::tempdir().unwrap();

    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(open(&file), RunError::Storage(StorageError::NotAFolder { .. })));
    assert!(open(&file.join("below")).to_string().contains("not a folder"));

    let parts = folder.path().join("parts");
    complete(&parts, 10, 4);
    fs::remove_file(parts.join("run.json")).unwrap();
    let before = contents(&parts.join("catalog"));
    assert!(matches!(open(&parts), RunError::PartsWithoutRun { parts: 3, .. }));
    assert_eq!(contents(&parts.join("catalog")), before);

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("inputs.parquet"), "the user's").unwrap();
    assert!(matches!(open(&foreign), RunError::NotOurs { .. }));
    assert_eq!(fs::read(foreign.join("inputs.parquet")).unwrap(), b"the user's");

    let broken = folder.path().join("broken");
    plan(&broken, 10, 4);
    fs::write(broken.join("run.json"), "{").unwrap();
    assert!(matches!(open(&broken), RunError::BadManifest { .. }));
    assert!(matches!(verify(folder.path()), Err(CatalogError::Run(RunError::NoRun { .. }))));
}

#[test]
fn planning_that_was_cut_short_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), 10, 4);
    // As after a crash between the two renames, and one before.
    fs::remove_file(folder.path().join("run.json")).unwrap();
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 60 * 60);
    for name in
        [".inputs.parquet.0123456789ab-1-00000001.tmp", ".run.json.0123456789ab-1-00000001.tmp"]
    {
        let left = fs::File::create(folder.path().join(name)).unwrap();
        left.set_modified(yesterday).unwrap();
    }
    let run = plan(folder.path(), 12, 4);
    assert_eq!(run.manifest().listing.rows, 12);
    assert_eq!(contents(folder.path()).len(), 2);
}

#[test]
fn threads_that_plan_at_once_get_one_plan() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, listings) = (Barrier::new(8), AtomicU32::new(0));
    let digests: Vec<String> = std::thread::scope(|scope| {
        let planners: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    gate.wait();
                    let run =
                        RunFolder::open_or_create(folder.path(), &settings(7), &(), |writer| {
                            listings.fetch_add(1, Ordering::SeqCst);
                            list(100)(writer)
                        });
                    run.unwrap().digest().to_owned()
                })
            })
            .collect();
        planners.into_iter().map(|planner| planner.join().unwrap()).collect()
    });
    assert!(digests.iter().all(|digest| digest == &digests[0]));
    assert_eq!(listings.into_inner(), 1);
    assert_eq!(contents(folder.path()).len(), 2);
}

#[test]
fn a_range_is_written_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(folder.path(), 10, 4);
    let Claimed::Ours(first) = run.claim(1).unwrap() else { panic!("it is free") };
    assert!(matches!(run.claim(1).unwrap(), Claimed::Elsewhere));
    assert!(matches!(run.claim(2).unwrap(), Claimed::Ours(_)));
    drop(PartWriter::create(&run, first, None).unwrap());
    assert!(contents(&run.catalog()).is_empty(), "a dropped part leaves nothing");

    let range = run.ranges().nth(1).unwrap();
    write_range(&run, range).unwrap().expect("it is free again");
    assert!(matches!(run.claim(1).unwrap(), Claimed::Complete));
    assert!(matches!(run.claim(3), Err(RunError::NoSuchRange { index: 3, ranges: 3 })));
    assert_eq!(contents(folder.path()).len(), 2, "no lock is left");
}

#[test]
fn shards_write_one_catalog_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(folder.path(), 100, 7);
    std::thread::scope(|scope| {
        for index in 0..4 {
            let run = &run;
            scope.spawn(move || {
                let shard = Shard::new(index, 4).unwrap();
                for range in run.missing_ranges(Some(shard)).unwrap() {
                    write_range(run, range).unwrap().expect("no other shard has it");
                }
            });
        }
    });
    assert!(verify(folder.path()).unwrap().is_complete());
    let alone = tempfile::tempdir().unwrap();
    let alone = complete(alone.path(), 100, 7);
    assert_eq!(contents(&run.catalog()), contents(&alone.catalog()));
}

#[test]
fn rows_that_are_not_the_ranges_make_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(folder.path(), 10, 4);
    let written = |indices: &[u64]| -> Result<PathBuf, CatalogError> {
        let Claimed::Ours(claim) = run.claim(1)? else { panic!("it is free") };
        let mut part = PartWriter::create(&run, claim, None)?;
        indices.iter().try_for_each(|index| part.push(&row(*index, &entry(*index))))?;
        part.commit()
    };
    for wrong in [&[][..], &[4, 5, 6], &[5], &[4, 6], &[4, 4], &[4, 5, 6, 7, 8], &[0]] {
        let error = written(wrong).unwrap_err();
        assert!(matches!(error, CatalogError::Rows { range: 1, .. }), "{wrong:?}: {error}");
        assert!(contents(&run.catalog()).is_empty());
    }
    written(&[4, 5, 6, 7]).unwrap();
}

/// A file system of its own, which needs the rights to mount one.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", &options]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_said_so_and_the_run_goes_on_once_there_is_room() {
    let (many, size) = (40_000, 10_000);
    let elsewhere = tempfile::tempdir().unwrap();
    let whole = complete(elsewhere.path(), many, size);
    let bytes = |folder: &Path| contents(folder).iter().map(|(_, b)| b.len()).sum::<usize>();
    let (plan_bytes, part_bytes) = (bytes(elsewhere.path()), bytes(&whole.catalog()));

    let Some(disk) = Tmpfs::mount(&(plan_bytes / 2).to_string()) else {
        // Only root may mount; the mapping of the error is tested with
        // /dev/full in `src/catalog/error.rs`.
        return;
    };
    let dir = disk.0.path().join("out");
    let error = RunFolder::open_or_create(&dir, &settings(size), &(), list(many)).unwrap_err();
    assert!(error.is_storage_full(), "{error:?}");
    assert!(!dir.exists(), "a plan that did not fit leaves nothing");

    disk.remount(&format!("size={}", plan_bytes + part_bytes * 6 / 10));
    let run = plan(&dir, many, size);
    let error = write_missing(&run).unwrap_err();
    assert!(error.is_storage_full(), "{error:?}");
    assert!(error.to_string().contains("repeat the command"), "{error}");
    let kept = contents(&run.catalog());
    assert!(!kept.is_empty() && kept.len() < 4, "{}", kept.len());
    let found = verify(&dir).unwrap();
    assert_eq!(found.missing.len(), 4 - kept.len());
    assert!(found.damaged.is_empty() && found.unfinished.is_empty(), "{found:?}");

    disk.remount("size=64m");
    write_missing(&plan(&dir, many, size)).unwrap();
    assert!(verify(&dir).unwrap().is_complete());
    assert_eq!(contents(&run.catalog())[..kept.len()], kept);

    disk.remount("ro");
    let error = RunFolder::open_or_create(&disk.0.path().join("new"), &settings(4), &(), list(9));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("read-only"), "{error}");
    // A finished catalog on such a disk can be read and verified.
    assert!(verify(&dir).unwrap().is_complete());
    RunFolder::open(&dir).unwrap();
}
