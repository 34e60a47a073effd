"""Ready-made cutouts of the sources of simulated mosaics, by astropy.

    ready_cutouts.py FOLDER OUTPUT

FOLDER is what `hiwl simulate --mosaics` wrote. Into OUTPUT go `{id}_{band}.fits`, squares of
300 pixels of each band's own grid, and `table.csv` (id, path, ra, dec, petroR90_r)."""
import csv
import sys
import warnings
from pathlib import Path

from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

warnings.simplefilter("ignore")
folder, output = Path(sys.argv[1]), Path(sys.argv[2])
output.mkdir()
with open(folder / "sources.csv") as file:
    sources = list(csv.DictReader(file))
frames = {}
for path in sorted((folder / "frames").iterdir()):
    with fits.open(path) as hdus:
        frames.setdefault(hdus[0].header["FILTER"], []).append((hdus[0].data.copy(), WCS(hdus[0].header)))
with open(output / "table.csv", "w") as table:
    table.write("id,path,ra,dec,petroR90_r\n")
    for source in sources:
        place = SkyCoord(float(source["ra"]), float(source["dec"]), unit="deg")
        for band, images in frames.items():
            data, wcs = next((data, wcs) for data, wcs in images if wcs.footprint_contains(place))
            cut = Cutout2D(data, place, 300, wcs=wcs, mode="partial", fill_value=float("nan"))
            header = cut.wcs.to_header()
            header["BUNIT"], header["FILTER"] = "nanomaggy", band
            fits.PrimaryHDU(cut.data, header).writeto(output / f"{source['id']}_{band}.fits")
        row = [source["id"], source["id"] + "_{band}.fits", source["ra"], source["dec"], source["petroR90_r"]]
        table.write(",".join(row) + "\n")
print(len(sources))
