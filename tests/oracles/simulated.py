"""What astropy and Pillow say of simulated cutouts.

usage: simulated.py JPEG_FOLDER FITS_FOLDER FITS_GZ_FOLDER, of the same galaxies
"""

import csv
import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from PIL import Image

warnings.simplefilter("error", AstropyWarning)


def rows(folder):
    with open(Path(folder) / "labels.csv", newline="") as table:
        return list(csv.DictReader(table))


def band(path, row, name):
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert len(hdus) == 1, path
        header, data = hdus[0].header, hdus[0].data
        assert data.dtype == ">f4" and data.ndim == 2, path
        assert np.isfinite(data).all(), path
        assert header["FILTER"] == name and header["OBJECT"] == row["id"]
        assert header["BUNIT"] == "nanomaggy" and header["TRUTH"] == row["label"]
        wcs = WCS(header)
        height, width = data.shape
        centre = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2)
        assert abs(centre.ra.deg - float(row["ra"])) < 1e-8, path
        assert abs(centre.dec.deg - float(row["dec"])) < 1e-8, path
        scale = proj_plane_pixel_scales(wcs) * 3600
        assert np.allclose(scale, 8.48 * header["PETROR90"] / width, rtol=1e-9), path
        # East to the left, north up, in the order of FITS.
        east = wcs.pixel_to_world(0, (height - 1) / 2)
        north = wcs.pixel_to_world((width - 1) / 2, height - 1)
        assert east.ra > centre.ra and north.dec > centre.dec, path
        return np.asarray(data, dtype=float)


def main(jpegs, plain, gzipped):
    pictures = bands = 0
    for jpeg, one, two in zip(rows(jpegs), rows(plain), rows(gzipped), strict=True):
        assert jpeg["id"] == one["id"] == two["id"]
        planes = []
        for name in "gri":
            data = band(Path(plain) / one["path"].format(band=name), one, name)
            again = band(Path(gzipped) / two["path"].format(band=name), two, name)
            assert (data == again).all()
            planes.append(data)
            bands += 2
        with Image.open(Path(jpegs) / jpeg["path"]) as image:
            assert image.format == "JPEG" and image.mode == "RGB"
            assert [layer[1:3] for layer in image.layer] == [(2, 2), (1, 1), (1, 1)]
            picture = np.asarray(image, dtype=float)
        assert picture.shape == (*planes[0].shape, 3)
        # Colours are i, r, g with north on top: they rise together with the bands,
        # and less so with bands upside down.
        for channel, plane in zip((2, 1, 0), planes):
            level = np.arcsinh(10 * plane / plane.std())
            upright = np.corrcoef(picture[..., channel].ravel(), level[::-1].ravel())[0, 1]
            flipped = np.corrcoef(picture[..., channel].ravel(), level.ravel())[0, 1]
            assert upright > 0.5 and upright > flipped, (jpeg["id"], upright, flipped)
        pictures += 1
    print(f"{pictures} pictures, {bands} bands")


if __name__ == "__main__":
    main(*sys.argv[1:])
