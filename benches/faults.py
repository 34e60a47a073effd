#!/usr/bin/env python3
"""Every call of a small run fails once, or is its last: nothing is lost.

    benches/faults.py calls target/release/hiwl [KIND ...]
    benches/faults.py kills target/release/hiwl [CALL ...]

`calls` counts the calls of a kind (open, read, write, fsync, rename, memory,
threads, ...) that a run over a folder and an archive makes, and lets each of them
fail in a run of its own (tests/util/failing_calls.c). The run must end with a
documented exit code, 134 where memory was refused; the same command must then
complete it, and its parts be those of an undisturbed run, byte for byte. Where a
file could not be read and has a row that says so, `verify --remove-rejected` is
given first.

`kills` does the same with SIGKILL at the n-th system call of a kind in whatever
thread comes to it first (strace's injection), for all n.

Of kinds with very many calls every k-th is taken. Prints a line a kind and ends
with 1 if anything was otherwise. Needs gcc and strace.
"""

import collections
import filecmp
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST = int(os.environ.get("HIWL_FAULTS_MOST", "150"))

EIO, ENOMEM, ENOSPC, EINTR = 5, 12, 28, 4
CALLS = {
    "open": EIO, "read": EIO, "pread": EIO, "write": ENOSPC, "pwrite": ENOSPC, "fsync": EIO,
    "rename": ENOSPC, "unlink": EIO, "mkdir": ENOSPC, "flock": EIO, "ftruncate": ENOSPC,
    "fstat": EIO, "readdir": EIO, "mmap": ENOMEM, "malloc": ENOMEM, "thread": ENOMEM,
}
KILLS = [
    "openat", "read", "pread64", "write", "pwrite64", "fsync", "rename", "unlink", "mkdir",
    "flock", "ftruncate", "statx", "getdents64", "lseek", "close", "mmap", "munmap", "clone3",
    "futex", "exit_group",
]
# As README.md has them; a process that a signal ended is 128 + n.
DOCUMENTED = {0, 1, 2, 64}


class Scene:
    def __init__(self, program):
        self.program = str(pathlib.Path(program).resolve())
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hiwl-faults-"))
        model = ROOT / "fixtures/models/untrained-nano.safetensors"
        self.environment = dict(os.environ, HIWL_MODEL=str(model))
        self.simulate("files", 7, "jpeg")
        self.simulate("archives", 8, "tar")
        self.inputs = [str(self.folder / "files"), *map(str, (self.folder / "archives").glob("*.tar"))]
        assert self.run("undisturbed").returncode == 0
        self.parts = sorted((self.folder / "undisturbed/catalog").iterdir())

    def simulate(self, name, count, form):
        subprocess.run(
            [self.program, "simulate", name, "--count", str(count), "--size", "240",
             "--format", form, "--quiet"], cwd=self.folder, check=True)

    def command(self, output):
        # Ranges of both inputs, and one of either.
        return [self.program, "classify", *self.inputs, "--output", output, "--range-size", "5",
                "--workers", "2", "--batch", "4", "--quiet"]

    def run(self, output, before=(), **variables):
        environment = self.environment | variables
        return subprocess.run(
            [*before, *self.command(output)], cwd=self.folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def tool(self, *arguments):
        return subprocess.run([self.program, *arguments], cwd=self.folder, env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def completes(self, output):
        """What is wrong after the same command without faults, if anything is."""
        try:
            return self.goes_on(output)
        finally:
            shutil.rmtree(self.folder / output, ignore_errors=True)

    def goes_on(self, output):
        again = self.run(output)
        if again.returncode == 1:
            self.tool("verify", output, "--remove-rejected", "missing,unreadable,truncated")
            again = self.run(output)
        if again.returncode != 0:
            return f"goes on with {again.returncode}: {again.stderr.decode()}"
        run = self.folder / output
        parts = sorted((run / "catalog").iterdir())
        if [part.name for part in parts] != [part.name for part in self.parts]:
            return f"has {[part.name for part in parts]}"
        if not all(filecmp.cmp(a, b, shallow=False) for a, b in zip(parts, self.parts)):
            return "has other parts"
        left = [path.name for path in run.iterdir() if path.name.startswith(".")]
        # A lock whose unlinking failed is empty, and of no harm.
        left = [name for name in left if (run / name).stat().st_size > 0]
        return f"leaves {left}" if left else None


def steps(count):
    """All of 1 .. count, or some that are spread over them."""
    if count <= MOST:
        return range(1, count + 1)
    return sorted({1 + place * (count - 1) // (MOST - 1) for place in range(MOST)})


def of_shell(code):
    return code if code >= 0 else 128 - code


def calls(scene, kinds):
    library = scene.folder / "failing_calls.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library,
                    ROOT / "tests/util/failing_calls.c", "-ldl"], check=True)
    bad = 0
    for kind in kinds:
        tally = scene.folder / "tally"
        tally.unlink(missing_ok=True)
        preload = dict(LD_PRELOAD=str(library), HIWL_FAIL_CALL=kind)
        scene.run("counted", **preload, HIWL_FAIL_FROM="1000000000", HIWL_FAIL_TALLY=str(tally))
        shutil.rmtree(scene.folder / "counted")
        count = max(int(line.split()[1]) for line in tally.read_text().splitlines())
        codes = collections.Counter()
        for number in steps(count):
            failed = scene.run("out", **preload, HIWL_FAIL_FROM=str(number), HIWL_FAIL_COUNT="1",
                               HIWL_FAIL_ERRNO=str(CALLS[kind]))
            code = of_shell(failed.returncode)
            codes[code] += 1
            allowed = DOCUMENTED | ({134} if kind in ("malloc", "mmap") else set())
            wrong = [] if code in allowed else [f"ends with {code}: {failed.stderr.decode()}"]
            wrong += filter(None, [scene.completes("out")])
            for words in wrong:
                bad += 1
                print(f"  {kind} {number}: {words}", flush=True)
        tried = sum(codes.values())
        ended = ", ".join(f"{code}: {times}" for code, times in sorted(codes.items()))
        print(f"{kind:10} {count:7} calls, {tried:4} failed in turn; exit codes {ended}", flush=True)
    return bad


def kills(scene, kinds):
    bad = total = 0
    for kind in kinds:
        number, killed, step = 0, 0, 1
        while True:
            number += step
            # With more the n-th of ever fewer threads is met: then in strides.
            step = 1 if number < MOST else max(1, number // 20)
            run = scene.run("out", before=[
                "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={kind}",
                "-e", f"inject={kind}:signal=SIGKILL:when={number}"])
            ended = run.returncode in (-9, 137)
            if not ended and run.returncode != 0:
                bad += 1
                print(f"  {kind} {number}: ends with {run.returncode}", flush=True)
            wrong = scene.completes("out")
            if wrong:
                bad += 1
                print(f"  {kind} {number}: {wrong}", flush=True)
            if not ended:
                break
            killed += 1
        total += killed
        print(f"{kind:12} {killed:4} kills", flush=True)
    print(f"{total} kills in all", flush=True)
    return bad


def main():
    what, program, *kinds = sys.argv[1:]
    scene = Scene(program)
    try:
        bad = calls(scene, kinds or CALLS) if what == "calls" else kills(scene, kinds or KILLS)
    finally:
        shutil.rmtree(scene.folder)
    print(f"{bad} of them otherwise than they should")
    sys.exit(bad > 0)


main()
