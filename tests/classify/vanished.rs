//! Inputs that go away or change under a run, and parts that are damaged: what
//! can be done is done, nothing wrong is kept, and the exit code tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::util::catalog::{column, parts, rows};
use crate::util::command::{Workplace, assert_code, errors, hiwl, simulate};

struct Scene {
    place: Workplace,
}

impl std::ops::Deref for Scene {
    type Target = Workplace;

    fn deref(&self) -> &Workplace {
        &self.place
    }
}

impl Scene {
    fn new() -> Self {
        Self { place: Workplace::new() }
    }

    /// An archive of simulated galaxies.
    fn archive(&self, name: &str, count: usize, seed: u64) {
        let made = format!("made-{name}");
        self.expect(
            0,
            &format!(
                "simulate {made} --count {count} --seed {seed} --size 240 --format tar --quiet"
            ),
        );
        let tar = fs::read_dir(self.path(&made)).unwrap().map(|entry| entry.unwrap().path());
        let tar = tar.into_iter().find(|path| path.extension().is_some_and(|e| e == "tar"));
        fs::rename(tar.unwrap(), self.path(name)).unwrap();
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), errors(output))
}

#[test]
fn a_damaged_part_is_no_success_and_is_redone_on_request() {
    let scene = Scene::new();
    simulate(&scene.path("in"), 30, 71);
    let run = "classify in --output out --range-size 10";
    scene.expect(0, &format!("{run} --quiet"));
    let before = rows(&scene.path("out"));
    let damaged = parts(&scene.path("out"))[1].clone();
    let damage = || {
        let mut bytes = fs::read(&damaged).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&damaged, bytes).unwrap();
    };
    damage();
    let again = scene.expect(2, run);
    assert!(text(&again).contains("checksum does not match"), "{}", text(&again));
    let json = scene.expect(2, &format!("{run} --json"));
    assert!(text(&json).contains(r#""complete":false,"damaged":1"#), "{}", text(&json));
    let found = scene.expect(2, "verify out --remove-damaged");
    assert!(text(&found).contains("removed"), "{}", text(&found));
    assert!(!damaged.exists());
    scene.expect(0, &format!("{run} --quiet"));
    assert_eq!(rows(&scene.path("out")), before);

    // Of a plan: the shard that is named runs again, and has something to do.
    scene.expect(0, "plan in --output night --range-size 10 --shards 3 --quiet");
    scene.expect(0, "classify --plan night --shard all --quiet");
    let damaged = &parts(&scene.path("night"))[2];
    fs::write(damaged, "PAR1").unwrap();
    let array = scene.expect(2, "verify night --array --remove-damaged");
    assert_eq!(String::from_utf8_lossy(&array.stdout), "--array=2\n");
    scene.expect(0, "classify --plan night --shard 2 --quiet");
    scene.expect(0, "verify night");
}

#[test]
fn cutouts_of_a_folder_that_went_away_are_not_missing_however_they_were_named() {
    let scene = Scene::new();
    simulate(&scene.path("survey/disk1"), 10, 72);
    simulate(&scene.path("survey/disk2"), 10, 73);
    let names = |disk: &str| -> Vec<String> {
        let names = fs::read_dir(scene.path(&format!("survey/{disk}"))).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".jpg")).collect();
        names.sort();
        names.iter().map(|name| format!("survey/{disk}/{name}")).collect()
    };
    let all = [names("disk1"), names("disk2")].concat();
    // Rows of a folder that never was are missing, and nothing else.
    let table: String = all.iter().map(|path| format!("{path},{path}\n")).collect();
    fs::write(scene.path("table.csv"), format!("id,path\n{table}x,nowhere/x.jpg\n")).unwrap();
    fs::write(scene.path("list.txt"), all.join("\n")).unwrap();
    for (name, input) in [
        ("tree", "survey"),
        ("table", "table.csv"),
        ("list", "list.txt"),
        ("named", &all.join(" ")),
    ] {
        scene.expect(0, &format!("plan {input} --output {name} --range-size 5 --shards 1 --quiet"));
        let task = format!("classify --plan {name} --shard 0 --quiet");
        let disk = scene.path("survey/disk2");
        fs::rename(&disk, scene.path("away")).unwrap();
        // As the place where a disk is mounted, without the disk.
        fs::create_dir(&disk).unwrap();
        let stopped = scene.expect(2, &task);
        assert!(errors(&stopped).contains("disk2"), "{name}: {}", errors(&stopped));
        let statuses = column(&scene.path(name), "status");
        let there: Vec<_> = statuses.iter().filter(|status| *status != "missing").collect();
        assert!(there.len() == 10 && there.iter().all(|s| *s == "ok"), "{name}: {statuses:?}");
        fs::remove_dir(&disk).unwrap();
        fs::rename(scene.path("away"), &disk).unwrap();
        let missing = usize::from(name == "table");
        // The one that never was had its row already.
        scene.expect(0, &task);
        let statuses = column(&scene.path(name), "status");
        assert_eq!(statuses.iter().filter(|s| *s == "missing").count(), missing, "{name}");
        assert_eq!(statuses.len(), 20 + missing);
        scene.expect(0, &format!("verify {name}"));
    }
}

