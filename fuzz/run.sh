#!/usr/bin/env bash
# Runs the checks of fuzz_targets/checks.rs under libFuzzer, each for some time,
# beginning with fixtures, and with a folder of damaged files where one is given.
#
#   fuzz/run.sh build
#   [HIWL_CORPUS=FOLDER] fuzz/run.sh [SECONDS] [CHECK...]      (default 600, all)
#
# Needs what the program needs, and g++ for libFuzzer itself (the crate
# libfuzzer-sys); neither cargo-fuzz nor a nightly toolchain. Our own code counts
# overflows and checks its assumptions here. Without a sanitizer: foreign bytes are
# read in Rust without `unsafe`, and tests/unsafe.sh looks at the rest. An input
# that breaks a check is kept under fuzz/artifacts, and the run fails; what was found
# on the way stays in fuzz/corpus. An hour to build on two busy cores.
set -euo pipefail
cd "$(dirname "$0")/.."

# The same versions as the program, and libfuzzer-sys.
cp Cargo.lock fuzz/Cargo.lock
# What cargo-fuzz gives: edges counted, comparisons and their operands traced.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
-Ccodegen-units=16 --cfg fuzzing"
# With a target named, build scripts and macros are not instrumented.
target=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS=$coverage CARGO_TARGET_DIR=fuzz/target \
  cargo build --release --manifest-path fuzz/Cargo.toml --target "$target"
program=fuzz/target/$target/release/any
[ "${1:-}" != build ] || exit 0

seconds=${1:-600}
shift || true
[ $# -gt 0 ] || set -- $(sed -n 's/^    ("\([a-z_]*\)", [a-z_]*),$/\1/p' fuzz/fuzz_targets/checks.rs)

# Files to begin with: what the project's mutator begins with, and the folder.
seeds() { # seeds CHECK
  local folder=fuzz/corpus/$1
  mkdir -p "$folder" fuzz/artifacts
  case $1 in
    decode | twice)
      cp fixtures/cutouts/jpeg/*.jpg fixtures/cutouts/fits/*.gz "$folder"
      for file in fixtures/cutouts/fits/*.gz; do
        gunzip -c "$file" >"$folder/$(basename "$file" .gz)"
      done
      [ -z "${HIWL_CORPUS:-}" ] || find "$HIWL_CORPUS" -type f -size -2M \
        \( -name '*.fits' -o -name '*.gz' -o -name '*.jp*g' -o -name '*.png' \) \
        -exec cp --no-preserve=mode {} "$folder" \;
      ;;
    tar) cp fixtures/cutouts/tar/*.tar "$folder" ;;
    model) cp fixtures/models/*.safetensors "$folder" ;;
    checkpoint) cp fixtures/golden/checkpoints/*.pth "$folder" ;;
    csv) cp fixtures/cutouts/*/labels.csv "$folder" 2>/dev/null || true ;;
    settings) cp pipelines/*.toml schemas/*.toml schemas/trees/*.toml "$folder" ;;
  esac
  # Those that the mutator makes: tables, tiles, cards, pickles, files of a run.
  if [ -d "${HIWL_CORPUS:-}/$1" ]; then cp "$HIWL_CORPUS/$1"/* "$folder"; fi
}

for check; do
  seeds "$check"
  log=$(mktemp)
  if HIWL_FUZZ=$check HIWL_FUZZ_SEEDS=fuzz/corpus/$check nice -n 19 "$program" "fuzz/corpus/$check" \
    "-artifact_prefix=fuzz/artifacts/$check-" -max_total_time="$seconds" -max_len=262144 \
    -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 >/dev/null 2>"$log"; then
    echo "$check: $(sed -n 's/.*number_of_executed_units: *//p' "$log") tried in $seconds s," \
      "$(grep -c '	NEW' "$log" || true) that reach something new," \
      "slowest $(sed -n 's/.*slowest_unit_time_sec: *//p' "$log") s," \
      "peak $(sed -n 's/.*peak_rss_mb: *//p' "$log") MiB"
    rm "$log"
  else
    tail -n 40 "$log"
    exit 1
  fi
  rm -rf /dev/shm/hiwl-fuzz-*
done
