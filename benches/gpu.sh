#!/usr/bin/env bash
# Everything worth doing on a machine with a GPU, in the order of its worth, in
# one call; prints one table at the end.
#
#   benches/gpu.sh PACK.tar.xz [SECONDS] [OUT]
#
# PACK is what benches/gpu_pack.sh made. SECONDS (default 570) is when it stops:
# a step that does not fit any more is left out and the table says so. OUT
# (default ./gpu-results) gets five files: all.log, results.jsonl, steps, device
# and table.md, all of them as far as it came if it is ended early. Needs a
# driver, libnvrtc (PyTorch brings it) and python3; with torch and torchvision
# for the comparison, and compute-sanitizer for two of the steps; neither Rust
# nor a network. Changes no setting of the card.
set -uo pipefail
began=$SECONDS
pack=${1:?the archive of benches/gpu_pack.sh}
limit=${2:-570}
out=${3:-gpu-results}
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out"; out=$(cd "$out" && pwd)
log=$out/all.log results=$out/results.jsonl
: >"$log"; : >"$results"; : >"$out/steps"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if command -v xz >/dev/null; then
  tar -C "$work" -xJf "$pack" || exit 1
else
  python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
    "$pack" "$work" || exit 1
fi
export XDG_CACHE_HOME=$work/cache CARGO_MANIFEST_DIR=$root RUST_BACKTRACE=1 PYTHONUNBUFFERED=1
# The emulation has been run where there is time; and no GPU is then an error.
export HIWL_GPU_ONLY=1
{
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  echo "commit $(cut -c 1-10 "$work/commit")"
} >"$out/device" 2>&1
cat "$out/device"

# PyTorch's own libnvrtc, if it is no newer than the driver; the program looks
# for itself where this finds none.
nvrtc() {
  python3 - "$(nvidia-smi | sed -n 's/.*CUDA Version: *\([0-9]*\).*/\1/p')" <<'PY'
import glob, re, sys
try:
    import nvidia
except ImportError:
    sys.exit()
newest = int(sys.argv[1] or 99)
found = [file for path in nvidia.__path__ for file in glob.glob(f"{path}/*/lib/libnvrtc.so.*")]
version = lambda file: int(re.search(r"\.so\.(\d+)", file)[1])
print(max((f for f in found if version(f) <= newest), key=version, default=""))
PY
}
if [ -z "${HIWL_NVRTC:-}" ]; then
  found=$(nvrtc 2>>"$log")
  unset HIWL_NVRTC
  if [ -n "$found" ]; then export HIWL_NVRTC=$found; fi
fi
echo "libnvrtc: ${HIWL_NVRTC:-where the program finds it}" | tee -a "$log"

left() { echo $((limit - (SECONDS - began) - 8)); }

# step NAME MOST COMMAND…: runs it for at most MOST seconds, or what is left.
step() {
  local name=$1 most=$2; shift 2
  local rest; rest=$(left)
  if [ "$rest" -lt 10 ]; then
    echo "$name|no time left|" >>"$out/steps"
    python3 "$root/benches/gpu_table.py" "$out" >"$out/table.md"
    return 1
  fi
  [ "$rest" -lt "$most" ] && most=$rest
  echo "== $name" >>"$log"
  local from=$SECONDS at; at=$(stat -c %s "$log")
  timeout -k 5 "$most" "$@" >>"$log" 2>&1
  local code=$?
  tail -c +$((at + 1)) "$log" | grep '^{' >>"$results"
  local said=ok
  [ $code -eq 0 ] || said="failed ($code)"
  [ $code -eq 124 ] && said="cut off after $most s"
  echo "$name|$said|$((SECONDS - from))" >>"$out/steps"
  echo "== $name: $said, $((SECONDS - from)) s"
  [ $code -eq 0 ] || tail -c +$((at + 1)) "$log" | tail -n 25
  python3 "$root/benches/gpu_table.py" "$out" >"$out/table.md"
  return $code
}

hiwl=$work/hiwl tests=$work/hiwl-tests bench=$work/hiwl-gpu
model=$work/model.safetensors
[ -f "$model" ] || model=$root/models/hiwl-b1.safetensors
[ -f "$model" ] || { model=$work/model.safetensors; "$bench" seeded "$model" >>"$log" 2>&1; }
images=$work/images.tar
if [ ! -f "$images" ]; then
  {
    "$hiwl" simulate "$work/cutouts" --count 2000 --quiet || "$hiwl" simulate "$work/cutouts" --count 2000
    tar -C "$work/cutouts" -cf "$images" .
  } >>"$log" 2>&1
fi

# 1. Does it run, and is it right?
step kernels 90 "$tests" engine::cuda::kernel_tests engine::cuda::norm_tests --nocapture
step networks 90 "$tests" on_a_gpu --nocapture
same() {
  for device in cpu cuda:0; do
    precision=bf16; [ $device = cpu ] && precision=f32
    "$hiwl" classify "$images" --model "$model" --stage2 all --quiet \
      --output "$work/on-$device" --device $device --precision $precision || return
    "$hiwl" export "$work/on-$device" --to csv -o "$work/$device.csv" \
      --columns id,label,confidence --quiet || return
  done
  python3 - "$work/cpu.csv" "$work/cuda:0.csv" <<'PY'
import csv, json, sys
rows = [{row["id"]: row for row in csv.DictReader(open(file))} for file in sys.argv[1:]]
assert rows[0].keys() == rows[1].keys() and rows[0]
both = [(a, rows[1][i]) for i, a in rows[0].items()]
same = [(a, b) for a, b in both if a["label"] == b["label"]]
worst = max(abs(float(a["confidence"]) - float(b["confidence"])) for a, b in same)
print(json.dumps(dict(what="labels", rows=len(both), equal=len(same) / len(both), worst_confidence=worst)))
PY
}
export -f same; export hiwl images model work
step labels 90 bash -c same

# 2. The forward pass, ours and PyTorch's: at our best batch, then at 256.
step forward 60 "$bench" forward "$model" bf16 64 128 256 512 1024
batches=$(python3 "$root/benches/gpu_table.py" "$out" --batches)
step torch_forward 170 python3 "$root/benches/peers/gpu_torch.py" forward ${batches:-256}

# 3. From archives to a catalog.
mkdir "$work/many"
for i in $(seq -w "${COPIES:-40}"); do ln "$images" "$work/many/$i.tar"; done
end() {
  "$hiwl" classify "$work/many" --model "$model" --json --output "$work/end" --device cuda:0
}
export -f end
step end_to_end 60 bash -c end

# 4. Training.
step train 60 "$bench" train 256 20
step torch_train 110 python3 "$root/benches/peers/gpu_torch.py" train 256

# 5. What the results do not show: accesses outside of buffers, and races.
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | tail -n 1)
for tool in memcheck racecheck; do
  if [ -n "$sanitizer" ]; then
    step $tool 60 "$sanitizer" --tool $tool --error-exitcode 9 \
      "$tests" engine::cuda::kernel_tests engine::cuda::norm_tests engine::cuda::learn::tests::on_a_gpu \
      --test-threads 1
  else
    echo "$tool|no compute-sanitizer|" >>"$out/steps"
  fi
done
step f32 30 "$bench" forward "$model" f32 64

python3 "$root/benches/gpu_table.py" "$out" | tee "$out/table.md"
