"""Logits of torchvision's EfficientNets with seeded weights, on seeded images.

    efficientnet_logits.py FILE            writes the golden results
    efficientnet_logits.py --check FILE    computes them again and compares

Only the results are stored: weights and images come from `seeded.py` here and
from `src/model/seeded.rs` there.
"""

import functools
import json
import sys

import numpy as np
import torch
import torchvision
from torchvision.models import efficientnet

import seeded

assert torch.__version__.startswith("1.13."), torch.__version__
assert torchvision.__version__.startswith("0.14."), torchvision.__version__

SEED = 7
CLASSES = 4
MEAN = (0.046, 0.041, 0.030)
STD = (0.090, 0.075, 0.065)
# Name, epsilon of batch norm, side of the images, number of images.
CASES = [
    ("efficientnet-b0", 1e-5, 240, 3),
    ("efficientnet-b0", 1e-3, 240, 3),
    ("efficientnet-b1", 1e-5, 240, 3),
    ("efficientnet-b1", 1e-3, 240, 3),
    ("efficientnet-b2", 1e-3, 64, 1),
    ("efficientnet-b3", 1e-3, 75, 1),
    ("efficientnet-b4", 1e-3, 64, 1),
    ("efficientnet-b5", 1e-3, 64, 1),
    ("efficientnet-b6", 1e-3, 64, 1),
    ("efficientnet-b7", 1e-3, 64, 1),
    ("efficientnet-nano", 1e-3, 240, 3),
]


def build(name):
    if name != "efficientnet-nano":
        builder = getattr(torchvision.models, name.replace("-", "_"))
        return builder(num_classes=CLASSES)
    stages = [
        (1, 3, 1, 32, 16, 1),
        (6, 3, 2, 16, 24, 2),
        (6, 5, 2, 24, 40, 2),
        (6, 3, 2, 40, 80, 3),
        (6, 5, 1, 80, 112, 3),
        (6, 5, 2, 112, 192, 4),
        (6, 3, 1, 192, 320, 1),
    ]
    config = functools.partial(efficientnet.MBConvConfig, width_mult=0.2, depth_mult=0.33)
    settings = [config(*stage) for stage in stages]
    return efficientnet.EfficientNet(settings, dropout=0.2, num_classes=CLASSES)


def logits(name, eps, size, images):
    network = build(name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = eps
    seeded.fill(network, SEED)
    network.eval()
    pixels = np.stack([seeded.image(SEED, i, size) for i in range(images)])
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    batch = torchvision.transforms.functional.normalize(batch, MEAN, STD)
    with torch.no_grad():
        return network(batch).numpy().astype(float).tolist()


def compute():
    keys = ("name", "bn_eps", "size", "images")
    return {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "seed": SEED,
        "classes": CLASSES,
        "mean": MEAN,
        "std": STD,
        "cases": [dict(zip(keys, case), logits=logits(*case)) for case in CASES],
    }


def check(golden):
    again = compute()
    assert len(golden["cases"]) == len(again["cases"])
    for stored, computed in zip(golden["cases"], again["cases"]):
        a, b = np.array(stored.pop("logits")), np.array(computed.pop("logits"))
        assert stored == computed, (stored, computed)
        worst = np.abs(a - b).max() / np.abs(b).max()
        print(f"{stored['name']} eps {stored['bn_eps']}: {worst:.1e}")
        assert worst < 1e-5, stored


if sys.argv[1] == "--check":
    with open(sys.argv[2]) as file:
        check(json.load(file))
else:
    with open(sys.argv[1], "w") as file:
        json.dump(compute(), file, indent=1)
        file.write("\n")
