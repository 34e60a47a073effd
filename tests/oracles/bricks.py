"""A brick as the Legacy Surveys have them, small, and sources in it.

    bricks.py FOLDER

Writes legacysurvey-0001m002-image-{g,r,z}.fits.fz, legacysurvey-0001m002-maskbits.fits.fz
(three masks, one an HDU, behind a primary HDU without data) and galaxies.csv into FOLDER.
Of its sources `saturated` lies under bit 2 of MASKBITS, `bright` under bit 0, `wise` under
pixels that WISEM1 marks, and `plain` under none."""
import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

warnings.simplefilter("ignore")
FOLDER = Path(sys.argv[1])
SIDE, BRICK = 600, "0001m002"
RNG = np.random.default_rng(12)

header = fits.Header()
header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
header["CRPIX1"], header["CRPIX2"] = SIDE / 2 + 0.5, SIDE / 2 + 0.5
header["CRVAL1"], header["CRVAL2"] = 0.125, -0.25
scale = 0.262 / 3600
header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -scale, 0.0, 0.0, scale

SOURCES = {"saturated": (150, 150), "bright": (450, 150), "wise": (150, 450), "plain": (450, 450)}
y, x = np.mgrid[:SIDE, :SIDE]
for k, band in enumerate("grz"):
    light = RNG.normal(0.0, 0.01, (SIDE, SIDE))
    for place in SOURCES.values():
        r2 = (x - place[0]) ** 2 + (y - place[1]) ** 2
        light += (0.5 + 0.2 * k) * np.exp(-r2 / 200)
    own = header.copy()
    own["BUNIT"] = "nanomaggy"
    hdu = fits.CompImageHDU(light.astype(np.float32), own, compression_type="RICE_1", tile_shape=(100, 100))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(FOLDER / f"legacysurvey-{BRICK}-image-{band}.fits.fz")


def around(name):
    return np.hypot(x - SOURCES[name][0], y - SOURCES[name][1]) < 45


# Beside bit 2 one that an f32 would round it away with.
maskbits = np.where(around("saturated"), (1 << 30) | 4, 0) | np.where(around("bright"), (1 << 30) | 1, 0)
masks = {"MASKBITS": maskbits.astype(np.int32), "WISEM1": around("wise").astype(np.uint8),
         "WISEM2": np.zeros((SIDE, SIDE), np.uint8)}
hdus = [fits.CompImageHDU(mask, header, name=name, compression_type="RICE_1") for name, mask in masks.items()]
fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(FOLDER / f"legacysurvey-{BRICK}-maskbits.fits.fz")
wcs = WCS(header)
with open(FOLDER / "galaxies.csv", "w") as out:
    out.write("id,ra,dec,r90\n")
    for name, place in SOURCES.items():
        ra, dec = wcs.all_pix2world(*place, 0)
        out.write(f"{name},{ra:.8f},{dec:.8f},5\n")
