"""pyarrow writing the rows of a catalog: the same table, the same codec.

usage: catalog.py RUN

Reads the parts one at a time into memory, then times the writing of each as a
file of its own, on one thread as hiwl does it: with pyarrow's defaults but
zstd at level 3, and with the encodings that hiwl picks (no dictionaries for
floats and names, delta byte arrays for names).
"""

import os
import pathlib
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet as pq

run = pathlib.Path(sys.argv[1])
own = {
    "use_dictionary": ["label", "stage2", "status", "error"],
    "column_encoding": {"id": "DELTA_BYTE_ARRAY", "source": "DELTA_BYTE_ARRAY"},
    "write_page_index": True,
}
pa.set_cpu_count(1)
seconds, size, rows = {"defaults": 0.0, "hiwl's encodings": 0.0}, {}, 0
with tempfile.TemporaryDirectory(dir=run.parent) as folder:
    for part in sorted((run / "catalog").glob("part-*.parquet")):
        table = pq.read_table(part)
        rows += len(table)
        for name, options in [("defaults", {}), ("hiwl's encodings", own)]:
            out = pathlib.Path(folder) / part.name
            start = time.perf_counter()
            pq.write_table(table, out, compression="zstd", compression_level=3, **options)
            with open(out, "rb+") as file:
                os.fsync(file.fileno())
            seconds[name] += time.perf_counter() - start
            size[name] = size.get(name, 0) + out.stat().st_size
            out.unlink()
for name in seconds:
    print(f"pyarrow {pa.__version__}, {name}: {rows / seconds[name]:,.0f} rows/s, {size[name] / rows:.1f} bytes a row")
