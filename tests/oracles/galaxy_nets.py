"""Two networks of galaxies that torchvision does not have, from their papers; what
these leave open is decided as `src/model/backbone/` says it is."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def look(images, fraction, side, samples, angle=0.0):
    """The central square, turned by an angle: means of bilinear samples, 0 beyond."""
    sine, cosine = math.sin(angle), math.cos(angle)
    turn = torch.tensor([[cosine, -sine, 0], [sine, cosine, 0]], dtype=images.dtype)
    count, grid = len(images), side * samples
    turn = (turn * fraction).expand(count, 2, 3)
    at = F.affine_grid(turn, (count, 3, grid, grid), align_corners=False)
    sampled = F.grid_sample(images, at, "bilinear", "zeros", align_corners=False)
    return F.avg_pool2d(sampled, samples)


class Unit(nn.Module):
    """Norm and ReLU first, then 1×1, 3×3, 1×1; the last of these may halve."""

    def __init__(self, input, inner, output, halves):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(input)
        self.conv1 = nn.Conv2d(input, inner, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(0.33)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, output, 1, 2 if halves else 1, bias=False)
        self.shortcut = None if input == output else nn.Conv2d(input, output, 1, bias=False)
        self.halves = halves

    def forward(self, x):
        first = F.relu(self.bn1(x))
        around = x if self.shortcut is None else self.shortcut(first)
        if self.halves:
            around = F.max_pool2d(around, 2)
        x = self.dropout(self.conv2(F.relu(self.bn2(self.conv1(first)))))
        return self.conv3(F.relu(self.bn3(x))) + around


class ResNet26(nn.Module):
    def __init__(self, wide, units, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, wide(64), 6, bias=False)
        input = wide(64)
        for stage in range(4):
            inner, output = wide(128 << stage), wide(512 << stage)
            blocks = []
            for unit in range(units):
                blocks.append(Unit(input, inner, output, stage < 3 and unit == units - 1))
                input = output
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(input)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(input, classes)

    def forward(self, images):
        x = self.conv1(F.pad(look(images, 224 / 240, 64, 4), (2, 3, 2, 3)))[:, :, ::2, ::2]
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.relu(self.bn(x)).mean((2, 3)))


class Dieleman(nn.Module):
    def __init__(self, wide, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, wide(32), 6)
        self.conv2 = nn.Conv2d(wide(32), wide(64), 5)
        self.conv3 = nn.Conv2d(wide(64), wide(128), 3)
        self.conv4 = nn.Conv2d(wide(128), wide(128), 3)
        self.dense1 = nn.Linear(16 * 4 * wide(128), 2 * wide(2048))
        self.dense2 = nn.Linear(wide(2048), 2 * wide(2048))
        self.fc = nn.Linear(wide(2048), classes)

    def views(self, images):
        for angle in (0.0, math.pi / 4):
            turned = look(images, 207 / 240, 69, 3, angle)
            for whole in (turned, torch.flip(turned, [3])):
                for quarter in range(4):
                    yield torch.rot90(whole, quarter, (2, 3))[:, :, :45, :45]

    def convolved(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.conv3(x))
        return F.max_pool2d(F.relu(self.conv4(x)), 2).flatten(1)

    def forward(self, images):
        x = torch.cat([self.convolved(view) for view in self.views(images)], 1)
        for dense in (self.dense1, self.dense2):
            x = dense(x).unflatten(1, (-1, 2)).amax(2)
        return self.fc(x)
