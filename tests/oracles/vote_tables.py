"""Published vote tables by pandas and astropy: vote_tables.py FOLDER.

For every table its rows, and of every answer in how many rows its fraction (of
everybody who looked) is known, and the sum of these; by the paper's rules, the
galaxies of each class. Trees are written out here by hand, in the tables' own
names. Prints JSON by file.
"""

import json
import re
import sys
import warnings

import numpy as np
import pandas as pd
from astropy.table import Table

warnings.simplefilter("ignore")
folder = sys.argv[1]


def read(path, ids):
    if ".fits" in path:
        frame = Table.read(f"{folder}/{path}").to_pandas()
        # Single precision means the number that it is written as.
        for name in frame.columns[frame.dtypes == np.float32]:
            frame[name] = [float(str(value)) for value in frame[name].to_numpy()]
    else:
        skip = 1 if "gz1/" in path else 0
        frame = pd.read_csv(f"{folder}/{path}", dtype={ids: str}, skiprows=skip)
    return frame


def questions_of(columns, question):
    found = {}
    for column in columns:
        found.setdefault(question(column), []).append(column)
    return found


def cumulative(frame, questions, after, conditional=True):
    """Of everybody who looked: multiplied down; unknown where unasked. `conditional`:
    whether fractions are of those who were asked, or of which questions they are."""
    values = {}
    for question, own in questions.items():
        raw = frame[own].astype(float)
        raw[raw.sum(axis=1, min_count=1).fillna(0) == 0] = np.nan
        parents = after.get(question)
        if parents is None:
            reach = pd.Series(1.0, frame.index)
        else:
            reach = pd.DataFrame({p: values[p] for p in parents}).sum(axis=1, min_count=1)
        for column in own:
            asked = conditional is True or (conditional and question in conditional)
            value = raw[column] * reach if asked else raw[column]
            values[column] = value.where(~((reach == 0) & raw[column].isna()), 0.0)
    return values


def paper(v, names):
    smooth, disk, edge, face, spiral, rounded = names
    rules = {
        "CRS": (v[smooth] > 0.469) & (v[rounded[0]] > 0.5),
        "IBS": (v[smooth] > 0.469) & (v[rounded[1]] > 0.5),
        "CSS": (v[smooth] > 0.469) & (v[rounded[2]] > 0.5),
        "EO": (v[disk] > 0.43) & (v[edge] > 0.602),
        "SPI": (v[disk] > 0.43) & (v[face] > 0.715) & (v[spiral] > 0.619),
    }
    several = sum(rule.astype(int) for rule in rules.values()) > 1
    return {label: int((rule & ~several).sum()) for label, rule in rules.items()}


def told(frame, values, names=None):
    answers = {c: [int(v.notna().sum()), float(v.sum())] for c, v in values.items()}
    return {"rows": len(frame), "answers": answers, "classes": paper(values, names) if names else None}


def gz2_tree(q, prefix=lambda t: t):
    """Parents of each task of Galaxy Zoo 2, of `q`: task -> columns."""
    a = lambda number: next(c for own in q.values() for c in own if f"_a{number:02}_" in c)
    return {
        "t02": [a(2)], "t03": [a(5)], "t04": q["t03"], "t10": [a(8)], "t11": q["t10"],
        "t05": [a(9)] + q["t11"], "t07": [a(1)], "t09": [a(4)],
        "t06": q["t05"] + q["t07"] + q["t09"], "t08": [a(14)],
    }


GZ2_ORDER = ["t01", "t02", "t03", "t04", "t10", "t11", "t05", "t07", "t09", "t06", "t08"]


def gz2(path, ids):
    frame = read(path, ids)
    columns = [c for c in frame.columns if re.match(r"t\d\d_.*_debiased$", c)]
    q = questions_of(columns, lambda c: c[:3])
    q = {task: q[task] for task in GZ2_ORDER}
    v = cumulative(frame, q, gz2_tree(q))
    a = lambda number: next(c for c in columns if f"_a{number:02}_" in c)
    return told(frame, v, (a(1), a(2), a(4), a(5), a(8), (a(16), a(17), a(18))))


def kaggle(path):
    frame = read(path, "GalaxyID")
    columns = [c for c in frame.columns if c.startswith("Class")]
    q = questions_of(columns, lambda c: c.split(".")[0])
    # In the order of the tree, parents first: a row without votes is 0 of all.
    order = [f"Class{n}" for n in (1, 2, 3, 4, 10, 11, 5, 7, 9, 6, 8)]
    q = {name: q[name] for name in order}
    after = {
        "Class2": ["Class1.2"], "Class3": ["Class2.2"], "Class4": q["Class3"],
        "Class10": ["Class4.1"], "Class11": q["Class10"],
        "Class5": ["Class4.2"] + q["Class11"], "Class7": ["Class1.1"], "Class9": ["Class2.1"],
        "Class6": q["Class5"] + q["Class7"] + q["Class9"], "Class8": ["Class6.1"],
    }
    # Of everybody, but for Class6, whose two fractions always add up to 1.
    v = cumulative(frame, q, after, conditional={"Class6"})
    names = ("Class1.1", "Class1.2", "Class2.1", "Class2.2", "Class4.1", ("Class7.1", "Class7.2", "Class7.3"))
    return told(frame, v, names)


