"""A model in this process, and `classify`."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import _hiwl, _pictures
from ._catalog import read_catalog
from ._errors import HiwlError, HiwlWarning
from ._program import in_notebook, model_path, run, tqdm_bar


class Model:
    """A model that is ready to classify, on this machine's processor.

    Without a path it is the one that comes with the package. `bands` are the names of
    the bands that become red, green and blue, `cube_bands` those of the planes of FITS
    cubes that do not name them; `profile`, `unit`, `zero_point` (one, or three) and
    `pixel_scale` (arcsec) say how FITS pixels become colours where their headers do not;
    `resample` ("bilinear", "lanczos3") enlarges pictures smaller than the model's input,
    which are rejected otherwise. A model may be shared by threads.
    """

    def __init__(
        self,
        path: Union[str, os.PathLike[str], None] = None,
        *,
        bands: Optional[Sequence[str]] = None,
        cube_bands: Optional[Sequence[str]] = None,
        profile: Optional[str] = None,
        unit: Optional[str] = None,
        zero_point: Union[float, Sequence[float], None] = None,
        pixel_scale: Optional[float] = None,
        resample: Optional[str] = None,
        precision: str = "auto",
        workers: Optional[int] = None,
    ) -> None:
        self.path = Path(path) if path is not None else model_path()
        if isinstance(zero_point, (int, float)):
            zero_point = [float(zero_point)] * 3
        try:
            self._engine = _hiwl.Model(
                self.path,
                bands=bands,
                cube_bands=cube_bands,
                profile=profile,
                unit=unit,
                zero_point=zero_point,
                pixel_scale=pixel_scale,
                resample=resample,
                precision=precision,
                workers=workers,
            )
        except (ValueError, RuntimeError) as error:
            raise HiwlError(str(error)) from None

    def __repr__(self) -> str:
        return f"hiwl.Model({str(self.path)!r}: {', '.join(self.classes)})"

    @property
    def classes(self) -> List[str]:
        """The labels that it gives."""
        return self._engine.classes

    def predict(
        self,
        inputs: Any,
        *,
        ids: Optional[Sequence[str]] = None,
        progress: Optional[bool] = None,
    ) -> pa.Table:
        """A row for each picture, in order, with the columns of a catalog.

        `inputs` is a picture (a path, a file's bytes, an array of (height, width, 3)
        bytes, a PIL image, an astropy HDU or HDUList), a sequence of these, an array of
        (n, height, width, 3), or a table with a column `path` or `image` (pandas,
        polars, pyarrow, astropy), whose other columns are kept: `ra` and `dec` as the
        positions of pictures that have none of their own, and whatever is called as a column
        of the catalog (`label`) under its name with `_given`. A picture that cannot be
        classified has a row with the reason in `status` and `error`. What was taken for
        granted is a `HiwlWarning`. `progress` shows tqdm's bar; in a notebook it is the
        default.
        """
        names, pictures, rest = _rows(inputs, ids)
        given = [_pictures.picture(picture) for picture in pictures]
        bar = _bar(len(given), progress)
        try:
            stream, notes = self._engine.table(names, given, bar.update if bar else None)
        except (ValueError, RuntimeError) as error:
            raise HiwlError(str(error)) from None
        finally:
            if bar:
                bar.close()
        for note in notes:
            warnings.warn(note, HiwlWarning, stacklevel=2)
        found = pa.ipc.open_stream(stream).read_all()
        if rest is None:
            return found
        return _beside(found, rest)

    def features(self, inputs: Any) -> np.ndarray:
        """The features of pictures (see `predict`) by the model's first network, float32
        of shape (n, 1280): what its classifier sees. A picture that cannot be read is
        warned of and has NaN."""
        names, pictures, _ = _rows(inputs, None)
        given = [_pictures.picture(picture) for picture in pictures]
        try:
            data, reasons, notes = self._engine.features(given)
        except (ValueError, RuntimeError) as error:
            raise HiwlError(str(error)) from None
        _warn(names, reasons, notes)
        return _array(data, (len(given), self._engine.features_len))

    def heatmap(
        self, inputs: Any, cls: Optional[str] = None, *, drawn: bool = False
    ) -> np.ndarray:
        """Where in pictures (see `predict`) the model sees its class, or `cls`: Grad-CAM,
        the maps of `hiwl explain`, float32 of shape (n, height, width).

        `cls` is one of `classes`, or an answer of the model's tree ("CSS+EO"). A map has 8
        pixels a side, of the model that ships; what speaks for the class is above 0, what
        speaks against it below. Rows are the picture's from the top down. With `drawn` it
        lies on the picture as the networks see it (its middle 240 pixels), with as many
        pixels, between 0 and 1 as `hiwl explain` draws it: each map by its own greatest
        value, without what speaks against. A picture that cannot be classified is warned
        of and has NaN."""
        names, pictures, _ = _rows(inputs, None)
        given = [_pictures.picture(picture) for picture in pictures]
        try:
            (data, reasons, notes), side = self._engine.heat(given, cls, drawn)
        except (ValueError, RuntimeError) as error:
            raise HiwlError(str(error)) from None
        _warn(names, reasons, notes)
        return _array(data, (len(given), side, side))


def _beside(found: pa.Table, rest: pa.Table) -> pa.Table:
    """The catalog's rows with the other columns of the table that they were asked by."""
    placed = _on_sky(rest)
    for field in rest.schema:
        column, name = rest.column(field.name), field.name
        if placed and name in placed:
            place = found.column_names.index(name)
            filled = pc.coalesce(found.column(place), placed[name])
            found = found.set_column(place, found.schema.field(place), filled)
            continue
        while name in found.column_names:
            name += "_given"
        found = found.append_column(field.with_name(name), column)
    return found


