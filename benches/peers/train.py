#!/usr/bin/env python3
"""Trains EfficientNet-B1 for a few steps in this project and in PyTorch
(channels_last, the same batch and threads), in f32 and in bfloat16 (PyTorch's
by autocast), in turns, and prints how fast each is and the ratio.

    benches/peers/train.py [--rounds 5] [--steps 3] [--batch 24]

Makes a virtual environment with pinned PyTorch under target/ (6 GB) and builds
the benchmark. Each turn is a fresh process that warms up with a step of its
own; the ratio is taken within rounds, since other users of the machine slow
both.
"""

import argparse
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "benches/peers"
VENV = ROOT / "target/train-peers-venv"
LINE = re.compile(r"(\w+) (\d+) px, batch \d+: ([\d.]+) images/s \(median\)")


def interpreter():
    """The virtual environment's Python, with PyTorch in it."""
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    requirements = HERE / "requirements-train.txt"
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", requirements], check=True)
    return python


def rates(command):
    """Images a second by precision and size, as the command prints them."""
    output = subprocess.run(command, check=True, cwd=ROOT, text=True, capture_output=True).stdout
    return {(name, int(size)): float(rate) for name, size, rate in LINE.findall(output)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=24)
    options = parser.parse_args()
    numbers = [str(options.batch), str(options.steps)]
    ours = ["cargo", "bench", "--quiet", "--bench", "train", "--profile", "release", "--"]
    theirs = [interpreter(), HERE / "torch_steps.py"]
    subprocess.run([*ours[:5], "--profile", "release", "--no-run"], check=True, cwd=ROOT)

    rounds = []
    for i in range(options.rounds):
        sides = ({}, {})
        for precision in ("f32", "bf16"):
            for side, command in zip(sides, (ours, theirs)):
                side.update(rates([*command, precision, *numbers]))
        rounds.append(sides)
        print(f"round {i + 1}: hiwl {rounds[-1][0]}, PyTorch {rounds[-1][1]}", file=sys.stderr)
    print(f"{platform.processor() or platform.machine()}, batch {options.batch}, 2 threads")
    for size in rounds[0][0]:
        ratios = sorted(ours[size] / theirs[size] for ours, theirs in rounds)
        median = [statistics.median(side[size] for side in sides) for sides in zip(*rounds)]
        print(
            f"{size[0]} {size[1]} px: hiwl {median[0]:.1f} images/s, PyTorch {median[1]:.1f}, "
            f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
