"""Colours by the published formulas, in numpy.

usage: colours.py FOLDER [--scales]

Writes `planes.f32` (three planes of 64 × 48, R first, from faint negative sky to
saturation) and, for every profile of schemas/colour-profiles.toml, what its
formula makes of them after they are multiplied by FACTORS: `NAME.rgb`, row 0 on
top.

With --scales: `picture.rgb`, 90 × 110 pixels of noise and blobs, and for every
step of STEPS (source pixels a pixel of the crop) `STEP.rgb`, the crop of 32 × 32
around the centre: means over area, or Pillow's bilinear interpolation.
"""

import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
from astropy.visualization import make_lupton_rgb
from PIL import Image

FACTORS = np.array([1.25, 1.0, 0.75])


def lupton(red, green, blue, stretch, q, minimum):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_lupton_rgb(red, green, blue, minimum=minimum, stretch=stretch, Q=q)


def weighted(red, green, blue, weights, softening, black, pixel):
    """Lupton et al. (2004), equations 2 and 3, with weights and a sky level."""
    bands = np.stack([red, green, blue], -1).astype(float) * weights
    intensity = bands.mean(-1, keepdims=True) * softening
    # Where it is faint, asinh x / x is 1.
    faint = intensity < 1e-3
    ratio = np.where(faint, 1.0, np.arcsinh(intensity) / np.where(faint, 1.0, intensity))
    colours = bands * ratio + black
    peak = colours.max(-1, keepdims=True)
    colours = np.where(peak > 1, colours / np.maximum(peak, 1), colours)
    return np.floor(np.clip(colours, 0, 1) * 255 + 0.5).astype(np.uint8)


def viewer(red, green, blue, scales, pedestal, q, pixel):
    """legacypipe's sdss_rgb for a band a channel."""
    bands = [plane.astype(float) * scale + pedestal for plane, scale in zip((red, green, blue), scales)]
    intensity = sum(np.maximum(0, band) for band in bands) / len(bands)
    stretched = np.arcsinh(q * intensity) / np.sqrt(q)
    intensity = np.where(intensity == 0, 1e-6, intensity)
    colours = np.stack([band * stretched / intensity for band in bands], -1)
    return (np.clip(colours, 0, 1) * 255).astype(np.uint8)


STEPS = [0.37, 0.8, 1.25, 2.0, 2.71]
SIDE = 32


def mean_over_area(values, step):
    """Along the first axis: differences of the integral at the pixels' edges."""
    whole = values.shape[0]
    edges = (whole - step * SIDE) / 2 + step * np.arange(SIDE + 1)
    integral = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, 0)])
    at = [np.interp(edges, np.arange(whole + 1), column) for column in integral.reshape(whole + 1, -1).T]
    return (np.diff(np.array(at).T, axis=0) / step).reshape(SIDE, *values.shape[1:])


def scales(folder):
    random = np.random.default_rng(5)
    y, x = np.mgrid[:110, :90]
    blobs = 150 * np.exp(-np.hypot(x - 40, y - 60) / 15) + 80 * np.exp(-np.hypot(x - 50, y - 50) / 3)
    picture = blobs[..., None] * [1, 0.8, 0.6] + random.uniform(0, 30, (110, 90, 3))
    picture = picture.astype(np.uint8)
    (folder / "picture.rgb").write_bytes(picture.tobytes())
    for step in STEPS:
        if step > 1:
            down = mean_over_area(picture.astype(float), step)
            both = mean_over_area(down.transpose(1, 0, 2), step).transpose(1, 0, 2)
            crop = np.floor(both + 0.5).astype(np.uint8)
        else:
            left, top = (90 - step * SIDE) / 2, (110 - step * SIDE) / 2
            box = (left, top, left + step * SIDE, top + step * SIDE)
            crop = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.BILINEAR, box=box))
        (folder / f"{step}.rgb").write_bytes(np.ascontiguousarray(crop).tobytes())
        print(step)


def main(folder):
    random = np.random.default_rng(4)
    level = np.logspace(-3, 3, 64 * 48).reshape(48, 64)
    planes = level * random.uniform(0.2, 1.6, (3, 48, 64)) + random.normal(0, 0.05, (3, 48, 64))
    planes = planes.astype(np.float32)
    (folder / "planes.f32").write_bytes(planes.tobytes())
    scaled = (planes * FACTORS[:, None, None].astype(np.float32)).astype(np.float32)[:, ::-1]
    schema = Path(__file__).parents[2] / "schemas/colour-profiles.toml"
    formulas = {"lupton-asinh": lupton, "weighted-asinh": weighted, "legacy-viewer": viewer}
    names = []
    for profile in tomllib.loads(schema.read_text())["profile"]:
        parameters = dict(profile["method"])
        picture = formulas[parameters.pop("kind")](*scaled, **parameters)
        (folder / f"{profile['name']}.rgb").write_bytes(np.ascontiguousarray(picture).tobytes())
        names.append(profile["name"])
    print("\n".join(names))


if __name__ == "__main__":
    (scales if "--scales" in sys.argv else main)(Path(sys.argv[1]))
