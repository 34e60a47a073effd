//! The job script of a planned run, for the scheduler that is asked for.
//!
//! The scripts are those of `pipelines/cluster`, which are part of the program, with the
//! folder, the number of shards and the program itself written in: nothing else of a
//! checkout is needed. Invariant: where a script has lost a place that is to be written
//! in, that is a defect and no script.

use std::path::Path;

use clap::ValueEnum;

use super::terminal::shown;
use crate::storage::remote::is_remote;

/// Who runs the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scheduler {
    /// A job array, and a job behind it that verifies.
    Slurm,
    /// The same for PBS Pro and OpenPBS.
    Pbs,
    /// An Indexed Job.
    Kubernetes,
    /// GNU parallel, on this machine or on several.
    Parallel,
}

const SLURM: &str = include_str!("../../pipelines/cluster/slurm.sh");
const PBS: &str = include_str!("../../pipelines/cluster/pbs.sh");
const KUBERNETES: &str = include_str!("../../pipelines/cluster/kubernetes.yaml");
const PARALLEL: &str = include_str!("../../pipelines/cluster/parallel.sh");

/// The script for a run in `folder` of so many `shards`, by the program at `program`.
/// Both paths are absolute, or a URL.
pub(super) fn script(scheduler: Scheduler, folder: &str, shards: u64, program: &Path) -> String {
    let shell = |text: &str| {
        let program = quoted(&program.to_string_lossy());
        let text = filled(text, "hiwl=${HIWL:-hiwl}\n", &format!("hiwl=${{HIWL:-{program}}}\n"));
        filled(&text, "\nplanned=\n", &format!("\nplanned={}\n", quoted(folder)))
    };
    let counting =
        |text: &str| filled(&shell(text), "\nshards=\n", &format!("\nshards={shards}\n"));
    match scheduler {
        Scheduler::Slurm => shell(SLURM),
        Scheduler::Pbs => counting(PBS),
        Scheduler::Parallel => counting(PARALLEL),
        Scheduler::Kubernetes => kubernetes(folder, shards),
    }
}

/// The manifest. Words of the folder are written as JSON, which is YAML too.
fn kubernetes(folder: &str, shards: u64) -> String {
    let folder = folder.trim_end_matches('/');
    let (parent, name) = folder.rsplit_once('/').unwrap_or(("", folder));
    // Names of jobs are those of hosts.
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let job: String = name.chars().map(plain).take(40).collect();
    let job = job.trim_matches('-');
    let job = if job.is_empty() { "run" } else { job };
    let words = |text: &str| shown::json(serde_json::Value::from(text));
    // In a comment, which a line break would end.
    let comment = format!("--output {} --shards {shards} ", shown::line(quoted(folder)));
    let mut places = vec![
        ("completions: 16\n", format!("completions: {shards}\n")),
        ("parallelism: 16\n", format!("parallelism: {}\n", shards.min(16))),
        ("image: hiwl:0.1.0\n", concat!("image: hiwl:", env!("CARGO_PKG_VERSION"), "\n").into()),
        ("hiwl-verify-night1", format!("hiwl-verify-{job}")),
        ("hiwl-night1", format!("hiwl-{job}")),
        (" night1.yaml", format!(" {job}.yaml")),
        ("--output /survey/night1 --shards 16 ", comment),
        ("--plan, /survey/night1,", format!("--plan, {},", words(folder))),
        ("verify, /survey/night1]", format!("verify, {}]", words(folder))),
    ];
    if is_remote(Path::new(folder)) {
        return filled_at_once(&in_a_store(KUBERNETES), &places);
    }
    // What lies in the root itself is mounted itself: over the root nothing can be.
    let mount = words(if parent.is_empty() { folder } else { parent });
    places.push(("mountPath: /survey}", format!("mountPath: {mount}}}")));
    filled_at_once(KUBERNETES, &places)
}

/// The manifest of a run whose folder no volume holds: what pods need instead is to be let
/// into the store.
fn in_a_store(text: &str) -> String {
    let mut kept = String::new();
    let mut within: Option<usize> = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        // What is set in below `volumes:` goes with it.
        if within.is_some_and(|volumes| depth > volumes) {
            continue;
        }
        within = (line.trim_start() == "volumes:").then_some(depth);
        if within.is_none() {
            kept += line;
            kept.push('\n');
        }
    }
    let kept = filled(
        &kept,
        "volumeMounts: [{name: survey, mountPath: /survey}]",
        "envFrom: [{secretRef: {name: hiwl-store}}]",
    );
    filled(
        &kept,
        "# elsewhere with --model).\n",
        "# elsewhere with --model). The run is in an object store: the program in the image must be\n\
         # one with the feature `cloud` (.ci/dist --features cloud), and the secret `hiwl-store`\n\
         # holds the store's credentials as variables (AWS_ACCESS_KEY_ID and so on).\n",
    )
}

