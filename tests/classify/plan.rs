//! Planned runs: the plan says how many shards there are, the scheduler which
//! one a task is, and verification what to run again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::util::catalog::{parts, rows};
use crate::util::command::{assert_code, errors, hiwl, simulate};
use crate::util::python::{catalog_readers, oracle_of};

/// A folder with cutouts in it.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(count: usize, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        simulate(&folder.path().join("cutouts"), count, seed);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `hiwl` in the folder, out of reach of a scheduler that runs the tests.
    fn hiwl(&self, arguments: &[&str]) -> Command {
        let mut command = hiwl();
        command.current_dir(self.folder.path()).args(arguments);
        for name in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PBS_ARRAY_INDEX"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.hiwl(arguments).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_code(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) {
        says(&self.run(arguments), code, words);
    }

    fn plan(&self, shards: &str) {
        let ranges = ["--range-size", "10", "--shards", shards];
        self.ok(&[&["plan", "cutouts", "--output", "night"][..], &ranges].concat());
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ok(&["status", "night", "--json"])).unwrap()
    }
}

#[track_caller]
fn says(output: &Output, code: i32, words: &[&str]) {
    assert_code(output, code);
    let errors = errors(output);
    for word in words {
        assert!(errors.contains(word), "`{word}` is not in: {errors}");
    }
}

#[test]
fn the_shards_of_a_plan_make_one_catalog_and_verify_names_what_is_missing() {
    let scene = Scene::new(95, 21);
    scene.ok(&["classify", "cutouts", "--output", "one", "--range-size", "10", "--quiet"]);
    scene.plan("4");
    let run = fs::read(scene.path("night/run.json")).unwrap();
    assert_eq!(run, fs::read(scene.path("one/run.json")).unwrap(), "a plan changes no result");

    // As an array does: the index from the environment, from any folder.
    for (name, index) in [("SLURM_ARRAY_TASK_ID", "1"), ("JOB_COMPLETION_INDEX", "3")] {
        let mut task = scene.hiwl(&["classify", "--quiet", "--plan"]);
        let task = task.arg(scene.path("night")).current_dir("/").env(name, index);
        // What a rerun of one task is told of the array is not to be believed.
        let task = task.env("SLURM_ARRAY_TASK_COUNT", "1").env("SLURM_ARRAY_TASK_MIN", index);
        assert_code(&task.output().unwrap(), 0);
    }
    // Ranges 1, 5, 9 and 3, 7 of ten.
    assert_eq!(parts(&scene.path("night")).len(), 5);
    let found = scene.run(&["verify", "night"]);
    assert_code(&found, 2);
    let text = String::from_utf8(found.stdout).unwrap();
    assert!(text.contains("--array=0,2"), "{text}");
    assert!(text.contains("missing: range 2 (rows 20 to 29)"), "{text}");
    let array = scene.run(&["verify", "night", "--array"]);
    assert_code(&array, 2);
    assert_eq!(String::from_utf8(array.stdout).unwrap(), "--array=0,2\n");
    let json = scene.run(&["verify", "night", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["shards"], &json["shards_to_redo"]), (&4.into(), &vec![0, 2].into()));

    scene.ok(&["classify", "--plan", "night", "--shard", "0", "--quiet"]);
    scene.ok(&["classify", "--plan", "night", "--shard", "2/4", "--quiet"]);
    assert_eq!(scene.ok(&["verify", "night", "--array"]), "");
    assert_eq!(rows(&scene.path("night")), rows(&scene.path("one")));

    // A part that is lost, then a damaged one: their shards alone.
    let files = parts(&scene.path("night"));
    fs::remove_file(&files[6]).unwrap();
    fs::write(&files[7], "damaged").unwrap();
    let array = scene.run(&["verify", "night", "--array"]);
    assert_eq!(String::from_utf8(array.stdout).unwrap(), "--array=2,3\n");
    fs::remove_file(&files[7]).unwrap();
    scene.ok(&["classify", "--plan", "night", "--shard", "all", "--quiet"]);
    assert_eq!(rows(&scene.path("night")), rows(&scene.path("one")));
}

