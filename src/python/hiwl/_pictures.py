"""Whatever users have, as what the engine takes: files, bytes, pixels."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, List, Optional, Tuple

import numpy as np
import pyarrow as pa

from ._errors import HiwlError

#: Endings of what holds many cutouts; the program reads these.
MANY = (".tar", ".csv", ".tsv", ".ecsv", ".vot", ".votable", ".xml", ".parquet", ".txt", ".lst")


#: Pillow's modes of a byte a colour, or less.
BYTES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


def is_many(given: Any) -> bool:
    """Whether it is a path to many cutouts: a folder, an archive, a table, a list."""
    if not isinstance(given, (str, os.PathLike)):
        return False
    path = os.fspath(given)
    lower = path.lower()
    lower = lower[:-3] if lower.endswith(".gz") else lower
    return os.path.isdir(path) or lower.endswith(MANY)


def is_one(given: Any) -> bool:
    """Whether it is a single picture."""
    if isinstance(given, np.ndarray):
        return given.ndim == 3
    return isinstance(given, (str, bytes, os.PathLike)) or _is_pil(given) or _is_fits(given)


def picture(given: Any) -> Any:
    """A picture as the engine takes it."""
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    if isinstance(given, (bytes, bytearray, memoryview)):
        return bytes(given)
    if isinstance(given, np.ndarray):
        return _pixels(given)
    if _is_pil(given):
        if given.mode not in BYTES:
            # Pillow would cut off what is above 255.
            raise HiwlError(
                f"a PIL image of mode {given.mode!r} has more than a byte a colour: give the "
                "file's path or bytes, or scale it to 8 bits"
            )
        return _pixels(np.asarray(given.convert("RGB")))
    if _is_fits(given):
        stream = io.BytesIO()
        given.writeto(stream)
        return stream.getvalue()
    raise HiwlError(
        f"{type(given).__name__} is no picture: it may be a path, a file's bytes, an array of "
        "(height, width, 3) bytes, a PIL image or an astropy HDU"
    )


def name(given: Any, place: int) -> str:
    """A picture's id: the stem of its file, or its place."""
    if isinstance(given, (str, os.PathLike)):
        stem = Path(os.fspath(given)).name
        for ending in (".gz", ".bz2", ".fz"):
            stem = stem[: -len(ending)] if stem.lower().endswith(ending) else stem
        return Path(stem).stem
    return str(place)


def table(given: Any) -> Optional[pa.Table]:
    """A table of pictures as Arrow's, if it is one."""
    if isinstance(given, pa.Table):
        return given
    if hasattr(given, "to_pandas") and hasattr(given, "colnames"):  # astropy
        given = given.to_pandas()
    if type(given).__module__.split(".")[0] == "pandas" and hasattr(given, "columns"):
        return _of_pandas(given)
    if hasattr(given, "to_arrow"):  # polars
        return given.to_arrow()
    return None


def _of_pandas(given: Any) -> pa.Table:
    """A data frame, of which paths may be `pathlib.Path`."""
    for column in given.columns:
        if any(isinstance(value, os.PathLike) for value in given[column].head(1)):
            given = given.assign(**{column: [os.fspath(value) for value in given[column]]})
    try:
        return pa.Table.from_pandas(given, preserve_index=False)
    except pa.ArrowInvalid as error:
        raise HiwlError(
            f"the data frame is no table of texts, numbers and bytes: {error}; arrays of pixels "
            "are given as a list, with their ids"
        ) from None


def of_table(given: pa.Table) -> Tuple[List[str], List[Any], pa.Table]:
    """Ids and pictures of a table's rows, and its other columns."""
    names = {column.lower(): column for column in given.column_names}
    found = [names[key] for key in ("path", "image", "image_bytes") if key in names]
    if len(found) != 1:
        raise HiwlError(
            f"a table needs one column of pictures, `path` or `image`; this one has "
            f"{', '.join(found) or 'neither'} (its columns: {', '.join(given.column_names)})"
        )
    if "path" in names:
        # numpy's texts of a fixed length come as bytes.
        pictures = _texts(given.column(found[0])).to_pylist()
    else:
        pictures = given.column(found[0]).to_pylist()
    # As Hugging Face's datasets have them.
    pictures = [p.get("bytes") or p.get("path") if isinstance(p, dict) else p for p in pictures]
    missing = [place for place, p in enumerate(pictures) if p is None]
    if missing:
        raise HiwlError(f"row {missing[0]} of the table has no `{found[0]}`")
    rest = given.drop_columns([found[0]])
    if "id" in names:
        column = given.column(names["id"])
        # pandas makes floats of whole numbers with a gap, which lose their last digits.
        if column.null_count or pa.types.is_floating(column.type):
            raise HiwlError("ids are texts or whole numbers, one in each row")
        ids = [str(value) for value in _texts(column).to_pylist()]
        rest = rest.drop_columns([names["id"]])
    else:
        ids = [name(p, place) for place, p in enumerate(pictures)]
    return ids, pictures, rest


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of bytes as text, and any other as it is."""
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.large_string())
    if pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary()).cast(pa.string())
    return column


def _pixels(array: np.ndarray) -> Tuple[int, int, bytes]:
    if array.ndim != 3 or array.shape[2] != 3:
        raise HiwlError(
            f"an array of shape {array.shape} is no picture: (height, width, 3), red, green, blue"
        )
    if array.dtype != np.uint8:
        raise HiwlError(
            f"an array of {array.dtype} is no picture: pixels are bytes (uint8), as a viewer shows "
            "them; bands as numbers are to be given as FITS, so that units and colours are known"
        )
    height, width, _ = array.shape
    return height, width, np.ascontiguousarray(array).tobytes()


def _is_pil(given: Any) -> bool:
    return type(given).__module__.split(".")[0] == "PIL" and hasattr(given, "convert")


def _is_fits(given: Any) -> bool:
    return type(given).__module__.startswith("astropy.io.fits") and hasattr(given, "writeto")
