#!/usr/bin/env python3
"""What 8-bit products do to labels, by several ways to round their inputs. Of these the
kernels do `pixels`.

    benches/int8.py MODEL.safetensors CALIBRATION.tar IMAGES.tar [--images N] [--calibrate 512]
                    [--ways weights,range,smooth,channels,pixels]

The 1 x 1 convolutions alone (nine tenths of EfficientNet's multiply-adds) are rounded as
VNNI's `vpdpbusd` would have them: inputs to 0...255, weights to -127...127, sums exact.
Everything else stays in float32, which is the kindest such a network could be treated.
Weights have a scale for each output; inputs one for the layer, from the range that leaves
the least squared error over pictures that are not judged by, alone (`range`) or after
each channel's size was evened out between inputs and weights (`smooth`; Xiao et al. 2023,
arXiv:2211.10438, strength 0.5); `weights` rounds weights only, and `channels` gives each
channel of the inputs a range of its own, which vpdpbusd cannot: a bound. `pixels` gives
each pixel the range of its own channels, 0 included, from which nothing is cut off and for
which nothing is calibrated. Batch norm is folded before. Prints, of each way, how many
labels differ from float32's, by the answers' order as the model file decides (calibrated,
at its operating point).

Needs torch 1.13, torchvision 0.14, numpy and Pillow, as Debian 12 has them.
"""

import argparse
import io
import json
import struct
import tarfile

import numpy as np
import torch
import torchvision
from PIL import Image

LEVELS = 255

# Of which ranges are found: of each batch of pictures, at each layer.
PIXELS = 512


def read(path):
    """A model file's description and tensors."""
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    description = json.loads(header.pop("__metadata__")["hiwl"])
    kinds = {"F32": np.float32, "F16": np.float16}
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = np.frombuffer(data[begin:end], kinds[entry["dtype"]])
        tensors[name] = torch.from_numpy(values.astype(np.float32).reshape(entry["shape"]))
    return description, tensors


def network(prefix, tensors, outputs, eps):
    """One network, batch norm folded into what is before it."""
    model = torchvision.models.efficientnet_b1(num_classes=outputs)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = eps
    start = prefix + "."
    own = {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
    missing = model.load_state_dict(own, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    model.eval()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torchvision.ops.misc.Conv2dNormActivation):
                child[0] = torch.nn.utils.fusion.fuse_conv_bn_eval(child[0], child[1])
                child[1] = torch.nn.Identity()
    return model


class Rounded(torch.nn.Module):
    """A 1 x 1 convolution whose factors are rounded to 8 bits."""

    def __init__(self, convolution, way):
        super().__init__()
        self.convolution, self.way, self.samples, self.even = convolution, way, [], None
        self.weight = convolution.weight.detach().clone()

    def sample(self, x):
        # Some pixels of each batch, so that all layers fit in memory.
        flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
        self.samples.append(flat[torch.randperm(len(flat))[:PIXELS]].clone())

    def fit(self):
        x = torch.cat(self.samples)
        self.samples = None
        if self.way == "smooth":
            inputs = x.abs().amax(0).clamp(min=1e-6)
            weights = self.weight.abs().amax((0, 2, 3)).clamp(min=1e-6)
            self.even = (inputs / weights).sqrt()
            x = x / self.even
            self.weight = self.weight * self.even[None, :, None, None]
        scale = self.weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12) / 127
        self.weight = (self.weight / scale).round() * scale
        if self.way in ("weights", "pixels"):
            return
        dims = (0,) if self.way == "channels" else (0, 1)
        low, high = x.amin(dims), x.amax(dims)
        best = torch.full_like(low, float("inf"))
        self.low, self.step = low, (high - low).clamp(min=1e-9) / LEVELS
        for part in np.linspace(0.2, 1.0, 17):
            bottom, step = part * low, part * (high - low).clamp(min=1e-9) / LEVELS
            error = (self.round(x, bottom, step) - x).square().mean(dims)
            better = error < best
            best = torch.where(better, error, best)
            self.low = torch.where(better, bottom, self.low)
            self.step = torch.where(better, step, self.step)

    @staticmethod
    def round(x, low, step):
        zero = (-low / step).round()
        return ((x / step + zero).round().clamp(0, LEVELS) - zero) * step

    def forward(self, x):
        if self.samples is not None:
            self.sample(x)
            return self.convolution(x)
        if self.even is not None:
            x = x / self.even[None, :, None, None]
        if self.way == "channels":
            x = self.round(x, self.low[None, :, None, None], self.step[None, :, None, None])
        elif self.way == "pixels":
            low = x.amin(1, keepdim=True).clamp(max=0)
            step = (x.amax(1, keepdim=True).clamp(min=0) - low).clamp(min=1e-30) / LEVELS
            x = low + ((x - low) / step).round() * step
        elif self.way != "weights":
            x = self.round(x, self.low, self.step)
        return torch.nn.functional.conv2d(x, self.weight, self.convolution.bias)