#[test]
fn an_archive_that_changed_holds_up_its_own_rows_alone() {
    let scene = Scene::new();
    (0..4).for_each(|i| scene.archive(&format!("{i}.tar"), 10, 80 + i));
    let inputs = "0.tar 1.tar 2.tar 3.tar";
    scene.expect(0, &format!("classify {inputs} --output whole --range-size 5 --quiet"));
    scene.expect(0, &format!("plan {inputs} --output night --range-size 5 --shards 1 --quiet"));
    let good = fs::read(scene.path("1.tar")).unwrap();
    let time = fs::metadata(scene.path("1.tar")).unwrap().modified().unwrap();
    fs::write(scene.path("1.tar"), &good[..good.len() - 512]).unwrap();
    let task = "classify --plan night --shard 0";
    let first = scene.expect(2, task);
    assert!(errors(&first).contains("1.tar is not as it was"), "{}", errors(&first));
    assert_eq!(parts(&scene.path("night")).len(), 6);
    fs::write(scene.path("1.tar"), good).unwrap();
    let file = fs::File::options().write(true).open(scene.path("1.tar")).unwrap();
    file.set_modified(time).unwrap();
    scene.expect(0, task);
    assert_eq!(rows(&scene.path("night")), rows(&scene.path("whole")));
}

/// Names, sizes and places of members are what they were, and the pictures are
/// others: half of a catalog would be of the one, half of the other.
#[test]
fn an_archive_made_anew_between_two_shards_holds_up_the_second() {
    let scene = Scene::new();
    scene.archive("a.tar", 20, 84);
    let (archive, night) = (scene.path("a.tar"), scene.path("night"));
    scene.expect(0, "classify a.tar --output whole --range-size 5 --quiet");
    scene.expect(0, "plan a.tar --output night --range-size 5 --shards 2 --quiet");
    scene.expect(0, "classify --plan night --shard 0 --quiet");

    let (good, time) = (fs::read(&archive).unwrap(), fs::metadata(&archive).unwrap());
    let time = time.modified().unwrap();
    let write = |bytes: &[u8]| {
        fs::remove_file(&archive).unwrap();
        fs::write(&archive, bytes).unwrap();
    };
    let mut anew = good.clone();
    // The pictures turned around, each in its place.
    let mut tar = tar::Archive::new(&good[..]);
    for member in tar.entries().unwrap() {
        let member = member.unwrap();
        let place = member.raw_file_position() as usize;
        anew[place..place + member.size() as usize].reverse();
    }
    assert_eq!(anew.len(), good.len());
    write(&anew);
    let task = "classify --plan night --shard 1 --quiet";
    let waits = scene.expect(2, task);
    assert!(errors(&waits).contains("written at another time"), "{}", errors(&waits));
    assert_eq!(parts(&night).len(), 2);
    scene.expect(2, "verify night");

    // Of other members, whatever is said of it.
    let mut other = good.clone();
    let name = &mut other[..100];
    name[0] = if name[0] == b'x' { b'y' } else { b'x' };
    let sum: u32 = other[..148].iter().chain(&other[156..512]).map(|b| u32::from(*b)).sum();
    other[148..155].copy_from_slice(format!("{:06o}\0", sum + 8 * 32).as_bytes());
    write(&other);
    let waits = scene.expect(2, &format!("{task} --copied"));
    assert!(errors(&waits).contains("other members"), "{}", errors(&waits));

    // Put back with its time, or copied without it and said to be so.
    write(&good);
    scene.expect(2, task);
    let file = fs::File::options().write(true).open(&archive).unwrap();
    file.set_modified(time).unwrap();
    scene.expect(0, task);
    assert_eq!(rows(&night), rows(&scene.path("whole")));
    fs::remove_file(&parts(&night)[1]).unwrap();
    write(&good);
    scene.expect(0, &format!("{task} --copied"));
    assert_eq!(rows(&night), rows(&scene.path("whole")));
}

