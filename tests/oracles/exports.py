"""Holds the exports of a catalog against its parts, with every tool that reads
them. Prints nothing if all is well.

usage: exports.py RUN EXPORTS [--rejected] [--where COLUMN>VALUE]

EXPORTS holds table.parquet, table.csv, table.fits and table.vot. The parts are
read with pyarrow, which another test holds against what was written.
"""

import io
import pathlib
import sys
import warnings

import astropy
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits, votable
from astropy.io.votable.tree import VOTableFile
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table
from vo_parquet import VOParquetTable

TEXTS = ["id", "source", "label", "status", "error"]
UNITS = {"ra": "deg", "dec": "deg"}


def expected(run, rejected, where):
    table = pq.read_table(run / "catalog")
    if not rejected:
        table = table.filter(pa.compute.equal(table["status"], "ok"))
    if where:
        column, value = where.split(">")
        literal = pa.scalar(float(value), table[column].type)
        table = table.filter(pa.compute.greater(table[column], literal))
    return table


def same(what, name, column, truth):
    """Holds a column, as numpy sees it, against pyarrow's."""
    wanted = truth[name]
    assert len(column) == len(wanted), (what, name, len(column), len(wanted))
    missing = wanted.is_null().to_numpy()
    if pa.types.is_floating(wanted.type):
        kind = wanted.type.to_pandas_dtype()
        column = np.ma.filled(np.ma.asarray(column).astype(kind), np.nan)
        assert (np.isnan(column) == missing).all(), (what, name)
        assert (column[~missing] == wanted.to_numpy()[~missing].astype(kind)).all(), (what, name)
    elif pa.types.is_string(wanted.type):
        # CSV does not tell an empty text from none.
        texts = ["" if t is None or t is np.ma.masked or t != t else str(t) for t in column]
        assert texts == wanted.to_pylist(), (what, name)
    else:
        mask = np.ma.getmaskarray(np.ma.asarray(column))
        if column.dtype.kind == "O":
            mask = np.array([v is None or v != v for v in column], bool)
        if column.dtype.kind == "f":
            mask = np.isnan(column)
        assert (mask == missing).all(), (what, name, mask.sum(), missing.sum())
        values = [v for v, m in zip(column, mask) if not m]
        assert [int(v) for v in values] == [int(v) for v in wanted.drop_null().to_pylist()], (what, name)


def holds(what, names, column, truth):
    assert list(names) == truth.column_names, (what, list(names))
    for name in names:
        same(what, name, column(name), truth)


def units(what, table):
    for name in table.colnames:
        assert str(table[name].unit or "") == UNITS.get(name, ""), (what, name, table[name].unit)


def parquet(path, truth):
    table = pq.read_table(path)
    assert table.schema.equals(truth.schema, check_metadata=False), table.schema
    assert table.equals(truth)

    frame = pd.read_parquet(path)
    holds("pandas", frame.columns, lambda name: frame[name].to_numpy(), truth)
    assert frame["id"].dtype == "str" and frame["p_spi"].dtype == np.float32

    frame = pl.read_parquet(path)
    holds("polars", frame.columns, lambda name: frame[name].to_arrow().to_numpy(zero_copy_only=False), truth)
    assert frame.schema["id"] == pl.String and frame.schema["ra"] == pl.Float64
    assert frame.schema["stage2"] == pl.Boolean

    relation = duckdb.sql(f"FROM '{path}'")
    fetched = relation.fetchnumpy()
    holds("duckdb", relation.columns, fetched.__getitem__, truth)
    kinds = dict(zip(relation.columns, map(str, relation.types)))
    assert (kinds["id"], kinds["ra"], kinds["stage2"]) == ("VARCHAR", "DOUBLE", "BOOLEAN")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if len(truth):
            table = Table.read(path, format="parquet")
            holds("astropy parquet", table.colnames, lambda name: np.asarray(table[name]), truth)
            described = Table.read(path, format="parquet.votable")
            holds("parquet.votable", described.colnames, lambda name: described[name].data, truth)
        else:
            described = Table.read(votable_of(path))
            assert described.colnames == truth.column_names
    units("parquet.votable", described)
    for name in described.colnames:
        described_well(name, described[name].meta.get("ucd"), described[name].description, truth)

    both = VOParquetTable.from_parquet(str(path))
    assert len(both.data) == len(truth)
    fields = both.meta_data.get_first_table().fields
    assert [field.name for field in fields] == truth.column_names


