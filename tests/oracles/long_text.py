"""Reads a FITS table with astropy; prints how many rows, the longest id, how
many distinct ids, and how many texts the header says were cut."""

import sys
import warnings

from astropy.io import fits

warnings.simplefilter("error")
with fits.open(sys.argv[1], checksum=True) as file:
    ids = [str(value) for value in file[1].data["id"]]
    print(len(ids), max(map(len, ids)), len(set(ids)), file[1].header["HWCUT"])
