#!/usr/bin/env bash
# Everything worth doing on a machine with a GPU, in the order of its worth, in
# one call; prints one table at the end.
#
#   benches/gpu.sh PACK.tar.xz [SECONDS] [OUT]
#
# PACK is what benches/gpu_pack.sh made. SECONDS (default 570) is when it stops:
# a step that does not fit any more is left out and the table says so. OUT
# (default ./gpu-results) gets the logs and results.jsonl. Needs a driver,
# libnvrtc (PyTorch brings it) and, for the comparison, a python3 with torch and
# torchvision; neither Rust nor a network. Changes no setting of the card.
set -uo pipefail
began=$SECONDS
pack=${1:?the archive of benches/gpu_pack.sh}
limit=${2:-570}
out=${3:-gpu-results}
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out"; out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -C "$work" -xJf "$pack" || exit 1
export XDG_CACHE_HOME=$work/cache CARGO_MANIFEST_DIR=$root RUST_BACKTRACE=1 PYTHONUNBUFFERED=1
command -v g++ >/dev/null || export HIWL_GPU_ONLY=1
results=$out/results.jsonl
: >"$results"; : >"$out/steps"

left() { echo $((limit - (SECONDS - began) - 8)); }

# step NAME MOST COMMAND…: runs it for at most MOST seconds, or what is left.
step() {
  local name=$1 most=$2; shift 2
  local rest; rest=$(left)
  if [ "$rest" -lt 10 ]; then echo "$name|no time left|" >>"$out/steps"; return 1; fi
  [ "$rest" -lt "$most" ] && most=$rest
  local from=$SECONDS
  timeout -k 5 "$most" "$@" >"$out/$name.log" 2>&1
  local code=$?
  grep -h '^{' "$out/$name.log" >>"$results"
  local said=ok
  [ $code -eq 0 ] || said="failed ($code)"
  [ $code -eq 124 ] && said="cut off after $most s"
  echo "$name|$said|$((SECONDS - from))" >>"$out/steps"
  echo "== $name: $said, $((SECONDS - from)) s"
  [ $code -eq 0 ] || tail -n 25 "$out/$name.log"
  return $code
}

hiwl=$work/hiwl tests=$work/hiwl-tests bench=$work/hiwl-gpu
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/device"
model=$work/model.safetensors
[ -f "$model" ] || "$bench" seeded "$model"
images=$work/images.tar
[ -f "$images" ] || { "$hiwl" simulate "$work/cutouts" --count 2000 --quiet || "$hiwl" simulate "$work/cutouts" --count 2000; tar -C "$work/cutouts" -cf "$images" .; } >"$out/simulate.log" 2>&1

# 1. Does it run, and is it right?
step kernels 120 "$tests" kernels::cuda::kernel_tests --nocapture
step networks 120 "$tests" on_a_gpu --nocapture
same() {
  "$hiwl" classify "$images" --model "$model" --stage2 all --quiet --output "$work/cpu" --device cpu --precision f32
  "$hiwl" classify "$images" --model "$model" --stage2 all --quiet --output "$work/gpu" --device cuda:0 --precision bf16
  python3 - "$work/cpu" "$work/gpu" <<'PY'
import glob, json, sys
import pyarrow.parquet as parquet
rows = [
    {row["id"]: row for part in sorted(glob.glob(folder + "/catalog/*.parquet"))
     for row in parquet.read_table(part, columns=["id", "label", "confidence"]).to_pylist()}
    for folder in sys.argv[1:]
]
assert rows[0].keys() == rows[1].keys() and rows[0]
both = [(a, rows[1][i]) for i, a in rows[0].items() if a["label"]]
equal = sum(a["label"] == b["label"] for a, b in both) / len(both)
worst = max(abs(a["confidence"] - b["confidence"]) for a, b in both if a["label"] == b["label"])
print(json.dumps(dict(what="labels", rows=len(both), equal=equal, worst_confidence=worst)))
PY
}
export -f same; export hiwl images model work
step labels 150 bash -c same

# 2. The forward pass, ours and PyTorch's, in turns.
step forward 60 "$bench" forward "$model" bf16 64 128 256 512 1024
step torch_forward 230 python3 "$root/benches/peers/gpu_torch.py" forward 256
step forward_again 30 "$bench" forward "$model" bf16 256

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
step torch_train 150 python3 "$root/benches/peers/gpu_torch.py" train 256 --mode default
step forward_f32 20 "$bench" forward "$model" f32 64

python3 - "$results" "$out/steps" "$out/device" "$work/commit" <<'PY' | tee "$out/table.md"
import json, sys
results = [json.loads(line) for line in open(sys.argv[1])]
print(f"\n{open(sys.argv[3]).read().strip()}, commit {open(sys.argv[4]).read().strip()[:10]}\n")
print("| step | outcome | s |\n| --- | --- | --- |")
for line in open(sys.argv[2]):
    print("| " + " | ".join(line.rstrip("\n").split("|")) + " |")
print("\n| what | engine | batch | images/s (lowest–highest) |\n| --- | --- | --- | --- |")
best, kernels = {}, {}
for r in results:
    if r.get("what") in ("forward", "train") and "images_per_s" in r:
        engine = r.get("engine", "hiwl " + r.get("precision", "Bf16"))
        spread = f" ({r['lowest']}–{r['highest']})" if "lowest" in r else ""
        print(f"| {r['what']} | {engine} | {r['batch']} | {r['images_per_s']}{spread} |")
        side = "torch" if engine.startswith("torch") else "hiwl"
        if engine != "hiwl F32":
            key = (r["what"], side)
            best[key] = max(best.get(key, 0), r["images_per_s"])
for what in ("forward", "train"):
    if (what, "hiwl") in best and (what, "torch") in best:
        print(f"\n{what}: hiwl / PyTorch's best = {best[what, 'hiwl'] / best[what, 'torch']:.2f}")
for r in results:
    if r.get("event") == "end":
        print(f"\nend to end: {r['images_per_second']:.0f} images/s, {r['rows']} rows")
        for stage in r["stages"]:
            print("   ", json.dumps(stage))
for r in results:
    if r.get("what") == "labels":
        print(f"\nlabels equal on CPU (f32) and GPU (bf16): {r['equal']:.4%} of {r['rows']}")
for r in results:
    if r.get("what") == "kernel":
        kernels.setdefault((r["of"], r["batch"]), {})[r["kernel"]] = r
for (of, batch), kernel in kernels.items():
    all = sum(r["us"] for r in kernel.values()) or 1
    print(f"\n| {of}, batch {batch} | launches | µs | of all |\n| --- | --- | --- | --- |")
    for r in sorted(kernel.values(), key=lambda r: -r["us"])[:16]:
        print(f"| {r['kernel']} | {r['launches']} | {r['us']} | {r['us'] / all:.0%} |")
PY