def described_well(name, ucd, description, truth):
    field = truth.schema.field(name)
    if field.metadata:
        assert ucd == field.metadata[b"ucd"].decode(), (name, ucd)
        assert check_ucd(ucd, check_controlled_vocabulary=True), (name, ucd)
        assert description == field.metadata[b"description"].decode(), (name, description)


def votable_of(path):
    content = pq.read_metadata(path).metadata[b"IVOA.VOTable-Parquet.content"]
    assert pq.read_metadata(path).metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    return votable.parse(io.BytesIO(content), verify="exception")


def parts(run):
    """Every part describes itself, and parts join with their units."""
    from astropy.table import vstack

    tables = []
    for part in sorted((run / "catalog").glob("*.parquet")):
        document = votable_of(part)
        assert isinstance(document, VOTableFile)
        infos = {info.name for info in document.resources[0].infos}
        assert {"hiwl.run", "hiwl.model", "hiwl.range", "hiwl.settings"} <= infos, infos
        params = {p.name: p.value for p in document.get_first_table().params}
        assert len(params["model_sha256"]) == 64, params
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tables.append(Table.read(part, format="parquet.votable"))
        units("part", tables[-1])
    joined = vstack(tables, metadata_conflicts="silent")
    truth = pq.read_table(run / "catalog")
    holds("parts", joined.colnames, lambda name: joined[name].data, truth)
    units("parts", joined)


def csv(path, truth):
    texts = {name: str for name in truth.column_names if pa.types.is_string(truth[name].type)}
    floats = {name: truth[name].type.to_pandas_dtype() for name in truth.column_names
              if pa.types.is_floating(truth[name].type)}
    numbers = {name: [""] for name in truth.column_names if name not in texts}
    frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=numbers)
    frame = frame.astype(floats)
    holds("pandas csv", frame.columns, lambda name: frame[name].to_numpy(), truth)
    frame = pl.read_csv(path, schema_overrides={name: pl.String for name in texts})
    assert frame.columns == truth.column_names and len(frame) == len(truth)
    [(rows,)] = duckdb.sql(f"SELECT count(*) FROM read_csv('{path}', header=true)").fetchall()
    assert rows == len(truth)


def binary_table(path, truth):
    with fits.open(path, checksum=True) as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        file.verify("exception")
        header = file[1].header
        assert file[1].name == "HIWL" and header["RADESYS"] == "ICRS"
        assert "HWRUN" in header and "HWMODEL" in header and "HWEXPORT" in header
        assert header["NAXIS2"] == len(truth)
        for n, name in enumerate(truth.column_names, 1):
            described_well(name, header.get(f"TUCD{n}"), header.get(f"TCOMM{n}"), truth)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = Table.read(path)
        table.convert_bytestring_to_unicode()
    holds("fits", table.colnames, lambda name: table[name].data if name not in TEXTS else np.asarray(table[name]), truth)
    units("fits", table)


def tabledata(path, truth):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = votable.parse(path, verify="exception")
        table = Table.read(document)
    holds("votable", table.colnames, lambda name: table[name].data, truth)
    units("votable", table)
    for name in table.colnames:
        described_well(name, table[name].meta.get("ucd"), table[name].description, truth)


def odd_names(exports, truth):
    """Names that no XML identifier and no FITS keyword can have."""
    for document in [votable_of(exports / "table.parquet"), votable.parse(exports / "table.vot", verify="exception")]:
        assert [field.name for field in document.get_first_table().fields] == truth.column_names
    for frame in [pd.read_parquet(exports / "table.parquet"), pd.read_csv(exports / "table.csv"),
                  Table.read(exports / "table.parquet", format="parquet").to_pandas()]:
        assert list(frame.columns) == truth.column_names and len(frame) == len(truth)
    names = fits.getdata(exports / "table.fits").names
    ascii = ["".join(c if " " <= c <= "~" else "_" for c in name) for name in truth.column_names]
    assert names == ascii, names


def main():
    assert astropy.__version__.startswith("8.")
    run, exports = map(pathlib.Path, sys.argv[1:3])
    where = sys.argv[sys.argv.index("--where") + 1] if "--where" in sys.argv else None
    truth = expected(run, "--rejected" in sys.argv, where)
    if "--odd-names" in sys.argv:
        odd_names(exports, truth)
        print(len(truth))
        return
    parts(run)
    parquet(exports / "table.parquet", truth)
    csv(exports / "table.csv", truth)
    binary_table(exports / "table.fits", truth)
    tabledata(exports / "table.vot", truth)
    print(len(truth))


if __name__ == "__main__":
    main()