#[test]
fn what_a_plan_does_not_have_is_refused_in_words() {
    let scene = Scene::new(25, 22);
    let planned = ["classify", "--plan", "night"];
    scene.refused(&planned, 64, &["night holds no run"]);
    scene.ok(&["classify", "cutouts", "--output", "one", "--quiet"]);
    scene.refused(&["classify", "--plan", "one"], 64, &["not shared out", "--shards N"]);
    scene.refused(&["verify", "one", "--array"], 64, &["not shared out"]);
    scene.refused(&["plan", "cutouts", "--output", "night", "--shards", "0"], 64, &["--shards"]);

    scene.plan("3");
    scene.plan("3");
    scene.refused(&planned, 64, &["--shard I", "SLURM_ARRAY_TASK_ID"]);
    scene.refused(&["classify", "--plan", "night", "--shard", "3"], 64, &["0 to 2", "--array=0-2"]);
    scene.refused(&["classify", "--plan", "night", "--shard", "1/4"], 64, &["3 shards"]);
    scene.refused(&["classify", "cutouts", "--plan", "night"], 64, &["--plan"]);
    scene.refused(&["classify", "--plan", "night", "--stage2", "all"], 64, &["--stage2"]);
    for (flag, value) in [("--unit", "Jy"), ("--profile", "des"), ("--radius-column", "r")] {
        scene.refused(&["classify", "--plan", "night", flag, value], 64, &[flag]);
    }
    let with = |variables: &[(&str, &str)]| {
        let mut task = scene.hiwl(&planned);
        task.envs(variables.iter().copied()).output().unwrap()
    };
    let words = ["SLURM_ARRAY_TASK_ID is 3", "0 to 2"];
    says(&with(&[("SLURM_ARRAY_TASK_ID", "3")]), 64, &words);
    let two = [("SLURM_ARRAY_TASK_ID", "1"), ("PBS_ARRAY_INDEX", "2")];
    says(&with(&two), 64, &["PBS_ARRAY_INDEX is 2"]);
    says(&with(&[("PBS_ARRAY_INDEX", "")]), 64, &["--shard I"]);

    // Neither another number of shards, nor other settings, nor a model that
    // is not the plan's.
    let ranges = ["--range-size", "10", "--shards", "4"];
    scene.refused(
        &[&["plan", "cutouts", "--output", "night"][..], &ranges].concat(),
        64,
        &["3 shards, not 4"],
    );
    let shard = ["--range-size", "10", "--shard", "0/4"];
    scene.refused(
        &[&["classify", "cutouts", "--output", "night"][..], &shard].concat(),
        64,
        &["3 shards, not 4"],
    );
    scene.refused(&["classify", "cutouts", "--output", "one", "--shard", "0"], 64, &["--plan"]);
    let mut model = fs::read(crate::util::fixture("models/untrained-nano.safetensors")).unwrap();
    let last = model.len() - 2;
    model[last] ^= 1;
    fs::write(scene.path("other.safetensors"), model).unwrap();
    scene.refused(
        &["classify", "--plan", "night", "--shard", "0", "--model", "other.safetensors"],
        64,
        &["another run", "model digest"],
    );
    assert!(parts(&scene.path("night")).is_empty());

    // A plan that was copied from elsewhere.
    fs::copy(scene.path("night/plan.json"), scene.path("one/plan.json")).unwrap();
    scene.refused(&["classify", "--plan", "one", "--shard", "0"], 64, &["another run"]);
    fs::write(scene.path("one/plan.json"), "{\"shards\": 3}").unwrap();
    scene.refused(&["classify", "--plan", "one", "--shard", "0"], 2, &["plan.json"]);
}

#[test]
fn status_tells_how_far_each_shard_is() {
    let scene = Scene::new(60, 23);
    scene.plan("3");
    let none = scene.status();
    assert_eq!((&none["rows_done"], &none["complete"]), (&0.into(), &false.into()));
    assert_eq!(none["images_per_second"], Value::Null);
    scene.ok(&["classify", "--plan", "night", "--shard", "1", "--quiet"]);
    let some = scene.status();
    assert_eq!((&some["rows"], &some["rows_done"]), (&60.into(), &20.into()));
    assert_eq!((&some["ranges"], &some["ranges_done"]), (&6.into(), &2.into()));
    let shards = some["shards"].as_array().unwrap();
    let done: Vec<u64> = shards.iter().map(|s| s["rows_done"].as_u64().unwrap()).collect();
    assert_eq!(done, [0, 20, 0]);
    // From the times of the two parts: ten rows between them.
    assert!(shards[1]["images_per_second"].as_f64().unwrap() > 0.0, "{some}");
    assert!(some["seconds_left"].as_f64().unwrap() > 0.0, "{some}");
    let text = scene.ok(&["status", "night"]);
    for words in ["20 of 60 rows (33.3 %), 2 of 6 parts", "1 of 3 shards is done", "left"] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
    scene.ok(&["classify", "--plan", "night", "--shard", "all", "--quiet"]);
    let all = scene.status();
    assert_eq!((&all["complete"], &all["parts_begun"]), (&true.into(), &0.into()));
    // A clock that jumped costs an estimate and no more.
    let far = std::time::SystemTime::now() + std::time::Duration::from_secs(1 << 32);
    let part = fs::File::options().append(true).open(&parts(&scene.path("night"))[0]).unwrap();
    part.set_modified(far).unwrap();
    assert_eq!(scene.status()["complete"], true);
    scene.ok(&["verify", "night"]);
    // A run without a plan has one share.
    scene.ok(&["classify", "cutouts", "--output", "one", "--quiet"]);
    let one: Value = serde_json::from_str(&scene.ok(&["status", "one", "--json"])).unwrap();
    assert_eq!((&one["planned"], one["shards"].as_array().unwrap().len()), (&false.into(), 1));
    scene.refused(&["status", "cutouts"], 64, &["holds no run"]);
}

