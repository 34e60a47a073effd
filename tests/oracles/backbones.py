"""Logits and gradients of the backbones, by PyTorch, with seeded weights and images.

    backbones.py FILE            writes the golden results
    backbones.py --check FILE    computes them again and compares

torchvision builds what it has; `galaxy_nets.py` builds ResNet-26 and the network of
Dieleman et al. from their papers. A `-nano` network is narrow and shallow.

Logits are f32 in evaluation mode, kernels times a factor that keeps activations from
dying out. Gradients, running statistics and loss are of one
batch in training mode, without dropout, in f64; a tensor is stored as its norm and a
few of its values at seeded places. Of the published networks (`whole`) it is also told
how far PyTorch's own gradients in f32 lie from these: what rounding alone does.
"""

import json
import sys

import numpy as np
import torch
import torchvision
from torchvision.models import resnet, vgg
from torchvision.models.googlenet import BasicConv2d, Inception
from torchvision.models.vision_transformer import VisionTransformer

import galaxy_nets
import seeded

assert torch.__version__.startswith("1.13."), torch.__version__
assert torchvision.__version__.startswith("0.14."), torchvision.__version__

SEED = 5
CLASSES = 4
MEAN = (0.046, 0.041, 0.030)
STD = (0.090, 0.075, 0.065)
PLACES = 12
# Name, side of the images, number of images, factor of the kernels.
LOGITS = [
    ("resnet34", 64, 2, 1.0),
    ("resnet50", 75, 2, 1.0),
    ("vgg16", 64, 1, 1.0),
    ("googlenet", 96, 2, 3.0),
    ("vit-b16", 64, 1, 1.0),
    ("resnet26", 80, 1, 1.0),
    ("dieleman", 96, 1, 1.0),
    ("vgg16-nano", 100, 2, 1.0),
    ("vit-b16-nano", 96, 2, 1.0),
]
# Name, side of the images, number of images. Narrow and shallow: held in f32.
GRADIENTS = [
    ("resnet34-nano", 64, 4),
    ("resnet50-nano", 64, 4),
    ("googlenet-nano", 96, 4),
    ("vgg16-nano", 70, 3),
    ("vit-b16-nano", 64, 3),
    ("resnet26-nano", 64, 3),
    ("dieleman-nano", 96, 2),
]
# The published networks. Deep networks of seeded weights are chaotic: in f32 rounding
# alone changes gradients by a percent. So these are held in f64.
WHOLE = [
    ("resnet34", 64, 4),
    ("resnet50", 64, 3),
    ("vgg16", 64, 2),
    ("googlenet", 96, 3),
    ("vit-b16", 64, 2),
    ("resnet26", 64, 2),
    ("dieleman", 96, 2),
    ("efficientnet-b0", 64, 3),
    ("efficientnet-b1", 64, 3),
    ("efficientnet-b2", 64, 3),
]
# Of these places.
FEW = 4


def wide(base, factor):
    return 8 * max(1, int(base * factor / 8 + 0.5))


def narrow_resnet(name):
    """torchvision's layers, an eighth as wide and a quarter as deep."""
    block = resnet.BasicBlock if name == "resnet34" else resnet.Bottleneck
    network = resnet.ResNet(block, [1, 1, 1, 1], num_classes=CLASSES)
    network.inplanes = 8
    network.conv1 = torch.nn.Conv2d(3, 8, 7, 2, 3, bias=False)
    network.bn1 = torch.nn.BatchNorm2d(8)
    for stage, count in enumerate([1, 1, 2, 1]):
        layer = network._make_layer(block, 8 << stage, count, stride=2 if stage else 1)
        setattr(network, f"layer{stage + 1}", layer)
    network.fc = torch.nn.Linear(64 * block.expansion, CLASSES)
    return network


