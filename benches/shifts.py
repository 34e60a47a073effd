#!/usr/bin/env python3
"""How accurate models stay where pictures are made otherwise than those they learned from.

    benches/shifts.py HIWL ARCHIVE LABELS MODEL... [--count N] [--only NAME...]

Makes every picture of a tar archive anew with one thing changed at a time (scale, stretch,
brightness, colour, sharpness, noise, JPEG quality, angle), has `hiwl evaluate` judge each
set with each model, and prints accuracy and mean recall as a Markdown table. Takes the
first N pictures of the archive that LABELS knows (default 1000).

The changes are made here by numpy and Pillow, not by hiwl's own augmentation. Beyond its
edge a picture that is made smaller, or turned, goes on as its mirror.
"""

import argparse
import csv
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "target/shifts-venv"
PACKAGES = ["numpy==2.2.6", "pillow==11.3.0"]
# Lupton et al. 2004's Q of SDSS's pictures.
SOFTENING = 8.0
# Of the mean that is divided by; below it a pixel is black.
FAINTEST = 1e-6


def pictures():
    """Each change: its name, and what it does to a Pillow image, with a generator of noise."""
    import numpy as np
    from PIL import Image, ImageFilter

    def pixels(image):
        return np.asarray(image, dtype=np.float64) / 255

    def picture(values):
        return Image.fromarray(np.clip(np.rint(values * 255), 0, 255).astype(np.uint8))

    def mirrored(image, margin):
        return Image.fromarray(np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), "reflect"))

    def middle(image, side):
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return image.crop((left, top, left + side, top + side))

    def scaled(factor):
        def change(image, _):
            side = image.width
            margin = 0 if factor >= 1 else side // 2
            wide = mirrored(image, margin) if margin else image
            new = round(wide.width * factor)
            return middle(wide.resize((new, new), Image.Resampling.BICUBIC), side)

        return change

    def turned(degrees):
        def change(image, _):
            wide = mirrored(image, image.width // 2)
            return middle(wide.rotate(degrees, Image.Resampling.BICUBIC), image.width)

        return change

    # As in Lupton et al. 2004 the mean of the three is stretched, and colours stay.
    def stretched(factor):
        def change(image, _):
            values = pixels(image)
            mean = np.maximum(values.mean(axis=2, keepdims=True), FAINTEST)
            other = np.arcsinh(factor * np.sinh(SOFTENING * mean)) / SOFTENING
            return picture(values * other / mean)

        return change

    def times(red, green, blue):
        return lambda image, _: picture(pixels(image) * np.array([red, green, blue]))

    def blurred(sigma):
        return lambda image, _: image.filter(ImageFilter.GaussianBlur(sigma))

    def sharpened(image, _):
        return image.filter(ImageFilter.UnsharpMask(radius=2, percent=100, threshold=0))

    def noisy(sigma):
        def change(image, random):
            values = pixels(image)
            return picture(values + random.normal(0, sigma, values.shape))

        return change

    def jpeg(quality):
        def change(image, _):
            data = io.BytesIO()
            image.save(data, "JPEG", quality=quality)
            return Image.open(data).convert("RGB")

        return change

    return {
        "as they are": lambda image, _: image,
        "scale × 0.75": scaled(0.75),
        "scale × 0.85": scaled(0.85),
        "scale × 1.2": scaled(1.2),
        "scale × 1.5": scaled(1.5),
        "turned by 45°": turned(45),
        "stretch × 0.5": stretched(0.5),
        "stretch × 2": stretched(2),
        "brightness × 0.8": times(0.8, 0.8, 0.8),
        "brightness × 1.25": times(1.25, 1.25, 1.25),
        "redder": times(1.1, 1.0, 0.9),
        "bluer": times(0.9, 1.0, 1.1),
        "grey": lambda image, _: image.convert("L").convert("RGB"),
        "blurred, σ 1 pixel": blurred(1.0),
        "blurred, σ 1.5 pixels": blurred(1.5),
        "sharpened": sharpened,
        "noise, σ 0.02": noisy(0.02),
        "noise, σ 0.04": noisy(0.04),
        "JPEG, quality 75": jpeg(75),
        "JPEG, quality 50": jpeg(50),
    }


def chosen(archive, labels, count):
    """The first pictures of the archive that have a label: names and bytes."""
    known = {row["GalaxyID"] for row in csv.DictReader(labels.open())}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and Path(member.name).stem in known:
                yield member.name, tar.extractfile(member).read()
                count -= 1
                if count == 0:
                    return


def main():
    import numpy as np
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hiwl", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    originals = [
        (Path(name).stem, Image.open(io.BytesIO(data)).convert("RGB"))
        for name, data in chosen(options.archive, options.labels, options.count)
    ]
    names = [model.stem for model in options.models]
    print(f"{len(originals)} galaxies, accuracy and mean recall of the classes\n")
    print("| pictures | " + " | ".join(names) + " |")
    print("| --- |" + " --- |" * len(names), flush=True)
    for name, change in pictures().items():
        if options.only and name not in options.only:
            continue
        random = np.random.default_rng(1)
        with tempfile.TemporaryDirectory() as folder:
            tar = Path(folder, "pictures.tar")
            with tarfile.open(tar, "w") as out:
                for stem, original in originals:
                    data = io.BytesIO()
                    change(original, random).save(data, "PNG", compress_level=1)
                    member = tarfile.TarInfo(f"{stem}.png")
                    member.size = data.tell()
                    data.seek(0)
                    out.addfile(member, data)
            cells = []
            for model in options.models:
                command = [options.hiwl.resolve(), "evaluate", tar, "--labels", options.labels, "--model", model, "--json"]
                told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
                cells.append(cell(told))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def cell(told):
    """Accuracy in percent, and the mean recall."""
    return f"{100 * told['accuracy']:.1f} %, {told['macro_average']['recall']:.3f}"


def in_environment(run):
    """Runs this script's `run` in the virtual environment, which is made where it is missing."""
    if Path(sys.prefix) == VENV:
        return run()
    if not (VENV / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        subprocess.run([VENV / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
        (VENV / "ready").touch()
    return subprocess.run([VENV / "bin/python", *sys.argv]).returncode


if __name__ == "__main__":
    sys.exit(in_environment(main))
