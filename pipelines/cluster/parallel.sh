#!/usr/bin/env bash
# A planned run as processes of GNU parallel, here or on several machines.
#
#   hiwl plan ... --output DIR --shards N --for parallel > night1.sh
#   bash night1.sh --jobs 4
#   bash night1.sh --sshlogin node1,node2 --jobs 1
#
# or this file as it is: parallel.sh DIR [PARALLEL OPTION...]. DIR is what `hiwl plan`
# made, by its absolute path where machines are several. Shards that are done end at once,
# so the same command goes on with what is missing. HIWL_WORKERS bounds the threads of a
# process; with --jobs N and without it each has its share of this machine's cores.
set -euo pipefail
hiwl=${HIWL:-hiwl}
# `hiwl plan --for parallel` writes its folder and its number of shards here.
planned=
shards=
[ -z "$planned" ] || set -- "$planned" "$@"
run=${1:?usage: parallel.sh DIR [PARALLEL OPTION...]}
shift
if [ -z "${HIWL_WORKERS:-}" ] && [[ " $* " =~ \ (--jobs|-j)[\ =]?([0-9]+)\  ]]; then
  HIWL_WORKERS=$((($(nproc) + BASH_REMATCH[2] - 1) / BASH_REMATCH[2]))
fi
[ -n "$shards" ] || shards=$(sed -n 's/^ *"shards": \([0-9]*\).*/\1/p' "$run/plan.json")

# What failed is told by the verification, which decides.
seq 0 $((shards - 1)) | parallel "$@" "$hiwl" classify --plan "$run" --shard {} \
  --allow-rejected --quiet ${HIWL_WORKERS:+--workers "$HIWL_WORKERS"} || true
exec "$hiwl" verify "$run"
