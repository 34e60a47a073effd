#!/usr/bin/env bash
# The galaxies most like one among very many: a catalog of made-up vectors, and how long
# `hiwl similar` searches all of it, in how much memory. Where PYTHON has numpy and
# pyarrow, the nearest are held against theirs.
#
#   [PYTHON=python3] benches/similar.sh [ROWS [LENGTH]]   (default 10000000 of 64; 5 GB of disk)
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-10000000} length=${2:-64}
cargo build --release --quiet
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cargo bench --quiet --bench catalog --profile release -- "$rows" "$folder/run" "$length"
"${PYTHON:-python3}" - target/release/hiwl "$folder" "$rows" "$length" <<'PYTHON'
import json, os, subprocess, sys, time

hiwl, folder, rows, length = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
ids = [str(587722981736120347 + row * 65537) for row in range(10)]

def search(what, to, *more):
    start = time.time()
    with open(f"{folder}/found.json", "w") as found:
        process = subprocess.Popen(
            [hiwl, "similar", f"{folder}/run", "--to", ",".join(to), "--json", *more], stdout=found
        )
        _, status, used = os.wait4(process.pid, 0)
    assert status == 0, what
    print(
        f"{what:24} {time.time() - start:6.1f} s, processor {used.ru_utime + used.ru_stime:6.1f} s, "
        f"peak memory {used.ru_maxrss / 1024:.0f} MiB", flush=True,
    )
    found = json.load(open(f"{folder}/found.json"))
    assert found["compared"] == rows
    return found["similar"]

nearest = search("one, the nearest 20", ids[:1], "--top", "20")
search("the same again", ids[:1], "--top", "20")
search("by their angle", ids[:1], "--top", "20", "--distance", "cosine")
search("ten, the nearest 20", ids, "--top", "20")
search("one, the nearest 100,000", ids[:1], "--top", "100000")
try:
    import numpy as np, pyarrow.parquet as pq
except ImportError:
    sys.exit("no numpy and pyarrow: not compared")
start, query, found = time.time(), None, []
for part in sorted(os.listdir(f"{folder}/run/catalog")):
    table = pq.read_table(f"{folder}/run/catalog/{part}", columns=["id", "feature"])
    vectors = table["feature"].combine_chunks().flatten().to_numpy().reshape(-1, length)
    query = vectors[0].astype("f8") if query is None else query
    far = np.linalg.norm(vectors - query, axis=1)
    least = np.argpartition(far, min(21, len(far) - 1))[:21]
    names = table["id"].take(least).to_pylist()
    found += zip(far[least].tolist(), names)
found = sorted(found)[1:21]
assert [name for _, name in found] == [like["id"] for like in nearest], "numpy finds others"
worst = max(abs(far - like["distance"]) for (far, _), like in zip(found, nearest))
print(f"numpy, part by part      {time.time() - start:6.1f} s: the same rows, distances to {worst:.0e}")
PYTHON
