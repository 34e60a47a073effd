"""Classify galaxies by shape.

    import hiwl
    table = hiwl.classify(["a.jpg", "b.fits"])        # a pyarrow.Table
    table.to_pandas()[["id", "label", "confidence"]]

`classify` takes files, bytes, arrays, PIL images, FITS HDUs and tables of these, and
folders or archives of them. `Model` keeps a model ready for many calls, and gives
features and heat maps. `run` classifies archives of millions into a folder, which a stopped run
goes on with, and `read_catalog` reads what it wrote.
"""

from importlib.metadata import version as _version

from ._catalog import read_catalog
from ._errors import HiwlError, HiwlWarning, RunError
from ._model import Model, classify
from ._program import model_path, program_path, run

__version__ = _version("hiwl")

__all__ = [
    "HiwlError",
    "HiwlWarning",
    "Model",
    "RunError",
    "classify",
    "model_path",
    "program_path",
    "read_catalog",
    "run",
]
