"""Small PyTorch checkpoints in every layout that the importer must read.

    checkpoints.py FOLDER

Values are those of `seeded.py`, so that the tests know them without torch.
"""

import collections
import pathlib
import sys

import torch

import seeded

assert torch.__version__.startswith("1.13."), torch.__version__

SEED = 7


def value(name, *shape):
    return torch.from_numpy(seeded.tensor(SEED, name, shape))


def strided(tensor, permutation):
    """Equal values that lie in memory in the order of another permutation."""
    inverse = [permutation.index(axis) for axis in range(tensor.dim())]
    return tensor.permute(permutation).contiguous().permute(inverse)


folder = pathlib.Path(sys.argv[1])
conv = value("conv.weight", 4, 3, 2, 2)
matrix = value("fc.weight", 5, 3)
bias = value("fc.bias", 5)
counter = torch.tensor(12)

state = collections.OrderedDict(
    [("conv.weight", conv), ("fc.weight", matrix), ("fc.bias", bias), ("bn.num_batches_tracked", counter)]
)
torch.save(state, folder / "contiguous.pth")
torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)

padded = torch.zeros(20)
padded[3:13:2] = bias
rows = torch.cat([torch.zeros(2, 3), matrix])
views = {
    "conv.weight": conv.to(memory_format=torch.channels_last),
    "conv.permuted": strided(conv, [2, 0, 3, 1]),
    "fc.weight": strided(matrix, [1, 0]),
    "fc.offset": rows[2:],
    "fc.bias": padded[3:13:2],
    "fc.expanded": bias[:1].expand(4, 2),
    "fc.parameter": torch.nn.Parameter(strided(matrix, [1, 0])),
}
assert not any(views[k].is_contiguous() for k in views if k != "fc.offset")
torch.save(views, folder / "strided.pth")

training = {
    "epoch": 3,
    "best": 0.97,
    "args": ["--lr", 0.05, None, True],
    "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.05}]},
    "model": {"state_dict": collections.OrderedDict(("module." + k, v) for k, v in state.items())},
}
torch.save(training, folder / "nested.pth")

kinds = {
    "half": conv.half(),
    "bfloat": conv.bfloat16(),
    "double": conv.double(),
    "integers": torch.arange(3),
    "mask": torch.tensor([True, False]),
}
torch.save(kinds, folder / "kinds.pth")
torch.save({"epoch": 3}, folder / "none.pth")
