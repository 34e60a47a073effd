"""One table of cutouts in every format that astropy writes: astropy_tables.py FOLDER.

Prints the names of the files, one a line."""

import gzip
import shutil
import sys

import astropy
import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table

assert astropy.__version__ == "8.0.2", astropy.__version__

folder = sys.argv[1]
count = 5000
rows = np.arange(count)
classes = np.array(["CRS", "IBS", "CSS", "EO", "SPI"])
table = Table(
    {
        "word": np.array([f"w {i % 5}, \"x\"" for i in rows]),
        "dr7objid": rows + 587722952230175035,
        "path": np.array([f"img/{i}.jpg" for i in rows]),
        "ra": rows % 360 + 0.25,
        "dec": (rows % 90).astype(np.float32),
        "z": MaskedColumn(rows / 8, dtype=np.float32, mask=rows % 7 == 3),
        "votes": MaskedColumn(rows % 50, dtype=np.int16, mask=rows % 11 == 3),
        "ok": rows % 2 == 0,
        "label": classes[rows % 5],
    }
)
table["z"].fill_value = np.nan
names = []


def write(name, table=table, **options):
    table.write(f"{folder}/{name}", overwrite=True, **options)
    names.append(name)


write("t.csv", format="ascii.csv")
write("t.tsv", format="ascii.tab")
write("t.ecsv", format="ascii.ecsv")
write("comma.ecsv", format="ascii.ecsv", delimiter=",")
write("t.fits", format="fits")
write("text.vot", format="votable", tabledata_format="tabledata")
# BINARY has no flags for missing whole numbers.
whole = table.copy()
whole["votes"] = whole["votes"].filled(0)
write("binary.vot", whole, format="votable", tabledata_format="binary")
write("binary2.vot", format="votable", tabledata_format="binary2")
for name in list(names):
    with open(f"{folder}/{name}", "rb") as plain, gzip.open(f"{folder}/{name}.gz", "wb", 1) as packed:
        shutil.copyfileobj(plain, packed)
    names.append(f"{name}.gz")
assert fits.getdata(f"{folder}/t.fits")["votes"].dtype.kind == "i"
print("\n".join(names))
