#!/usr/bin/env bash
# Two programs in turns on the same work: classifying an archive, and an epoch of training.
#
#   benches/turns.sh OLD NEW MODEL ARCHIVE LABELS RECIPE [ROUNDS]
#
# OLD and NEW are programs, MODEL a file that both read. A line a run: seconds on the
# clock and of the processor. Compare medians, on a quiet machine.
set -euo pipefail
old=$1 new=$2 model=$3 archive=$4 labels=$5 recipe=$6 rounds=${7:-5}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
timed() { /usr/bin/time -f "$1 %e s, processor %U s" "${@:2}" >/dev/null 2>"$scratch/told"; tail -n 1 "$scratch/told"; }
for ((round = 0; round < rounds; round++)); do
  for program in "$old" "$new"; do
    rm -rf "$scratch/run"
    timed "classify $program" "$program" classify "$archive" --output "$scratch/run" \
      --model "$model" --precision f32 --quiet
  done
done
for ((round = 0; round < rounds; round++)); do
  for program in "$old" "$new"; do
    rm -rf "$scratch/run"
    timed "train $program" "$program" train "$archive" --labels "$labels" \
      --recipe "$recipe" --output "$scratch/run" --quiet
  done
done
