#!/usr/bin/env bash
# Does keeping vectors cost anything? `hiwl classify` and `hiwl embed` in turns over the
# same archive, all features and 64 components.
#
#   benches/embed.sh HIWL ARCHIVE [ROUNDS]        (default 5 rounds)
#
# A line a run: cutouts a second on the clock, seconds of the processor; then medians, and
# what of classify's throughput embed has, round by round.
set -euo pipefail
hiwl=$1 archive=$2 rounds=${3:-5}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 - "$hiwl" "$archive" "$rounds" "$folder" <<'PYTHON'
import json, os, shutil, statistics, subprocess, sys, time

hiwl, archive, rounds, folder = sys.argv[1:]
kinds = {
    "classify": ["classify"],
    "embed": ["embed"],
    "embed --components 64": ["embed", "--components", "64"],
}
told = {kind: [] for kind in kinds}
for turn in range(int(rounds)):
    # Whoever goes first in one round goes last in the next.
    for kind, arguments in list(kinds.items())[:: 1 if turn % 2 == 0 else -1]:
        run = f"{folder}/run"
        shutil.rmtree(run, ignore_errors=True)
        start = time.time()
        process = subprocess.Popen(
            [hiwl, *arguments, archive, "--output", run, "--precision", "f32", "--quiet"],
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.time() - start
        assert status == 0, kind
        rows = json.load(open(f"{run}/run.json"))["listing"]["rows"]
        told[kind].append(rows / seconds)
        print(f"{kind:22} {rows / seconds:7.1f} cutouts/s, processor {used.ru_utime + used.ru_stime:6.2f} s", flush=True)
for kind, speeds in told.items():
    parts = [own / plain for own, plain in zip(speeds, told["classify"])]
    print(
        f"median {kind:22} {statistics.median(speeds):7.1f} cutouts/s, "
        f"{100 * statistics.median(parts):.1f} % of classify's "
        f"({', '.join(f'{100 * part:.1f}' for part in parts)})"
    )
PYTHON
