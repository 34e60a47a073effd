"""The program `hiwl` and the model that come with this package, and runs by it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from importlib.metadata import files
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

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

    It says what the program says, on `sys.stderr`; with `progress` a bar of tqdm's shows
    how far it is instead, as it does in notebooks where tqdm is installed.

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
        code, said = _watched(command + ["--json"], new_bar)
    else:
        code, said = _told(command + (["--quiet"] if quiet else []), quiet)
    last = said[-1] if said else "it said nothing"
    if code == 1:
        warnings.warn(last, HiwlWarning, stacklevel=2)
    elif code != 0:
        raise RunError(f"hiwl ended with {code}: {last}", code)
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


def _told(command: List[str], quiet: bool) -> Tuple[int, List[str]]:
    """Runs the program and shows what it says; its exit code and its lines."""
    said: List[str] = []
    # Line by line and through Python's stream, so that a notebook shows it.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        try:
            for line in process.stderr or ():
                said.append(line.rstrip("\n"))
                if not quiet:
                    print(line, end="", file=sys.stderr)
            return process.wait(), said
        except BaseException:
            # The program stops in order on the signal, and keeps what it has done.
            process.terminate()
            raise


def _watched(command: List[str], new_bar: Callable[[int], Any]) -> Tuple[int, List[str]]:
    """The same, with its events as a bar. What it says of errors comes at the end: a few
    lines, which fit into a pipe that nobody reads meanwhile."""
    said: List[str] = []
    bar: Any = None
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    with process:
        try:
            for line in process.stdout or ():
                event = json.loads(line)
                kind = event.get("event")
                if kind == "start":
                    bar = new_bar(event["rows"])
                elif kind == "progress" and bar is not None:
                    bar.update(event["rows"] - bar.n)
                elif kind == "note":
                    print(event["text"], file=sys.stderr)
                elif kind == "end":
                    if bar is not None:
                        bar.update(event["rows"] - bar.n)
                    rejected = [f"{count} {why}" for why, count in event["rejected"].items()]
                    if rejected:
                        said.append(f"rows that were rejected: {', '.join(rejected)}")
                    said.extend(event["problems"])
            said.extend((process.stderr.read() if process.stderr else "").splitlines())
            return process.wait(), said
        except BaseException:
            # The program stops in order on the signal, and keeps what it has done.
            process.terminate()
            raise
        finally:
            if bar is not None:
                bar.close()
