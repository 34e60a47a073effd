"""Runs `docs/notebook.ipynb` from its first cell to its last, in an environment that has
the wheel, and holds what it shows against what it says.

    python3 tests/python/notebook.py target/wheels/hiwl-*.whl
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/notebook.ipynb"
TOOLS = ["nbclient==0.11.0", "nbformat==5.11.1", "ipykernel==7.4.0",
         "matplotlib==3.11.2", "pandas==3.1.1", "pillow==13.0.0", "tqdm==4.70.1"]


def main() -> None:
    wheel = pathlib.Path(sys.argv[1]).resolve()
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    kept = [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert not kept, f"outputs of another day are in the notebook: {kept[0]['source']}"
    with tempfile.TemporaryDirectory(prefix="hiwl-notebook-") as folder:
        home = pathlib.Path(folder) / "venv"
        venv.create(home, with_pip=True)
        pip = [home / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, wheel, *TOOLS], check=True)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HIWL")}
        # matplotlib lists the machine's fonts when it is first used, and says so if that takes
        # long: here before the notebook, and with a list of its own.
        clean["MPLCONFIGDIR"] = str(pathlib.Path(folder) / "matplotlib")
        subprocess.run([home / "bin/python", "-c", "import matplotlib.font_manager"], check=True,
                       env=clean)
        subprocess.run([home / "bin/python", __file__, "--inside"], check=True, env=clean)


def inside() -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3",
                            resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = {kind: sum(kind in output.get("data", {}) for cell in code for output in cell.outputs)
             for kind in ("image/png", "text/html", "text/plain")}
    assert shown["image/png"] == 4, shown
    assert shown["text/html"] == 3, shown
    warned = [output.text for cell in code for output in cell.outputs
              if output.output_type == "stream" and output.name == "stderr"]
    assert not warned, warned
    first = code[0].outputs[0]["data"]["text/plain"]
    assert first == "25", first
    print(f"{len(code)} cells, {shown['image/png']} figures, {shown['text/html']} tables")


if __name__ == "__main__":
    inside() if sys.argv[1] == "--inside" else main()
