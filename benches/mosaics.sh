#!/usr/bin/env bash
# From mosaics to cutouts and to labels, beside Cutana 0.4.0 where it is installed.
#
#   benches/mosaics.sh [SOURCES [FRAMES]]        (default 100000 40)
#
# CUTANA names a Python with `pip install cutana==0.4.0`; HIWL the program; WORKERS the
# threads of both (default: one a core). Frames are simulated, 63 galaxies each (37 MB in
# three bands); sources are these, each as often as needed, moved by up to two arcseconds.
# Prints seconds, cutouts a second, bytes read of the mosaics' own, and peak memory.
set -euo pipefail
cd "$(dirname "$0")/.."
hiwl=${HIWL:-target/release/hiwl}
sources=${1:-100000} frames=${2:-40} workers=${WORKERS:-$(nproc)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$hiwl" simulate "$folder/sky" --mosaics --count $((frames * 63)) --quiet
python3 - "$folder" "$sources" <<'PYTHON'
import csv, glob, random, sys
folder, count = sys.argv[1], int(sys.argv[2])
random.seed(1)
rows = list(csv.DictReader(open(f"{folder}/sky/sources.csv")))
with open(f"{folder}/sources.csv", "w") as out, open(f"{folder}/cutana.csv", "w") as other:
    out.write("id,ra,dec,petroR90_r\n")
    other.write("SourceID,RA,Dec,diameter_pixel,fits_file_paths\n")
    for k in range(count):
        row = rows[k % len(rows)]
        ra, dec = (float(row[c]) + random.uniform(-2, 2) / 3600 for c in ("ra", "dec"))
        r90 = float(row["petroR90_r"])
        out.write(f"s{k},{ra:.7f},{dec:.7f},{r90}\n")
        frame = (k % len(rows)) // 63
        paths = [f"{folder}/sky/frames/frame-{band}-{frame:06d}.fits" for band in "irg"]
        other.write(f's{k},{ra:.7f},{dec:.7f},{round(4.8 * r90 / 0.396)},"{paths}"\n')
PYTHON
cat > "$folder/timed.py" <<'PYTHON'
import os, resource, subprocess, sys, time
name, count, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
began = time.time()
run = subprocess.run(command, stdout=subprocess.DEVNULL)
seconds = time.time() - began
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{name}: {seconds:.1f} s, {count / seconds:,.0f} a second, peak memory {usage.ru_maxrss >> 10} MiB, "
      f"exit code {run.returncode}", flush=True)
PYTHON
run() { python3 "$folder/timed.py" "$@"; }
du -sh "$folder/sky/frames" | cut -f1 | sed 's/^/mosaics: /'
cut=(--mosaics "$folder/sky/frames" --sources "$folder/sources.csv" --workers "$workers")
run "hiwl cut, FITS in a tar" "$sources" "$hiwl" cut "${cut[@]}" --output "$folder/cut.tar"
run "hiwl cut, JPEG in a tar" "$sources" "$hiwl" cut "${cut[@]}" --format jpeg --output "$folder/jpeg.tar"
if [ -n "${CUTANA:-}" ]; then
  cat > "$folder/cutana.py" <<'PYTHON'
import sys
from cutana import Orchestrator, get_default_config
folder, workers = sys.argv[1], int(sys.argv[2])
config = get_default_config()
config.source_catalogue, config.output_dir = f"{folder}/cutana.csv", f"{folder}/cutana"
config.output_format, config.target_resolution, config.max_workers = "zarr", 240, workers
config.selected_extensions = [{"name": band, "ext": "PrimaryHDU"} for band in "irg"]
config.channel_weights = {b: [float(b == c) for c in "irg"] for b in "irg"}
config.console_log_level = "ERROR"
Orchestrator(config).run()
PYTHON
  run "cutana, zarr" "$sources" "$CUTANA" "$folder/cutana.py" "$folder" "$workers"
fi
if [ -z "${NO_LABELS:-}" ]; then
  run "hiwl classify, from the mosaics" "$sources" "$hiwl" classify "${cut[@]}" --output "$folder/night" --quiet
  run "hiwl classify, from the JPEGs" "$sources" "$hiwl" classify "$folder/jpeg.tar" --workers "$workers" --output "$folder/jpegs" --quiet
fi
