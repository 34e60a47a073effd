"""Fits the stretch of the profile `sdss` (schemas/colour-profiles.toml).

    python benches/sdss_colours.py DATA       # numpy, scipy, pillow, astropy

What is wanted: bands in nanomaggies turned into what SDSS's image server made of
them for Galaxy Zoo 2. The constants of that server were not published, and no
FITS files of Galaxy Zoo's own images are at hand. The stretch is Lupton et al.'s
(2004), byte = 255 (w F asinh(s I) / (s I) + b), with I the mean of the three
w F; its eight constants are found from what JPEGs alone show, with real fluxes
on the other side:

1. sky: the 16th, 50th and 84th percentile in the corners of training JPEGs, in
   each channel, against noise of the survey's level (Gaussian, in nanomaggies a
   pixel of 0.396 arcsec: the sky of Galaxy Zoo's typical field) made into a JPEG
   in the same way: stretched at the survey's scale, enlarged, compressed;
2. hue: the median G/R and B/R of pixels of three levels of brightness, and
3. centres: the brightness of the central pixel, for spirals and edge-on disks,
   both against EFIGI's SDSS images of such galaxies (in counts of SDSS DR7,
   which `COUNTS` turns into nanomaggies).

It prints the constants, each statistic on both sides, and the mean and standard
deviation of the pictures that the constants make of EFIGI's galaxies beside the
training set's (0.046, 0.041, 0.030 and 0.090, 0.075, 0.065, of Ma et al.).
"""

import csv
import io
import sys
import tarfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from PIL import Image
from scipy.ndimage import zoom
from scipy.optimize import least_squares

DATA = Path(sys.argv[1])
# Counts of SDSS DR7 a nanomaggy in i, r, g: mean zero points and extinction.
COUNTS = {"i": 151.0, "r": 201.0, "g": 275.0}
# Standard deviation of SDSS's sky in i, r, g, nanomaggies a survey pixel.
SKY = np.array([0.048, 0.030, 0.019])
# PGC0000281's picture does not show what its FITS files hold.
SPIRAL = ["PGC0000282", "PGC0000548", "PGC0000635"]
EDGE_ON = ["PGC0000212", "PGC0000218", "PGC0000639"]
OTHERS = ["PGC0000243", "PGC0000255", "PGC0000451"]
LEVELS = [(50, 70), (100, 130), (160, 200)]


def stretch(bands, constants):
    """Bands (…, 3) in i, r, g to R, G, B in 0…1, before rounding."""
    weights, softening, black = constants[:3], constants[3], constants[4:7]
    colour = bands * weights
    x = np.maximum(colour.mean(-1) * softening, 2.0**-12)
    out = colour * (np.arcsinh(x) / x)[..., None] + black
    return np.clip(out / np.maximum(out.max(-1, keepdims=True), 1.0), 0.0, 1.0)


def jpeg(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=75, subsampling=2)
    return np.asarray(Image.open(buffer))


def training(limit=4000):
    """Central 240 px of training JPEGs, by class."""
    table = csv.DictReader(open(DATA / "galaxies/labels.csv"))
    labels = {row["GalaxyID"]: row["label"] for row in table}
    pictures = {}
    with tarfile.open(DATA / "galaxies/train-00.tar") as archive:
        for member in archive:
            if not member.isfile() or limit == 0:
                continue
            limit -= 1
            picture = np.asarray(Image.open(archive.extractfile(member)).convert("RGB"))
            o = (picture.shape[0] - 240) // 2
            label = labels[Path(member.name).stem]
            pictures.setdefault(label, []).append(picture[o : o + 240, o : o + 240])
    return {label: np.stack(found) for label, found in pictures.items()}


def efigi(name):
    read = lambda band: fits.getdata(DATA / f"fits/{name}_{band}.fits") / COUNTS[band]
    return np.stack([read(band).astype(float) for band in "irg"], -1)


def corners(pictures):
    parts = [pictures[:, :40, :40], pictures[:, :40, -40:], pictures[:, -40:, :40], pictures[:, -40:, -40:]]
    pixels = np.concatenate(parts, 1).reshape(len(pictures), -1, 3).astype(float)
    return np.median(np.percentile(pixels, [16, 50, 84], axis=1), axis=1)