/// Runs of before archives were known by more than their size go on.
#[test]
fn a_run_that_knows_sizes_alone_goes_on() {
    let scene = Scene::new();
    scene.archive("a.tar", 20, 85);
    scene.expect(0, "plan a.tar --output night --range-size 5 --shards 2 --quiet");
    let manifest = scene.path("night/run.json");
    let mut json: serde_json::Value =
        serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let archive = scene.path("a.tar");
    let archives = &mut json["listing"]["archives"];
    assert!(archives[archive.to_str().unwrap()]["index"].is_string(), "{archives}");
    archives[archive.to_str().unwrap()] = fs::metadata(&archive).unwrap().len().into();
    json["format"] = 2.into();
    fs::write(&manifest, format!("{json:#}\n")).unwrap();
    fs::remove_file(scene.path("night/plan.json")).unwrap();
    scene.expect(0, "classify a.tar --output night --range-size 5 --shard 0/2 --quiet");
    fs::write(&archive, fs::read(&archive).unwrap()).unwrap();
    scene.expect(0, "classify a.tar --output night --range-size 5 --quiet");
    scene.expect(0, "verify night");
}

#[test]
fn an_archive_that_was_put_away_does_not_matter_to_the_rows_of_others() {
    let scene = Scene::new();
    scene.archive("a.tar", 5, 90);
    simulate(&scene.path("b"), 4, 91);
    let cut = fs::read_dir(scene.path("b")).unwrap().map(|entry| entry.unwrap().path());
    let cut = cut.into_iter().find(|path| path.extension().is_some_and(|e| e == "jpg")).unwrap();
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let mut tar = tar::Builder::new(fs::File::create(scene.path("b.tar")).unwrap());
    tar.append_dir_all("b", scene.path("b")).unwrap();
    tar.finish().unwrap();
    scene.expect(0, "plan a.tar b.tar --output night --range-size 5 --shards 2 --quiet");
    scene.expect(0, "classify --plan night --shard 0 --quiet");
    fs::remove_file(scene.path("a.tar")).unwrap();
    // One cutout ends early, and that is what its row says.
    scene.expect(1, "classify --plan night --shard 1 --quiet");
    let statuses = column(&scene.path("night"), "status");
    assert_eq!(statuses.iter().filter(|status| *status == "truncated").count(), 1);
    scene.expect(0, "verify night");
}

