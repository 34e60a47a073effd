#!/usr/bin/env bash
# A planned run with GNU parallel: all shards, then what is missing, equal byte
# for byte to a single process.
#
#   tests/cluster/parallel.sh [HIWL]        (default target/release/hiwl)
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
HIWL=$(realpath "${1:-target/release/hiwl}")
export HIWL HIWL_WORKERS=1 HIWL_MODEL=$root/fixtures/models/untrained-nano.safetensors
if ! command -v parallel >/dev/null; then
  [ "$(id -u)" = 0 ] || { echo 'parallel.sh: no GNU parallel: nothing was checked' >&2; exit 0; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends parallel >/dev/null
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"$HIWL" simulate cutouts --count 120 --size 240 --quiet
"$HIWL" classify cutouts --output single --range-size 10 --quiet
"$HIWL" plan cutouts --output night --range-size 10 --shards 5 --quiet --for parallel >night.sh
bash night.sh --jobs 2 >first.log
diff -r night/catalog single/catalog
rm night/catalog/part-000000000030-*.parquet
"$root/pipelines/cluster/parallel.sh" night --jobs 2 | grep -q 'complete and undamaged'
diff -r night/catalog single/catalog
echo "parallel.sh: $(ls single/catalog | wc -l) parts, equal to those of a single run"