def hues(pixels):
    """Median G/R and B/R of three levels; R the channel of reference."""
    pixels = pixels.reshape(-1, 3).astype(float)
    found = []
    for low, high in LEVELS:
        level = pixels[(pixels[:, 0] >= low) & (pixels[:, 0] < high)]
        found += list(np.median(level[:, 1:] / level[:, :1], 0)) if len(level) else [0.0, 0.0]
    return np.array(found)


NOISE = np.random.default_rng(1).normal(size=(96, 96, 3)) * SKY


def sky(constants):
    # Rounded late: a smooth function of the constants is easier to fit.
    small = np.floor(stretch(NOISE, constants) * 255 + 0.5).astype(np.uint8)
    large = np.stack([zoom(small[..., k].astype(float), 4, order=1) for k in range(3)], -1)
    pixels = jpeg(np.clip(large + 0.5, 0, 255).astype(np.uint8)).reshape(-1, 3).astype(float)
    # Percentiles of whole numbers, between them by their shares.
    jitter = np.random.default_rng(2).random(pixels.shape) - 0.5
    return np.percentile(pixels + jitter, [16, 50, 84], axis=0)


def centre(bands):
    middle = bands.shape[0] // 2
    window = bands[middle - 4 : middle + 5, middle - 4 : middle + 5]
    brightest = np.unravel_index(np.argmax(window.sum(-1)), window.shape[:2])
    return window[brightest]


def main():
    pictures = training()
    galaxies = {name: efigi(name) for name in SPIRAL + EDGE_ON + OTHERS}
    everything = np.concatenate(list(pictures.values()))
    wanted = {
        "sky": corners(everything),
        "hue": hues(np.concatenate([pictures["SPI"], pictures["EO"]])[::4]),
        "centre SPI": np.median(pictures["SPI"][:, 118:122, 118:122].mean((1, 2)), 0),
        "centre EO": np.median(pictures["EO"][:, 118:122, 118:122].mean((1, 2)), 0),
    }

    def made(constants):
        bytes_of = lambda names: [stretch(galaxies[name], constants) * 255 for name in names]
        middle = lambda names: np.median(
            [stretch(centre(galaxies[name]), constants) * 255 for name in names], 0
        )
        return {
            "sky": sky(constants),
            "hue": hues(np.concatenate([p.reshape(-1, 3) for p in bytes_of(SPIRAL + EDGE_ON)])),
            "centre SPI": middle(SPIRAL),
            "centre EO": middle(EDGE_ON),
        }

    # One unit is what a statistic is trusted to.
    trust = {"sky": 0.5, "hue": 0.05, "centre SPI": 25.0, "centre EO": 25.0}

    def misfit(constants):
        there = made(constants)
        return np.concatenate([((there[k] - wanted[k]) / trust[k]).ravel() for k in trust])

    start = np.array([0.69, 0.83, 1.30, 6.0, 0.02, 0.02, 0.01])
    found = least_squares(misfit, start, diff_step=0.05, x_scale=start, bounds=([0.1] * 3 + [0.5] + [0.0] * 3, [5] * 3 + [50] + [0.1] * 3))
    constants = found.x
    np.set_printoptions(precision=3, suppress=True)
    print("weights of i, r, g:", constants[:3], " softening:", constants[3].round(3), " black:", constants[4:7])
    print("misfit:", (2 * found.cost).round(1), "at the start", (misfit(start) ** 2).sum().round(1))
    there = made(constants)
    for key, value in wanted.items():
        print(f"{key}: training {value.round(2).tolist()}\n{' ' * len(key)}  here     {there[key].round(2).tolist()}")
    composed = np.concatenate([stretch(g, constants)[7:247, 7:247].reshape(-1, 3) for g in galaxies.values()])
    print("EFIGI:    mean", composed.mean(0), "std", composed.std(0))
    everything = everything.reshape(-1, 3) / 255
    print("training: mean", everything.mean(0), "std", everything.std(0))


if __name__ == "__main__":
    main()
