#!/usr/bin/env bash
# A catalog of many rows, made without images: how long its page and a sorted look at
# it take, in how much memory, and how large the page is. With known labels for a
# tenth of the rows.
#
#   benches/report.sh [ROWS]        (default 10000000; some 2 GB of disk)
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-10000000}
cargo build --release --quiet
hiwl=target/release/hiwl
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cargo bench --quiet --bench catalog --profile release -- "$rows" "$folder/run"
python3 - "$hiwl" "$folder" "$rows" <<'PYTHON'
import os, resource, subprocess, sys, time

hiwl, folder, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(f"{folder}/labels.csv", "w") as labels:
    labels.write("id,label\n")
    for row in range(0, rows, 10):
        labels.write(f"{587722981736120347 + row * 65537},{['CRS', 'IBS', 'CSS', 'EO', 'SPI'][row // 10 % 5]}\n")

def told(what, *arguments, page=None):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.time()
    process = subprocess.Popen([hiwl, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, what
    size = f", {os.path.getsize(page) / 1e6:.2f} MB" if page else ""
    print(f"{what:28} {time.time() - start:6.1f} s, peak memory {used.ru_maxrss / 1024:.0f} MiB{size}")

run, page = f"{folder}/run", f"{folder}/page.html"
told("report", "report", run, "-o", page, page=page)
told("report --labels", "report", run, "--labels", f"{folder}/labels.csv", "-o", page, page=page)
told("catalog --sort confidence", "catalog", run, "--sort", "confidence", "--top", "1000")
told("catalog --where --sort", "catalog", run, "--where", "label = 'SPI'", "--sort", "p_spi:desc", "--top", "20")
told("catalog (summed up)", "catalog", run)
PYTHON
