"""Gradients of torchvision's EfficientNet-B1 in training mode, in f64, with
seeded weights, images and targets; and the steps of PyTorch's optimisers.

    efficientnet_gradients.py FILE            writes the golden results
    efficientnet_gradients.py --check FILE    computes them again and compares

A tensor is stored as its norm and its products with a few seeded vectors of
±1: the root mean square of the differences of such products estimates the
norm of the tensors' difference.
"""

import json
import sys

import numpy as np
import torch
import torchvision

import seeded

assert torch.__version__.startswith("1.13."), torch.__version__
assert torchvision.__version__.startswith("0.14."), torchvision.__version__

SEED = 11
CLASSES = 5
IMAGES = 4
SIZE = 96
EPS = 1e-3
MEAN = (0.046, 0.041, 0.030)
STD = (0.090, 0.075, 0.065)
PRODUCTS = 8
RATE = 0.005
MOMENTUM = 0.9
DECAY = 1e-4


def sketch(name, tensor):
    values = tensor.detach().numpy().astype(np.float64).ravel()
    products = []
    for i in range(PRODUCTS):
        bits = seeded.stream(SEED, f"product.{i}.{name}", values.size) >> np.uint64(63)
        products.append(float(np.where(bits == 0, values, -values).sum()))
    return {"norm": float(np.linalg.norm(values)), "products": products}


def network_case(freeze):
    network = torchvision.models.efficientnet_b1(
        num_classes=CLASSES, stochastic_depth_prob=0.0
    )
    network.classifier[0].p = 0.0
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = EPS
    seeded.fill(network, SEED)
    network = network.double()
    initial = {name: p.detach().clone() for name, p in network.named_parameters()}
    pixels = np.stack([seeded.image(SEED, i, SIZE) for i in range(IMAGES)])
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).double() / 255
    batch = torchvision.transforms.functional.normalize(batch, MEAN, STD)
    # Smoothed rows of 0.05, as the paper's Equation 5 has them.
    targets = torch.full((IMAGES, CLASSES), 0.05 / (CLASSES - 1), dtype=torch.float64)
    for i in range(IMAGES):
        targets[i, (3 * i + 1) % CLASSES] = 0.95
    optimizer = torch.optim.SGD(
        network.parameters(), RATE, momentum=MOMENTUM, weight_decay=DECAY
    )
    if freeze:
        network.eval()
    else:
        network.train()
    result = {"losses": []}
    for step in range(2):
        optimizer.zero_grad()
        logits = network(batch)
        loss = -(targets * torch.log_softmax(logits, 1)).sum(1).mean()
        loss.backward()
        result["losses"].append(loss.item())
        if step == 0:
            result["logits"] = logits.detach().numpy().tolist()
            learned = {
                name: p
                for name, p in network.named_parameters()
                if not freeze or name.startswith("classifier.")
            }
            result["gradients"] = {name: sketch(name, p.grad) for name, p in learned.items()}
            if freeze:
                return result
            result["running"] = {
                name: sketch(name, value)
                for name, value in network.state_dict().items()
                if "running_" in name
            }
        optimizer.step()
    result["changes"] = {
        name: sketch(name, p - initial[name]) for name, p in network.named_parameters()
    }
    return result


def optimizer_case(make):
    """Weights after each of some steps with seeded gradients, in f64."""
    weights = torch.nn.Parameter(torch.from_numpy(uniform("weights", 5)))
    optimizer = make([weights])
    path = []
    for step in range(4):
        weights.grad = torch.from_numpy(uniform(f"gradient.{step}", 5))
        optimizer.step()
        path.append(weights.detach().numpy().tolist())
    return path


def uniform(name, count):
    unit = (seeded.stream(SEED, name, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return unit * 2 - 1


def compute():
    sgd, adamw = torch.optim.SGD, torch.optim.AdamW
    return {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "seed": SEED,
        "classes": CLASSES,
        "images": IMAGES,
        "size": SIZE,
        "bn_eps": EPS,
        "mean": MEAN,
        "std": STD,
        "rate": RATE,
        "momentum": MOMENTUM,
        "weight_decay": DECAY,
        "training": network_case(False),
        "frozen": network_case(True),
        "optimizers": {
            "sgd": optimizer_case(lambda w: sgd(w, 0.1, momentum=0.9, weight_decay=0.01)),
            "nesterov": optimizer_case(
                lambda w: sgd(w, 0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
            ),
            "adamw": optimizer_case(
                lambda w: adamw(w, 0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01)
            ),
        },
    }


def numbers(value):
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in numbers(value[key])]
    if isinstance(value, (list, tuple)):
        return [n for item in value for n in numbers(item)]
    return [] if isinstance(value, str) else [float(value)]


def check(golden):
    again = compute()
    a, b = np.array(numbers(golden)), np.array(numbers(again))
    assert a.shape == b.shape
    worst = (np.abs(a - b) / np.maximum(np.abs(b), 1e-6)).max()
    print(f"largest difference {worst:.1e} of a value")
    assert np.allclose(a, b, rtol=1e-6, atol=1e-9)


if sys.argv[1] == "--check":
    with open(sys.argv[2]) as file:
        check(json.load(file))
else:
    with open(sys.argv[1], "w") as file:
        json.dump(compute(), file, indent=0)
        file.write("\n")
