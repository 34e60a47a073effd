//! The job script of a planned run, for the scheduler that is asked for.
//!
//! The scripts are those of `pipelines/cluster`, which are part of the program, with the
//! folder, the number of shards and the program itself written in: nothing else of a
//! checkout is needed. Invariant: where a script has lost a place that is to be written
//! in, that is a defect and no script.

use std::path::Path;

use clap::ValueEnum;

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
    match scheduler {
        Scheduler::Slurm => shell(SLURM),
        Scheduler::Pbs => shell(PBS),
        Scheduler::Parallel => shell(PARALLEL),
        Scheduler::Kubernetes => kubernetes(folder, shards),
    }
}

fn kubernetes(folder: &str, shards: u64) -> String {
    let (parent, name) = folder.trim_end_matches('/').rsplit_once('/').unwrap_or(("", folder));
    // Names of jobs are those of hosts.
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let job: String = name.chars().map(plain).take(40).collect();
    let job = job.trim_matches('-');
    let job = if job.is_empty() { "run" } else { job };
    let text = filled(KUBERNETES, "completions: 16\n", &format!("completions: {shards}\n"));
    let text = filled(&text, "parallelism: 16\n", &format!("parallelism: {}\n", shards.min(16)));
    let text = filled(&text, "--shards 16 ", &format!("--shards {shards} "));
    let quoted = serde_json::Value::from(folder).to_string();
    let text = filled(&text, "--plan, /survey/night1,", &format!("--plan, {quoted},"));
    let text = filled(&text, "verify, /survey/night1]", &format!("verify, {quoted}]"));
    let mount = serde_json::Value::from(if parent.is_empty() { "/" } else { parent }).to_string();
    let text = filled(&text, "mountPath: /survey}", &format!("mountPath: {mount}}}"));
    let text = filled(&text, "hiwl-night1", &format!("hiwl-{job}"));
    let text = filled(&text, "hiwl-verify-night1", &format!("hiwl-verify-{job}"));
    // What is left stands in comments.
    filled(&text, "/survey/night1", folder)
}

/// `text` with `place` as `with`, wherever it is.
fn filled(text: &str, place: &str, with: &str) -> String {
    assert!(text.contains(place), "the script has no `{place}`");
    text.replace(place, with)
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
            let check = Command::new("bash").args(["-n", "-c", &text]).output().unwrap();
            assert!(check.status.success(), "{check:?}");
        }
    }

    #[test]
    fn an_indexed_job_has_the_plans_shards_and_folder() {
        let text = script(Scheduler::Kubernetes, "/data/Night_2", 40, Path::new("/bin/hiwl"));
        for expected in [
            "completions: 40\n",
            "parallelism: 16\n",
            "--plan, \"/data/Night_2\",",
            "verify, \"/data/Night_2\"]",
            "mountPath: \"/data\"}",
            "name: hiwl-night-2\n",
            "name: hiwl-verify-night-2\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains("night1"), "{text}");
    }
}
