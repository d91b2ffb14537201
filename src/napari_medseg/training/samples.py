"""Training samples: whole slices, or crops that look where something is painted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import find_objects, label

from .losses import IGNORE
from .truth import LabelledSlice

WHOLE = 512
"""Slices up to this side are given whole: there, where something lies in the image helps to tell what it is."""

FOREGROUND = 0.7
"""Share of the samples centred on a class; the others on labelled background."""

OBJECTS = 2.5
"""Crops show an object and as much again around it."""

SPECK = 4
"""Pixels; smaller parts say nothing about the size of objects."""

PLACES = 4096
"""Pixels remembered per slice and class as centres."""

Sample = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], bool]


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
    replay
        What was learnt from earlier.
    share
        Of the samples that come from there.
    balanced
        Whether half of the slices drawn hold a class and half hold none, where there are both; of whole slices only.
    """

    def __init__(
        self,
        slices: Sequence[LabelledSlice],
        size: tuple[int, int],
        seed: int,
        replay: Sequence[LabelledSlice] = (),
        share: float = 0.3,
        balanced: bool = False,
    ) -> None:
        self.slices, self.size, self._balanced = list(slices), size, balanced
        self._seed = seed
        self._old, self._share = list(replay), share
        self._replay = Samples(replay, size, seed + 1, balanced=balanced) if replay and share else None
        self._newest = [i for i, one in enumerate(self.slices) if one.newest]
        self.whole = all(n <= m for one in slices for n, m in zip(one.target.shape, size, strict=True))
        self._tells = [not math.isnan(one.holds) for one in slices]
        self._random = np.random.default_rng(seed)
        self._places = [self._remember(one) for one in self.slices]
        self._holders: dict[int, list[int]] = {}
        for i, places in enumerate(self._places):
            for k in places:
                self._holders.setdefault(k, []).append(i)
        self._weight = {k: 1.0 for k in sorted(self._holders) if k}
        showing = {i for k, places in self._holders.items() if k for i in places}
        sides = [sorted(showing), [i for i in range(len(self.slices)) if i not in showing]]
        # Slices of which each is drawn in turn; those that hold a class come first.
        self._pools = sides if balanced and all(sides) else [[*range(len(self.slices))]]
        self._orders: list[list[int]] = [[] for _ in self._pools]

    def _remember(self, one: LabelledSlice) -> dict[int, npt.NDArray[np.int64]]:
        places = {}
        for k in sorted(one.present):
            found = np.flatnonzero(one.target == k)
            places[k] = found if len(found) <= PLACES else self._random.choice(found, PLACES, replace=False)
        return places

    def rehearse(self, slices: Sequence[LabelledSlice], share: float) -> None:
        """Draw that share of the samples from these slices, too, and from what was learnt earlier."""
        self._old, self._share = [*self._old, *slices], share
        self._replay = Samples(self._old, self.size, self._seed + 1, balanced=self._balanced)

    @property
    def pixels(self) -> int:
        """Of all slices that are drawn from."""
        return sum(one.target.size for one in (*self.slices, *self._old))

    def favour(self, k: int) -> None:
        """Draw class ``k`` three times as often from now on."""
        if k in self._weight:
            self._weight[k] *= 3
        if self._replay:
            self._replay.favour(k)

    def state(self) -> dict[str, Any]:
        """What it takes to draw exactly what comes next, in another process over the same slices."""
        return {
            "random": self._random.bit_generator.state, "orders": [[*order] for order in self._orders],
            "weight": {**self._weight},
            "replay": self._replay.state() if self._replay else None,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        self._random.bit_generator.state = state["random"]
        self._orders, self._weight = [[*order] for order in state["orders"]], {**state["weight"]}
        if self._replay and state["replay"]:
            self._replay.restore(state["replay"])

    def draw(self, n: int, *, early: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``n`` samples: input (n, C, Y, X), float32, class indices (n, Y, X), int64, and whether they tell (n,).

        Only of a whole slice in which everything is labelled can be told whether it holds anything.
        ``early`` in the run, what was painted last is shown twice as often.
        """
        images, targets, telling = zip(*(self._sample(early) for _ in range(n)), strict=True)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets)), torch.tensor(telling)

    def _sample(self, early: bool) -> Sample:
        if self._replay and self._random.random() < self._share:
            return self._replay._sample(False)
        # Of n slices m new ones: with this chance one of the new, else any, shows the new ones twice as often.
        again = early and self._random.random() < len(self._newest) / (len(self.slices) + len(self._newest))
        among = self._newest if again else None
        return self._whole(among) if self.whole else self._crop(among)

    def _whole(self, among: Sequence[int] | None = None) -> Sample:
        """A slice: mostly each in turn, so that none is left out; now and then one that has a certain class."""
        side = int(self._random.random() < 0.5) if len(self._pools) > 1 else 0
        if among and (chosen := [i for i in among if i in self._pools[side]]):
            return self._cut(int(self._random.choice(chosen)), 0, 0)
        if self._weight and not side and self._random.random() < 1 - FOREGROUND:
            return self._cut(int(self._random.choice(self._holders[self._class()])), 0, 0)
        if not self._orders[side]:
            self._orders[side] = self._random.permutation(self._pools[side]).tolist()
        return self._cut(self._orders[side].pop(), 0, 0)

    def _crop(self, among: Sequence[int] | None = None) -> Sample:
        """A crop whose centre lies near a labelled pixel of the chosen class."""
        k = self._class() if self._weight and self._random.random() < FOREGROUND else 0
        k = k if k in self._holders else self._class()
        holders = [i for i in self._holders[k] if i in among] if among else []
        i = int(self._random.choice(holders or self._holders[k]))
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

    def _cut(self, i: int, top: int, left: int) -> Sample:
        """Sample of slice ``i`` from that corner; where the slice ends, zeros that do not count."""
        one, (height, width) = self.slices[i], self.size
        pixels = one.pixels[:, top : top + height, left : left + width]
        target = one.target[top : top + height, left : left + width]
        image = np.zeros((len(pixels), height, width), np.float32)
        image[:, : pixels.shape[1], : pixels.shape[2]] = pixels
        labels = np.full((height, width), IGNORE, np.int64)
        labels[: target.shape[0], : target.shape[1]] = target
        fits = pixels.shape[1:] == one.pixels.shape[1:]
        return image, labels, fits and self._tells[i]


def object_side(slices: Sequence[LabelledSlice]) -> float:
    """Typical larger side of what is painted, in pixels; infinite where only strokes are."""
    sides = []
    for one in slices:
        if (one.target == IGNORE).any():
            continue
        for k in sorted(one.present - {0}):
            boxes = find_objects(label(one.target == k)[0])
            extents = [max(part.stop - part.start for part in box) for box in boxes]
            sides += [extent for extent in extents if extent >= SPECK]
    return float(np.median(sides)) if sides else math.inf


def sample_size(slices: Sequence[LabelledSlice], crop: int, limits: tuple[int, int], multiple: int) -> tuple[int, int]:
    """(Y, X) of the samples: whole slices where they are small enough, else squares; multiples of ``multiple``.

    Parameters
    ----------
    crop
        Side asked for; 0 chooses.
    limits
        Smallest and largest side of the crops that are chosen where slices are too large: `OBJECTS` times as large as
        what is painted.
    """
    shape = [max(one.target.shape[axis] for one in slices) for axis in (0, 1)]
    if crop or max(shape) > WHOLE:
        chosen = crop or int(min(max(OBJECTS * object_side(slices), limits[0]), limits[1]))
        shape = [min(side, chosen) for side in shape]
    # Large sides are even multiples, so that they can be halved.
    steps = [multiple if side < 8 * multiple else 2 * multiple for side in shape]
    height, width = (max(multiple, -(-side // step) * step) for side, step in zip(shape, steps, strict=True))
    return height, width