#[test]
fn rejected_rows_fail_no_task_that_allows_them() {
    let scene = Scene::new(5, 24);
    fs::write(scene.path("cutouts/bad.jpg"), "<html>").unwrap();
    scene.plan("1");
    let task = ["classify", "--plan", "night", "--shard", "0", "--quiet"];
    assert_code(&scene.run(&[&task[..], &["--allow-rejected"]].concat()), 0);
    // Whoever asks later is told by `verify`.
    let told = scene.ok(&["verify", "night"]);
    assert!(told.contains("not_an_image"), "{told}");
}

#[test]
fn a_shard_reads_its_own_stretch_of_an_archive() {
    let scene = Scene::new(1, 25);
    scene.ok(&["simulate", "tars", "--count", "40", "--size", "240", "--format", "tar", "--quiet"]);
    let tar = fs::read_dir(scene.path("tars"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "tar"))
        .unwrap();
    let tar = tar.to_str().unwrap();
    scene.ok(&["classify", tar, "--output", "one", "--range-size", "10", "--quiet"]);
    let plan = ["--range-size", "10", "--shards", "4", "--quiet"];
    scene.ok(&[&["plan", tar, "--output", "night"][..], &plan].concat());

    // All that lies before the last range is gone from the archive; whoever
    // walked it from its beginning would find nothing.
    let whole = fs::read(tar).unwrap();
    let time = fs::metadata(tar).unwrap().modified().unwrap();
    let with_its_time = |bytes: &[u8]| {
        fs::write(tar, bytes).unwrap();
        fs::File::options().write(true).open(tar).unwrap().set_modified(time).unwrap();
    };
    let third = whole.len() / 2;
    let mut holed = whole.clone();
    holed[..third].fill(0);
    with_its_time(&holed);
    scene.ok(&["classify", "--plan", "night", "--shard", "3", "--quiet"]);
    assert_eq!(rows(&scene.path("night")), rows(&scene.path("one"))[30..]);

    // An archive of another size is not the one that was listed, and one that
    // is gone is waited for: neither becomes rows.
    with_its_time(&whole[..whole.len() - 512]);
    let shard = |index: &str| scene.run(&["classify", "--plan", "night", "--shard", index]);
    says(&shard("0"), 2, &["when it was listed"]);
    fs::rename(tar, scene.path("away")).unwrap();
    says(&shard("0"), 2, &["gone"]);
    with_its_time(&whole);
    scene.ok(&["classify", "--plan", "night", "--shard", "all", "--quiet"]);
    assert_eq!(rows(&scene.path("night")), rows(&scene.path("one")));
}

#[test]
fn a_disk_that_is_not_mounted_makes_no_missing_rows() {
    let scene = Scene::new(20, 26);
    scene.plan("2");
    let input = scene.path("cutouts");
    fs::rename(&input, scene.path("away")).unwrap();
    let shard = |index: &str| scene.run(&["classify", "--plan", "night", "--shard", index]);
    says(&shard("0"), 2, &["mounted"]);
    // The place where it is mounted stays.
    fs::create_dir(&input).unwrap();
    says(&shard("0"), 2, &["mounted"]);
    assert!(parts(&scene.path("night")).is_empty());
    fs::remove_dir(&input).unwrap();
    fs::rename(scene.path("away"), &input).unwrap();
    assert_code(&shard("0"), 0);
    // A file that is gone from a folder that is there is a row.
    let file = fs::read_dir(&input).unwrap().map(|e| e.unwrap().path());
    file.filter(|path| path.extension().is_some_and(|e| e == "jpg"))
        .for_each(|path| fs::remove_file(path).unwrap());
    assert_code(&shard("1"), 1);
    assert_code(&scene.run(&["verify", "night"]), 0);
}

