"""The paper's clean sample of a Galaxy Zoo 2 vote table, by pandas: multiplies
the debiased (conditional) fractions down the decision tree by hand, applies
table 1, prints {id: label}."""

import json
import sys

import pandas

t = pandas.read_csv(sys.argv[1], dtype={"objid": str})
d = lambda name: t[name + "_debiased"]
smooth, disk = d("t01_smooth_or_features_a01_smooth"), d("t01_smooth_or_features_a02_features_or_disk")
edge_on, face_on = disk * d("t02_edgeon_a04_yes"), disk * d("t02_edgeon_a05_no")
bar_asked = face_on * (d("t03_bar_a06_bar") + d("t03_bar_a07_no_bar"))
spiral = bar_asked * d("t04_spiral_a08_spiral")
rules = {
    "CRS": (smooth > 0.469) & (smooth * d("t07_rounded_a16_completely_round") > 0.5),
    "IBS": (smooth > 0.469) & (smooth * d("t07_rounded_a17_in_between") > 0.5),
    "CSS": (smooth > 0.469) & (smooth * d("t07_rounded_a18_cigar_shaped") > 0.5),
    "EO": (disk > 0.43) & (edge_on > 0.602),
    "SPI": (disk > 0.43) & (face_on > 0.715) & (spiral > 0.619),
}
several = sum(rule.astype(int) for rule in rules.values()) > 1
print(json.dumps({
    i: label for label, rule in rules.items() for i in t["objid"][rule & ~several]
}))
