#!/usr/bin/env bash
# From mosaics to cutouts and to labels, beside Cutana 0.4.0 where it is installed.
#
#   benches/mosaics.sh [SOURCES [FRAMES]]        (default 100000 40)
#
# CUTANA names a Python with `pip install cutana==0.4.0`; HIWL the program; BENCH the
# program of `cargo bench --bench classify --no-run`; MODEL the model file; WORKERS the
# threads of all (default: one a core). Frames are simulated, 63 galaxies each (37 MB in
# three bands); sources are these, each as often as needed, moved by up to two arcseconds.
#
# Cutting alone, which nobody keeps, is timed of both: `hiwl`'s for the model (north up, 0.02
# radii a pixel), Cutana's to as many pixels and as many bands, in memory. Then cutouts as
# files, of a tenth of the sources, as disks are slow; and labels, beside the forward pass
# alone on the same pixels. Prints seconds, cutouts a second, bytes read of the mosaics' own
# and peak memory. Of programs, bytes read are those that they asked the system for (`rchar`),
# of `hiwl` with the program's own libraries, tables and model.
set -euo pipefail
cd "$(dirname "$0")/.."
hiwl=${HIWL:-target/release/hiwl}
model=${MODEL:-models/hiwl-b1.safetensors}
sources=${1:-100000} frames=${2:-40} workers=${WORKERS:-$(nproc)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$hiwl" simulate "$folder/sky" --mosaics --count $((frames * 63)) --quiet
python3 - "$folder" "$sources" <<'PYTHON'
import csv, random, sys
folder, count = sys.argv[1], int(sys.argv[2])
random.seed(1)
rows = list(csv.DictReader(open(f"{folder}/sky/sources.csv")))
with open(f"{folder}/sources.csv", "w") as out, open(f"{folder}/cutana.csv", "w") as other, \
        open(f"{folder}/tenth.csv", "w") as tenth:
    out.write("id,ra,dec,petroR90_r\n")
    tenth.write("id,ra,dec,petroR90_r\n")
    other.write("SourceID,RA,Dec,diameter_pixel,fits_file_paths\n")
    for k in range(count):
        row = rows[k % len(rows)]
        ra, dec = (float(row[c]) + random.uniform(-2, 2) / 3600 for c in ("ra", "dec"))
        r90 = float(row["petroR90_r"])
        line = f"s{k},{ra:.7f},{dec:.7f},{r90}\n"
        out.write(line)
        if k * 10 < count:
            tenth.write(line)
        frame = (k % len(rows)) // 63
        paths = [f"{folder}/sky/frames/frame-{band}-{frame:06d}.fits" for band in "irg"]
        other.write(f's{k},{ra:.7f},{dec:.7f},{round(4.8 * r90 / 0.396)},"{paths}"\n')
PYTHON
cat > "$folder/timed.py" <<'PYTHON'
import os, resource, subprocess, sys, time
name, count, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
began = time.time()
child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
# When it has ended and nobody has waited for it, the system still tells.
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
seconds = time.time() - began
with open(f"/proc/{child.pid}/io") as file:
    read = int(next(line for line in file if line.startswith("rchar")).split()[1])
code = child.wait()
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{name}: {count} in {seconds:.1f} s, {count / seconds:,.0f} a second; processor "
      f"{usage.ru_utime + usage.ru_stime:.1f} s; {read / 1e6:,.0f} MB read; peak memory "
      f"{usage.ru_maxrss >> 10} MiB; exit code {code}", flush=True)
PYTHON
run() { python3 "$folder/timed.py" "$@"; }
du -sm "$folder/sky/frames" | cut -f1 | sed 's/^/mosaics, MiB: /'
if [ -n "${BENCH:-}" ]; then
  "$BENCH" "$folder/sources.csv" --mosaics "$folder/sky/frames" --model "$model" \
    --workers "$workers" --rounds 0
fi
if [ -n "${CUTANA:-}" ]; then
  # Not by its name: a program's folder is the first in which Python looks.
  cat > "$folder/peer.py" <<'PYTHON'
import sys, time
from cutana import get_default_config
from cutana.streaming_orchestrator import StreamingOrchestrator

if __name__ == "__main__":
    folder, workers = sys.argv[1], int(sys.argv[2])
    config = get_default_config()
    config.source_catalogue, config.output_dir = f"{folder}/cutana.csv", f"{folder}/cutana"
    config.target_resolution, config.max_workers = 240, workers
    # Frames are in nanomaggies, and have no zero point to be converted by.
    config.apply_flux_conversion = False
    config.selected_extensions = [{"name": band, "ext": "PrimaryHDU"} for band in "irg"]
    config.channel_weights = {b: [float(b == c) for c in "irg"] for b in "irg"}
    config.console_log_level = "ERROR"
    began, done = time.time(), 0
    orchestrator = StreamingOrchestrator(config)
    try:
        orchestrator.init_streaming(batch_size=1000, write_to_disk=False, max_workers=workers, min_workers=workers)
        for _ in range(orchestrator.get_batch_count()):
            done += len(orchestrator.next_batch()["cutouts"])
    finally:
        orchestrator.cleanup()
    seconds = time.time() - began
    print(f"cutana, in memory, {workers} workers: {done} cutouts in {seconds:.1f} s, "
          f"{done / seconds:,.0f} a second", file=sys.stderr)
PYTHON
  run "cutana, in memory" "$sources" "$CUTANA" "$folder/peer.py" "$folder" "$workers"
fi
tenth=$((sources / 10))
few=(--mosaics "$folder/sky/frames" --sources "$folder/tenth.csv" --workers "$workers")
run "hiwl cut, FITS in a tar" "$tenth" "$hiwl" cut "${few[@]}" --output "$folder/cut.tar"
rm -f "$folder/cut.tar"
run "hiwl cut, JPEG in a tar" "$tenth" "$hiwl" cut "${few[@]}" --format jpeg --output "$folder/cut.tar"
rm -f "$folder/cut.tar"
all=(--mosaics "$folder/sky/frames" --sources "$folder/sources.csv" --workers "$workers")
run "hiwl cut, JPEG in a tar" "$sources" "$hiwl" cut "${all[@]}" --format jpeg --output "$folder/cut.tar"
rm -f "$folder/cut.tar"
if [ -n "${BENCH:-}" ] && [ -z "${NO_LABELS:-}" ]; then
  "$BENCH" "$folder/sources.csv" --mosaics "$folder/sky/frames" --model "$model" \
    --workers "$workers" --rounds 1
fi
