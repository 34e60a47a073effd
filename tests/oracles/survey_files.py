"""Files of surveys, as they are handed out, of a simulated sky.

    survey_files.py SKY FOLDER

SKY is what `hiwl simulate SKY --mosaics` wrote, of one field. FOLDER gets

- the field as run 1000, camcol 1, field 27 of SDSS: frame-{g,r,i}-001000-1-0027.fits.bz2,
  with the three further HDUs that frames have; and Galaxy.csv, a part of the view `Galaxy`
  of its database, in which others lie beside the field's sources;
- the same sky as a brick of the Legacy Surveys, 1501p020: legacysurvey-1501p020-image-
  {g,r,z}.fits.fz (z is the field's i), by reproject on the brick's pixels and tile-compressed
  as fpack does it, and its maskbits: of the first source the bits that say a bright star is
  near, of the second those of pixels that are saturated in r (and in the two further images of
  such a file, of WISE, every bit of every pixel);
- sources.csv and hidden.csv: id, ra, dec and r90 of all but the second, and of all.
"""
import bz2
import csv
import io
import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from reproject import reproject_interp

warnings.simplefilter("ignore")
SKY, FOLDER = map(Path, sys.argv[1:3])
BRICK, SIDE, SCALE = "1501p020", 3600, 0.262
BRIGHT, SATUR_R = 1 << 1, 1 << 3
RNG = np.random.default_rng(20)

with (SKY / "sources.csv").open() as file:
    SOURCES = [(row["id"], float(row["ra"]), float(row["dec"]), float(row["petroR90_r"]))
               for row in csv.DictReader(file)]
FRAMES = {band: fits.open(SKY / f"frames/frame-{band}-000000.fits")[0] for band in "gri"}


def sdss() -> None:
    for band, frame in FRAMES.items():
        sky = fits.BinTableHDU.from_columns([
            fits.Column("ALLSKY", "256E", dim="(32,8)", array=np.zeros((1, 8, 32), "f4")),
            fits.Column("XINTERP", "2048E", array=np.zeros((1, 2048), "f4")),
            fits.Column("YINTERP", "1489E", array=np.zeros((1, 1489), "f4"))])
        asteroids = fits.BinTableHDU.from_columns([fits.Column("RUN", "J", array=[1000])])
        calibration = fits.ImageHDU(np.full(2048, 0.005, "f4"))
        whole = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(frame.data, frame.header), calibration, sky,
                      asteroids]).writeto(whole)
        name = f"frame-{band}-001000-1-0027.fits.bz2"
        (FOLDER / name).write_bytes(bz2.compress(whole.getvalue()))
    with (FOLDER / "Galaxy.csv").open("w") as file:
        print("objid,ra,dec,petroR90_r,modelMag_r,run,camcol,field", file=file)
        for source, ra, dec, radius in SOURCES:
            print(f"{source},{ra:.8f},{dec:.8f},{radius},16.5,1000,1,27", file=file)
        _, ra, dec, _ = SOURCES[0]
        # Of another field, too small, too faint.
        print(f"1,{ra},{dec},9,16.5,1000,1,28\n2,{ra},{dec},3.0,16.5,1000,1,27\n"
              f"3,{ra},{dec},9,17.0,1000,1,27", file=file)


def brick() -> None:
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRPIX1"] = header["CRPIX2"] = (SIDE + 1) / 2
    header["CRVAL1"], header["CRVAL2"] = (FRAMES["r"].header[key] for key in ("CRVAL1", "CRVAL2"))
    header["CD1_1"], header["CD1_2"] = -SCALE / 3600, 0.0
    header["CD2_1"], header["CD2_2"] = 0.0, SCALE / 3600
    wcs = WCS(header)
    for band, frame in zip("grz", FRAMES.values()):
        light, _ = reproject_interp((frame.data, WCS(frame.header)), wcs, (SIDE, SIDE),
                                    roundtrip_coords=False)
        # Light of a pixel, of which those of the brick are smaller.
        light *= (SCALE / 0.396) ** 2
        outside = np.isnan(light)
        noise = np.nanstd(light[::50, ::50].clip(-0.05, 0.05))
        light[outside] = RNG.normal(0.0, noise, outside.sum())
        own = header.copy()
        own["FILTER"], own["BUNIT"], own["BRICKNAM"] = band, "nanomaggy", BRICK
        pack(f"image-{band}", [(light.astype("f4"), own, None)])
    bits = np.zeros((SIDE, SIDE), "i4")
    rows, columns = np.ogrid[:SIDE, :SIDE]
    for (_, ra, dec, _), bit in zip(SOURCES, (BRIGHT, SATUR_R)):
        x, y = wcs.all_world2pix(ra, dec, 0)
        bits[(rows - y) ** 2 + (columns - x) ** 2 < 60 ** 2] |= bit
    wise = np.full((SIDE, SIDE), 0xff, "u1")
    pack("maskbits", [(bits, header, "MASKBITS"), (wise, header, "WISEM1"),
                      (wise, header, "WISEM2")])


def pack(kind: str, images: list) -> None:
    hdus = [fits.PrimaryHDU()]
    for data, header, name in images:
        settings = {"tile_shape": (100, 100)}
        if data.dtype.kind == "f":
            settings |= {"quantize_level": 8.0, "quantize_method": 2, "dither_seed": 1}
        hdus.append(fits.CompImageHDU(data, header, name=name, compression_type="RICE_1",
                                      **settings))
    fits.HDUList(hdus).writeto(FOLDER / f"legacysurvey-{BRICK}-{kind}.fits.fz")


def table(name: str, rows: list) -> None:
    with (FOLDER / name).open("w") as file:
        print("id,ra,dec,r90", file=file)
        for source, ra, dec, radius in rows:
            print(f"{source},{ra:.8f},{dec:.8f},{radius}", file=file)


sdss()
brick()
table("sources.csv", SOURCES[:1] + SOURCES[2:])
table("hidden.csv", SOURCES)
