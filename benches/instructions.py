#!/usr/bin/env python3
"""Counts the instructions of the kernels' inner loops, by multiply-add.

    benches/instructions.py [TARGET ...]

builds the kernels' tests for each target (this machine's and
aarch64-unknown-linux-gnu unless others are named; `.ci/aarch64` says what the
second needs) with names that tell the instruction set and the tile, takes them
apart with objdump, and prints of the two kernels that do nearly all of the
work, for each instruction set and format, what one turn of the inner loop of the
main tile holds: multiply-adds, instructions, and these by multiply-add; the share
of instructions that multiply; loads, and instructions that touch the stack (what
the registers did not hold).

A loop is what lies between a branch backwards and where it goes, with no other
such branch between; those that also divide, for an activation, are left out.
"""

import json
import os
import re
import subprocess
import sys

TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]

# Multiply-adds of an instruction: f32 lanes of its first operand, twice as many
# where it multiplies pairs.
X86 = {"xmm": 4, "ymm": 8, "zmm": 16}


# Pixels and vectors of the tile that does most of a 1 x 1 convolution (`max_pixels`
# and `panel_widths` of the kernels); of the depthwise one it is the widest.
TILES = {"portable": "6, 4", "neon": "6, 4", "avx2": "6, 2", "avx512": "8, 3"}


def multiply_adds(name, operands):
    if name.startswith(("vfmadd", "vfmsub", "vfnmadd")) and name.endswith("ps"):
        return X86[re.search(r"%([xyz]mm)\d+$", operands).group(1)]
    if name.startswith("vdpbf16ps"):
        return 2 * X86[re.search(r"%([xyz]mm)\d+$", operands).group(1)]
    if name == "fmla":
        return 4
    if name == "bfdot":
        return 8
    return 0


def loaded(name, operands):
    """Whether it reads memory: of x86's, what names memory before its target."""
    arm = name.startswith(("ldr", "ldp", "ldur", "ld1", "ld2"))
    return arm or ("%" in operands and bool(re.search(r"\).*,[^)]*%[xyz]mm", operands)))


def build(target):
    """The test program of the kernels."""
    command = ["cargo", "test", "--release", "-p", "hiwl-kernels", "--no-run", "--target", target]
    command += ["--target-dir", "target/instructions", "--message-format", "json"]
    flags = {"RUSTFLAGS": "-C symbol-mangling-version=v0"}
    if target.startswith("aarch64"):
        flags["CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER"] = "aarch64-linux-gnu-gcc"
    run = subprocess.run(command, env=os.environ | flags, stdout=subprocess.PIPE, text=True, check=True)
    messages = map(json.loads, run.stdout.splitlines())
    return next(m["executable"] for m in messages if m.get("executable"))


def functions(target, program):
    """Names and lines, `(address, instruction, operands)`."""
    objdump = "aarch64-linux-gnu-objdump" if target.startswith("aarch64") else "objdump"
    command = [objdump, "--disassemble", "--no-show-raw-insn", "--demangle=rust", program]
    name, lines = None, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
                if lines:
                    yield name, lines
                name, lines = head.group(1), []
            elif part := re.match(r"\s*([0-9a-f]+):\s+(?:lock |rep |notrack )*(\S+)\s*(.*)", line):
                lines.append((int(part.group(1), 16), part.group(2), part.group(3)))
    if lines:
        yield name, lines


def loops(lines):
    """What lies between a branch backwards and where it goes, innermost."""
    places = {address: i for i, (address, _, _) in enumerate(lines)}
    found = []
    for i, (address, name, operands) in enumerate(lines):
        if re.match(r"j(?!mp$)|jmp$|b(\.\w+)?$|cbn?z|tbn?z", name):
            to = re.search(r"\b([0-9a-f]+)(?: <|$)", operands)
            start = places.get(int(to.group(1), 16)) if to else None
            if start is not None and start <= i and not any(start <= other for _, other in found):
                found.append((start, i))
    return [lines[start : end + 1] for start, end in found]


def what(name):
    """Kernel, instruction set and format of a function, or None."""
    sets = {"portable": "Portable as", "avx2": "avx2::run", "avx512": "avx512::run"}
    sets |= {"neon": r"neon::run|neon::Neon(::<\w+>)? as"}
    simd = next((s for s, token in sets.items() if re.search(token, name)), None)
    kernel = re.search(r"kernels::(pointwise::Tiles|depthwise::Depthwise)<", name)
    if simd is None or kernel is None:
        return None
    if "Tiles" in kernel.group(1) and f", {TILES[simd]}>" not in name:
        return None
    return kernel.group(1).split("::")[0], simd, "bf16" if "Bf16" in name else "f32"


def main():
    best = {}
    for target in sys.argv[1:] or TARGETS:
        for name, lines in functions(target, build(target)):
            key = what(name)
            if key is None:
                continue
            for loop in loops(lines):
                work = sum(multiply_adds(op, operands) for _, op, operands in loop)
                if work == 0 or any(re.match(r"vdiv|vrcp|frecp|fdiv", op) for _, op, _ in loop):
                    continue
                share = sum(bool(multiply_adds(op, operands)) for _, op, operands in loop) / len(loop)
                stack = sum(bool(re.search(r"%rsp|\bsp\b", o)) for _, _, o in loop)
                loads = sum(loaded(op, operands) for _, op, operands in loop)
                row = (work, -len(loop), share, loads, stack)
                if key not in best or row > best[key]:
                    best[key] = row
    print(f"{'kernel':12}{'set':10}{'format':8}{'multiply-adds':>14}{'instructions':>14}"
          f"{'each':>8}{'multiply':>10}{'loads':>7}{'stack':>7}")
    for (kernel, simd, half), (work, count, share, loads, stack) in sorted(best.items()):
        print(f"{kernel:12}{simd:10}{half:8}{work:14}{-count:14}{-count / work:8.3f}"
              f"{100 * share:8.0f} %{loads:7}{stack:7}")


if __name__ == "__main__":
    main()
