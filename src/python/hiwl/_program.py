"""The program `hiwl` and the model that come with this package, and runs by it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import warnings
from importlib.metadata import files
from pathlib import Path
from typing import (
    IO,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from ._errors import HiwlError, HiwlWarning, RunError

_Path = Union[str, "os.PathLike[str]"]


def _installed(name: str) -> Optional[Path]:
    """A file that was installed with this package outside of it."""
    for file in files("hiwl") or []:
        if file.name == name:
            path = Path(str(file.locate())).resolve()
            if path.is_file():
                return path
    return None


def program_path() -> Path:
    """The program, as installed with this package, or the first on the PATH."""
    found = _installed("hiwl") or _installed("hiwl.exe") or shutil.which("hiwl")
    if found is None:
        raise HiwlError("the program hiwl did not come with this package and is not on the PATH")
    return Path(found)


def model_path() -> Path:
    """The model file that comes with this package (Galaxy Zoo 2's five shapes)."""
    found = _installed("hiwl-b1.safetensors")
    if found is None:
        raise HiwlError("this package came without a model: name a model file")
    return found


def _flags(options: Dict[str, Any]) -> List[str]:
    """Keywords as the program's flags: `pixel_scale=0.4` is `--pixel-scale=0.4`."""
    flags = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            flags.append(flag)
        elif isinstance(value, (list, tuple)):
            flags.append(f"{flag}={','.join(map(str, value))}")
        else:
            flags.append(f"{flag}={value}")
    return flags


def run(
    inputs: Union[_Path, Iterable[_Path]],
    output: _Path,
    *,
    model: Optional[_Path] = None,
    quiet: bool = False,
    progress: Optional[bool] = None,
    **flags: Union[str, int, float, bool, Sequence[str], None],
) -> Path:
    """Classifies folders, images, archives and tables into the folder `output`.

    This is `hiwl classify` (`hiwl classify --help` has all flags), in a process of its
    own: what kills it leaves the interpreter alone, and the same call goes on where it
    was. Flags are keywords: `carry=["z"]`, `profile="legacy-grz"`, `shard="0/4"`.

    All that the program says goes to `sys.stderr`, unless it is to be `quiet`; with
    `progress` a bar of tqdm's shows how far it is, with the program's notes above it, as it
    does in notebooks where tqdm is installed.

    Returns the folder, for `read_catalog`. Rows that were rejected are warned of, with
    the reasons in their columns `status` and `error`; a run that is not complete, or
    could not begin, raises `RunError`.
    """
    if isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    command = [str(program_path()), "classify", *[os.fspath(path) for path in inputs]]
    command += ["--output", os.fspath(output), "--model", os.fspath(model or model_path())]
    command += _flags(flags)
    new_bar = None if quiet else tqdm_bar(progress)
    if new_bar is not None:
        code, told = _watched(command + ["--json"], new_bar)
    else:
        code, told = _told(command + (["--quiet"] if quiet else []), quiet)
    if code == 1:
        warnings.warn(told, HiwlWarning, stacklevel=2)
    elif code != 0:
        raise RunError(f"hiwl ended with {code}: {told}", code)
    return Path(output)


def in_notebook() -> bool:
    """Whether this runs in a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def tqdm_bar(wanted: Optional[bool]) -> Optional[Callable[[int], Any]]:
    """What makes a bar of tqdm's for so many images, where one is wanted (without a
    word, in notebooks) and tqdm is installed."""
    if wanted is False or (wanted is None and not in_notebook()):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return lambda total: tqdm(total=total, unit="image")


def _told(command: List[str], quiet: bool) -> Tuple[int, str]:
    """Runs the program and shows what it says; its exit code, and why it is not 0."""
    errors: List[str] = []
    with _started(command) as process:
        try:
            for on_stdout, line in _lines(process):
                if not on_stdout:
                    errors.append(line)
                if not quiet:
                    # Through Python's stream, so that a notebook shows it.
                    print(line, file=sys.stderr)
            code = process.wait()
        except BaseException:
            # The program stops in order on the signal, and keeps what it has done.
            process.terminate()
            raise
    if code == 1 and not quiet:
        return code, "some rows were rejected, or inputs could not be listed, as was said"
    return code, _last(errors)


def _watched(command: List[str], new_bar: Callable[[int], Any]) -> Tuple[int, str]:
    """The same, with its events as a bar; its notes are shown above it."""
    errors: List[str] = []
    why: List[str] = []
    bar: Any = None

    def show(text: str) -> None:
        if bar is None:
            print(text, file=sys.stderr)
        else:
            bar.write(text, file=sys.stderr)

    with _started(command) as process:
        try:
            for on_stdout, line in _lines(process):
                if not on_stdout:
                    errors.append(line)
                    show(line)
                    continue
                event = json.loads(line)
                kind = event.get("event")
                if kind == "start":
                    bar = new_bar(event["rows"])
                elif kind == "progress" and bar is not None:
                    bar.update(event["rows"] - bar.n)
                elif kind == "note":
                    show(event["text"])
                elif kind == "end":
                    if bar is not None:
                        bar.update(event["rows"] - bar.n)
                    why.extend(event["problems"])
                    rejected = [f"{count} {status}" for status, count in event["rejected"].items()]
                    if rejected:
                        why.append(f"rows that were rejected: {', '.join(rejected)}")
            code = process.wait()
        except BaseException:
            # The program stops in order on the signal, and keeps what it has done.
            process.terminate()
            raise
        finally:
            if bar is not None:
                bar.close()
    return code, why[-1] if code == 1 and why else _last(errors)


def _started(command: List[str]) -> "subprocess.Popen[str]":
    """The program, with pipes for all that it says."""
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    )


def _lines(process: "subprocess.Popen[str]") -> Iterator[Tuple[bool, str]]:
    """What a program says, line by line as it comes, and whether on standard output. Both
    pipes are read all the while: one that fills up would hold the program."""
    said: "queue.SimpleQueue[Optional[Tuple[bool, str]]]" = queue.SimpleQueue()

    def pump(stream: Optional[IO[str]], on_stdout: bool) -> None:
        try:
            for line in stream or ():
                said.put((on_stdout, line.rstrip("\n")))
        finally:
            said.put(None)

    for stream, on_stdout in ((process.stdout, True), (process.stderr, False)):
        threading.Thread(target=pump, args=(stream, on_stdout), daemon=True).start()
    ended = 0
    while ended < 2:
        one = said.get()
        if one is None:
            ended += 1
        else:
            yield one


def _last(errors: List[str]) -> str:
    """The last message on standard error, with the lines that are set in below it."""
    begins = [place for place, line in enumerate(errors) if line.startswith("hiwl: ")]
    return "\n".join(errors[begins[-1] if begins else -1 :]) or "it said nothing"