def narrow_googlenet():
    network = torchvision.models.googlenet(
        num_classes=CLASSES, aux_logits=False, init_weights=False
    )
    network.conv1 = BasicConv2d(3, 8, kernel_size=7, stride=2, padding=3)
    network.conv2 = BasicConv2d(8, 8, kernel_size=1)
    network.conv3 = BasicConv2d(8, wide(192, 0.125), kernel_size=3, padding=1)
    input = wide(192, 0.125)
    for name, module in list(network.named_children()):
        if name.startswith("inception"):
            own = [
                module.branch1.conv.out_channels,
                module.branch2[0].conv.out_channels,
                module.branch2[1].conv.out_channels,
                module.branch3[0].conv.out_channels,
                module.branch3[1].conv.out_channels,
                module.branch4[1].conv.out_channels,
            ]
            own = [wide(c, 0.125) for c in own]
            setattr(network, name, Inception(input, *own))
            input = own[0] + own[2] + own[4] + own[5]
    network.fc = torch.nn.Linear(input, CLASSES)
    return network


def vgg16(factor):
    if factor == 1:
        return torchvision.models.vgg16(num_classes=CLASSES)
    channels = [c if c == "M" else wide(c, factor) for c in vgg.cfgs["D"]]
    network = vgg.VGG(vgg.make_layers(channels), num_classes=CLASSES, init_weights=False)
    dense = wide(4096, factor)
    network.classifier[0] = torch.nn.Linear(49 * channels[-2], dense)
    network.classifier[3] = torch.nn.Linear(dense, dense)
    network.classifier[6] = torch.nn.Linear(dense, CLASSES)
    return network


