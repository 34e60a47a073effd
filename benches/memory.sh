#!/usr/bin/env bash
# Does peak memory depend on the number of cutouts? Classifies simulated tars
# of growing size, with a small network so that nothing hides behind it.
#
#   benches/memory.sh [COUNT...]        (default 3000 30000)
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet
hiwl=target/release/hiwl
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[ $# -gt 0 ] || set -- 3000 30000
for count; do
  "$hiwl" simulate "$folder/$count" --count "$count" --size 240 --format tar --quiet
  "$hiwl" classify "$folder/$count" --output "$folder/out-$count" --json \
    --model fixtures/models/untrained-nano.safetensors |
    python3 -c '
import json, sys
end = [json.loads(line) for line in sys.stdin][-1]
print("{rows:>9,} cutouts: peak memory {mib:.0f} MiB, {images_per_second:.0f} images/s".format(
    mib=end["peak_memory_bytes"] / 2**20, **end))'
  rm -rf "$folder/$count"
done
