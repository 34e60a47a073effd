"""Logits of torchvision's EfficientNets with seeded weights, on seeded images.

    efficientnet_logits.py FILE            writes the golden results
    efficientnet_logits.py --check FILE    computes them again and compares

Only the results are stored: weights and images come from `seeded.py` here and
from `src/network/seeded.rs` there.
"""

import json
import sys

import numpy as np
import torch
import torchvision

import seeded

assert torch.__version__.startswith("1.13."), torch.__version__
assert torchvision.__version__.startswith("0.14."), torchvision.__version__

SEED = 7
CLASSES = 4
MEAN = (0.046, 0.041, 0.030)
STD = (0.090, 0.075, 0.065)
# Member of the family, epsilon of its batch norm, side of the images, images.
CASES = [
    (0, 1e-5, 240, 3),
    (0, 1e-3, 240, 3),
    (1, 1e-5, 240, 3),
    (1, 1e-3, 240, 3),
    (2, 1e-3, 64, 1),
    (3, 1e-3, 75, 1),
    (4, 1e-3, 64, 1),
    (5, 1e-3, 64, 1),
    (6, 1e-3, 64, 1),
    (7, 1e-3, 64, 1),
]


def logits(member, eps, size, images):
    network = getattr(torchvision.models, f"efficientnet_b{member}")(num_classes=CLASSES)
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
    keys = ("member", "bn_eps", "size", "images")
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
        print(f"b{stored['member']} eps {stored['bn_eps']}: {worst:.1e}")
        assert worst < 1e-5, stored


if sys.argv[1] == "--check":
    with open(sys.argv[2]) as file:
        check(json.load(file))
else:
    with open(sys.argv[1], "w") as file:
        json.dump(compute(), file, indent=1)
        file.write("\n")
