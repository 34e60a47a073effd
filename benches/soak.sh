#!/usr/bin/env bash
# A soak: does memory stay flat from the first cutout to the last, and does the
# time grow with their number alone? The model is tiny, so that nothing hides
# behind it.
#
#   benches/soak.sh [COUNT...]        (default 10000 100000 1000000)
#
# 10,000 cutouts are rendered once, into an archive that is named as often as
# the count needs; the program cannot know that they are the same.
set -euo pipefail
cd "$(dirname "$0")/.."
hiwl=${HIWL:-$PWD/target/release/hiwl}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[ $# -gt 0 ] || set -- 10000 100000 1000000
piece=10000

"$hiwl" simulate "$folder/made" --count $piece --size 240 --format tar --quiet
mkdir "$folder/in"
for count; do
  rm -rf "$folder/out" "$folder"/in/*
  for ((i = 0; i < count / piece; i++)); do
    for tar in "$folder"/made/*.tar; do
      ln -s "$tar" "$folder/in/$(printf %05d $i)-$(basename "$tar")"
    done
  done
  python3 - "$hiwl" classify "$folder/in" --output "$folder/out" --json \
    --model fixtures/models/untrained-nano.safetensors <<'PYTHON'
import json, re, resource, subprocess, sys, threading, time
began = time.time()
run = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
resident = []
def sample():
    while run.poll() is None:
        try:
            status = open(f"/proc/{run.pid}/status").read()
            resident.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)
        except (OSError, TypeError):
            pass
        time.sleep(0.2)
watch = threading.Thread(target=sample)
watch.start()
end = [json.loads(line) for line in run.stdout][-1]
watch.join()
assert run.wait() == 0, run.returncode
# Without the start, in which models and queues fill.
steady = resident[len(resident) // 5 :]
fifth = max(1, len(steady) // 4)
mean = lambda values: sum(values) / len(values)
processor = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{end['rows']:>9,} cutouts: {end['seconds']:7.1f} s, {end['images_per_second']:6.0f} images/s, "
      f"{1e6 * (processor.ru_utime + processor.ru_stime) / end['rows']:4.0f} µs of processor each, "
      f"resident {mean(steady[:fifth]):.0f} MiB at first, {mean(steady[-fifth:]):.0f} MiB at last, "
      f"peak {end['peak_memory_bytes'] / 2**20:.0f} MiB")
PYTHON
done
