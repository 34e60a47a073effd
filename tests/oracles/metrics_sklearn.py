"""Metrics by scikit-learn: reads {"labels", "truth", "predicted", "confidence"}
from the file given, prints the metrics as JSON."""

import json
import sys

import numpy as np
from sklearn import metrics
from sklearn.calibration import calibration_curve

with open(sys.argv[1], encoding="utf-8") as file:
    request = json.load(file)
truth, predicted = np.array(request["truth"]), np.array(request["predicted"])
confidence = np.array(request["confidence"])
labels = range(request["labels"])

precision, recall, f1, support = metrics.precision_recall_fscore_support(
    truth, predicted, labels=labels, zero_division=0)
averages = metrics.precision_recall_fscore_support(
    truth, predicted, labels=sorted(set(request["truth"])), average="macro", zero_division=0)
right, mean = calibration_curve(truth == predicted, confidence, n_bins=15)
# The curve leaves empty bins out; its bins have their upper edges.
counts = np.bincount(np.searchsorted(np.linspace(0, 1, 16)[1:-1], confidence), minlength=15)
counts = counts[counts > 0]
fractions = metrics.confusion_matrix(truth, predicted, labels=labels, normalize="true")
print(json.dumps({
    "accuracy": metrics.accuracy_score(truth, predicted),
    "precision": list(precision), "recall": list(recall), "f1": list(f1),
    "support": [int(n) for n in support],
    "macro_precision": averages[0], "macro_recall": averages[1], "macro_f1": averages[2],
    "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
    "fractions": fractions.tolist(),
    "error": float(np.sum(counts * np.abs(right - mean)) / counts.sum()),
}))
