#!/usr/bin/env bash
# Does a listing stream? Plans tables, lists and an archive of growing size
# and reports rows a second and peak memory. The files they name need not be
# there to be listed.
#
#   benches/listing.sh [COUNT...]        (default 100000 1000000 10000000)
#
# The archive has a tenth of the rows: each is a header and a block of data.
set -euo pipefail
cd "$(dirname "$0")/.."
hiwl=${HIWL:-target/release/hiwl}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[ $# -gt 0 ] || set -- 100000 1000000 10000000

# Runs hiwl plan; prints rows, seconds and the largest resident set.
plan() {
  rm -rf "$folder/out"
  python3 - "$hiwl" plan "$1" --output "$folder/out" --shards 64 --json \
    --model fixtures/models/untrained-nano.safetensors <<'PYTHON'
import json, os, resource, subprocess, sys, time
began = time.time()
run = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)
seconds = time.time() - began
plan = json.loads(run.stdout)
kind = os.path.splitext(sys.argv[3])[1]
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
listing = os.path.getsize(sys.argv[5] + "/inputs.parquet")
print(f"{kind:>5} {plan['rows']:>11,} rows: {seconds:6.1f} s, {plan['rows'] / seconds:>9,.0f} rows/s, "
      f"peak memory {usage.ru_maxrss / 1024:4.0f} MiB, {listing / plan['rows']:.1f} bytes a row")
PYTHON
}

for count; do
  python3 - "$folder" "$count" <<'PYTHON'
import sys
folder, count = sys.argv[1], int(sys.argv[2])
with open(f"{folder}/sample.csv", "w") as table, open(f"{folder}/list.txt", "w") as paths:
    table.write("id,path,ra,dec\n")
    for i in range(count):
        name = f"cutouts/{i // 10000:05d}/{1237645879551000000 + i}.jpg"
        table.write(f"{1237645879551000000 + i},{name},{i % 360000 / 1000},{i % 180000 / 1000 - 90}\n")
        paths.write(name + "\n")
# A header a member, by hand: tarfile takes minutes.
with open(f"{folder}/archive.tar", "wb") as archive:
    for i in range(count // 10):
        header = bytearray(512)
        name = f"{1237645879551000000 + i}.jpg".encode()
        header[: len(name)] = name
        header[100:156] = b"0000644\0000000000\0000000000\00000000000001\00000000000000\000        "
        header[156:157] = b"0"
        header[257:265] = b"ustar\x0000"
        header[148:156] = b"%06o\0 " % sum(header)
        archive.write(header + b"x" + bytes(511))
    archive.write(bytes(1024))
PYTHON
  plan "$folder/sample.csv"
  plan "$folder/list.txt"
  plan "$folder/archive.tar"
done
