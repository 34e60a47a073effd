#!/usr/bin/env python3
"""The table of what benches/gpu.sh measured, from the files that it wrote, as far
as it came: gpu_table.py FOLDER.

With --batches, the batches at which PyTorch is to be measured beside ours: that
of our highest rate first.
"""

import json
import os
import sys


def read(folder):
    results = []
    with open(os.path.join(folder, "results.jsonl")) as lines:
        for line in lines:
            # What is cut off in the middle of a line is no result.
            try:
                results.append(json.loads(line))
            except ValueError:
                continue
    return [result for result in results if isinstance(result, dict)]


def text(folder, name):
    with open(os.path.join(folder, name)) as file:
        return file.read().strip()


def rates(results):
    return [
        dict(r, engine=r.get("engine", f"hiwl {r.get('precision', 'Bf16')}"))
        for r in results
        if r.get("what") in ("forward", "train") and "images_per_s" in r
    ]


def compare(rates, what):
    """Ratios to PyTorch's best at equal batches; its compiler's, or none."""
    ours = {r["batch"]: r for r in rates if r["what"] == what and r["engine"] == "hiwl Bf16"}
    torch = [r for r in rates if r["what"] == what and r["engine"].startswith("torch")]
    for batch in sorted(ours):
        peers = [r for r in torch if r["batch"] == batch]
        if not peers:
            continue
        peer = max(peers, key=lambda r: r["images_per_s"])
        ratio = ours[batch]["images_per_s"] / peer["images_per_s"]
        if any("compile" in r["engine"] for r in peers):
            print(f"\n{what}, batch {batch}: hiwl / PyTorch's best ({peer['engine']}) = {ratio:.2f}")
        else:
            print(f"\n{what}, batch {batch}: PyTorch was measured eager only, so no ratio")


def kernels(results):
    by_batch = {}
    for r in results:
        if r.get("what") == "kernel":
            by_batch.setdefault(r["of"], {}).setdefault(r["batch"], []).append(r)
    for of, batches in by_batch.items():
        batch, found = max(batches.items())
        sums = {}
        for r in found:
            launches, us = sums.get(r["kernel"], (0, 0))
            sums[r["kernel"]] = (launches + r["launches"], us + r["us"])
        all = sum(us for _, us in sums.values()) or 1
        print(f"\n| {of}, batch {batch} | launches | µs | of all |\n| --- | --- | --- | --- |")
        for kernel, (launches, us) in sorted(sums.items(), key=lambda k: -k[1][1])[:14]:
            print(f"| {kernel} | {launches} | {us} | {us / all:.0%} |")
        print(f"\n| {of}: slowest layers | grid | launches | µs each |\n| --- | --- | --- | --- |")
        for r in sorted(found, key=lambda r: -r["us"])[:12]:
            grid = " × ".join(map(str, r["grid"]))
            print(f"| {r['kernel']} | {grid} | {r['launches']} | {r['us'] / r['launches']:.0f} |")


def table(folder):
    results = read(folder)
    print(f"\n{text(folder, 'device')}\n")
    print("| step | outcome | s |\n| --- | --- | --- |")
    for line in text(folder, "steps").splitlines():
        print("| " + " | ".join(line.split("|")) + " |")
    found = rates(results)
    print("\n| what | engine | batch | images/s (lowest–highest) |\n| --- | --- | --- | --- |")
    for r in found:
        spread = f" ({r['lowest']}–{r['highest']})" if "lowest" in r else ""
        wrong = "" if r.get("finite", True) else ", NOT FINITE"
        print(f"| {r['what']} | {r['engine']} | {r['batch']} | {r['images_per_s']}{spread}{wrong} |")
    for r in results:
        if "error" in r:
            where = f"{r.get('engine', 'hiwl')}, batch {r.get('batch')}"
            print(f"\n{where}: {' '.join(r['error'].split())}")
    for what in ("forward", "train"):
        compare(found, what)
    for r in results:
        if r.get("event") == "end":
            print(f"\nend to end: {r['images_per_second']:.0f} images/s, {r['rows']} rows")
            for stage in r["stages"]:
                print("   ", json.dumps(stage))
        if r.get("what") == "labels":
            print(f"\nlabels equal on CPU (f32) and GPU (bf16): {r['equal']:.4%} of {r['rows']}")
    kernels(results)


def batches(folder):
    ours = [r for r in rates(read(folder)) if r["what"] == "forward"]
    best = max(ours, key=lambda r: r["images_per_s"], default=dict(batch=256))["batch"]
    print(*dict.fromkeys([best, 256]))


if __name__ == "__main__":
    if sys.argv[2:] == ["--batches"]:
        batches(sys.argv[1])
    else:
        table(sys.argv[1])
