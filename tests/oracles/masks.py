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


# Bits of which an f32 loses the lowest beside the highest.
deep = np.where(RNG.random((HEIGHT, WIDTH)) < 0.3, 1 << 30, 0) | np.where(RNG.random((HEIGHT, WIDTH)) < 0.1, 1, 0)
deep = deep.astype(np.int32)
wise = np.where(RNG.random((HEIGHT, WIDTH)) < 0.1, 3, 0).astype(np.uint8)
# The same pixels elsewhere on the sky.
elsewhere = header.copy()
elsewhere["CRVAL1"], elsewhere["CRVAL2"] = 215.0, -8.0


def image(data, name=None, header=header):
    hdu = fits.ImageHDU(data, header)
    if name:
        hdu.header["EXTNAME"] = name
    return hdu


def packed(data, name, **settings):
    if data.dtype.kind == "f" and not settings:
        settings = {"compression_type": "GZIP_2", "quantize_level": 0.0, "tile_shape": (50, 64)}
    return fits.CompImageHDU(data, header, name=name, **{"compression_type": "RICE_1", **settings})


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
write("multi-1.fits.fz", packed(wide, "MASKBITS"), packed(wise, "WISEM1"), packed(wise[::-1].copy(), "WISEM2"))
DEEP = {"i32": deep, "u32": deep.astype(np.uint32), "i64": deep.astype(np.int64),
        "u64": deep.astype(np.uint64), "f64": deep.astype(np.float64)}
for name, numbers in DEEP.items():
    write(f"deep-{name}-1.fits", image(numbers))
tiles = {"tile_shape": (46, 52)}
DEEP_PACKED = {"rice": {"compression_type": "RICE_1"}, "gzip": {"compression_type": "GZIP_1", **tiles},
               "shuffled": {"compression_type": "GZIP_2", **tiles},
               "hcompress": {"compression_type": "HCOMPRESS_1", "hcomp_scale": 0, **tiles}}
for name, settings in DEEP_PACKED.items():
    write(f"deep-{name}-1.fits.fz", packed(deep, "MASK", **settings))
# As in files of surveys whose headers are all copied from that of the light.
soft = image((bits & 7).astype(np.int16))
soft.header["BSOFTEN"], soft.header["BOFFSET"] = 2.0, 1.0
write("soft-1.fits", soft)
endless = np.where(bits & 2, np.inf, np.where(bits & 1, 1.0, 0.0)).astype(np.float32)
write("endless-1.fits", image(endless))
write("other-r-1.fits", image(data, header=elsewhere))
# What is refused: other pixels, another place, two images, planes, loss.
write("cube-1.fits", image(np.stack([bits, bits])))
write("lossy-1.fits.fz", packed(RNG.normal(size=(HEIGHT, WIDTH)).astype(np.float32), "MASK", quantize_level=16.0))
write("coarse-1.fits.fz", packed(bits, "MASK", compression_type="HCOMPRESS_1", hcomp_scale=4, **tiles))
write("small-1.fits", image(bits[:-1]))
moved = image(bits)
moved.header["CRPIX1"] += 1
write("moved-1.fits", moved)
write("two-1.fits", image(bits, "A"), image(bits, "B"))

CASES = []


def case(name, file, hidden, masks, wcs=wcs, **beside):
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
case("of several", sky, wide != 0, {"mask": "multi-{id}.fits.fz[maskbits]"}, mask="multi-1.fits.fz")
case("of several by number", sky, wise != 0, {"mask": "multi-{id}.fits.fz[HDU 3]"}, mask="multi-1.fits.fz")
for name in DEEP:
    case(f"deep {name}", sky, (deep & 1) != 0, {"mask": "deep-{id}.fits", "bits": 1}, mask=f"deep-{name}-1.fits")
for name in DEEP_PACKED:
    case(f"deep {name}", sky, (deep & 1) != 0, {"mask": "deep-{id}.fits.fz", "bits": 1}, mask=f"deep-{name}-1.fits.fz")
case("a header of light", sky, (bits & 3) != 0, {"mask": "soft-{id}.fits", "bits": 3}, mask="soft-1.fits")
case("infinite", sky, (bits & 3) != 0, {"mask": "endless-{id}.fits"}, mask="endless-1.fits")
case("no coordinates, elsewhere", "other-r-1.fits", bits != 0, {"mask": "bare-{id}.fits"}, wcs=WCS(elsewhere),
     mask="bare-1.fits")
print(json.dumps(CASES))
