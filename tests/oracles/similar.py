"""The rows nearest to some, by numpy and in double precision.

usage: similar.py OUT/catalog ID,ID TOP euclidean|cosine
"""

import json
import sys

import numpy as np
import pyarrow.parquet as pq

folder, to, top, distance = sys.argv[1:]
table = pq.read_table(folder)
rows = np.flatnonzero(np.array(table["status"]) == "ok")
ids, labels = (table[name].to_pylist() for name in ("id", "label"))
vectors = table["feature"].to_pylist()
assert all((vectors[row] is None) == (row not in rows) for row in range(len(ids)))
vectors = np.array([vectors[row] for row in rows], dtype="f8")
found = []
for wanted in to.split(","):
    query = ids.index(wanted)
    own = vectors[np.flatnonzero(rows == query)[0]]
    if distance == "euclidean":
        far = np.linalg.norm(vectors - own, axis=1)
    else:
        far = 1 - vectors @ own / np.linalg.norm(vectors, axis=1) / np.linalg.norm(own)
    order = [k for k in np.argsort(far, kind="stable") if rows[k] != query]
    for rank, k in enumerate(order[: int(top)], 1):
        row = int(rows[k])
        found.append({"to": wanted, "rank": rank, "distance": float(far[k]), "id": ids[row],
                      "label": labels[row], "row": row})
print(json.dumps(found))
