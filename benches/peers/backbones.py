#!/usr/bin/env python3
"""Runs backbones by the candle engine, by the fused one (EfficientNets) and by PyTorch
(channels_last), inference and training, in turns, and prints how fast each is.

    benches/peers/backbones.py [--rounds 3] [--seconds 8] [--batch 8] [NAME[:SIZE]...]

Makes a virtual environment with pinned PyTorch under target/ (6 GB) and builds the
bench. Each turn is a fresh process on two threads that warms up with a batch of its
own; ratios are taken within rounds, since other users of the machine slow all. bf16 is
left out where the processor does not multiply it.
"""

import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path

from train import HERE, ROOT, interpreter

NAMES = ["efficientnet-b1:240", "resnet34:240", "resnet50:240", "googlenet:240", "vit-b16:240"]
LINE = re.compile(r"^(forward|step) ([\d.]+) images/s", re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    half = "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    python = interpreter()
    bench = ["cargo", "bench", "--quiet", "--bench", "candle", "--profile", "release"]
    subprocess.run([*bench, "--no-run"], check=True, cwd=ROOT)

    print("| backbone | engine | forward, images/s | / PyTorch | step, images/s | / PyTorch |")
    print("|" + " --- |" * 6)
    for name in options.names:
        name, _, size = name.partition(":")
        numbers = [size or "240", str(options.batch), str(options.seconds)]
        ours = ["candle"]
        if name.startswith("efficientnet"):
            ours += ["fused", "fused-bf16"] if half else ["fused"]
        commands = {engine: [*bench, "--", name, engine, *numbers] for engine in ours}
        for precision in ("f32", "bf16") if half and len(ours) > 1 else ("f32",):
            script = HERE / "torch_backbones.py"
            commands[f"PyTorch {precision}"] = [python, script, name, precision, *numbers]
        rounds = []
        for place in range(options.rounds):
            found = {}
            for engine, command in commands.items():
                run = subprocess.run(command, check=True, cwd=ROOT, text=True, capture_output=True)
                found[engine] = {what: float(rate) for what, rate in LINE.findall(run.stdout)}
            rounds.append(found)
            print(f"{name}, round {place + 1}: {found}", file=sys.stderr)
        for engine in commands:
            cells = []
            for what in ("forward", "step"):
                rate = statistics.median(found[engine][what] for found in rounds)
                ratio = statistics.median(
                    found[engine][what] / found["PyTorch f32"][what] for found in rounds
                )
                cells += [f"{rate:.2f}", f"{ratio:.2f}"]
            print(f"| {name}, {numbers[0]} px | {engine} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
