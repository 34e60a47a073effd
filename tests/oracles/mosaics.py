"""Mosaics over a matrix of projections, and cutouts of them by astropy and reproject.

    mosaics.py FOLDER

Writes FITS files into FOLDER and prints JSON: a list of cases
{name, file, ra, dec, size, scale, expected, peak}. `scale` is null for a cutout on the
mosaic's own grid (Cutout2D), else the arcseconds a pixel of a grid with north up and
east to the left around the position (reproject_interp for smaller pixels than the
mosaic's, reproject_adaptive for larger ones). `expected` names a file of size*size
floats (little-endian, row 0 in the south, NaN where there is none)."""
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from reproject import reproject_adaptive, reproject_interp

warnings.simplefilter("ignore")
FOLDER = Path(sys.argv[1])
WIDTH, HEIGHT, PIXEL = 310, 270, 0.4 / 3600
RNG = np.random.default_rng(404)


def grid(code, ra, dec, angle=0.0, mirrored=False, sip=False):
    header = fits.Header()
    suffix = "-SIP" if sip else ""
    header["CTYPE1"], header["CTYPE2"] = f"RA---{code}{suffix}", f"DEC--{code}{suffix}"
    header["CRPIX1"], header["CRPIX2"] = 141.3, 120.8
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    flip = 1 if mirrored else -1
    header["CD1_1"], header["CD1_2"] = flip * PIXEL * cos, -PIXEL * sin * flip
    header["CD2_1"], header["CD2_2"] = PIXEL * sin, PIXEL * cos
    if sip:
        header["A_ORDER"] = header["B_ORDER"] = 2
        header["A_2_0"], header["A_1_1"], header["B_0_2"], header["B_2_0"] = 6e-6, -3e-6, 4e-6, 2e-6
    return header


MATRIX = {
    "tan": grid("TAN", 150.2, 2.1),
    "rotated": grid("TAN", 150.2, 2.1, angle=37.0),
    "mirrored": grid("TAN", 10.7, -41.2, angle=-12.0, mirrored=True),
    "sip": grid("TAN", 53.1, -27.8, angle=5.0, sip=True),
    "zea": grid("ZEA", 210.8, 54.3, angle=101.0),
    "pole": grid("TAN", 40.0, 89.995),
    "zero": grid("TAN", 359.9999, -0.7, angle=190.0),
    "sin": grid("SIN", 83.6, 22.0),
}


def sky(width, height):
    """Blobs as wide as a seeing disk, on a slope."""
    y, x = np.mgrid[:height, :width]
    plane = 1e-3 * x - 2e-3 * y
    for _ in range(60):
        cx, cy, s, q = RNG.uniform(0, width), RNG.uniform(0, height), RNG.uniform(2.5, 6), RNG.uniform(-0.4, 0.4)
        u, v = (x - cx) / s, (y - cy) / s
        plane = plane + RNG.uniform(2, 20) * np.exp(-0.5 * (u * u + v * v + q * u * v))
    return plane.astype(">f4")


CASES = []


def case(name, file, wcs, place, size, scale, data):
    """`place` is a pixel, from 0."""
    ra, dec = (float(v) for v in wcs.all_pix2world(*place, 0))
    if scale is None:
        found = Cutout2D(data, SkyCoord(ra, dec, unit="deg"), size, wcs=wcs, mode="partial", fill_value=np.nan).data
    else:
        out = WCS(naxis=2)
        out.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        out.wcs.crval, out.wcs.crpix = [ra, dec], [(size + 1) / 2] * 2
        out.wcs.cdelt = [-scale / 3600, scale / 3600]
        if scale / 3600 <= PIXEL:
            found, _ = reproject_interp((data, wcs), out, shape_out=(size, size), order="bilinear")
        else:
            found, _ = reproject_adaptive((data, wcs), out, shape_out=(size, size), kernel="Hann",
                                          boundary_mode="strict", center_jacobian=True)
    expected = f"{len(CASES)}.f32"
    np.asarray(found, dtype="<f4").tofile(FOLDER / expected)
    CASES.append({"name": name, "file": file, "ra": ra, "dec": dec, "size": size, "scale": scale, "expected": expected,
                  "peak": float(np.nanmax(data))})


# Not where rounding would decide which pixel is the first.
PLACES = [(141.3, 120.8), (60.3, 190.7), (4.2, 130.3), (300.7, 262.2)]
for name, header in MATRIX.items():
    data = sky(WIDTH, HEIGHT)
    wcs = WCS(header)
    plain = fits.PrimaryHDU(data, header)
    plain.header["BUNIT"] = "MJy/sr"
    plain.writeto(FOLDER / f"{name}.fits")
    for place in PLACES:
        for size in (40, 41):
            case(f"{name} own", f"{name}.fits", wcs, place, size, None, data)
        for scale in (0.4, 0.17, 0.31, 0.9, 1.37):
            case(f"{name} {scale}", f"{name}.fits", wcs, place, 48, scale, data)

# The same pixels packed in every way: to the bit what astropy reads.
header = MATRIX["tan"]
data = sky(WIDTH, HEIGHT)
holes = data.copy()
holes[100:104, 90:99] = np.nan
numbers = np.round(data * 100).astype(">i2")


def image(data, **keys):
    hdu = fits.ImageHDU(data, header)
    hdu.header.update(keys)
    return hdu


def packed(data, **settings):
    return fits.CompImageHDU(data, header, **settings)


FORMS = {
    "f64.fits": image(data.astype(">f8")),
    "holes.fits": image(holes),
    "i16.fits": image(numbers),
    "scaled.fits": image(numbers, BSCALE=0.01, BZERO=3.0),
    "rows.fits.fz": packed(data, compression_type="RICE_1", quantize_level=16, quantize_method=1, dither_seed=7),
    "tiles.fits.fz": packed(data, compression_type="RICE_1", tile_shape=(37, 50), quantize_method=2, dither_seed=9),
    "gzip.fits.fz": packed(holes, compression_type="GZIP_2", quantize_level=0.0, tile_shape=(64, 64)),
    "hcompress.fits.fz": packed(numbers.astype(np.int32), compression_type="HCOMPRESS_1", tile_shape=(90, 90)),
    "integers.fits.fz": packed(numbers, compression_type="RICE_1", tile_shape=(270, 310)),
}
for file, hdu in FORMS.items():
    if file == "scaled.fits":
        # As stored, and not what astropy would make of the keywords.
        raw = fits.PrimaryHDU(numbers, header)
        raw.writeto(FOLDER / file)
        with fits.open(FOLDER / file, mode="update", do_not_scale_image_data=True) as hdus:
            hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 0.01, 3.0
    else:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(FOLDER / file)
    with fits.open(FOLDER / file) as hdus:
        found = next(hdu.data for hdu in hdus if hdu.data is not None)
    if file == "scaled.fits":
        # astropy rounds in between.
        found = (numbers.astype(np.float64) * 0.01 + 3.0).astype(np.float32)
    for place in [(141.3, 120.8), (2.2, 265.3), (95.2, 101.9)]:
        case(f"{file} own", file, WCS(header), place, 60, None, np.asarray(found, dtype=np.float32))
for tool, opened in (("gz", "gzip"), ("bz2", "bz2")):
    module = __import__(opened)
    with module.open(FOLDER / f"packed.fits.{tool}", "wb") as out:
        out.write((FOLDER / "tan.fits").read_bytes())
    with fits.open(FOLDER / "tan.fits") as hdus:
        case(f"packed {tool}", f"packed.fits.{tool}", WCS(MATRIX["tan"]), (70.0, 80.0), 33, None, hdus[0].data)
print(json.dumps(CASES))
