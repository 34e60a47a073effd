#!/usr/bin/env bash
# A planned run as a job array of PBS (PBS Pro, OpenPBS), and a job behind it that
# verifies.
#
#   hiwl plan ... --output DIR --shards N --for pbs > night1.sh
#   bash night1.sh [QSUB OPTION...]
#
# or this file as it is: pbs.sh DIR [QSUB OPTION...]. DIR is what `hiwl plan` made, by
# its absolute path on a file system that all nodes share. Given again when its jobs have
# ended, the same command submits the array once more: tasks whose shard is done end at
# once, and damaged parts are made again. Logs are where qsub puts them (`-o`, `-e`).
#
# Unlike Slurm's, arrays of PBS are stretches: they cannot name single tasks.

#PBS -N hiwl
#PBS -r y
set -euo pipefail
hiwl=${HIWL:-hiwl}
# `hiwl plan --for pbs` writes its folder and its number of shards here.
planned=
shards=

# In a job: which shard it is stands in PBS_ARRAY_INDEX.
case "${HIWL_JOB:-}" in
task)
  exec "$hiwl" classify --plan "$HIWL_DIR" --allow-rejected --json \
    ${NCPUS:+--workers "$NCPUS"}
  ;;
all) exec "$hiwl" classify --plan "$HIWL_DIR" --shard all --allow-rejected --json ;;
verify) exec "$hiwl" verify "$HIWL_DIR" ;;
esac

[ -z "$planned" ] || set -- "$planned" "$@"
run=${1:?usage: pbs.sh DIR [QSUB OPTION...]}
shift
case "$run" in *,*) echo "pbs.sh: a comma in $run is nothing that qsub -v takes" >&2; exit 64 ;; esac
array=$("$hiwl" verify "$run" --array --remove-damaged) || [ $? -eq 2 ]
if [ -z "$array" ]; then
  exec "$hiwl" verify "$run"
fi
[ -n "$shards" ] || shards=$(sed -n 's/^ *"shards": \([0-9]*\).*/\1/p' "$run/plan.json")
set_to="HIWL_DIR=$run,HIWL=$(command -v "$hiwl")"
# An array has at least two tasks.
if [ "$shards" -gt 1 ]; then
  job=$(qsub -J "0-$((shards - 1))" -v "HIWL_JOB=task,$set_to" "$@" "$0")
  what="array $job ($shards tasks)"
else
  job=$(qsub -v "HIWL_JOB=all,$set_to" "$@" "$0")
  what="job $job (1 task)"
fi
verify=$(qsub -W "depend=afterany:$job" -v "HIWL_JOB=verify,$set_to" "$@" "$0")
echo "$what, then verify $verify"
