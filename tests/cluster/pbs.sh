#!/usr/bin/env bash
# A planned run as a job array of PBS, with a `qsub` of this test's own in the place of
# PBS, which has no packages to install: it takes the options that the script gives,
# refuses arrays that PBS refuses, runs a copy of the script and sets what PBS sets. The
# catalog is equal, byte for byte, to that of a single process.
#
#   tests/cluster/pbs.sh [HIWL]        (default target/release/hiwl)
set -euo pipefail
cd "$(dirname "$0")/../.."
hiwl=$(realpath "${1:-target/release/hiwl}")
export HIWL_MODEL=$PWD/fixtures/models/untrained-nano.safetensors
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir bin
cat >bin/qsub <<'QSUB'
#!/usr/bin/env bash
set -euo pipefail
array= variables= depends=
while [ $# -gt 1 ]; do
  case $1 in
  -J) array=$2 ;;
  -v) variables=$2 ;;
  -W) depends=$2 ;;
  -q | -l) ;;
  *) echo "qsub: $1?" >&2; exit 2 ;;
  esac
  shift 2
done
echo "$array|$depends" >>qsub.log
spool=$(mktemp)
cp "$1" "$spool"
IFS=, read -ra set_to <<<"$variables"
one() {
  env -i PATH=/usr/bin:/bin HIWL_MODEL="$HIWL_MODEL" NCPUS=1 "${set_to[@]}" "$@" bash "$spool" \
    >>jobs.log 2>&1 || echo "$variables $*: exit code $?" >>failed.log
}
if [ -n "$array" ]; then
  [[ $array =~ ^([0-9]+)-([0-9]+)$ ]] && [ "${BASH_REMATCH[1]}" -lt "${BASH_REMATCH[2]}" ] || exit 2
  for index in $(seq "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"); do one PBS_ARRAY_INDEX="$index"; done
  echo "7[].server"
else
  one
  echo "8.server"
fi
QSUB
chmod +x bin/qsub
export PATH=$folder/bin:$PATH

"$hiwl" simulate cutouts --count 60 --size 240 --quiet
"$hiwl" classify cutouts --output single --range-size 10 --quiet
for shards in 3 1; do
  rm -rf night qsub.log jobs.log failed.log
  "$hiwl" plan cutouts --output night --range-size 10 --shards $shards --quiet --for pbs >night.sh
  tasks="array 7[].server ($shards tasks)"
  [ $shards -gt 1 ] || tasks='job 8.server (1 task)'
  [ "$(bash night.sh -q main)" = "$tasks, then verify 8.server" ]
  grep -q 'complete and undamaged' jobs.log
  grep -q 'depend=afterany:' qsub.log
  diff -r night/catalog single/catalog
  # A part is lost: the same command again, and then there is nothing to submit.
  rm night/catalog/part-000000000030-*.parquet
  bash night.sh >/dev/null
  diff -r night/catalog single/catalog
  bash night.sh | grep -q 'complete and undamaged'
  # Of the jobs, every task and every verification, none failed.
  if [ -e failed.log ]; then
    cat failed.log jobs.log >&2
    exit 1
  fi
done
echo "pbs.sh: $(ls single/catalog | wc -l) parts, equal to those of a single run"
