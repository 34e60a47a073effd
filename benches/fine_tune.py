#!/usr/bin/env python3
"""Smooth, edge-on, spiral, learned from 400 labels, and scored on the others.

    benches/fine_tune.py HIWL DATA [OUTPUT [VIEWS EPOCHS]]

DATA holds galaxies/val-00.tar and galaxies/labels.csv. 400 of the validation
galaxies, drawn at random, are labelled with three classes; only a classifier is
learned, on the features of the model that ships (`--freeze`); the rest tell how good
it is. VIEWS pictures of each galaxy (4), whose features are computed once, are learned
from for EPOCHS (8); with 0 views every epoch draws others, and computes them anew. Prints the time of learning and what `hiwl evaluate` says.
"""

import csv
import random
import subprocess
import sys
import time
from pathlib import Path

CLASSES = {"CRS": "smooth", "IBS": "smooth", "CSS": "smooth", "EO": "edge-on", "SPI": "spiral"}
RECIPE = """
[training]
batch = 32
smoothing = 0.05
patience = 1000
keep = 1
ema = 0.9
VIEWSphases = [{ epochs = EPOCHS, size = 240 }]

[training.optimiser]
kind = "sgd"
learning_rate = 0.05
momentum = 0.9
nesterov = true
weight_decay = 1e-4
decay_vectors = false

[training.schedule]
every = "step"
epochs = EPOCHS

[[models]]
name = "single"
outputs = [["smooth"], ["edge-on"], ["spiral"]]
sampling = "shuffle"
"""


def main(hiwl: str, data: Path, output: Path, views: int, epochs: int) -> None:
    root = Path(__file__).resolve().parent.parent
    output.mkdir(parents=True, exist_ok=True)
    with (data / "galaxies/labels.csv").open() as file:
        rows = [
            (row["GalaxyID"], CLASSES[row["label"]])
            for row in csv.DictReader(file)
            if row["split"] == "val"
        ]
    random.seed(1)
    random.shuffle(rows)
    # One in five of the 400 tells the best epoch.
    few = [f"{id},{label},{'train' if k % 5 else 'val'}\n" for k, (id, label) in enumerate(rows[:400])]
    rest = [f"{id},{label}\n" for id, label in rows[400:]]
    (output / "few.csv").write_text("id,label,split\n" + "".join(few))
    (output / "rest.csv").write_text("id,label\n" + "".join(rest))
    # Input and augmentation of the recipe of the model that ships.
    shipped = (root / "pipelines/train-best.toml").read_text().split("[training]\n")[0]
    shipped = shipped.replace('"train-best"', '"three"')
    shipped = shipped.replace('["CRS", "IBS", "CSS", "EO", "SPI"]', '["smooth", "edge-on", "spiral"]')
    recipe = RECIPE.replace("VIEWS", f"views = {views}\n" if views else "")
    (output / "three.toml").write_text(shipped + recipe.replace("EPOCHS", str(epochs)))
    images, start = data / "galaxies/val-00.tar", time.monotonic()
    train = [hiwl, "train", images, "--labels", output / "few.csv", "--recipe", output / "three.toml"]
    train += ["--init", root / "models/hiwl-b1.safetensors", "--freeze", "--output", output / "run"]
    subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
    print(f"learned in {time.monotonic() - start:.0f} s", flush=True)
    evaluate = [hiwl, "evaluate", images, "--labels", output / "rest.csv"]
    evaluate += ["--model", output / "run/model.safetensors"]
    subprocess.run(evaluate, check=True)


if __name__ == "__main__":
    given = sys.argv[3:]
    output, views, epochs = given + ["out/fine-tune", "4", "8"][len(given) :]
    main(sys.argv[1], Path(sys.argv[2]), Path(output), int(views), int(epochs))
