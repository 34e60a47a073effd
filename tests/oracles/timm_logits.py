"""Logits of timm's EfficientNets with seeded weights, on seeded images.

    timm_logits.py FILE            writes the golden results
    timm_logits.py --check FILE    computes them again and compares

Weights are seeded by timm's own names, so that the results also tell whether
the importer knows which of timm's tensors is which. timm 0.9.16 runs with
Debian's torch: `pip install --no-deps timm==0.9.16 huggingface_hub==0.23.5
safetensors` into a virtual environment that sees the system's packages.
"""

import json
import re
import sys

import numpy as np
import timm
import torch

import seeded

assert timm.__version__ == "0.9.16", timm.__version__
assert torch.__version__.startswith("1.13."), torch.__version__

SEED = 7
CLASSES = 4
# timm's name, epsilon and padding of its convention, side of the image.
CASES = [
    ("efficientnet_b0", 1e-5, "symmetric", 75),
    ("efficientnet_b1", 1e-5, "symmetric", 64),
    ("tf_efficientnet_b1", 1e-3, "same", 75),
    ("tf_efficientnet_b3", 1e-3, "same", 64),
]


def logits(name, eps, padding, size):
    network = timm.create_model(name, num_classes=CLASSES)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.eps == eps, (name, module.eps)
    seeded.fill(network, SEED)
    # Under torchvision's names `seeded.py` makes these strong, so that the
    # signal reaches the logits; timm's do not tell it which they are.
    for tensor_name, tensor in network.state_dict().items():
        if re.match(r"blocks\.\d\.0\.conv_pw", tensor_name) and tensor.shape[0] <= tensor.shape[1]:
            tensor *= 4
    network.eval()
    pixels = torch.from_numpy(seeded.image(SEED, 0, size))
    with torch.no_grad():
        return network(pixels.permute(2, 0, 1)[None].float() / 64 - 1)[0].numpy().astype(float).tolist()


def compute():
    keys = ("name", "bn_eps", "padding", "size")
    return {
        "timm": timm.__version__,
        "torch": torch.__version__,
        "seed": SEED,
        "classes": CLASSES,
        "cases": [dict(zip(keys, case), logits=logits(*case)) for case in CASES],
    }


if sys.argv[1] == "--check":
    with open(sys.argv[2]) as file:
        golden = json.load(file)
    for stored, computed in zip(golden["cases"], compute()["cases"], strict=True):
        a, b = np.array(stored.pop("logits")), np.array(computed.pop("logits"))
        assert stored == computed, (stored, computed)
        assert np.abs(a - b).max() < 1e-5 * np.abs(b).max(), stored
else:
    with open(sys.argv[1], "w") as file:
        json.dump(compute(), file, indent=1)
        file.write("\n")
