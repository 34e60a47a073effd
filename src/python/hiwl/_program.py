"""The program `hiwl` and the model that come with this package, and runs by it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from importlib.metadata import files
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Union

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
    **flags: Union[str, int, float, bool, Sequence[str], None],
) -> Path:
    """Classifies folders, images, archives and tables into the folder `output`.

    This is `hiwl classify` (`hiwl classify --help` has all flags), in a process of its
    own: what kills it leaves the interpreter alone, and the same call goes on where it
    was. Flags are keywords: `carry=["z"]`, `profile="legacy-grz"`, `shard="0/4"`.

    Returns the folder, for `read_catalog`. Rows that were rejected are warned of, with
    the reasons in their columns `status` and `error`; a run that is not complete, or
    could not begin, raises `RunError`.
    """
    if isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    command = [str(program_path()), "classify", *[os.fspath(path) for path in inputs]]
    command += ["--output", os.fspath(output), "--model", os.fspath(model or model_path())]
    command += _flags(flags) + (["--quiet"] if quiet else [])
    said: List[str] = []
    # Line by line and through Python's stream, so that a notebook shows it.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        try:
            for line in process.stderr or ():
                said.append(line.rstrip("\n"))
                if not quiet:
                    print(line, end="", file=sys.stderr)
            code = process.wait()
        except BaseException:
            # The program stops in order on the signal, and keeps what it has done.
            process.terminate()
            raise
    last = said[-1] if said else "it said nothing"
    if code == 1:
        warnings.warn(last, HiwlWarning, stacklevel=2)
    elif code != 0:
        raise RunError(f"hiwl ended with {code}: {last}", code)
    return Path(output)