#[test]
fn a_task_runs_the_plans_model_whatever_the_environment_says() {
    let scene = Scene::new();
    simulate(&scene.path("in"), 4, 92);
    scene.expect(0, "plan in --output night --shards 1 --quiet");
    scene.expect(
        0,
        "model new --output other.safetensors --architecture efficientnet-nano --seed 9",
    );
    let mut task = hiwl();
    task.current_dir(scene.folder()).env("HIWL_MODEL", scene.path("other.safetensors"));
    task.args(["classify", "--plan", "night", "--shard", "0", "--quiet"]);
    assert_code(&task.output().unwrap(), 0);
    // The same weights under another name are the same model.
    let copy = scene.path("copy.safetensors");
    fs::copy(crate::util::fixture("models/untrained-nano.safetensors"), copy).unwrap();
    scene.expect(0, "classify in --output night --model copy.safetensors --quiet");
}

#[test]
fn inputs_that_could_not_be_listed_are_told_to_the_end() {
    let scene = Scene::new();
    simulate(&scene.path("in"), 4, 93);
    std::os::unix::fs::symlink("/nowhere/1.tar", scene.path("in/1.tar")).unwrap();
    fs::write(scene.path("in/images.parquet"), "").unwrap();
    let planned = scene.expect(1, "plan in --output night --shards 1");
    assert!(text(&planned).contains("2 inputs had problems"), "{}", text(&planned));
    scene.expect(0, "classify --plan night --shard 0 --allow-rejected --quiet");
    let found = scene.expect(0, "verify night");
    for words in ["not listed: in/1.tar", "not listed: in/images.parquet: a table in a folder"] {
        assert!(text(&found).contains(words), "`{words}` is not in: {}", text(&found));
    }
}

#[test]
fn what_was_rejected_in_an_outage_is_made_again_on_request() {
    let scene = Scene::new();
    simulate(&scene.path("in"), 30, 94);
    let run = "classify in --output out --range-size 10 --quiet";
    let paths = fs::read_dir(scene.path("in")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "jpg")).collect();
    paths.sort();
    fs::write(scene.path("in/zzz.jpg"), "<html>").unwrap();
    scene.expect(0, "plan in --output out --range-size 10 --shards 4 --quiet");
    fs::rename(&paths[12], scene.path("away")).unwrap();
    scene.expect(1, run);
    let made = |name: &Path| fs::metadata(name).unwrap().modified().unwrap();
    let before: Vec<_> = parts(&scene.path("out")).iter().map(|part| made(part)).collect();
    assert_eq!(before.len(), 4);

    let none = scene.expect(0, "verify out --remove-rejected truncated,too_small");
    assert!(text(&none).contains("complete"), "{}", text(&none));
    fs::rename(scene.path("away"), &paths[12]).unwrap();
    let array = scene.expect(2, "verify out --array --remove-rejected missing,unreadable");
    assert_eq!(String::from_utf8_lossy(&array.stdout), "--array=1\n");
    assert!(errors(&array).contains("1 of its cutouts"), "{}", errors(&array));
    // The last one is no image, and stays what it is.
    scene.expect(1, run);
    let after: Vec<_> = parts(&scene.path("out")).iter().map(|part| made(part)).collect();
    let again: Vec<bool> = before.iter().zip(&after).map(|(a, b)| a != b).collect();
    assert_eq!(again, [false, true, false, false]);
    let statuses = column(&scene.path("out"), "status");
    assert_eq!(statuses.iter().filter(|status| *status == "ok").count(), 30);
    let wrong = scene.expect(64, "verify out --remove-rejected lost");
    assert!(errors(&wrong).contains("not_an_image"), "{}", errors(&wrong));
}

#[test]
fn verify_and_catalog_name_a_folder_without_a_run() {
    let scene = Scene::new();
    fs::create_dir(scene.path("empty")).unwrap();
    for command in ["verify", "catalog", "status"] {
        for folder in ["empty", "none"] {
            let output = scene.expect(64, &format!("{command} {folder}"));
            assert!(errors(&output).contains("holds no run"), "{command}: {}", errors(&output));
        }
    }
    assert!(!Path::new(&scene.path("none")).exists());
}
