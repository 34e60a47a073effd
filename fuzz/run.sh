#!/usr/bin/env bash
# Runs the fuzz targets, each for some time, beginning with the fixtures.
#
#   fuzz/run.sh [SECONDS] [TARGET...]        (default 600, all of them)
#
# Needs cargo-fuzz (`cargo install cargo-fuzz`). An input that breaks a check
# is kept under fuzz/artifacts, and the run fails; what was found on the way stays
# in fuzz/corpus. No sanitizer: with it the toolchain would have to be a nightly
# one, and the code that is not ours (cfitsio, zlib) is C, which it would not see.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
shift || true
[ $# -gt 0 ] || set -- decode tiles cards tar csv parquet model checkpoint pickle \
  condition settings manifest listing part
export RUSTC_BOOTSTRAP=1
# The same versions as the program.
cp Cargo.lock fuzz/Cargo.lock

for target; do mkdir -p "fuzz/corpus/$target"; done
seed() { # seed TARGET FILE...: files to begin with, where the target is run
  local folder=fuzz/corpus/$1
  shift
  [ ! -d "$folder" ] || cp "$@" "$folder"
}
seed decode fixtures/cutouts/jpeg/*.jpg fixtures/cutouts/fits/*.gz
if [ -d fuzz/corpus/decode ]; then
  for file in fixtures/cutouts/fits/*.gz; do
    gunzip -c "$file" >"fuzz/corpus/decode/$(basename "$file" .gz)"
  done
fi
seed tar fixtures/cutouts/tar/*.tar
seed model fixtures/models/*.safetensors
seed checkpoint fixtures/golden/checkpoints/*.pth
seed csv fixtures/cutouts/jpeg/*.csv 2>/dev/null || true
seed settings pipelines/*.toml schemas/*.toml schemas/trees/*.toml
if [ -d fuzz/corpus/condition ]; then
  echo 'label = "SPI" and confidence >= 0.9' >fuzz/corpus/condition/and
  echo 'not (ra < 10.5e0 or stage2_ran is null) and id in ("a", "b")' >fuzz/corpus/condition/not
fi
for target; do
  cargo fuzz build --sanitizer none "$target"
  log=$(mktemp)
  if cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" \
    -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 2>"$log"; then
    echo "$target: $(grep -c '	NEW' "$log") inputs that reach something new," \
      "$(sed -n 's/.*number_of_executed_units: *//p' "$log") tried," \
      "slowest $(sed -n 's/.*slowest_unit_time_sec: *//p' "$log") s," \
      "peak $(sed -n 's/.*peak_rss_mb: *//p' "$log") MiB"
    rm "$log"
  else
    tail -n 40 "$log"
    exit 1
  fi
done