def efficientnet(name):
    build = getattr(torchvision.models, name.replace("-", "_"))
    network = build(num_classes=CLASSES, stochastic_depth_prob=0.0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    return network


def build(name, size):
    base = name.removesuffix("-nano")
    if base.startswith("efficientnet"):
        return efficientnet(name)
    narrow = name.endswith("-nano")
    factor = 0.125 if narrow else 1
    if narrow and base in ("resnet34", "resnet50"):
        return narrow_resnet(base)
    if narrow and base == "googlenet":
        return narrow_googlenet()
    if base in ("resnet34", "resnet50"):
        return getattr(torchvision.models, base)(num_classes=CLASSES)
    if base == "googlenet":
        return torchvision.models.googlenet(
            num_classes=CLASSES, aux_logits=False, init_weights=False
        )
    if base == "vgg16":
        return vgg16(factor)
    if base == "vit-b16":
        heads, layers = (2, 3) if narrow else (12, 12)
        return VisionTransformer(
            size, 16, layers, heads, 64 * heads, 256 * heads, num_classes=CLASSES
        )
    if base == "resnet26":
        return galaxy_nets.ResNet26(lambda c: wide(c, factor), 1 if narrow else 2, CLASSES)
    return galaxy_nets.Dieleman(lambda c: wide(c, factor), CLASSES)


def seeded_network(name, size):
    torch.manual_seed(0)
    network = build(name, size)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    seeded.fill(network, SEED)
    return network


def pixels(size, images):
    crops = np.stack([seeded.image(SEED, i, size) for i in range(images)])
    batch = torch.from_numpy(crops).permute(0, 3, 1, 2).double() / 255
    return torchvision.transforms.functional.normalize(batch, MEAN, STD)


def logits(name, size, images, factor):
    network = seeded_network(name, size).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter *= factor
        return network(pixels(size, images).float()).numpy().astype(float).tolist()


def places(name, count):
    return [int(n) for n in seeded.stream(SEED, f"places.{name}", PLACES) % np.uint64(count)]


def told(name, tensor):
    values = tensor.detach().numpy().astype(np.float64).ravel()
    at = places(name, values.size)
    return {"norm": float(np.linalg.norm(values)), "values": values[at].tolist()}


def learned(name, size, images, dtype):
    """The network behind a batch, and the batch's loss."""
    network = seeded_network(name, size).to(dtype).train()
    targets = torch.full((images, CLASSES), 0.05 / (CLASSES - 1), dtype=dtype)
    for i in range(images):
        targets[i, (3 * i + 1) % CLASSES] = 0.95
    found = network(pixels(size, images).to(dtype))
    loss = -(targets * torch.log_softmax(found, 1)).sum(1).mean()
    loss.backward()
    return network, loss.item()


def gradients(name, size, images):
    network, loss = learned(name, size, images, torch.float64)
    running = {n: v for n, v in network.state_dict().items() if "running_" in n}
    return {
        "loss": loss,
        "gradients": {n: told(n, p.grad) for n, p in network.named_parameters()},
        "running": {n: told(n, v) for n, v in running.items()},
    }


def whole(name, size, images):
    network, loss = learned(name, size, images, torch.float64)
    double = {n: p.grad for n, p in network.named_parameters()}
    network, _ = learned(name, size, images, torch.float32)
    single = {n: p.grad for n, p in network.named_parameters()}
    norms = {n: float(g.norm()) for n, g in double.items()}
    least = 1e-4 * max(norms.values())
    distances = [
        float((single[n].double() - g).norm()) / max(norms[n], least) for n, g in double.items()
    ]
    few = {n: told(n, g) for n, g in double.items()}
    for tensor in few.values():
        tensor["values"] = tensor["values"][:FEW]
    return {"loss": loss, "gradients": few, "rounding": float(np.max(distances))}


def compute():
    keys = ("name", "size", "images")
    return {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "seed": SEED,
        "classes": CLASSES,
        "mean": MEAN,
        "std": STD,
        "places": PLACES,
        "logits": [dict(zip((*keys, "kernels"), case), logits=logits(*case)) for case in LOGITS],
        "training": [dict(zip(keys, case), **gradients(*case)) for case in GRADIENTS],
        "whole": [dict(zip(keys, case), **whole(*case)) for case in WHOLE],
    }


def rounded(value, digits=7):
    """So many digits are more than anything is compared to."""
    if isinstance(value, dict):
        own = {"whole": 11, "rounding": 2}
        return {key: rounded(item, own.get(key, digits)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item, digits) for item in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def check(golden):
    again = rounded(compute())
    for stored, computed in zip(golden["logits"], again["logits"], strict=True):
        a, b = np.array(stored.pop("logits")), np.array(computed.pop("logits"))
        assert stored == computed, (stored, computed)
        worst = np.abs(a - b).max() / np.abs(b).max()
        print(f"{stored['name']}: {worst:.1e}")
        assert worst < 2e-5, stored
    for stored, computed in zip(golden["training"], again["training"], strict=True):
        assert abs(stored["loss"] - computed["loss"]) < 1e-6 * abs(stored["loss"])
        for kind in ("gradients", "running"):
            assert stored[kind].keys() == computed[kind].keys()
            for name, tensor in stored[kind].items():
                other = computed[kind][name]
                a = np.array([tensor["norm"], *tensor["values"]])
                b = np.array([other["norm"], *other["values"]])
                assert np.allclose(a, b, rtol=1e-5, atol=1e-6 * b[0] + 1e-12), name
    for stored, computed in zip(golden["whole"], again["whole"], strict=True):
        assert abs(stored["loss"] - computed["loss"]) < 1e-10 * abs(stored["loss"])
        assert stored["gradients"].keys() == computed["gradients"].keys()
        largest = max(tensor["norm"] for tensor in stored["gradients"].values())
        worst = 0.0
        for name, tensor in stored["gradients"].items():
            other = computed["gradients"][name]
            a = np.array([tensor["norm"], *tensor["values"]])
            b = np.array([other["norm"], *other["values"]])
            worst = np.maximum(worst, np.abs(a - b).max() / max(b[0], 1e-4 * largest))
        print(f"{stored['name']}: {worst:.1e}; in f32 {computed['rounding']:.1e}")
        assert worst < 1e-8, stored["name"]
        # Rounding depends on the machine, and its size hardly.
        assert computed["rounding"] < 5 * stored["rounding"], stored["name"]
    for part in ("logits", "training", "whole"):
        golden.pop(part), again.pop(part)
    assert golden == again


if sys.argv[1] == "--check":
    with open(sys.argv[2]) as file:
        check(json.load(file))
else:
    with open(sys.argv[1], "w") as file:
        json.dump(rounded(compute()), file, separators=(",", ":"))
        file.write("\n")
