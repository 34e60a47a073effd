"""A mosaic with masks and maps of weights, and cutouts of it by astropy and numpy.

    masks.py FOLDER

Writes FITS files into FOLDER and prints JSON: a list of cases
{name, file, masks, beside, ra, dec, size, expected}. `masks` is what a person says (mask,
bits, weight), `beside` which files that is (what they are called, and their names).
`expected` names a file of size*size floats of Cutout2D on the mosaic's own grid, NaN where
the pixel is undefined (little-endian, row 0 in the south)."""
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

warnings.simplefilter("ignore")
FOLDER = Path(sys.argv[1])
WIDTH, HEIGHT = 260, 230
RNG = np.random.default_rng(77)

header = fits.Header()
header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
header["CRPIX1"], header["CRPIX2"] = 120.4, 111.9
header["CRVAL1"], header["CRVAL2"] = 200.0, 30.0
header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -1e-4, 2e-5, 2e-5, 1e-4
wcs = WCS(header)
data = RNG.normal(size=(HEIGHT, WIDTH)).astype(">f4")
data[60:63, 70:75] = np.nan
bits = (RNG.integers(0, 2, (HEIGHT, WIDTH, 12)) * (RNG.random((HEIGHT, WIDTH, 12)) < 0.05)) @ (1 << np.arange(12))
bits = bits.astype(np.int16)
wide = np.where(RNG.random((HEIGHT, WIDTH)) < 0.1, 1 << 30, 0).astype(np.int32)
unsigned = np.where(RNG.random((HEIGHT, WIDTH)) < 0.1, 0x8001, 0).astype(np.uint16)
weight = RNG.normal(1.0, 1.0, (HEIGHT, WIDTH)).astype(np.float32)
weight[::17, ::3], weight[5::19, ::5] = 0.0, np.nan


def image(data, name=None):
    hdu = fits.ImageHDU(data, header)
    if name:
        hdu.header["EXTNAME"] = name
    return hdu


def packed(data, name):
    settings = {"compression_type": "RICE_1"}
    if data.dtype.kind == "f":
        settings = {"compression_type": "GZIP_2", "quantize_level": 0.0, "tile_shape": (50, 64)}
    return fits.CompImageHDU(data, header, name=name, **settings)


def write(name, *hdus):
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(FOLDER / name)


write("sky-r-1.fits", image(data))
write("mask-1.fits", image(bits))
write("wide-1.fits.fz", packed(wide, "MASKBITS"))
write("unsigned-1.fits", image(unsigned))
write("invvar-r-1.fits.fz", packed(weight, "INVVAR"))
bare = fits.ImageHDU(bits)
write("bare-1.fits", bare)
write("des-r-1.fits.fz", packed(data.astype(np.float32), "SCI"), packed(bits, "MSK"), packed(weight, "WGT"))
# What is refused: other pixels, another place, two images.
write("small-1.fits", image(bits[:-1]))
moved = image(bits)
moved.header["CRPIX1"] += 1
write("moved-1.fits", moved)
write("two-1.fits", image(bits, "A"), image(bits, "B"))

CASES = []


def case(name, file, hidden, masks, **beside):
    for place in [(120.4, 111.9), (71.3, 61.2), (3.2, 200.7), (250.3, 4.4)]:
        ra, dec = (float(v) for v in wcs.all_pix2world(*place, 0))
        size = 50
        cut = Cutout2D(np.where(hidden, np.nan, data), SkyCoord(ra, dec, unit="deg"), size, wcs=wcs,
                       mode="partial", fill_value=np.nan)
        expected = f"{len(CASES)}.f32"
        np.asarray(cut.data, dtype="<f4").tofile(FOLDER / expected)
        CASES.append({"name": name, "file": file, "masks": masks, "beside": [[f"r {k}", v] for k, v in beside.items()],
                      "ra": ra, "dec": dec, "size": size, "expected": expected})


bad = ~(weight > 0)
sky, des = "sky-r-1.fits", "des-r-1.fits.fz"
case("all bits", sky, bits != 0, {"mask": "mask-{id}.fits"}, mask="mask-1.fits")
case("some bits", sky, (bits & 0x0A2) != 0, {"mask": "mask-{id}.fits", "bits": 0x0A2}, mask="mask-1.fits")
case("no coordinates", sky, bits != 0, {"mask": "bare-{id}.fits"}, mask="bare-1.fits")
case("32 bits, packed", sky, wide != 0, {"mask": "wide-{id}.fits.fz"}, mask="wide-1.fits.fz")
case("unsigned", sky, (unsigned & 1) != 0, {"mask": "unsigned-{id}.fits", "bits": 1}, mask="unsigned-1.fits")
case("weights", sky, bad, {"weight": "invvar-{band}-{id}.fits.fz"}, weight="invvar-r-1.fits.fz")
case("both", sky, bad | (bits != 0), {"mask": "mask-{id}.fits", "weight": "invvar-{band}-{id}.fits.fz"},
     mask="mask-1.fits", weight="invvar-r-1.fits.fz")
case("HDUs", des, bad | ((bits & 7) != 0), {"mask": "msk", "bits": 7, "weight": "WGT"}, mask=des, weight=des)
print(json.dumps(CASES))
