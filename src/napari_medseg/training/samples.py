"""Training samples: whole slices, or crops that look where something is painted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from .losses import IGNORE
from .truth import LabelledSlice

WHOLE = 512
"""Slices up to this side are given whole: there, where something lies in the image helps to tell what it is."""

FOREGROUND = 0.7
"""Share of the samples centred on a class; the others on labelled background."""

PLACES = 4096
"""Pixels remembered per slice and class as centres."""


class Samples:
    """Draws batches from labelled slices, seeded.

    Parameters
    ----------
    slices
        What there is to learn from.
    size
        (Y, X) of the samples.
    seed
        Of the random numbers.
    """

    def __init__(self, slices: Sequence[LabelledSlice], size: tuple[int, int], seed: int) -> None:
        self.slices, self.size = list(slices), size
        self.whole = all(n <= m for one in slices for n, m in zip(one.target.shape, size, strict=True))
        self._random = np.random.default_rng(seed)
        self._places = [self._remember(one) for one in self.slices]
        self._holders: dict[int, list[int]] = {}
        for i, places in enumerate(self._places):
            for k in places:
                self._holders.setdefault(k, []).append(i)
        self._weight = {k: 1.0 for k in sorted(self._holders) if k}
        self._order: list[int] = []

    def _remember(self, one: LabelledSlice) -> dict[int, npt.NDArray[np.int64]]:
        places = {}
        for k in sorted(one.present):
            found = np.flatnonzero(one.target == k)
            places[k] = found if len(found) <= PLACES else self._random.choice(found, PLACES, replace=False)
        return places

    def favour(self, k: int) -> None:
        """Draw class ``k`` three times as often from now on."""
        if k in self._weight:
            self._weight[k] *= 3

    def draw(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """``n`` samples: input (n, C, Y, X), float32, and class indices (n, Y, X), int64."""
        parts = [self._whole() if self.whole else self._crop() for _ in range(n)]
        return torch.from_numpy(np.stack([p for p, _ in parts])), torch.from_numpy(np.stack([t for _, t in parts]))

    def _whole(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """A slice: mostly each in turn, so that none is left out; now and then one that has a certain class."""
        if self._weight and self._random.random() < 1 - FOREGROUND:
            return self._cut(int(self._random.choice(self._holders[self._class()])), 0, 0)
        if not self._order:
            self._order = self._random.permutation(len(self.slices)).tolist()
        return self._cut(self._order.pop(), 0, 0)

    def _crop(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """A crop whose centre lies near a labelled pixel of the chosen class."""
        k = self._class() if self._weight and self._random.random() < FOREGROUND else 0
        k = k if k in self._holders else self._class()
        i = int(self._random.choice(self._holders[k]))
        shape = self.slices[i].target.shape
        centre = divmod(int(self._random.choice(self._places[i][k])), shape[1])
        corner = []
        for at, size, side in zip(centre, self.size, shape, strict=True):
            first = at - size // 2 + round(float(self._random.uniform(-0.25, 0.25)) * size)
            corner.append(min(max(first, 0), max(side - size, 0)))
        return self._cut(i, *corner)

    def _class(self) -> int:
        classes = list(self._weight)
        weights = np.array([self._weight[k] for k in classes])
        return int(self._random.choice(classes, p=weights / weights.sum()))

    def _cut(self, i: int, top: int, left: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Sample of slice ``i`` from that corner; where the slice ends, zeros that do not count."""
        one, (height, width) = self.slices[i], self.size
        pixels = one.pixels[:, top : top + height, left : left + width]
        target = one.target[top : top + height, left : left + width]
        image = np.zeros((len(pixels), height, width), np.float32)
        image[:, : pixels.shape[1], : pixels.shape[2]] = pixels
        labels = np.full((height, width), IGNORE, np.int64)
        labels[: target.shape[0], : target.shape[1]] = target
        return image, labels


def sample_size(slices: Sequence[LabelledSlice], crop: int, largest: int, multiple: int) -> tuple[int, int]:
    """(Y, X) of the samples: whole slices where they are small enough, else squares; multiples of ``multiple``.

    Parameters
    ----------
    crop
        Side asked for; 0 chooses.
    largest
        Side of the crops that are chosen where slices are too large.
    """
    shape = [max(one.target.shape[axis] for one in slices) for axis in (0, 1)]
    if crop or max(shape) > WHOLE:
        shape = [min(side, crop or largest) for side in shape]
    # Large sides are even multiples, so that they can be halved.
    steps = [multiple if side < 8 * multiple else 2 * multiple for side in shape]
    height, width = (max(multiple, -(-side // step) * step) for side, step in zip(shape, steps, strict=True))
    return height, width
