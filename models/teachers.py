#!/usr/bin/env python3
"""What several models answer, as one table for `hiwl train --soft-labels`.

    models/teachers.py LABELS CATALOG.parquet... --labels 0.3 --output teachers.parquet

Each catalog is one model's (`hiwl classify --stage2 all`, `hiwl export --to parquet`) of
the same galaxies. A galaxy's target is (1 - w) times the mean of the catalogs'
probabilities of each class, and w (`--labels`) for the class of its label: what networks
know of a galaxy that stands between two classes, and what volunteers said of it. A galaxy
that a catalog has no probabilities of is left out; galaxies without a label are an error.
Needs pandas and pyarrow.
"""

import argparse
import functools

import pandas as pd


def probabilities(path, classes):
    """A catalog's probabilities by GalaxyID, a column for each of `classes`."""
    table = pd.read_parquet(path)
    table = table[table["status"] == "ok"].set_index("id")
    table.index = table.index.str.removesuffix(".jpg").str.rsplit("/").str[-1].astype("int64")
    table = table[[f"p_{name.lower()}" for name in classes]]
    return table.set_axis(classes, axis=1).dropna()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("table", help="GalaxyID,label")
    parser.add_argument("catalogs", nargs="+")
    parser.add_argument("--labels", type=float, default=0.3)
    parser.add_argument("--output", required=True)
    options = parser.parse_args()
    labels = pd.read_csv(options.table).set_index("GalaxyID")["label"]
    classes = sorted(labels.unique())
    catalogs = [probabilities(path, classes) for path in options.catalogs]
    shared = functools.reduce(pd.Index.intersection, (c.index for c in catalogs))
    mean = sum(catalog.loc[shared].astype("float64") for catalog in catalogs) / len(catalogs)
    mean = mean.div(mean.sum(axis=1), axis=0)
    own = pd.get_dummies(labels.loc[shared], dtype="float64")[classes]
    agree = (mean.idxmax(axis=1) == labels.loc[shared]).mean()
    print(f"{len(shared)} galaxies; the mean of {len(catalogs)} agrees with {agree:.2%} of labels")
    target = (1 - options.labels) * mean + options.labels * own
    target.rename_axis("id").reset_index().to_parquet(options.output)


if __name__ == "__main__":
    main()
