"""PyTorch's and torchvision's numbers that training is tested against, for
machines that have neither.

    python3 training.py            writes fixtures/golden/torch.json
    python3 training.py --check    makes the numbers again and compares

`--check` also shows that torchvision's functions on PIL images, which the
paper used, are the PIL calls that tests/oracles/augment.py makes. The numbers
of the file come from the versions that it names.
"""

import json
import math
import random
import sys
import warnings
from pathlib import Path
from unittest import mock

import torch
import torchvision
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional

TESTS = Path(__file__).resolve().parents[2]
GOLDEN = TESTS.parent / "fixtures/golden/torch.json"
sys.path.insert(0, str(TESTS / "oracles"))
import augment  # noqa: E402

warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")


def losses():
    """Cross-entropy with the soft targets of the paper's equation 5, and, as a
    check of that, with PyTorch's own smoothing of the equivalent strength."""
    rng = random.Random(1)
    for number in (2, 4, 5):
        for smoothing in (0.0, 0.05, 0.3):
            spread = rng.choice((1, 5, 30))
            logits = [[round(rng.gauss(0, spread), 3) for _ in range(number)] for _ in range(7)]
            classes = [rng.randrange(number) for _ in logits]
            z = torch.tensor(logits, dtype=torch.float64)
            targets = torch.full_like(z, smoothing / (number - 1))
            targets[range(len(classes)), classes] = 1 - smoothing
            loss = torch.nn.functional.cross_entropy(z, targets).item()
            own = torch.nn.CrossEntropyLoss(label_smoothing=smoothing * number / (number - 1))
            assert math.isclose(loss, own(z, torch.tensor(classes)).item(), rel_tol=1e-12)
            yield {"smoothing": smoothing, "classes": classes, "logits": logits, "loss": loss}


def schedules():
    for base, t_max, eta_min, warmup in [
        (0.005, 150, 0.0, 0),
        (0.005, 150, 1e-5, 0),
        (0.05, 120, 1e-4, 20),
    ]:
        rates = []
        if warmup:
            optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
            line = torch.optim.lr_scheduler.LinearLR(optimiser, 1 / warmup, 1.0, warmup - 1)
            for _ in range(warmup):
                rates.append(optimiser.param_groups[0]["lr"])
                optimiser.step()
                line.step()
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, t_max - warmup, eta_min)
        for _ in range(t_max - warmup + 1):
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            cosine.step()
        yield {"base": base, "t_max": t_max, "eta_min": eta_min, "warmup": warmup, "rates": rates}


def windows():
    """RandomResizedCrop.get_params, with the random numbers it is given
    written down, each as a number of [0, 1)."""
    rng = random.Random(2)
    settings = [((0.9, 1.0), (3 / 4, 4 / 3)), ((0.3, 1.0), (0.5, 2.0)), ((1.0, 1.0), (1.0, 1.0)),
                ((0.99, 1.0), (0.5, 0.6)), ((0.99, 1.0), (1.7, 1.9))]
    for scale, ratio in settings:
        for side in (256, 64):
            for _ in range(8):
                drawn = []

                def unit():
                    drawn.append(rng.random())
                    return drawn[-1]

                class Empty:
                    def uniform_(self, low, high):
                        low, high = float(low), float(high)
                        return torch.tensor(low + (high - low) * unit(), dtype=torch.float64)

                def randint(low, high, size):
                    return torch.tensor([low + int(unit() * (high - low))])

                image = Image.new("RGB", (side, side))
                log = torch.log
                with mock.patch.object(torch, "empty", lambda *_: Empty()), \
                        mock.patch.object(torch, "randint", randint), \
                        mock.patch.object(torch, "log", lambda t: log(t.double())):
                    top, left, height, width = transforms.RandomResizedCrop.get_params(
                        image, list(scale), list(ratio))
                yield {"side": side, "scale": scale, "aspect": ratio, "drawn": drawn,
                       "window": {"left": left, "top": top, "width": width, "height": height}}


def check_steps():
    """torchvision's steps are augment.py's, pixel by pixel."""
    rng = random.Random(3)
    picture = Image.frombytes("RGB", (264, 271), rng.randbytes(264 * 271 * 3))
    nearest = transforms.InterpolationMode.NEAREST
    bilinear = transforms.InterpolationMode.BILINEAR
    for side, size in [(256, 240), (255, 240), (240, 128)]:
        square = augment.centre(picture, side)
        pairs = [(functional.center_crop(picture, side), square)]
        for _ in range(20):
            angle = rng.uniform(-180, 180)
            pairs.append((functional.rotate(square, angle, nearest, fill=0),
                          augment.rotate(square, angle)))
            w, h = rng.randint(1, side), rng.randint(1, side)
            left, top = rng.randint(0, side - w), rng.randint(0, side - h)
            window = {"left": left, "top": top, "width": w, "height": h}
            pairs.append((functional.resized_crop(square, top, left, h, w, [size, size], bilinear),
                          augment.crop(square, window, size)))
        pairs.append((functional.hflip(square), augment.mirror(square)))
        pairs.append((functional.vflip(square), augment.upset(square)))
        for theirs, ours in pairs:
            assert theirs.size == ours.size and theirs.tobytes() == ours.tobytes()


def same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return a == b


golden = {
    "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
    "loss": list(losses()),
    "schedule": list(schedules()),
    "windows": list(windows()),
}
if sys.argv[1:] == ["--check"]:
    kept = json.loads(GOLDEN.read_text(encoding="utf-8"))
    differing = [k for k in golden if k != "versions" and not same(golden[k], kept.get(k))]
    if differing:
        sys.exit(f"torch {torch.__version__} gives other numbers for {', '.join(differing)}")
    check_steps()
    print("the same")
else:
    lines = [f'"versions": {json.dumps(golden.pop("versions"))}']
    for name, cases in golden.items():
        lines.append(f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]")
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
