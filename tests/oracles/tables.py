"""Tables of cutouts as pyarrow and pandas write them: tables.py FOLDER."""

import datetime
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

assert pa.__version__ == "26.0.1", pa.__version__
assert pd.__version__ == "3.1.1", pd.__version__

folder = sys.argv[1]
count = 10_000
rows = range(count)

# Columns out of order, several row groups, a dictionary, every type carried.
pq.write_table(
    pa.table(
        {
            "word": pa.array([f"w{i % 5}" for i in rows]).dictionary_encode(),
            "DEC": pa.array([0.5 if i % 11 or not i else None for i in rows], pa.float32()),
            "path": pa.array([None if i % 7 == 3 else f"img/{i}.jpg" for i in rows]),
            "day": pa.array([datetime.date(2026, 1, 1)] * count),
            "n": pa.array([i for i in rows], pa.int16()),
            "id": pa.array([587722952230175035 + i for i in rows], pa.int64()),
            "RA": pa.array([i % 360 for i in rows], pa.int32()),
            "f": pa.array([i / 2 for i in rows], pa.float32()),
            "ok": pa.array([i % 2 == 0 for i in rows]),
            "box": pa.array([{"x": 1}] * count),
        }
    ),
    f"{folder}/plain.parquet",
    row_group_size=3000,
)
pq.write_table(
    pa.table({"id": pa.array(["007", "", "é", None], pa.large_string()), "path": ["a", "b", "c", "d"]}),
    f"{folder}/texts.parquet",
)
pq.write_table(
    pa.table({"id": pa.array([b"a", b"b"]), "path": pa.array([b"a.jpg", b"b.jpg"])}),
    f"{folder}/bytes.parquet",
)
pq.write_table(pa.table({"id": [1.0], "path": ["a.jpg"]}), f"{folder}/floats.parquet")
pd.DataFrame(
    {"id": ["7", 'a "b", c', "two\nlines"], "path": ["a.jpg"] * 3, "n": [1, 2, 70000]}
).to_csv(f"{folder}/pandas.csv", index=False)
