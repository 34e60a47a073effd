"""Average precision by scikit-learn: reads [{"scores", "is"}, ...] from the file given,
prints a list of numbers as JSON."""

import json
import sys

from sklearn.metrics import average_precision_score

with open(sys.argv[1], encoding="utf-8") as file:
    cases = json.load(file)
print(json.dumps([float(average_precision_score(case["is"], case["scores"])) for case in cases]))
