"""The Python wheel as users meet it: installed where nothing else is.

    python3 tests/python/wheel.py target/wheels/hiwl-*.whl [GLIBC]

Makes an environment of its own, installs the wheel into it, and runs this file there
again: pictures by every way in have the labels that the program gives them. With GLIBC
(2.28) a wheel that needs a newer one fails.
"""

import contextlib
import csv
import io
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
GALAXIES = sorted((ROOT / "fixtures/galaxies").glob("*.jpg"))
BANDS = ROOT / "fixtures/cutouts/fits/1237146934473877507_{}.fits.gz"
#: What examples in docstrings and docs need besides what the wheel brings.
EXTRAS = ["astropy==8.0.2", "pandas==3.1.1", "pillow==13.0.0", "tqdm==4.70.1",
          "auditwheel==6.8.2", "mypy==2.4.1"]


def main() -> None:
    wheel = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="hiwl-wheel-") as folder:
        home = pathlib.Path(folder) / "venv"
        venv.create(home, with_pip=True)
        python = home / "bin/python"
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, wheel], check=True)
        print(subprocess.run([home / "bin/hiwl", "--version"], check=True, capture_output=True,
                             text=True).stdout.strip())
        # With nothing but the wheel and what it asks for.
        inside = [python, __file__, "--inside", str(wheel)]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HIWL")}
        subprocess.run([*inside, "alone"], check=True, cwd=folder, env=clean)
        subprocess.run([*pip, *EXTRAS], check=True)
        subprocess.run([*inside, "extras"], check=True, cwd=folder, env=clean)
        # pyarrow and tqdm have no types of their own.
        subprocess.run([python, "-m", "mypy", "--strict", "--python-version", "3.10",
                        "--disable-error-code=import-untyped", "-p", "hiwl"], check=True,
                       cwd=folder)
        audit = subprocess.run([python, "-m", "auditwheel", "show", wheel], check=True,
                               capture_output=True, text=True).stdout
        tag = wheel.name.split("-")[-1].removesuffix(".whl").split(".")[0]
        assert f'"{tag}"' in audit, f"the wheel says {tag}:\n{audit}"
        # Of the module auditwheel says it; of the program, which it does not look at, its
        # own symbols.
        glibc = tuple(map(int, tag.split("_")[1:3]))
        needed = newest_symbol(home / "bin/hiwl")
        assert needed <= glibc, f"the program needs glibc {needed}, the wheel says {tag}"
        if len(sys.argv) > 2:
            most = tuple(map(int, sys.argv[2].split(".")))
            assert glibc <= most, f"{tag}, and {sys.argv[2]} was asked for"
        print(f"{tag}, as auditwheel says; the program needs glibc {'.'.join(map(str, needed))}")


def newest_symbol(program: pathlib.Path) -> tuple:
    """The newest version of glibc that a program asks for."""
    told = subprocess.run(["readelf", "--dyn-syms", "--wide", program], check=True,
                          capture_output=True, text=True).stdout
    return max(tuple(map(int, version.split(".")))
               for version in re.findall(r"GLIBC_([0-9.]+)", told))


def refused(error, words, call):
    try:
        call()
    except error as found:
        assert words in str(found), found
    else:
        raise AssertionError(f"not refused: {words}")


