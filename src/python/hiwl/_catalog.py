"""Catalogs on disk as tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Sequence, Union

import pyarrow as pa
import pyarrow.dataset as ds

from ._errors import HiwlError

if TYPE_CHECKING:
    import pyarrow.compute as pc


def read_catalog(
    folder: Union[str, os.PathLike[str]],
    *,
    columns: Optional[Sequence[str]] = None,
    filter: Optional[pc.Expression] = None,
) -> pa.Table:
    """The rows of a run, in the order of its listing.

    `columns` names those to read, `filter` is an expression over columns, such as
    `pyarrow.compute.field("label") == "SPI"`. Rows of ranges that are not done are
    not there: `hiwl status` says how many.
    """
    catalog = Path(folder) / "catalog"
    if not catalog.is_dir():
        raise HiwlError(f"{folder}: there is no run here (it has no folder `catalog`)")
    # Names of parts are their ranges, in order; what begins with a dot is under way.
    parts = sorted(path for path in catalog.glob("part-*.parquet"))
    if not parts:
        raise HiwlError(f"{folder}: no part of the catalog has been written yet")
    dataset = ds.dataset([str(part) for part in parts], format="parquet")
    return dataset.to_table(columns=list(columns) if columns is not None else None, filter=filter)