#[test]
fn a_planned_folder_verifies_and_resumes_without_its_plan() {
    let scene = Scene::new(12, 27);
    scene.plan("2");
    scene.ok(&["classify", "--plan", "night", "--shard", "0", "--quiet"]);
    fs::remove_file(scene.path("night/plan.json")).unwrap();
    let again = ["--range-size", "10", "--quiet"];
    scene.ok(&[&["classify", "cutouts", "--output", "night"][..], &again].concat());
    scene.ok(&["verify", "night"]);
    assert!(!Path::new(&scene.path("night/plan.json")).exists());
}

/// The two objects of a manifest, as `python` with its PyYAML reads it.
pub fn manifest(python: &Path, text: &str) -> [Value; 2] {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let read = oracle_of(python, "manifest.py", &[file.path().to_str().unwrap()]);
    let objects: Vec<Value> = serde_json::from_str(&read).unwrap();
    objects.try_into().expect("a job and what verifies")
}

/// Where the pods of a manifest's objects are described.
pub const PODS: [&str; 2] = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];

#[test]
fn a_manifest_is_read_as_yaml_and_all_that_it_names_is_there() {
    let scene = Scene::new(5, 28);
    let folder = scene.path("Night #1: \"a\"");
    let folder = folder.to_str().unwrap();
    let plan = ["plan", "cutouts", "--output", folder, "--shards", "3", "--for", "kubernetes"];
    let text = scene.ok(&plan);
    // LSDB's dask needs PyYAML.
    let objects = manifest(&catalog_readers(), &text);
    let job = &objects[0];
    assert_eq!((&job["kind"], &objects[1]["kind"]), (&"Job".into(), &"CronJob".into()));
    assert_eq!((&job["spec"]["completions"], &job["spec"]["parallelism"]), (&3.into(), &3.into()));
    let commands = [vec!["hiwl", "classify", "--plan", folder], vec!["hiwl", "verify", folder]];
    for ((object, pod), command) in objects.iter().zip(PODS).zip(commands) {
        let pod = object.pointer(pod).unwrap();
        let [container] = &pod["containers"].as_array().unwrap()[..] else { panic!("{pod}") };
        let said: Vec<&str> =
            container["command"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        assert_eq!(said[..command.len()], command);
        assert_eq!(container["image"], concat!("hiwl:", env!("CARGO_PKG_VERSION")));
        // The folder lies below what is mounted, of a volume that is there.
        let mount = &container["volumeMounts"][0];
        assert!(Path::new(folder).starts_with(mount["mountPath"].as_str().unwrap()), "{mount}");
        assert_eq!(mount["name"], pod["volumes"][0]["name"]);
        // What `kubectl apply -f` makes is what the comment's commands go on with.
        let name = object["metadata"]["name"].as_str().unwrap();
        let kind = object["kind"].as_str().unwrap().to_lowercase();
        assert!(text.contains(&format!("{kind}/{name} ")), "{kind}/{name}: {text}");
        assert_eq!(object["metadata"]["labels"]["app"], "hiwl");
    }
    // As the comment has it, by a shell.
    let line = text.lines().find_map(|line| line.strip_prefix("#   hiwl plan ... ")).unwrap();
    let shell = format!("printf '%s' {}", line.split_once(" > ").unwrap().0);
    let said = Command::new("bash").args(["-c", &shell]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said, format!("--output{folder}--shards3--forkubernetes"));
}

#[test]
fn a_quiet_plan_says_why_its_code_is_not_0_whatever_it_prints() {
    let scene = Scene::new(3, 29);
    fs::write(scene.path("cut.tar"), [1; 700]).unwrap();
    let plan = ["plan", "cutouts", "cut.tar", "--shards", "2", "--quiet", "--output"];
    for (output, more) in [("a", &[][..]), ("b", &["--for", "slurm"]), ("c", &["--for", "pbs"])] {
        let planned = scene.run(&[&plan[..], &[output], more].concat());
        says(&planned, 1, &["1 input had problems (see run.json):", "cut.tar"]);
        assert_eq!(planned.stdout.starts_with(b"#!"), !more.is_empty());
    }
    // Without a problem nothing is said.
    let plan = ["plan", "cutouts", "--shards", "2", "--quiet", "--output", "d", "--for", "slurm"];
    assert_eq!(errors(&scene.run(&plan)), "");
}
