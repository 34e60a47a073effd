"""Grad-CAM maps of every kind of backbone that has them, with seeded weights, on seeded
images.

    grad_cam.py FILE            writes the golden results
    grad_cam.py --check FILE    computes them again and compares

By autograd, in f64: activations of a layer, each channel by the mean of the logit's
gradient over its pixels, added up, what is below 0 among it. Layers are those that
pytorch-grad-cam's documentation names. To write, that package must be there
(`pip install grad-cam`), and its maps must be the same.
"""

import json
import pathlib
import sys

import numpy as np
import torch

# What the other scripts would do with the arguments is not wanted here.
arguments, sys.argv = sys.argv, ["", "/dev/null"]
sources = {}
for name in ("backbones", "efficientnet_logits"):
    path = pathlib.Path(__file__).with_name(f"{name}.py")
    sources[name] = {"__file__": str(path)}
    exec(compile(path.read_text().split('\nif sys.argv[1] == "--check":')[0], path, "exec"), sources[name])
sys.argv = arguments
backbones = sources["backbones"]
seeded = backbones["seeded"]

SEED, CLASSES, MEAN, STD = (backbones[name] for name in ("SEED", "CLASSES", "MEAN", "STD"))
# Name, side of the images, number of images.
CASES = [
    ("efficientnet-nano", 96, 2),
    ("resnet34-nano", 96, 2),
    ("resnet50-nano", 96, 2),
    ("googlenet-nano", 96, 2),
    ("resnet26-nano", 96, 1),
    ("vgg16-nano", 128, 2),
    ("vit-b16-nano", 96, 2),
]


def network_of(name, size):
    if not name.startswith("efficientnet"):
        return backbones["seeded_network"](name, size).double().eval()
    logits = sources["efficientnet_logits"]
    assert logits["CLASSES"] == CLASSES
    network = logits["build"](name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    seeded.fill(network, SEED)
    return network.double().eval()


def layer_of(name, network):
    """The layer, and how its output becomes channels, rows and columns."""
    base = name.removesuffix("-nano")
    if base == "vit-b16":
        def patches(tokens):
            side = int(round((tokens.shape[1] - 1) ** 0.5))
            return tokens[:, 1:].transpose(1, 2).reshape(tokens.shape[0], -1, side, side)

        return network.encoder.layers[-1].ln_1, patches
    layer = {
        "efficientnet": lambda: network.features[-1],
        "resnet34": lambda: network.layer4[-1],
        "resnet50": lambda: network.layer4[-1],
        "googlenet": lambda: network.inception5b,
        "resnet26": lambda: network.relu,
        "vgg16": lambda: network.features[-1],
    }[base]()
    return layer, lambda maps: maps


def package(network, layer, shaped, image, answer):
    """pytorch-grad-cam's map before it cuts off what is below 0 and scales it."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = GradCAM(model=network, target_layers=[layer], reshape_transform=shaped)
    targets = [ClassifierOutputTarget(answer)]
    outputs = cam.activations_and_grads(image)
    targets[0](outputs[0]).backward(retain_graph=True)
    activations = cam.activations_and_grads.activations[0].numpy()
    gradients = cam.activations_and_grads.gradients[0].numpy()
    found = cam.get_cam_image(image, layer, targets, activations, gradients, False)
    cam.activations_and_grads.release()
    return found[0]


def case(name, size, images, with_package):
    network = network_of(name, size)
    layer, shaped = layer_of(name, network)
    kept = []
    handle = layer.register_forward_hook(lambda _, __, output: (output.retain_grad(), kept.append(output))[1])
    found = {"logits": [], "maps": []}
    for image in backbones["pixels"](size, images):
        kept.clear()
        logits = network(image[None])[0]
        (output,) = kept
        of_image = []
        for answer in range(CLASSES):
            output.grad = None
            logits[answer].backward(retain_graph=True)
            weights = shaped(output.grad).mean(dim=(2, 3), keepdim=True)
            of_image.append((weights * shaped(output)).sum(dim=1)[0].detach().numpy())
        found["logits"].append(logits.detach().numpy().tolist())
        found["maps"].append([own.ravel().tolist() for own in of_image])
        if with_package:
            handle.remove()
            for answer, own in enumerate(of_image):
                theirs = package(network, layer, shaped, image[None], answer)
                assert np.allclose(own, theirs, rtol=1e-9, atol=1e-12 * np.abs(own).max()), name
            handle = layer.register_forward_hook(
                lambda _, __, output: (output.retain_grad(), kept.append(output))[1]
            )
    handle.remove()
    return {"name": name, "size": size, "images": images, **found}


def compute(with_package):
    return {
        "torch": torch.__version__,
        "seed": SEED,
        "classes": CLASSES,
        "mean": MEAN,
        "std": STD,
        "cases": [case(*one, with_package) for one in CASES],
    }


def check(golden):
    again = backbones["rounded"](compute(False))
    for stored, computed in zip(golden["cases"], again["cases"], strict=True):
        for what in ("logits", "maps"):
            a, b = (np.array(of.pop(what)) for of in (stored, computed))
            worst = np.abs(a - b).max() / np.abs(b).max()
            print(f"{stored['name']} {what}: {worst:.1e}")
            assert worst < 1e-5, (stored, what)
        assert stored == computed, (stored, computed)
    golden.pop("pytorch_grad_cam"), golden.pop("cases"), again.pop("cases")
    assert golden == again, (golden, again)


if sys.argv[1] == "--check":
    with open(sys.argv[2]) as file:
        check(json.load(file))
else:
    import importlib.metadata

    golden = {"pytorch_grad_cam": importlib.metadata.version("grad-cam"), **compute(True)}
    with open(sys.argv[1], "w") as file:
        json.dump(backbones["rounded"](golden), file, separators=(",", ":"))
        file.write("\n")
