//! Which share of a run is this process's: as typed, or as the scheduler says.
//!
//! Indices count from 0 everywhere. A scheduler gives the index alone; the
//! number of shards comes from the plan, because a scheduler's own idea of it
//! is that of the submission at hand: rerunning one task of an array (Slurm's
//! `--array=2`) tells it that it is one of one.

use std::str::FromStr;

use anyhow::anyhow;

use super::{CliError, usage};
use crate::run::{Plan, Shard};
use crate::words::counted;

/// Variables in which schedulers give a task its index: Slurm's job arrays,
/// Kubernetes' Indexed Jobs, PBS's job arrays.
const INDEX_VARIABLES: [&str; 3] =
    ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PBS_ARRAY_INDEX"];

/// What `--shard` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// `I/N`.
    Of(Shard),
    /// `I`.
    Index(u64),
    /// `all`.
    All,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.trim().parse()) {
            ("all", _) => Ok(Self::All),
            (_, Ok(index)) => Ok(Self::Index(index)),
            _ => Shard::parse(text).map(Self::Of).map_err(|error| error.to_string()),
        }
    }
}

/// The shard of a planned run; `None` for all of it.
pub(super) fn of_plan(typed: Option<Share>, plan: &Plan) -> Result<Option<Shard>, CliError> {
    let index = match typed {
        Some(Share::All) => return Ok(None),
        Some(Share::Of(shard)) if shard.count() == plan.shards => return Ok(Some(shard)),
        Some(Share::Of(shard)) => {
            return Err(usage(anyhow!(
                "--shard {shard}: the plan has {}; --shard {} is enough",
                counted(plan.shards, "shard", "shards"),
                shard.index()
            )));
        }
        Some(Share::Index(index)) => ("--shard", index),
        None => from_environment(|name| std::env::var(name).ok()).map_err(usage)?,
    };
    let (source, index) = index;
    let shard = plan.shard(index).map_err(|_| {
        let last = plan.shards - 1;
        let (shards, to) = (counted(plan.shards, "shard", "shards"), |of: &str| match last {
            0 => "0".to_owned(),
            last => format!("0{of}{last}"),
        });
        usage(anyhow!(
            "{source} is {index}, and the plan has {shards}: {} (an array counts from 0: --array={})",
            to(" to "),
            to("-")
        ))
    })?;
    Ok(Some(shard))
}

/// The shard of a run without a plan; `None` for all of it.
pub(super) fn without_plan(typed: Option<Share>) -> Result<Option<Shard>, CliError> {
    match typed {
        None | Some(Share::All) => Ok(None),
        Some(Share::Of(shard)) => Ok(Some(shard)),
        Some(Share::Index(index)) => Err(usage(anyhow!(
            "--shard {index} needs a plan that says how many there are (--plan DIR); without one write {index}/N"
        ))),
    }
}

/// The variable that gives this task its index, and the index.
fn from_environment(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(&'static str, u64), anyhow::Error> {
    let mut found: Option<(&str, u64)> = None;
    for name in INDEX_VARIABLES {
        let Some(value) = variable(name).filter(|value| !value.is_empty()) else { continue };
        let index = value.parse().map_err(|_| {
            anyhow!("{name} is `{value}`, which is no index; name one with --shard I")
        })?;
        match found {
            Some((other, before)) if before != index => {
                return Err(anyhow!(
                    "{other} is {before} and {name} is {index}: which shard is this? name it with --shard I"
                ));
            }
            Some(_) => {}
            None => found = Some((name, index)),
        }
    }
    found.ok_or_else(|| {
        anyhow!(
            "which shard of the plan? name it with --shard I, or --shard all for what is missing; \
             a scheduler's task has it in {}",
            INDEX_VARIABLES.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(variables: &[(&str, &str)]) -> Result<(&'static str, u64), String> {
        let lookup = |name: &str| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        from_environment(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn an_index_is_taken_from_whoever_gives_it() {
        assert_eq!(index(&[("SLURM_ARRAY_TASK_ID", "7")]), Ok(("SLURM_ARRAY_TASK_ID", 7)));
        assert_eq!(index(&[("JOB_COMPLETION_INDEX", "0")]), Ok(("JOB_COMPLETION_INDEX", 0)));
        let nested = [("PBS_ARRAY_INDEX", "3"), ("SLURM_ARRAY_TASK_ID", "3")];
        assert_eq!(index(&nested), Ok(("SLURM_ARRAY_TASK_ID", 3)));
        // The count of the submission at hand is not looked at.
        let rerun = [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "1")];
        assert_eq!(index(&rerun), Ok(("SLURM_ARRAY_TASK_ID", 2)));
    }

    #[test]
    fn what_is_not_one_index_is_refused_by_name() {
        let two = index(&[("SLURM_ARRAY_TASK_ID", "1"), ("PBS_ARRAY_INDEX", "2")]).unwrap_err();
        assert!(two.contains("SLURM_ARRAY_TASK_ID is 1 and PBS_ARRAY_INDEX is 2"), "{two}");
        for wrong in ["-1", "one", "1/4", " 1"] {
            let error = index(&[("JOB_COMPLETION_INDEX", wrong)]).unwrap_err();
            assert!(error.contains("JOB_COMPLETION_INDEX"), "{error}");
        }
        for none in [&[][..], &[("SLURM_ARRAY_TASK_ID", "")]] {
            assert!(index(none).unwrap_err().contains("--shard I"));
        }
    }

    #[test]
    fn a_share_is_an_index_a_fraction_or_all() {
        assert_eq!("3".parse(), Ok(Share::Index(3)));
        assert_eq!("all".parse(), Ok(Share::All));
        assert_eq!("1/4".parse(), Ok(Share::Of(Shard::new(1, 4).unwrap())));
        for wrong in ["", "4/4", "-1", "some"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
        assert!(without_plan(Some(Share::Index(3))).is_err());
        let plan =
            Plan { format: 1, run: String::new(), shards: 4, options: serde_json::Value::Null };
        assert_eq!(of_plan(Some(Share::All), &plan).unwrap(), None);
        assert_eq!(of_plan(Some(Share::Index(3)), &plan).unwrap(), Some(plan.shard(3).unwrap()));
        assert!(of_plan(Some(Share::Index(4)), &plan).is_err());
        assert!(of_plan(Some("1/3".parse().unwrap()), &plan).is_err());
    }
}