def _on_sky(table: pa.Table) -> Optional[Dict[str, pa.ChunkedArray]]:
    """Its columns `ra` and `dec`, if both are there and are degrees as far as can be seen;
    what is no number or on no sky is missing in both."""
    if not {"ra", "dec"} <= set(table.column_names):
        return None
    columns = [table.column(name) for name in ("ra", "dec")]
    if not all(pa.types.is_floating(c.type) or pa.types.is_integer(c.type) for c in columns):
        return None
    ra, dec = (column.cast(pa.float64()) for column in columns)
    known = [pc.less_equal(pc.abs(dec), 90.0), pc.less_equal(ra, 360.0), pc.greater_equal(ra, -180.0)]
    on_sky = pc.fill_null(pc.and_(pc.and_(known[0], known[1]), known[2]), False)
    # The same circle counted the other way.
    ra = pc.if_else(pc.less(ra, 0.0), pc.add(ra, 360.0), ra)
    nothing = pa.scalar(None, pa.float64())
    return {"ra": pc.if_else(on_sky, ra, nothing), "dec": pc.if_else(on_sky, dec, nothing)}


def classify(
    inputs: Any,
    model: Union[Model, str, os.PathLike[str], None] = None,
    *,
    ids: Optional[Sequence[str]] = None,
    progress: Optional[bool] = None,
    **options: Any,
) -> pa.Table:
    """Classifies pictures: a row for each, with the columns of a catalog.

    `inputs` is what `Model.predict` takes, in this process; or folders, tar archives,
    tables and lists on disk, whose catalog is made by `run` in a temporary folder. Other
    keywords are `Model`'s, or the flags of `run`.
    """
    many = [inputs] if _pictures.is_many(inputs) else inputs
    if isinstance(many, (list, tuple)) and any(map(_pictures.is_many, many)):
        if ids is not None:
            raise HiwlError("ids of folders, archives and tables are their own")
        path = model.path if isinstance(model, Model) else model
        if isinstance(model, Model) and options:
            raise HiwlError("this model is ready: its options were given when it was opened")
        with tempfile.TemporaryDirectory(prefix="hiwl-") as folder:
            output = os.path.join(folder, "run")
            shown = in_notebook() if progress is None else progress
            run(many, output, model=path, quiet=not shown, progress=progress, **options)
            return read_catalog(output)
    if isinstance(model, Model):
        if options:
            raise HiwlError("this model is ready: its options were given when it was opened")
    else:
        model = Model(model, **options)
    return model.predict(inputs, ids=ids, progress=progress)


def _rows(
    inputs: Any, ids: Optional[Sequence[str]]
) -> Tuple[List[str], List[Any], Optional[pa.Table]]:
    """Ids and pictures, and the other columns where they are a table's."""
    table = _pictures.table(inputs)
    rest = None
    if table is not None:
        names, pictures, rest = _pictures.of_table(table)
    else:
        pictures = [inputs] if _pictures.is_one(inputs) else list(inputs)
        names = [_pictures.name(picture, place) for place, picture in enumerate(pictures)]
    if ids is not None:
        names = [str(one) for one in ids]
        if len(names) != len(pictures):
            raise HiwlError(f"{len(names)} ids for {len(pictures)} pictures")
    return names, pictures, rest


def _warn(names: List[str], reasons: List[Optional[str]], notes: List[str]) -> None:
    """Warns the caller's caller of pictures that have no numbers, and of what was taken
    for granted."""
    said = [f"{name}: {reason}" for name, reason in zip(names, reasons) if reason is not None]
    for words in [*said, *notes]:
        warnings.warn(words, HiwlWarning, stacklevel=3)


def _array(data: bytes, shape: Tuple[int, ...]) -> np.ndarray:
    """Numbers as an array that is the caller's to write into, in the machine's own byte
    order."""
    return np.frombuffer(data, "<f4").reshape(shape).astype(np.float32)


def _bar(total: int, wanted: Optional[bool]) -> Any:
    """tqdm's bar, where one is wanted and tqdm is installed; not for a moment's work."""
    new = tqdm_bar(wanted) if wanted or total > 256 else None
    return new(total) if new is not None else None
