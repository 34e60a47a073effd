#!/usr/bin/env bash
# Builds what benches/gpu.sh needs on a machine with a GPU and without Rust, and
# packs it: the program, its test program and the benchmark, stripped; and data.
# The model is the one in models/, which travels with the sources, unless another
# is named. No GPU and no CUDA are needed here.
#
#   benches/gpu_pack.sh FOLDER [--model FILE] [--data FILE.tar --labels FILE.csv]
#
# Makes FOLDER/pack.tar.xz, which benches/gpu.sh unpacks, and says whether it and
# the sources are small enough to travel together.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?where to}; shift
model= data= labels=
while [ $# -gt 0 ]; do
  case $1 in
    --model) model=$2 ;;
    --data) data=$2 ;;
    --labels) labels=$2 ;;
    *) echo "unknown: $1" >&2; exit 64 ;;
  esac
  shift 2
done
rm -rf "$folder/pack"; mkdir -p "$folder/pack"

# What cargo made, by the name of the target: its own words, not guessed paths.
built() {
  cargo "$@" --message-format=json-render-diagnostics | python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable"):
        print(message["target"]["name"], message["target"]["kind"][0], message["executable"])'
}
built build --release --features cuda --bin hiwl --locked >"$folder/built"
built test --release --features cuda --lib --no-run --locked >>"$folder/built"
built bench --profile release --features cuda --bench gpu --no-run --locked >>"$folder/built"
while read -r name kind path; do
  case $name:$kind in
    hiwl:bin) to=hiwl ;;
    hiwl:lib) to=hiwl-tests ;;
    gpu:bench) to=hiwl-gpu ;;
    *) continue ;;
  esac
  strip -s "$path" -o "$folder/pack/$to"
done <"$folder/built"
for file in hiwl hiwl-tests hiwl-gpu; do
  [ -x "$folder/pack/$file" ] || { echo "$file was not built" >&2; exit 1; }
done
# Without a driver the program starts, and says what is missing.
"$folder/pack/hiwl" --version
if [ -n "$model" ]; then cp "$model" "$folder/pack/model.safetensors"; fi
if [ -n "$data" ]; then cp "$data" "$folder/pack/images.tar"; fi
if [ -n "$labels" ]; then cp "$labels" "$folder/pack/labels.csv"; fi
git rev-parse HEAD >"$folder/pack/commit"
tar -C "$folder/pack" -cf - . | xz -T0 -6 >"$folder/pack.tar.xz"
pack=$(stat -c %s "$folder/pack.tar.xz")
sources=$(git ls-files -co --exclude-standard -z | du -cb --files0-from=- | tail -n 1 | cut -f 1)
mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1048576 }'; }
all=$(mib $((pack + sources)))
echo "$folder/pack.tar.xz: $(mib "$pack") MiB; with the sources ($(mib "$sources")) $all of 64 MiB"
if [ $((pack + sources)) -gt $((64 << 20)) ]; then
  echo "too large to travel at once: pack less data" >&2
  exit 1
fi
