"""Features and Grad-CAM maps of torchvision's EfficientNets with seeded weights, on
seeded images.

    efficientnet_features.py FILE            writes the golden results
    efficientnet_features.py --check FILE    computes them again and compares

Maps are Grad-CAM's (Selvaraju et al. 2017) by autograd: the last feature maps, each by
the mean of the logit's gradient over its pixels, added up, and what is below 0 left
out. Weights and images come from `seeded.py`, networks from `efficientnet_logits.py`.
"""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import torch
import torchvision

import seeded

# What the other script would do with the arguments is not wanted here.
arguments, sys.argv = sys.argv, ["", "/dev/null"]
spec = importlib.util.spec_from_file_location(
    "logits", pathlib.Path(__file__).with_name("efficientnet_logits.py")
)
source = pathlib.Path(spec.origin).read_text().split('\nif sys.argv[1] == "--check":')[0]
logits = {}
exec(compile(source, spec.origin, "exec"), logits)
sys.argv = arguments

# Name, epsilon of batch norm, side of the images, number of images.
CASES = [("efficientnet-nano", 1e-3, 240, 3), ("efficientnet-b0", 1e-3, 240, 1)]


def short(values):
    """Numbers of seven digits, as JSON keeps them short."""
    return [float(f"{value:.7g}") for value in np.asarray(values, dtype=float).ravel()]


def case(name, eps, size, images):
    network = logits["build"](name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = eps
    seeded.fill(network, logits["SEED"])
    network.eval()
    pixels = np.stack([seeded.image(logits["SEED"], i, size) for i in range(images)])
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    batch = torchvision.transforms.functional.normalize(batch, logits["MEAN"], logits["STD"])
    found = {"features": [], "grad_cam": []}
    for image in batch:
        maps = network.features(image[None])
        maps.retain_grad()
        pooled = torch.flatten(network.avgpool(maps), 1)
        answers = network.classifier(pooled)[0]
        found["features"].append(short(pooled[0].detach()))
        of_image = []
        for answer in answers:
            maps.grad = None
            answer.backward(retain_graph=True)
            weights = maps.grad.mean(dim=(2, 3), keepdim=True)
            of_image.append(short(torch.relu((weights * maps).sum(dim=1))[0].detach()))
        found["grad_cam"].append(of_image)
    return {"name": name, "bn_eps": eps, "size": size, "images": images, **found}


def compute():
    return {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "seed": logits["SEED"],
        "classes": logits["CLASSES"],
        "mean": logits["MEAN"],
        "std": logits["STD"],
        "cases": [case(*one) for one in CASES],
    }


def check(golden):
    again = compute()
    assert len(golden["cases"]) == len(again["cases"])
    for stored, computed in zip(golden["cases"], again["cases"]):
        for what in ("features", "grad_cam"):
            a, b = np.array(stored.pop(what)), np.array(computed.pop(what))
            worst = np.abs(a - b).max() / np.abs(b).max()
            print(f"{stored['name']} {what}: {worst:.1e}")
            assert worst < 1e-5, (stored, what)
        assert stored == computed, (stored, computed)


if sys.argv[1] == "--check":
    with open(sys.argv[2]) as file:
        check(json.load(file))
else:
    with open(sys.argv[1], "w") as file:
        json.dump(compute(), file)
        file.write("\n")
