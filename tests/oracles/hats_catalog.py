"""Holds a HATS export against the catalog that it came from, with hats and
LSDB. Prints the number of rows and the orders of the partitions.

usage: hats_catalog.py RUN HATS ROWS_PER_PIXEL
"""

import io
import logging
import pathlib
import sys
import warnings

import hats
import lsdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pds
import pyarrow.parquet as pq
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import votable
from hats.io.validation import is_valid_catalog
from hats.pixel_math.spatial_index import compute_spatial_index


class Complaints(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.found = []

    def emit(self, record):
        self.found.append(record.getMessage())


def expected(run):
    table = pq.read_table(run / "catalog")
    table = table.filter(pa.compute.equal(table["status"], "ok"))
    table = table.filter(pa.compute.is_valid(table["ra"]))
    return table.to_pandas()


def folder(path, truth, most):
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    assert is_valid_catalog(path, strict=True)
    assert not complaints.found, complaints.found
    logging.getLogger().removeHandler(complaints)

    catalog = hats.read_hats(path)
    info = catalog.catalog_info
    assert info.total_rows == len(truth), info.total_rows
    assert (info.ra_column, info.dec_column, info.healpix_column) == ("ra", "dec", "_healpix_29")
    assert (path / "properties").read_bytes() == (path / "hats.properties").read_bytes()

    rows, orders = 0, set()
    for pixel in catalog.get_healpix_pixels():
        directory = pixel.pixel // 10_000 * 10_000
        part = path / f"dataset/Norder={pixel.order}/Dir={directory}/Npix={pixel.pixel}.parquet"
        table = pq.read_table(part, partitioning=None)
        assert table.column_names[0] == "_healpix_29" and table.schema.field(0).type == pa.int64()
        index = table["_healpix_29"].to_numpy()
        assert (np.diff(index) >= 0).all()
        assert (index >> (2 * (29 - pixel.order)) == pixel.pixel).all()
        own = compute_spatial_index(table["ra"].to_numpy(), table["dec"].to_numpy(), 29)
        assert (index == own).all()
        assert 0 < len(table) <= most, (pixel, len(table))
        rows += len(table)
        orders.add(pixel.order)
    assert rows == len(truth)

    with_footers = pds.parquet_dataset(path / "dataset/_metadata", partitioning=None)
    assert with_footers.count_rows() == len(truth)
    assert sum(f.count_rows() for f in with_footers.get_fragments()) == len(truth)
    common = pq.read_metadata(path / "dataset/_common_metadata")
    assert common.num_rows == 0
    content = common.metadata[b"IVOA.VOTable-Parquet.content"]
    fields = votable.parse(io.BytesIO(content), verify="exception").get_first_table().fields
    assert [f.name for f in fields] == pq.read_schema(path / "dataset/_common_metadata").names
    assert {f.name: str(f.unit) for f in fields if f.unit} == {"ra": "deg", "dec": "deg"}
    return sorted(orders)


def with_lsdb(path, truth):
    catalog = lsdb.open_catalog(path)
    assert len(catalog) == len(truth)
    found = catalog.compute()
    assert "_healpix_29" in [found.index.name, *found.columns]
    found = found.sort_values("source").reset_index(drop=True)
    wanted = truth.sort_values("source").reset_index(drop=True)
    for name in truth.columns:
        a, b = found[name], wanted[name]
        if a.dtype.kind == "f" or str(a.dtype) in ("double[pyarrow]", "float[pyarrow]"):
            assert np.array_equal(a.to_numpy("f8", na_value=np.nan), b.to_numpy("f8"), equal_nan=True), name
        else:
            assert a.astype(object).tolist() == b.astype(object).tolist(), name

    at = SkyCoord(truth["ra"].to_numpy() * u.deg, truth["dec"].to_numpy() * u.deg)
    centre = at[len(at) // 2]
    cone = catalog.cone_search(ra=centre.ra.deg, dec=centre.dec.deg, radius_arcsec=2 * 3600).compute()
    near = truth[at.separation(centre) < 2 * u.deg]
    assert len(near) > 0 and sorted(cone["source"]) == sorted(near["source"]), (len(cone), len(near))

    # The same galaxies half an arcsecond to the north, in another survey.
    step = 0.5 / 3600
    other = pd.DataFrame({"survey_id": truth["source"], "ra": truth["ra"],
                          "dec": np.where(truth["dec"] > 0, truth["dec"] - step, truth["dec"] + step)})
    other = lsdb.from_dataframe(other, ra_column="ra", dec_column="dec", margin_threshold=5)
    matched = catalog.crossmatch(other, radius_arcsec=1, n_neighbors=1, suffixes=("", "_other")).compute()
    # All but those of which a closer one exists, if any do.
    assert len(matched) >= 0.99 * len(truth), (len(matched), len(truth))
    right = (matched["source"].astype(str) == matched[[c for c in matched.columns if c.startswith("survey_id")][0]].astype(str)).mean()
    assert right > 0.99, right


def main():
    assert hats.__version__ == "0.11.1" and lsdb.__version__ == "0.11.1"
    warnings.simplefilter("ignore")
    run, path = map(pathlib.Path, sys.argv[1:3])
    truth = expected(run)
    orders = folder(path, truth, int(sys.argv[3]))
    with_lsdb(path, truth)
    print(len(truth), orders)


if __name__ == "__main__":
    main()
