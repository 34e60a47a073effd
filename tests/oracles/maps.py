"""How far neighbours stay neighbours on a map, by scikit-learn: on ours, on that of
its own t-SNE, and on the first two principal components; and by how much ours of these
differ from its.

usage: maps.py OUT/catalog TSNE.csv PCA.csv PERPLEXITY
"""

import json
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

folder, tsne, pca, perplexity = sys.argv[1:]
table = pq.read_table(folder)
vectors = table["feature"].to_pylist()
tsne, pca = (pd.read_csv(path) for path in (tsne, pca))
assert (np.array(table["id"].to_pylist())[tsne.row] == tsne.id.astype(str)).all()
assert (np.array(table["label"].to_pylist())[tsne.row] == tsne.label).all()
vectors = np.array([vectors[row] for row in tsne.row])
ours = tsne[["x", "y"]].to_numpy()
seen = PCA(50, svd_solver="full").fit_transform(vectors)
theirs = TSNE(perplexity=float(perplexity), init="pca", random_state=0).fit_transform(seen)
components = pca[["x", "y"]].to_numpy()
signs = np.sign((components * seen[:, :2]).sum(axis=0))
print(json.dumps({
    "ours": trustworthiness(vectors, ours, n_neighbors=12),
    "theirs": trustworthiness(vectors, theirs, n_neighbors=12),
    "components": trustworthiness(vectors, components, n_neighbors=12),
    "components_differ": float(np.abs(components * signs - seen[:, :2]).max() / np.abs(seen).max()),
}))
