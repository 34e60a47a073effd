"""Weights and images from a seed, bit for bit those of `src/model/seeded.rs`.

Only integer arithmetic, and f64 operations that IEEE 754 defines exactly.
"""

import numpy as np

MASK = (1 << 64) - 1


def fnv1a64(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def stream(seed, name, count):
    """The first `count` outputs of the SplitMix64 stream of `name`."""
    state = np.uint64((seed ^ fnv1a64(name)) & MASK)
    with np.errstate(over="ignore"):
        z = state + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def value_range(name, shape):
    if len(shape) == 1:
        if name.endswith("running_var"):
            return 0.5, 1.5
        if name.endswith("weight"):
            return 0.9, 1.1
        return -0.05, 0.05
    projects = len(shape) == 4 and shape[2] == 1 and shape[0] <= shape[1]
    if ".fc" in name:
        gain = 0.25
    elif name.startswith("classifier"):
        gain = 1.0
    elif projects and ".0.block." in name:
        gain = 4.0
    elif projects:
        gain = 0.2
    else:
        gain = 2.0
    bound = float(np.sqrt(3.0 * gain / float(np.prod(shape[1:]))))
    return -bound, bound


def tensor(seed, name, shape, prefix=""):
    """The f32 tensor `name` of this shape."""
    low, high = value_range(name, shape)
    bits = stream(seed, prefix + name, int(np.prod(shape)))
    unit = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (low + (high - low) * unit).astype(np.float32).reshape(shape)


def fill(network, seed, prefix=""):
    """Loads a torch module with seeded weights."""
    import torch

    state = {
        name: old
        if name.endswith("num_batches_tracked")
        else torch.from_numpy(tensor(seed, name, tuple(old.shape), prefix))
        for name, old in network.state_dict().items()
    }
    network.load_state_dict(state)


def image(seed, index, size):
    """A `size × size × 3` u8 picture: 8 × 8 coloured tiles under noise."""
    noise = (stream(seed, f"image.{index}", size * size * 3) >> np.uint64(56)).astype(np.int64)
    tiles = (stream(seed, f"image.{index}.tiles", 8 * 8 * 3) >> np.uint64(56)).astype(np.int64)
    tile = np.arange(size) * 8 // size
    tiles = tiles.reshape(8, 8, 3)[tile][:, tile]
    return ((noise.reshape(size, size, 3) + tiles) // 2).astype(np.uint8)