/// `text` with `place` as `with`, wherever it is.
fn filled(text: &str, place: &str, with: &str) -> String {
    filled_at_once(text, &[(place, with.to_owned())])
}

/// The same of several places. What is written in is not looked at again: a folder may be
/// called whatever the script says.
fn filled_at_once(text: &str, places: &[(&str, String)]) -> String {
    for (place, _) in places {
        assert!(text.contains(place), "the script has no `{place}`");
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    let next = |rest: &str| {
        let found =
            places.iter().filter_map(|(place, with)| Some((rest.find(place)?, *place, with)));
        found.min_by_key(|(at, ..)| *at)
    };
    while let Some((at, place, with)) = next(rest) {
        out.push_str(&rest[..at]);
        out.push_str(with);
        rest = &rest[at + place.len()..];
    }
    out + rest
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn scripts_are_a_shells_and_name_the_run_whatever_it_is_called() {
        let folder = "/survey/it's $HOME, night 1";
        for scheduler in [Scheduler::Slurm, Scheduler::Pbs, Scheduler::Parallel] {
            let text = script(scheduler, folder, 7, Path::new("/opt/hi wl/hiwl"));
            let head: Vec<&str> = text.lines().filter(|l| l.starts_with("planned=")).collect();
            let [head] = head[..] else { panic!("{text}") };
            let name = text.lines().find(|line| line.starts_with("hiwl=")).unwrap();
            let said = Command::new("bash")
                .env_remove("HIWL")
                .args(["-c", &format!("{head}\n{name}\nprintf '%s|%s' \"$planned\" \"$hiwl\"")])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{folder}|/opt/hi wl/hiwl"));
            let counts = text.lines().filter(|line| *line == "shards=7").count();
            assert_eq!(counts, usize::from(scheduler != Scheduler::Slurm), "{text}");
            let check = Command::new("bash").args(["-n", "-c", &text]).output().unwrap();
            assert!(check.status.success(), "{check:?}");
        }
    }

    fn manifest(folder: &str) -> String {
        script(Scheduler::Kubernetes, folder, 40, Path::new("/bin/hiwl"))
    }

    #[test]
    fn an_indexed_job_has_the_plans_shards_and_folder() {
        let text = manifest("/data/Night_2/");
        for expected in [
            "completions: 40\n",
            "parallelism: 16\n",
            "--output '/data/Night_2' --shards 40 --for kubernetes > night-2.yaml\n",
            "--plan, \"/data/Night_2\",",
            "verify, \"/data/Night_2\"]",
            "mountPath: \"/data\"}",
            "name: hiwl-night-2\n",
            "name: hiwl-verify-night-2\n",
            "cronjob/hiwl-verify-night-2 hiwl-verify-night-2-1\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains("night1") && !text.contains("mountPath: /survey"), "{text}");
        assert!(manifest("/night").contains("mountPath: \"/night\"}"), "nothing over the root");
    }

    #[test]
    fn a_folder_may_be_called_as_the_script_calls_its_own() {
        let text = manifest("/survey/night1");
        assert!(text.contains("--plan, \"/survey/night1\",") && text.contains("\"/survey\"}"));
        let text = manifest("/survey/hiwl-night1");
        assert!(text.contains("verify, \"/survey/hiwl-night1\"]"), "{text}");
        assert!(text.contains("name: hiwl-verify-hiwl-night1\n"), "{text}");
        assert!(text.contains("name: hiwl-hiwl-night1\n"), "{text}");
        let text = manifest("/survey/verify-night1");
        assert!(text.contains("name: hiwl-verify-night1\n"), "the job");
        assert!(text.contains("name: hiwl-verify-verify-night1\n"), "what verifies");
    }

    #[test]
    fn a_run_in_a_store_has_no_volume_and_its_credentials() {
        let text = manifest("s3://survey/Night_2");
        for gone in ["volume", "mountPath", "persistentVolumeClaim", "/survey/", "ReadWriteMany"] {
            let with = text.replace("s3://survey/Night_2", "URL");
            assert!(!with.contains(gone), "{gone}\n{text}");
        }
        assert_eq!(text.matches("envFrom: [{secretRef: {name: hiwl-store}}]\n").count(), 2);
        assert!(text.contains("--plan, \"s3://survey/Night_2\","), "{text}");
        assert!(text.contains("\n---\n") && text.contains("feature `cloud`"), "{text}");
    }

    #[test]
    fn no_name_of_a_folder_adds_a_line_to_a_manifest() {
        let (plain, hostile) = (manifest("/data/a"), manifest("/data/a\nkind: Secret\u{202e}\"'"));
        assert_eq!(hostile.lines().count(), plain.lines().count());
        assert!(hostile.contains(r#"--plan, "/data/a\nkind: Secret\u202e\"'","#), "{hostile}");
    }
}
