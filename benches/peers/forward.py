#!/usr/bin/env python3
"""Classifies the same images with the same weights in this project and in the
engines that a user would pick instead, in turns, and prints how fast each is
and the ratios.

    benches/peers/forward.py [--rounds 7] [--seconds 2] [--threads 2]
                             [--batches 1 8 32] [--model FILE] [--isa avx2|avx2_vnni]

Makes a virtual environment with pinned engines under target/ (400 MB), builds
the benchmark, makes an untrained EfficientNet-B1 unless given a model file,
and exports its first network to ONNX (`export.py`). Every engine is a process
that waits for its turns (`engine.rs`, `peer.py`), so that in a round all of
them meet the same state of the machine. Ratios are taken within rounds.

Refuses to compare engines whose logits differ. The images and, for the peers,
their normalised f32 arrays are prepared beforehand and shared; this project
normalises bytes itself, within its time.

`--isa avx2` measures what a processor without AVX-512 would do, on one that has
it, in f32: this project with its AVX2 kernels, OpenVINO held to AVX2 by oneDNN's
own switch (ONEDNN_MAX_CPU_ISA; which kernels its graph took is looked at, and a
product of AVX-512 ends the program; other layers that take it are named). ONNX
Runtime has no such switch and takes AVX-512: it is measured and marked, and no
ratio is taken to it. `--isa avx2_vnni` is the same with
products of bytes, as laptops of 2022 and after have them.

Peers in int8 run the graph as ONNX Runtime's own tools quantise it (`quantise`): calibrated
with the very images that are classified, which is the kindest that can be done for their
logits. That these differ is told, not judged: see `benches/int8.py`.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "benches/peers"
VENV = ROOT / "target/peers-venv"
FOLDER = ROOT / "target/peers"
IMAGES = 32
# Of the greatest logit. bf16 has a mantissa of 8 bits.
TOLERANCE = {"f32": 1e-4, "bf16": 2e-2, "int8": 6e-2}
PRECISIONS = list(TOLERANCE)


@dataclass
class Engine:
    name: str
    precision: str
    # Whether it has one request in flight, as one who waits for each answer.
    alone: bool
    # What `peer.py` calls it; this project where empty.
    peer: str = ""
    about: str = ""
    # Whether it keeps to the instruction set that is asked for.
    held: bool = True
    process: subprocess.Popen = None
    logits: object = None
    # Images a second, by batch, a value a round.
    rates: dict = field(default_factory=dict)

    def start(self, ours, threads, batches, isa):
        """Whether it can run here."""
        name = self.peer or ("hiwl" if self.alone else "hiwl-callers")
        logits = FOLDER / f"logits-{name}-{self.precision}.f32"
        if self.peer:
            command = [sys.executable, HERE / "peer.py", self.peer]
            graph = "model-int8.onnx" if self.precision == "int8" else "model.onnx"
            command += [FOLDER / graph, FOLDER / "images.npy", logits, threads]
        else:
            program, peer, model = ours
            callers = 1 if self.alone else threads
            backend = isa.partition("_")[0] if isa else "best"
            command = [program, peer, self.precision, backend, callers, model]
            command += [FOLDER / "images.u8", logits]
        self.process = subprocess.Popen(
            [str(part) for part in [*command, *batches]],
            env={**os.environ, "RAYON_NUM_THREADS": str(threads)}
            | ({"ONEDNN_MAX_CPU_ISA": isa.upper()} if isa else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        state, _, self.about = self.answer().partition(" ")
        if state == "absent":
            print(f"{self.name} {self.precision}: left out: {self.about}", file=sys.stderr)
            return False
        import numpy

        self.logits = numpy.fromfile(logits, "<f4").reshape(len(batches), IMAGES, -1)
        return True

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} {self.precision} ended early")
        return line.strip()

    def turn(self, batch, seconds):
        print(batch, seconds, file=self.process.stdin, flush=True)
        done, took = self.answer().split()
        self.rates.setdefault(batch, []).append(int(done) / float(took))


def engines(isa):
    every = [
        Engine("hiwl", "f32", True),
        Engine("hiwl, a caller a thread", "f32", False),
        Engine("hiwl", "bf16", True),
        Engine("hiwl, a caller a thread", "bf16", False),
        Engine("hiwl", "int8", True),
        Engine("hiwl, a caller a thread", "int8", False),
        Engine("ONNX Runtime", "f32", True, "onnxruntime"),
        Engine("ONNX Runtime, a caller a thread", "f32", False, "onnxruntime-callers"),
        Engine("OpenVINO, latency hint", "f32", True, "openvino-latency"),
        Engine("OpenVINO, throughput hint", "f32", False, "openvino-throughput"),
        Engine("OpenVINO, latency hint", "bf16", True, "openvino-latency-bf16"),
        Engine("OpenVINO, throughput hint", "bf16", False, "openvino-throughput-bf16"),
        Engine("ONNX Runtime", "int8", True, "onnxruntime"),
        Engine("ONNX Runtime, a caller a thread", "int8", False, "onnxruntime-callers"),
        Engine("OpenVINO, latency hint", "int8", True, "openvino-latency"),
        Engine("OpenVINO, throughput hint", "int8", False, "openvino-throughput"),
    ]
    if isa:
        there = ["f32", "int8"] if isa.endswith("vnni") else ["f32"]
        every = [engine for engine in every if engine.precision in there]
        for engine in every:
            engine.held = not engine.peer.startswith("onnxruntime")
            engine.name += f", {isa}" if engine.held else ", with AVX-512"
    return every


def environment():
    """Goes on in the virtual environment, which it makes where it is missing
    or was made of other versions."""
    if Path(sys.prefix) == VENV:
        return
    python, stamp = VENV / "bin/python", VENV / "installed.txt"
    requirements = HERE / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", requirements], check=True)
        stamp.write_text(requirements.read_text())
    os.execv(python, [str(python), *sys.argv])


def build():
    """Builds; the paths of the benchmark and of the program."""
    command = ["cargo", "build", "--release", "--locked", "--bench", "forward", "--bin", "hiwl"]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    paths = {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}
    return paths["forward"], paths["hiwl"]


def prepare(model):
    """Exports the model, and renders images: noise and a bright ellipse."""
    import numpy as np

    import export

    export.export(model, FOLDER / "model.onnx")
    about = export.description(model)["input"]
    size = about["size"]
    random = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    images = []
    for _ in range(IMAGES):
        angle, ratio, radius = random.uniform([0, 0.2, 4], [np.pi, 1, size / 10])
        major = x * np.cos(angle) + y * np.sin(angle)
        minor = (y * np.cos(angle) - x * np.sin(angle)) / ratio
        profile = np.exp(-np.hypot(major, minor) / radius)[..., None]
        image = profile * random.uniform(0.3, 1.0, 3) + random.normal(0.04, 0.02, (size, size, 3))
        images.append((image.clip(0, 1) * 255).round().astype(np.uint8))
    images = np.stack(images)
    images.tofile(FOLDER / "images.u8")
    normalised = (images / 255 - about["mean"]) / about["std"]
    normalised = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2).astype(np.float32))
    np.save(FOLDER / "images.npy", normalised)
    quantise(normalised)
    return size


def quantise(images):
    """The graph in int8: bytes by layer for what is multiplied, by output for weights,
    ranges from the images."""
    from onnxruntime import quantization as q

    class Images(q.CalibrationDataReader):
        def __init__(self):
            self.batches = iter({"images": images[i : i + 8]} for i in range(0, IMAGES, 8))

        def get_next(self):
            return next(self.batches, None)

    inferred = FOLDER / "model-inferred.onnx"
    q.shape_inference.quant_pre_process(FOLDER / "model.onnx", inferred, skip_symbolic_shape=True)
    q.quantize_static(
        inferred,
        FOLDER / "model-int8.onnx",
        Images(),
        quant_format=q.QuantFormat.QDQ,
        per_channel=True,
        activation_type=q.QuantType.QUInt8,
        weight_type=q.QuantType.QInt8,
    )


def check(running):
    """The greatest difference of each engine's logits, in any batch, from
    those of the first peer, relative to the greatest logit; ends the program
    where one in f32 is too great."""
    import numpy as np

    reference = next(e for e in running if e.peer).logits[0]
    scale = np.abs(reference).max()
    # Networks that answer all images alike would agree whatever they computed.
    spread = np.ptp(reference, axis=0).max() / scale
    if not spread > 100 * TOLERANCE["f32"]:
        sys.exit(f"the logits of the images differ by {spread:.1e} only: no test of the engines")
    differences = [float(np.abs(e.logits - reference).max() / scale) for e in running]
    for engine, difference in zip(running, differences):
        if not difference <= TOLERANCE[engine.precision]:
            message = f"{engine.name} {engine.precision}: logits differ by {difference:.1e}"
            if engine.precision == "f32":
                sys.exit(f"{message}: no comparison")
            print(message, file=sys.stderr)
    return differences


def processor_time(processes):
    """Clock ticks since the start: all processors', those they were busy, and
    those of the given processes. `None` where there is no /proc."""
    try:
        ticks = [int(t) for t in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        own = 0
        for process in processes:
            # The name, in parentheses, may hold anything.
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            own += int(fields[11]) + int(fields[12])
    except OSError:
        return None
    return sum(ticks), sum(ticks) - ticks[3] - ticks[4], own


def machine():
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        about = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        wanted = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd")
        flags = about.get("flags", about.get("Features", "")).split()
        flags = " ".join(flag for flag in wanted if flag in flags)
        family = f"family {about.get('cpu family')}, model {about.get('model')}"
        name = f"{about.get('model name', platform.machine())} ({family}), {flags}"
    except OSError:
        name = platform.processor() or platform.machine()
    return f"{name}; {os.cpu_count()} CPUs, {platform.system()}"


def commit():
    def git(*arguments):
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return run.stdout.strip()

    changed = ", with changes" if git("status", "--porcelain") else ""
    return f"commit {git('rev-parse', '--short', 'HEAD') or 'unknown'}{changed}"


def ratio(ours, peers, batch):
    """That of ours with the best median to the peer with the best median, round by
    round: the cell of a table."""
    ours, peer = (max(of, key=lambda e: statistics.median(e.rates[batch])) for of in (ours, peers))
    ratios = [a / b for a, b in zip(ours.rates[batch], peer.rates[batch])]
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"


def summary(running):
    """The latest round, for who waits: ratios of our best to the best peer of the round
    in the same precision, by batch."""
    parts = []
    for precision in PRECISIONS:
        these = [e for e in running if e.precision == precision and e.held]
        ours, peers = ([e for e in these if not e.peer], [e for e in these if e.peer])
        if ours and peers:
            best = lambda engines, batch: max(e.rates[batch][-1] for e in engines)
            ratios = (f"{best(ours, b) / best(peers, b):.2f} (batch {b})" for b in peers[0].rates)
            parts.append(f"{precision} " + ", ".join(ratios))
    return "; ".join(parts)


def report(running, differences, batches):
    print("\n| images/s: median (least–most) | logits differ |", end="")
    print(*(f" batch {batch} |" for batch in batches), sep="")
    print("| --- " * (2 + len(batches)) + "|")
    for engine, difference in zip(running, differences):
        cells = [f"{engine.name}, {engine.precision}", f"{difference:.0e}"]
        for rates in engine.rates.values():
            cells.append(f"{statistics.median(rates):.1f} ({min(rates):.1f}–{max(rates):.1f})")
        print("|", " | ".join(cells), "|")
    # Like to like: whatever serves best of both, and one request at a time of both.
    alone = [engine for engine in running if engine.alone]
    for own in PRECISIONS:
        for precision in dict.fromkeys([own, "f32"]):
            for engines, what in ((running, ""), (alone, ", one request at a time")):
                ours = [e for e in engines if not e.peer and e.precision == own]
                peers = [e for e in engines if e.peer and e.held and e.precision == precision]
                if ours and peers:
                    cells = [ratio(ours, peers, batch) for batch in batches]
                    name = f"hiwl {own} / best {precision} peer{what}"
                    print("|", " | ".join([name, "", *cells]), "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2, help="of a turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    isa = ["avx2", "avx2_vnni"]
    parser.add_argument("--isa", choices=isa, help="no wider instructions than these")
    parser.add_argument("--model", type=Path, help="a model file (default: B1 from seed 1)")
    arguments = parser.parse_args()
    if any(IMAGES % batch for batch in arguments.batches):
        parser.error(f"batches must divide {IMAGES}")
    environment()

    forward, hiwl = build()
    FOLDER.mkdir(exist_ok=True)
    model = arguments.model
    if model is None:
        model = FOLDER / "model.safetensors"
        make = [hiwl, "model", "new", "--architecture", "efficientnet-b1", "--seed", "1"]
        subprocess.run([*make, "--output", model], check=True, stdout=subprocess.DEVNULL)
    size = prepare(model)

    ours = [forward, "--peer", model]
    limits = (arguments.threads, arguments.batches, arguments.isa)
    running = [e for e in engines(arguments.isa) if e.start(ours, *limits)]
    differences = check(running)
    processes = [engine.process for engine in running]
    before = processor_time(processes)
    for turn in range(arguments.rounds):
        first = turn % len(running)
        for batch in arguments.batches:
            for engine in running[first:] + running[:first]:
                engine.turn(batch, arguments.seconds)
        print(f"round {turn + 1} of {arguments.rounds}:", summary(running), file=sys.stderr)
    after = processor_time(processes)

    now = datetime.datetime.now(datetime.timezone.utc)
    print(f"{model.name}, {size} × {size}; threads: {arguments.threads};", end=" ")
    print(f"{arguments.rounds} rounds, turns of {arguments.seconds:g} s;", end=" ")
    print(f"{now:%Y-%m-%d %H:%M} UTC; {commit()}")
    print(machine())
    for about in dict.fromkeys(engine.about for engine in running):
        print(about)
    if before and after:
        total, busy, own = (b - a for a, b in zip(before, after))
        print(f"processor time taken by others: {100 * (busy - own) / total:.0f} %")
    report(running, differences, arguments.batches)
    for process in processes:
        process.stdin.close()
        process.wait()


main()