def rounded(model, way):
    """The network with its 1 x 1 convolutions rounded, but for those of squeeze and
    excitation, which see one pixel; and what was rounded."""
    found = []

    def walk(parent):
        for name, child in list(parent.named_children()):
            if isinstance(child, torchvision.ops.SqueezeExcitation):
                continue
            if isinstance(child, torch.nn.Conv2d) and child.kernel_size == (1, 1):
                found.append(Rounded(child, way))
                setattr(parent, name, found[-1])
            else:
                walk(child)

    walk(model)
    return found


def pictures(path, size, mean, std, count):
    """Batches of crops, normalised."""
    images = []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                image = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
                left, top = ((side - size) // 2 for side in image.size)
                images.append(np.asarray(image.crop((left, top, left + size, top + size))))
                if len(images) == count:
                    break
    for begin in range(0, len(images), 16):
        batch = torch.from_numpy(np.stack(images[begin : begin + 16])).permute(0, 3, 1, 2)
        yield torchvision.transforms.functional.normalize(batch.float() / 255, mean, std)


def decided(logits, calibration):
    """The answers as the file decides them."""
    logits = logits / calibration["temperature"] + torch.tensor(calibration["offset"])
    return (logits + torch.tensor(calibration["decision"])).argmax(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model")
    parser.add_argument("calibration")
    parser.add_argument("images")
    parser.add_argument("--images", dest="count", type=int)
    parser.add_argument("--calibrate", type=int, default=512)
    parser.add_argument("--ways", default="weights,range,smooth,channels,pixels")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    description, tensors = read(arguments.model)
    taken = description["input"]

    def crops(path, count):
        return pictures(path, taken["size"], taken["mean"], taken["std"], count)

    questions = [question["name"] for question in description["tree"]["questions"]]

    def build():
        return [
            network(n["name"], tensors, len(n["outputs"]), n["architecture"]["bn_eps"])
            for n in description["networks"]
        ]

    def labels(networks):
        """Class of each picture: an answer of the first question, and where it is the
        last one of that, one of the second."""
        found = []
        last = len(description["tree"]["questions"][0]["answers"]) - 1
        calibration = [description["calibration"][question] for question in questions]
        for batch in crops(arguments.images, arguments.count):
            classes = decided(networks[0](batch), calibration[0])
            asked = classes == last
            if asked.any():
                classes[asked] += decided(networks[1](batch[asked]), calibration[1])
            found.append(classes)
        return torch.cat(found)

    with torch.no_grad():
        exact = labels(build())
        print("| rounded | labels that differ | one in |\n| --- | --- | --- |")
        for way in arguments.ways.split(","):
            networks = build()
            layers = [layer for net in networks for layer in rounded(net, way)]
            for batch in crops(arguments.calibration, arguments.calibrate):
                for net in networks:
                    net(batch)
            for layer in layers:
                layer.fit()
            differ = int((labels(networks) != exact).sum())
            rate = f"{len(exact) / differ:.0f}" if differ else "–"
            print(f"| {way} | {differ} of {len(exact)} | {rate} |", flush=True)


if __name__ == "__main__":
    main()