def alone() -> None:
    """Labels by every way in are the program's."""
    import numpy as np
    import hiwl

    assert pathlib.Path(hiwl.__file__).is_relative_to(sys.prefix), hiwl.__file__
    assert hiwl.model_path().is_relative_to(sys.prefix), hiwl.model_path()
    assert hiwl.program_path() == pathlib.Path(sys.prefix).resolve() / "bin/hiwl"

    # The program, as anybody runs it.
    subprocess.run([hiwl.program_path(), "classify", ROOT / "fixtures/galaxies", "--output",
                    "by-program", "--quiet"], check=True)
    program = hiwl.read_catalog("by-program")
    assert program.num_rows == len(GALAXIES) == 25
    told = [name for name in program.column_names if name not in ("id", "source")]

    model = hiwl.Model()
    assert model.classes == ["CRS", "IBS", "CSS", "EO", "SPI"], model.classes
    by_path = model.predict(GALAXIES)
    by_bytes = hiwl.classify([path.read_bytes() for path in GALAXIES], model)
    by_folder = hiwl.classify(ROOT / "fixtures/galaxies")
    order = {name: place for place, name in enumerate(by_path.column("id").to_pylist())}
    rows = [order[name] for name in program.column("id").to_pylist()]
    for found in (by_path, by_bytes):
        assert found.schema.names == program.schema.names
        assert found.take(rows).select(told).equals(program.select(told))
    assert by_folder.select(["id", *told]).equals(program.select(["id", *told]))
    # One picture is one row; ids may be given.
    one = hiwl.classify(str(GALAXIES[0]), model)
    assert one.num_rows == 1 and one.column("id")[0].as_py() == GALAXIES[0].stem
    assert model.predict(GALAXIES[:2], ids=["a", 2]).column("id").to_pylist() == ["a", "2"]
    assert model.predict([]).num_rows == 0

    # What is wrong with a picture is its row.
    odd = model.predict([GALAXIES[0], "no such file.jpg", b"no picture", np.zeros((300, 300, 3), "u1")])
    assert odd.column("status").to_pylist()[:2] == ["ok", "missing"]
    assert odd.column("status").to_pylist()[3] == "blank"
    assert odd.column("label").to_pylist()[1:] == ["", "", ""]
    assert "no such file" in odd.column("error")[1].as_py()

    refused(hiwl.HiwlError, "float64", lambda: model.predict(np.zeros((300, 300, 3))))
    refused(hiwl.HiwlError, "(height, width, 3)", lambda: model.predict(np.zeros((5, 5, 4), "u1")))
    refused(hiwl.HiwlError, "2 ids for 1", lambda: model.predict(GALAXIES[:1], ids=["a", "b"]))
    refused(hiwl.HiwlError, "bilinear", lambda: hiwl.Model(resample="nearest"))
    refused(hiwl.HiwlError, "model", lambda: hiwl.Model(GALAXIES[0]))
    refused(hiwl.HiwlError, "no run here", lambda: hiwl.read_catalog("elsewhere"))
    refused(hiwl.RunError, "64", lambda: hiwl.run("no such folder", "nowhere", quiet=True))

    # A run, as the program makes it, with flags as keywords; rejections are warned of.
    os.makedirs("mixed", exist_ok=True)
    for path in GALAXIES[:3]:
        (pathlib.Path("mixed") / path.name).write_bytes(path.read_bytes())
    (pathlib.Path("mixed") / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        where = hiwl.run("mixed", "mixed-run", quiet=True, batch=2, precision="f32")
    assert [one.category for one in caught] == [hiwl.HiwlWarning], caught
    labelled = hiwl.read_catalog(where, columns=["id", "label"])
    assert (labelled.num_rows, labelled.column_names) == (4, ["id", "label"])

    # Features: of the right shape, each its picture's own.
    features = model.features(GALAXIES[:3])
    assert features.shape == (3, 1280) and features.dtype == np.float32
    assert np.isfinite(features).all() and (features[0] != features[1]).any()
    assert np.array_equal(model.features(GALAXIES[2])[0], features[2])

    # Heat maps: the numbers that `hiwl explain` writes, each its picture's own, of its own
    # class and of any answer.
    for folder, cls in (("why", None), ("why-thin", "CSS+EO")):
        asked = [] if cls is None else ["--class", cls]
        subprocess.run([hiwl.program_path(), "explain", ROOT / "fixtures/galaxies", "--output",
                        folder, "--quiet", *asked], check=True)
        with open(f"{folder}/maps.csv", newline="") as file:
            place = {row["id"]: at for at, row in enumerate(csv.DictReader(file))}
        written = np.load(f"{folder}/maps.npy")[[place[path.stem] for path in GALAXIES]]
        maps = model.heatmap(GALAXIES, cls)
        assert maps.shape == (25, 8, 8) and maps.dtype == np.float32, (maps.shape, maps.dtype)
        assert np.array_equal(maps, written), np.abs(maps - written).max()
    assert np.array_equal(model.heatmap(GALAXIES[7].read_bytes(), cls="CSS+EO")[0], maps[7])
    assert (maps < 0).any() and not np.array_equal(maps, model.heatmap(GALAXIES))
    # As they are drawn: by their greatest values, with their pixels' middles every 32.
    drawn = model.heatmap(GALAXIES[:3], "CSS+EO", drawn=True)
    assert drawn.shape == (3, 240, 240) and drawn.min() == 0, (drawn.shape, drawn.min())
    light = np.maximum(maps[:3], 0)
    light /= light.max(axis=(1, 2), keepdims=True)
    assert np.allclose(drawn[:, ::32, ::32], light, rtol=0, atol=1e-6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        some = model.heatmap([GALAXIES[0], b"no picture", GALAXIES[1]], "CSS+EO")
    assert [one.category for one in caught] == [hiwl.HiwlWarning], caught
    assert str(caught[0].message).startswith("1: ") and caught[0].filename == __file__, caught[0]
    assert np.isnan(some[1]).all() and np.array_equal(some[[0, 2]], maps[:2])
    assert model.heatmap([]).shape == (0, 8, 8)
    refused(hiwl.HiwlError, "shape/SPI", lambda: model.heatmap(GALAXIES[0], "spiral"))
    refused(hiwl.HiwlError, "shape/SPI", lambda: model.heatmap([], "spiral"))

    # Other threads run while it computes.
    import threading
    import time

    ticks = []
    done = threading.Event()
    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)
    thread = threading.Thread(target=tick)
    thread.start()
    began = time.monotonic()
    model.predict(GALAXIES)
    took = time.monotonic() - began
    done.set()
    thread.join()
    assert len([one for one in ticks if began < one < began + took]) > 5, (len(ticks), took)
    print(f"25 galaxies by path, bytes and folder: as the program ({took:.2f} s in this process)")


def extras() -> None:
    """Arrays, PIL images, FITS HDUs and tables."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from astropy.io import fits
    from astropy.table import Table
    from PIL import Image
    import hiwl

    model = hiwl.Model(precision="f32")
    told = ["label", "status"]
    by_path = model.predict(GALAXIES)
    images = [Image.open(path) for path in GALAXIES]
    by_pil = model.predict(images)
    # Two decoders of JPEG may differ by a level of brightness.
    assert by_pil.select(told).equals(by_path.select(told))
    arrays = [np.asarray(image) for image in images]
    assert model.predict(arrays).equals(by_pil)
    if len({array.shape for array in arrays}) == 1:
        assert model.predict(np.stack(arrays)).equals(by_pil)
    assert model.predict(arrays[0][::-1]).num_rows == 1

    frame = pd.DataFrame({"objID": range(25), "path": [str(path) for path in GALAXIES],
                          "z": np.linspace(0, 0.1, 25)})
    by_table = model.predict(frame)
    assert by_table.column_names == [*by_path.column_names, "objID", "z"]
    assert by_table.select(told).equals(by_path.select(told))
    assert by_table.to_pandas()["z"].iloc[24] == 0.1
    for table in (pa.Table.from_pandas(frame), Table.from_pandas(frame)):
        assert model.predict(table).select(told).equals(by_path.select(told))
    pictures = pa.table({"id": ["x"], "image": [{"bytes": GALAXIES[0].read_bytes(), "path": None}]})
    assert model.predict(pictures).column("id").to_pylist() == ["x"]
    # What the catalog has too: positions are the table's, and the rest has another name.
    labelled = frame.assign(ra=10.0, dec=[-999.0] + [2.0] * 24, label="?")
    by_labelled = model.predict(labelled).to_pandas()
    assert by_labelled["label_given"].eq("?").all()
    assert by_labelled["label"].equals(by_path.to_pandas()["label"])
    assert by_labelled["ra"].isna().sum() == by_labelled["dec"].isna().sum() == 1
    assert by_labelled["ra"].iloc[1] == 10.0 and by_labelled["dec"].iloc[24] == 2.0
    # Texts as numpy has them, and a path as an object.
    texts = {"id": np.array(["a", "b"], "S2"), "path": [str(path) for path in GALAXIES[:2]]}
    texts["path"] = np.array(texts["path"]).astype("S")
    assert model.predict(Table(texts)).column("id").to_pylist() == ["a", "b"]
    assert model.predict(pd.DataFrame({"path": GALAXIES[:2]})).column("status").to_pylist() == ["ok"] * 2
    deep = Image.fromarray((np.asarray(images[0].convert("L")).astype("u2") * 8))
    refused(hiwl.HiwlError, "more than a byte", lambda: model.predict(deep))
    gaps = frame.rename(columns={"objID": "id"}).astype({"id": float})
    refused(hiwl.HiwlError, "whole numbers", lambda: model.predict(gaps))
    refused(hiwl.HiwlError, "neither", lambda: model.predict(pd.DataFrame({"id": [1]})))

    # One file with a band in each HDU, as a file and as what astropy holds.
    bands = [fits.ImageHDU(fits.getdata(str(BANDS).format(band)), name=band) for band in "gri"]
    held = fits.HDUList([fits.PrimaryHDU(), *bands])
    held.writeto("bands.fits")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        by_file = model.predict("bands.fits")
    assert by_file.column("status").to_pylist() == ["ok"], by_file
    assert any("unit" in str(one.message) for one in caught), caught
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_hdu = model.predict(held)
    columns = [name for name in by_file.column_names if name not in ("id", "source")]
    assert by_hdu.select(columns).equals(by_file.select(columns)), (by_hdu, by_file)
    # Vectors and maps of what has no unit say so, as labels do.
    for numbers in (model.features, model.heatmap):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = numbers([held, "bands.fits"])
        assert any("unit" in str(one.message) for one in caught), caught
        assert np.isfinite(found).all() and np.array_equal(found[0], found[1])
    print("arrays, PIL images, HDUs and tables: as files")

    # The README's lines, to the letter.
    page = (ROOT / "README.md").read_text()
    (block,) = [part.split("```")[0] for part in page.split("```python\n")[1:]
                if part.startswith("import hiwl")]
    pathlib.Path("a.jpg").write_bytes(GALAXIES[0].read_bytes())
    pathlib.Path("bands.fits").rename("b.fits")
    with tarfile.open("dr17.tar", "w") as archive:
        for path in GALAXIES:
            archive.add(path, path.name)
    names = {"frame": frame, "array": arrays[0]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(block, names)
    assert names["table"].column_names == ["id", "label"] and names["table"].num_rows == 25
    assert names["vectors"].shape == (1, 1280) and names["maps"].shape == (1, 8, 8)

    # Those of the package's own page.
    page = (ROOT / "src/python/README.md").read_text()
    os.symlink(ROOT / "fixtures/galaxies", "cutouts")
    pathlib.Path("galaxy.jpg").write_bytes(GALAXIES[0].read_bytes())
    (block,) = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(block, names)
    assert names["table"].num_rows == 25, names["table"].num_rows

    # A bar of tqdm's, of pictures and of a run.
    told = io.StringIO()
    with contextlib.redirect_stderr(told), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.predict(GALAXIES, progress=True).num_rows == 25
        hiwl.run(ROOT / "fixtures/galaxies", "barred", progress=True)
    assert told.getvalue().count("25/25") >= 2, told.getvalue()
    # Its notes are seen beside the bar: that of the listing, and what -v says of decisions.
    assert "labels.csv" in told.getvalue(), told.getvalue()
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        hiwl.run(ROOT / "fixtures/galaxies", "told", progress=True, verbose=True)
    assert "25/25" in told.getvalue() and "precision=" in told.getvalue(), told.getvalue()
    assert hiwl.read_catalog("barred").num_rows == 25
    pathlib.Path("mixed/again.jpg").write_bytes(b"nothing")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hiwl.run("mixed", "mixed-barred", progress=True)
    assert "rejected" in str(caught[-1].message), caught
    refused(hiwl.RunError, "64", lambda: hiwl.run("no such folder", "nowhere", progress=True))


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        {"alone": alone, "extras": extras}[sys.argv[3]]()
    else:
        main()
