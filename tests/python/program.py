"""How the Python module runs the program, with a program of this test's own and without a
wheel: what it says is seen, however much it is, and what was asked of bars is done.

    python3 tests/python/program.py

Of the package only what needs nothing else is loaded: the names of numpy, pyarrow and of
the compiled module stand for themselves.
"""

import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import types
import warnings

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "src/python/hiwl"

#: Writes what it is told to, and waits for whoever reads it.
PROGRAM = """#!/usr/bin/env python3
import json, os, sys
open(os.environ["ASKED"], "w").write(json.dumps(sys.argv[1:]))
for name, text in json.loads(open(os.environ["SAYS"]).read()):
    stream = {"out": sys.stdout, "err": sys.stderr}[name]
    print(text, file=stream, flush=True)
sys.exit(int(os.environ["CODE"]))
"""


class Bar:
    """tqdm's, as far as it is used."""

    made: list = []

    def __init__(self, total: int, unit: str):
        self.total, self.n, self.closed = total, 0, False
        Bar.made.append(self)

    def update(self, more: int) -> None:
        self.n += more

    def close(self) -> None:
        self.closed = True

    @staticmethod
    def write(text: str, file: io.TextIOBase) -> None:
        print(text, file=file)


def stand_in(name: str, **values: object) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(values)
    sys.modules[name] = module
    return module


def main() -> None:
    stand_in("hiwl", __path__=[str(PACKAGE)])
    numpy, pyarrow = stand_in("numpy", ndarray=object), stand_in("pyarrow", Table=object)
    pyarrow.dataset = stand_in("pyarrow.dataset")
    pyarrow.compute = stand_in("pyarrow.compute")
    stand_in("hiwl._hiwl")
    stand_in("tqdm", auto=stand_in("tqdm.auto", tqdm=Bar))
    from hiwl import _model, _program
    from hiwl._errors import HiwlWarning, RunError

    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        (here / "hiwl").write_text(PROGRAM)
        (here / "hiwl").chmod(0o755)
        os.environ.update(SAYS=str(here / "says"), ASKED=str(here / "asked"))
        _program.program_path = lambda: here / "hiwl"
        _program.model_path = lambda: here / "model"

        def ran(code: int, says: list, **flags: object) -> tuple:
            """What is seen on standard error, the warnings, the flags, and the error."""
            os.environ["CODE"] = str(code)
            (here / "says").write_text(json.dumps(says))
            Bar.made.clear()
            seen, error = io.StringIO(), None
            with contextlib.redirect_stderr(seen), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    _program.run("in", "out", **flags)
                except RunError as found:
                    error = found
            assert all(one.category is HiwlWarning for one in caught), caught
            asked = json.loads((here / "asked").read_text())
            assert asked[:2] == ["classify", "in"], asked
            return seen.getvalue(), [str(one.message) for one in caught], asked, error

        def event(kind: str, **values: object) -> list:
            return ["out", json.dumps({"event": kind, **values})]

        # More than a pipe holds, before the first event and between two: with nobody to
        # read it the program would stand still for ever.
        many = [["err", "hiwl: limited " + "x" * 1000] for _ in range(300)]
        end = event("end", rows=5, rejected={}, problems=[])
        says = [*many, event("start", rows=5), event("note", text="passed over: labels.csv"),
                event("progress", rows=2), *many, end]
        seen, warned, asked, error = ran(0, says, progress=True)
        assert seen.count("hiwl: limited") == 600 and "passed over: labels.csv\n" in seen
        assert (warned, error) == ([], None) and "--json" in asked and "--quiet" not in asked
        (bar,) = Bar.made
        assert (bar.total, bar.n, bar.closed) == (5, 5, True)

        # What makes the code another than 0 is told: rejections in a warning, errors whole.
        end = event("end", rows=5, rejected={"too_small": 2}, problems=["gone.tar: missing"])
        says = [event("start", rows=5), end, ["err", "hiwl: a word of it"]]
        seen, warned, _, _ = ran(1, says, progress=True)
        assert warned == ["rows that were rejected: 2 too_small"] and "a word of it" in seen
        says = [["err", "hiwl: before"], ["err", "hiwl: out holds another run"], ["err", "  a: 1 → 2"]]
        for flags in ({"progress": True}, {"quiet": True}, {}):
            seen, _, _, error = ran(64, says, **flags)
            assert str(error) == "hiwl ended with 64: hiwl: out holds another run\n  a: 1 → 2", error
            assert error.code == 64 and ("another run" in seen) != ("quiet" in flags), seen

        # Without a bar all that it says is shown, and nothing where it is to be quiet.
        says = [["err", "hiwl: passed over"], ["out", "SPI 5"]]
        for flags, shown in (({}, True), ({"progress": False}, True), ({"quiet": True}, False)):
            seen, _, asked, _ = ran(0, says, **flags)
            assert ("passed over" in seen, "SPI 5" in seen) == (shown, shown), (flags, seen)
            assert ("--quiet" in asked) != shown and not Bar.made and "--json" not in asked
        _, warned, _, _ = ran(1, [["err", "hiwl: 3 of 5 · 9 images/s"]])
        assert len(warned) == 1 and "rejected" in warned[0] and "images/s" not in warned[0]
        _, warned, _, _ = ran(1, [["err", "hiwl: 2 of 5 rows were rejected"]], quiet=True)
        assert warned == ["hiwl: 2 of 5 rows were rejected"]

        # `classify`: a bar in a notebook unless it is not wanted, elsewhere if it is.
        asked_for = {}
        _model.run = lambda many, output, **flags: asked_for.update(flags)
        _model.read_catalog = lambda output: None
        for notebook, progress, quiet in [
            (False, None, True), (False, False, True), (False, True, False),
            (True, None, False), (True, False, True), (True, True, False),
        ]:
            _model.in_notebook = lambda: notebook
            _model.classify(folder, progress=progress)
            assert (asked_for["quiet"], asked_for["progress"]) == (quiet, progress), (
                notebook, progress, asked_for)
    print("the module runs the program")


if __name__ == "__main__":
    main()
