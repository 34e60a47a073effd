#!/usr/bin/env python3
"""Accuracy by how bright a galaxy is in its picture, and by how fine the picture is.

    benches/strata.py HIWL ARCHIVE LABELS MODEL [--split val]

Has `hiwl evaluate --predictions` judge the archive's pictures, measures each, and prints
a Markdown table of accuracy with its standard error by quarters of

- brightness: the mean of the three channels' fluxes over the middle 240 pixels, the asinh
  stretch taken off (Q = 8, Lupton et al. 2004), in magnitudes from the median;
- fineness: the share of the light's changes that a blur of one pixel takes away. Pictures
  of 0.02 petroR90 a pixel were enlarged from the survey's 0.396 arcsec, so those of
  galaxies that are small on the sky are smooth.

The catalog's own brightness and size are not known for these galaxies, whose published
ids stand for no position.
"""

import argparse
import csv
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from shifts import SOFTENING, in_environment


def measured(archive, wanted):
    """Brightness in magnitudes and fineness of each picture, by id."""
    import numpy as np
    from PIL import Image, ImageFilter

    def lines(image):
        values = np.asarray(image.convert("L"), dtype=np.float64)
        return np.abs(np.diff(values, axis=0)).mean() + np.abs(np.diff(values, axis=1)).mean()

    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            stem = Path(member.name).stem
            if not member.isfile() or stem not in wanted:
                continue
            image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            left, top = (image.width - 240) // 2, (image.height - 240) // 2
            image = image.crop((left, top, left + 240, top + 240))
            flux = np.sinh(SOFTENING * np.asarray(image, dtype=np.float64) / 255).mean()
            smooth = image.filter(ImageFilter.GaussianBlur(1))
            found[stem] = (-2.5 * np.log10(flux), 1 - lines(smooth) / lines(image))
    return found


def main():
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hiwl", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "predictions.csv")
        command = [options.hiwl.resolve(), "evaluate", options.archive, "--labels", options.labels, "--split", options.split]
        command += ["--model", options.model, "--predictions", told]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with told.open() as file:
            rows = [(row["id"], row["label"] == row["predicted"]) for row in csv.DictReader(file)]
    found = measured(options.archive, {name for name, _ in rows})
    right = np.array([ok for _, ok in rows])
    values = np.array([found[name] for name, _ in rows])
    values[:, 0] -= np.median(values[:, 0])
    print("| | from … to | galaxies | accuracy |\n| --- | --- | --- | --- |")
    for column, (name, quarters) in enumerate(
        [
            ("brightness, mag", ["brightest", "second", "third", "faintest"]),
            ("fineness", ["smoothest", "second", "third", "finest"]),
        ]
    ):
        for quarter, places in zip(quarters, np.array_split(np.argsort(values[:, column], kind="stable"), 4)):
            share = right[places].mean()
            error = (share * (1 - share) / len(places)) ** 0.5
            low, high = values[places, column].min(), values[places, column].max()
            print(f"| {name}, {quarter} | {low:+.2f} … {high:+.2f} | {len(places)} | {100 * share:.1f} ± {100 * error:.1f} % |")


if __name__ == "__main__":
    sys.exit(in_environment(main))