def decals(path, end, round_name):
    frame = read(path, "iauname")
    columns = [c for c in frame.columns if c.endswith(end)]
    q = questions_of(columns, lambda c: c.split("_")[0])
    name = lambda question, answer: f"{question}_{answer}{end}"
    disk, face = name("smooth-or-featured", "featured-or-disk"), name("disk-edge-on", "no")
    smooth, arms = name("smooth-or-featured", "smooth"), name("has-spiral-arms", "yes")
    after = {
        "disk-edge-on": [disk], "has-spiral-arms": [face], "bar": [face], "bulge-size": [face],
        "how-rounded": [smooth], "edge-on-bulge": [name("disk-edge-on", "yes")],
        "spiral-winding": [arms], "spiral-arm-count": [arms], "merging": [smooth, disk],
    }
    order = ["smooth-or-featured", "disk-edge-on"] + [k for k in after if k != "disk-edge-on"]
    q = {question: q[question] for question in order}
    v = cumulative(frame, q, after)
    rounded = tuple(name("how-rounded", a) for a in (round_name, "in-between", "cigar-shaped"))
    return told(frame, v, (smooth, disk, name("disk-edge-on", "yes"), face, arms, rounded))


def ferengi(path):
    frame = read(path, "subject_id")
    columns = [c for c in frame.columns if re.match(r"t\d\d_.*_a\d\d_.*_frac$", c)]
    q = questions_of(columns, lambda c: c[:3])
    a = lambda number: next(c for c in columns if f"_a{number:02}_" in c)
    after = gz2_tree(q)
    clumpy, plain = [a(39)], [a(40)]
    after |= {"t14": [a(2)], "t19": clumpy, "t18": clumpy, "t16": clumpy, "t17": [a(43)],
              "t20": clumpy, "t21": clumpy, "t02": plain}
    after["t06"] = after["t06"] + q["t21"]
    order = ["t01", "t14", "t19", "t18", "t16", "t17", "t20", "t21"] + GZ2_ORDER[1:] + ["t22"]
    q = {task: q[task] for task in order}
    v = cumulative(frame, q, after)
    return told(frame, v, (a(1), a(2), a(4), a(5), a(8), (a(16), a(17), a(18))))


def gz1(path):
    # The first of galaxies that stand there twice, with different votes.
    frame = read(path, "objid").drop_duplicates("objid")
    columns = ["elliptical", "spiralclock", "spiralanticlock", "edgeon", "dontknow", "merger"]
    return told(frame, cumulative(frame, {"shape": columns}, {}))


def panoptes(path, workflow=None):
    frame = pd.read_csv(f"{folder}/{path}", dtype=str)
    if workflow:
        frame = frame[frame.workflow_id == workflow]
    votes = {}
    for subject, annotations in zip(frame.subject_ids, frame.annotations):
        for annotation in json.loads(annotations):
            if isinstance(annotation.get("value"), str):
                key = f"{annotation['task']}/{annotation['value'].lower()}"
                votes[key] = votes.get(key, 0) + 1
    return {"rows": frame.subject_ids.nunique(), "votes": votes}


print(json.dumps({
    "votes/training_solutions_rev1-671.csv": kaggle("votes/training_solutions_rev1-671.csv"),
    "votes/training_solutions_rev1-sample.csv": kaggle("votes/training_solutions_rev1-sample.csv"),
    "votes/gz2_willett2013_stripe82coadd_table5.csv.gz":
        gz2("votes/gz2_willett2013_stripe82coadd_table5.csv.gz", "objid"),
    "votes/gz2_willett2013_stripe82coadd_table5.fits.gz":
        gz2("votes/gz2_willett2013_stripe82coadd_table5.fits.gz", "objid"),
    "labels/gz2_hart16/gz2_hart16.csv": gz2("labels/gz2_hart16/gz2_hart16.csv", "dr7objid"),
    "labels/gz2_hart16_debiased15089/gz2_hart16_debiased.csv":
        gz2("labels/gz2_hart16_debiased15089/gz2_hart16_debiased.csv", "row_in_merged"),
    "labels/gz_decals/gz_decals_volunteers_1_and_2.csv":
        decals("labels/gz_decals/gz_decals_volunteers_1_and_2.csv", "_debiased", "completely"),
    "labels/gz_decals/gz_decals_volunteers_5.csv":
        decals("labels/gz_decals/gz_decals_volunteers_5.csv", "_debiased", "round"),
    "labels/gz_decals/gz_decals_auto_posteriors.csv":
        decals("labels/gz_decals/gz_decals_auto_posteriors.csv", "_fraction", "round"),
    "labels/gz_hubble/ferengi_classifications_collated.csv":
        ferengi("labels/gz_hubble/ferengi_classifications_collated.csv"),
    "labels/gz_hubble/GZ2_FERENGI_matched_to_gz2_catalog.fits":
        gz2("labels/gz_hubble/GZ2_FERENGI_matched_to_gz2_catalog.fits", "OBJID"),
    "labels/gz1/zooNoSpec_combined_10k.csv": gz1("labels/gz1/zooNoSpec_combined_10k.csv"),
    "labels/gz1/zooNoSpec_edge_2067.csv": gz1("labels/gz1/zooNoSpec_edge_2067.csv"),
    "labels/panoptes_classification_export/cls_export.csv":
        panoptes("labels/panoptes_classification_export/cls_export.csv"),
}))
