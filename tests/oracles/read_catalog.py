"""Reads a catalog with the tools that astronomers have, and prints what each
of them sees as JSON, for the tests to hold against what was written.

usage: read_catalog.py OUT/catalog
"""

import hashlib
import json
import pathlib
import sys
import warnings

import astropy
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table, vstack

FLOATS = ["ra", "dec", "confidence", "p_crs", "p_ibs", "p_css", "p_eo", "p_spi", "p_css_eo"]
TEXTS = ["id", "source", "label", "status", "error"]


def digest(texts):
    """SHA-256 of texts, each with its length in bytes before it."""
    sha = hashlib.sha256()
    for text in texts:
        data = str(text).encode()
        sha.update(len(data).to_bytes(8, "little") + data)
    return sha.hexdigest()


def seen(columns, types):
    """What a reader sees, in the same terms for all."""
    missing = {name: int(np.isnan(columns[name].astype("f8")).sum()) for name in FLOATS}
    return {
        "rows": len(columns["id"]),
        "types": types,
        "missing": missing,
        "texts": {name: digest(columns[name]) for name in TEXTS},
        "stage2": int(np.sum(columns["stage2"].astype(bool))),
        "sums": {name: float(np.nansum(columns[name].astype("f8"))) for name in FLOATS},
    }


def with_pyarrow(folder):
    table = pq.read_table(folder)
    assert not any(pa.types.is_dictionary(f.type) or pa.types.is_nested(f.type) for f in table.schema)
    for name in TEXTS + ["stage2"]:
        assert table[name].null_count == 0, name
    columns = {name: table[name].to_numpy() for name in FLOATS + TEXTS + ["stage2"]}
    for name in FLOATS:
        # A null, and not a NaN, is what says that there is no value.
        assert table[name].null_count == np.isnan(columns[name]).sum(), name
    return seen(columns, {field.name: str(field.type) for field in table.schema})


def with_pandas(folder):
    frame = pd.read_parquet(folder)
    columns = {name: frame[name].to_numpy() for name in FLOATS + TEXTS + ["stage2"]}
    return seen(columns, {name: str(dtype) for name, dtype in frame.dtypes.items()})


def with_duckdb(folder):
    relation = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet')")
    types = {name: str(kind) for name, kind in zip(relation.columns, relation.types)}
    columns = relation.fetchnumpy()
    columns = {
        name: np.ma.filled(columns[name], np.nan) if name in FLOATS else np.asarray(columns[name])
        for name in FLOATS + TEXTS + ["stage2"]
    }
    # A query that the statistics answer in part must agree with the rows.
    [(counted,)] = duckdb.sql(
        f"SELECT count(*) FROM read_parquet('{folder}/*.parquet') WHERE confidence > 0.5"
    ).fetchall()
    assert counted == int((np.nan_to_num(columns["confidence"].astype("f4")) > 0.5).sum())
    return seen(columns, types)


def with_astropy(folder):
    with warnings.catch_warnings():
        # A string column whose length the file does not say is a warning.
        warnings.simplefilter("error")
        parts = [Table.read(part, format="parquet") for part in sorted(folder.glob("*.parquet"))]
    table = vstack(parts, metadata_conflicts="silent")
    kinds = {name: {"U": "str"}.get(table[name].dtype.kind, table[name].dtype.name) for name in table.colnames}
    columns = {name: np.asarray(table[name]) for name in FLOATS + TEXTS + ["stage2"]}
    return seen(columns, kinds)


def footer(folder):
    part = sorted(folder.glob("*.parquet"))[0]
    file = pq.ParquetFile(part)
    metadata = file.metadata
    for field in file.schema_arrow:
        if field.metadata is None:
            continue  # a column of the user's
        ucd = field.metadata[b"ucd"].decode()
        assert check_ucd(ucd, check_controlled_vocabulary=True), (field.name, ucd)
    group = metadata.row_group(0)
    pairs = {key.decode(): value.decode() for key, value in metadata.metadata.items() if key != b"ARROW:schema"}

    # The checksum, recomputed as its description says.
    data = part.read_bytes()
    seal = pairs["hiwl.sha256"]
    assert data.count(seal.encode()) == 1
    assert hashlib.sha256(data.replace(seal.encode(), b"0" * 64)).hexdigest() == seal

    return {
        "created_by": metadata.created_by,
        "keys": sorted(pairs),
        "range": pairs["hiwl.range"],
        "settings": json.loads(pairs["hiwl.settings"]),
        "compression": group.column(0).compression,
        "has_statistics": all(group.column(i).is_stats_set for i in range(group.num_columns)),
        "has_page_index": all(group.column(i).has_column_index for i in range(group.num_columns)),
        "units": {f.name: (f.metadata or {}).get(b"unit", b"").decode() for f in file.schema_arrow},
    }


def main():
    assert astropy.__version__.startswith("8.") and duckdb.__version__.startswith("2.")
    folder = pathlib.Path(sys.argv[1])
    print(json.dumps({
        "pyarrow": with_pyarrow(folder),
        "pandas": with_pandas(folder),
        "duckdb": with_duckdb(folder),
        "astropy": with_astropy(folder),
        "footer": footer(folder),
    }))


if __name__ == "__main__":
    main()
