#!/usr/bin/env bash
# A planned run as a Slurm job array, and a job behind it that verifies.
#
#   hiwl plan ... --output DIR --shards N --for slurm > night1.sh
#   bash night1.sh [SBATCH OPTION...]
#
# or this file as it is: slurm.sh DIR [SBATCH OPTION...]. DIR is what `hiwl plan` made,
# on a file system that all nodes share. Given again when its jobs have ended, the same
# command submits what is still missing (parts that were damaged among it) and nothing
# else. Logs are under DIR/logs, or, where DIR is a URL, under NAME-logs. A printed script
# runs the program that planned, this file the `hiwl` on the PATH; HIWL names another.
#
# The options below are defaults; those of the command line go before them.
# A site that limits arrays (`scontrol show config | grep MaxArraySize`) needs
# plans of fewer shards than that.

#SBATCH --job-name=hiwl
#SBATCH --requeue
#SBATCH --open-mode=append
# A minute before the time limit, as when a job is cancelled or preempted:
# hiwl drops the part in hand, keeps the others and exits.
#SBATCH --signal=B:TERM@60
set -euo pipefail
hiwl=${HIWL:-hiwl}
# `hiwl plan --for slurm` writes its folder here.
planned=
case "${1:-}" in task | verify) ;; *) [ -z "$planned" ] || set -- "$planned" "$@" ;; esac

case "${1:-}" in
task)
  # In the place of this shell, so that Slurm's signals reach it. Which shard
  # it is stands in SLURM_ARRAY_TASK_ID; how many there are only the plan
  # knows: a rerun of one task is told that it is one of one.
  exec "$hiwl" classify --plan "$2" --allow-rejected --json \
    ${SLURM_CPUS_PER_TASK:+--workers "$SLURM_CPUS_PER_TASK"}
  ;;
verify)
  exec "$hiwl" verify "$2"
  ;;
'')
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
  exit 64
  ;;
esac

run=$1
shift
array=$("$hiwl" verify "$run" --array --remove-damaged) || [ $? -eq 2 ]
if [ -z "$array" ]; then
  exec "$hiwl" verify "$run"
fi
case $run in
*://*) logs=$(basename "$run")-logs ;;
*) logs=$run/logs ;;
esac
mkdir -p "$logs"
job=$(sbatch --parsable "$array" --output="$logs/%A_%a.log" "$@" "$0" task "$run")
job=${job%%;*}
# `afterok` would wait for ever once a task has failed.
verify=$(sbatch --parsable --dependency="afterany:$job" --output="$logs/verify-%j.log" \
  "$@" "$0" verify "$run")
echo "array $job ($array), then verify ${verify%%;*}"
