"""Losses of votes and their gradients by PyTorch, for machines that have none.

    python3 votes.py            writes fixtures/golden/votes.json
    python3 votes.py --check    makes the numbers again and compares
"""

import json
import random
import sys
from pathlib import Path

import torch

GOLDEN = Path(__file__).resolve().parents[3] / "fixtures/golden/votes.json"


def counts(outputs, votes):
    """Minus the log-likelihood of a Dirichlet-multinomial distribution whose
    concentrations are 1 to 101."""
    alpha = 1 + 100 * torch.sigmoid(outputs)
    n, total = votes.sum(), alpha.sum()
    log = torch.lgamma(total) + torch.lgamma(n + 1) - torch.lgamma(n + total)
    log = log + (torch.lgamma(votes + alpha) - torch.lgamma(alpha) - torch.lgamma(votes + 1)).sum()
    return -log


def fractions(outputs, targets):
    return -(targets * torch.log_softmax(outputs, dim=0)).sum()


def cases():
    rng = random.Random(7)
    for kind in ("counts", "fractions"):
        for _ in range(12):
            questions = [rng.choice((2, 3, 6)) for _ in range(rng.randint(1, 4))]
            spread = rng.choice((0.3, 2, 6))
            outputs, targets = [], []
            for place, answers in enumerate(questions):
                outputs += [rng.gauss(0, spread) for _ in range(answers)]
                votes = [float(rng.randint(0, 40)) for _ in range(answers)]
                if place and rng.random() < 0.4:
                    votes = [0.0] * answers
                total = sum(votes)
                targets += votes if kind == "counts" or not total else [v / total for v in votes]
            # As the program has them.
            outputs = torch.tensor(outputs, dtype=torch.float32).double().requires_grad_()
            targets = torch.tensor(targets, dtype=torch.float32).double()
            loss, start = torch.zeros((), dtype=torch.float64), 0
            for answers in questions:
                of = slice(start, start + answers)
                if targets[of].sum() > 0:
                    loss = loss + (counts if kind == "counts" else fractions)(outputs[of], targets[of])
                start += answers
            loss.backward()
            yield {
                "kind": kind, "questions": questions, "outputs": outputs.tolist(),
                "targets": targets.tolist(), "loss": loss.item(), "gradient": outputs.grad.tolist(),
            }


found = list(cases())
if "--check" in sys.argv:
    kept = json.loads(GOLDEN.read_text())
    assert len(kept) == len(found)
    for old, new in zip(kept, found):
        assert abs(old["loss"] - new["loss"]) < 1e-9 * max(1, abs(old["loss"])), (old, new)
        for a, b in zip(old["gradient"], new["gradient"]):
            assert abs(a - b) < 1e-9, (old, new)
    print(f"{len(found)} cases agree with PyTorch {torch.__version__}")
else:
    GOLDEN.write_text(json.dumps(found, indent=None) + "\n")
