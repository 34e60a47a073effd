"""Tables that hold their images, as pyarrow writes them: image_tables.py CUTOUTS FOLDER.

CUTOUTS holds JPEG files. Written are the layouts that data sets have, in row
groups that end where no range does, and FITS cubes of the same planes.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

assert pa.__version__ == "26.0.1", pa.__version__

cutouts, folder = Path(sys.argv[1]), Path(sys.argv[2])
names = sorted(path.name for path in cutouts.glob("*.jpg"))
files = [(cutouts / name).read_bytes() for name in names]
folder.mkdir()

# Hugging Face's Image, with what its tables have beside it.
image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
pq.write_table(
    pa.table(
        {
            "votes": pa.array([i % 5 for i in range(len(names))], pa.int8()),
            "image": pa.array(
                [{"bytes": f, "path": f"train/{n}"} for f, n in zip(files, names)], image
            ),
            "ra": pa.array([float(i) for i in range(len(names))]),
            "dec": pa.array([-0.5 * i for i in range(len(names))]),
            "image_id": pa.array([f"x{i}" for i in range(len(names))]),
        }
    ),
    folder / "huggingface.parquet",
    row_group_size=7,
    write_page_index=True,
)
# Bytes alone, larger types, other compression, one row group of small pages.
pq.write_table(
    pa.table(
        {
            "object_id": pa.array([name.removesuffix(".jpg") for name in names], pa.large_string()),
            "thumbnail": pa.array([b"not this one"] * len(names), pa.binary()),
            "jpg": pa.array(files, pa.large_binary()),
        }
    ),
    folder / "binary.parquet",
    compression="zstd",
    data_page_size=50_000,
    write_batch_size=4,
    use_dictionary=False,
)
# What can be wrong with a row.
pq.write_table(
    pa.table(
        {
            "id": pa.array(["ok", "null", "path", "empty", "text", "cut"]),
            "image": pa.array(
                [
                    {"bytes": files[0], "path": None},
                    None,
                    {"bytes": None, "path": "elsewhere.jpg"},
                    {"bytes": b"", "path": None},
                    {"bytes": b"<html>", "path": None},
                    {"bytes": files[0][: len(files[0]) // 2], "path": None},
                ],
                image,
            ),
        }
    ),
    folder / "wrong.parquet",
)

# Planes, as the Multimodal Universe has them: a struct of lists, and a list
# of structs; the same galaxies as cubes.
rng = np.random.default_rng(1)
size, count = 250, 9
y, x = np.mgrid[:size, :size] - size / 2
cubes = []
for galaxy in range(count):
    light = np.exp(-np.hypot(x, y * (1 + galaxy / 3)) / (10 + galaxy))
    planes = [light * s + rng.normal(0, 0.01, light.shape) for s in (1, 2, 3, 4)]
    cubes.append(np.array(planes, np.float32))
bands = ["DES-G", "DES-R", "DES-I", "DES-Z"]
plane = pa.list_(pa.list_(pa.float32()))
ids = [f"g{i}" for i in range(count)]
lists = pa.struct(
    [
        ("band", pa.list_(pa.string())),
        ("flux", pa.list_(plane)),
        ("ivar", pa.list_(plane)),
        ("scale", pa.list_(pa.float32())),
    ]
)
pq.write_table(
    pa.table(
        {
            "object_id": ids,
            "image": pa.array(
                [
                    {"band": bands, "flux": c.tolist(), "ivar": c.tolist(), "scale": [0.262] * 4}
                    for c in cubes
                ],
                lists,
            ),
            "rgb": pa.array([{"bytes": files[0], "path": None}] * count, image),
        }
    ),
    folder / "planes.parquet",
    row_group_size=4,
)
structs = pa.list_(pa.struct([("band", pa.string()), ("array", plane), ("psf_fwhm", pa.float32())]))
pq.write_table(
    pa.table(
        {
            "object_id": ids,
            "image": pa.array(
                [
                    [{"band": b, "array": p, "psf_fwhm": 1.0} for b, p in zip(bands, c.tolist())]
                    for c in cubes
                ],
                structs,
            ),
        }
    ),
    folder / "structs.parquet",
)
(folder / "cubes").mkdir()
for name, cube in zip(ids, cubes):
    hdu = fits.PrimaryHDU(cube)
    hdu.header["BANDS"] = "griz"
    hdu.writeto(folder / "cubes" / f"{name}.fits")

# One band short, and one ragged.
pq.write_table(
    pa.table(
        {
            "object_id": ["short", "ragged", "none"],
            "image": pa.array(
                [
                    {"band": bands[:2], "flux": cubes[0].tolist()[:2]},
                    {"band": bands, "flux": [[[1.0] * 250, [1.0] * 249]] * 4},
                    {"band": [], "flux": []},
                ],
                pa.struct([("band", pa.list_(pa.string())), ("flux", pa.list_(plane))]),
            ),
        }
    ),
    folder / "wrong_planes.parquet",
)
# Offsets of the first and second row group's images, to be damaged.
metadata = pq.ParquetFile(folder / "huggingface.parquet").metadata
for group in (0, 1):
    for index in range(metadata.num_columns):
        column = metadata.row_group(group).column(index)
        if column.path_in_schema == "image.bytes":
            start = column.dictionary_page_offset or column.data_page_offset
            print(start, column.total_compressed_size)
