#!/usr/bin/env bash
# A catalog of many rows, made without images: how fast it is written, by hiwl
# and by pyarrow, how fast each export is, and what memory they take.
#
#   benches/exports.sh [ROWS]        (default 10000000; some 4 GB of disk)
#
# Needs the environment that the tests of the exports make (pyarrow).
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-10000000}
python=target/tmp/catalogs-venv/bin/python
cargo build --release --quiet
hiwl=target/release/hiwl
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cargo bench --quiet --bench catalog --profile release -- "$rows" "$folder/run"
"$python" benches/peers/catalog.py "$folder/run"
for format in parquet hats fits csv votable; do
  start=$(date +%s.%N)
  "$hiwl" export "$folder/run" --to "$format" -o "$folder/out" --json >"$folder/told"
  end=$(date +%s.%N)
  "$python" -c '
import json, sys
told, seconds = json.load(open(sys.argv[1])), float(sys.argv[3]) - float(sys.argv[2])
rows = told["rows"]
print("{:8} {:>9,.0f} rows/s (verified, {:.0f} s), {:.1f} bytes a row, peak memory {:.0f} MiB".format(
    sys.argv[4], rows / seconds, seconds, told["bytes"] / rows, told["peak_memory_bytes"] / 2**20))' \
    "$folder/told" "$start" "$end" "$format"
  rm -rf "$folder/out"
done
