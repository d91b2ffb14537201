"""Points that keep their distance: where cells lie, drawn for a whole batch at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .draw import Draw

FINEST = 2.5
"""Distance of the candidates in um, where the view is not so wide that this would be too many."""

MOST = 120
"""Candidates in a row."""

ROUNDS = 4

Choose = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Points:
    """Places that were taken: index of the image, row and column in um, each (K,); and which candidates they were.

    ``chosen`` indexes a flattened field of candidates.
    """

    image: Tensor
    row: Tensor
    column: Tensor
    chosen: Tensor

    def __len__(self) -> int:
        return len(self.row)


def place(draw: Draw, count: int, extent: float, choose: Choose, finest: float = FINEST) -> Points:
    """Draw points of which none lies nearer to another than both their radii together.

    Candidates on a jittered grid get random ranks; each beats the lower ranks that it touches.

    Parameters
    ----------
    draw
        Random numbers.
    count
        Number of images.
    extent
        Side of an image in um; points lie up to 12 um beyond it, too.
    choose
        Takes rows and columns (um) of the candidates, (count, M, M), and gives the probability and the radius (um)
        of each.
    finest
        Least distance of candidates in um.
    """
    margin = 12.0
    step = max(finest, (extent + 2 * margin) / MOST)
    side = math.ceil((extent + 2 * margin) / step)
    line = torch.arange(side, device=draw.device) * step - margin
    rows = line[None, :, None] + draw.uniform(0, step, count, side, side)
    columns = line[None, None, :] + draw.uniform(0, step, count, side, side)
    probability, radius = choose(rows, columns)
    alive = draw.chance(probability, count, side, side)
    rank = draw.uniform(0, 1, count, side, side)
    chosen = alive.flatten().nonzero()[:, 0]
    if len(chosen):
        reach = max(1, math.ceil(2 * float(radius.flatten()[chosen].max()) / step))
        chosen = chosen[_survivors(chosen, (rows, columns, radius, rank), reach)]
    return Points(chosen // (side * side), rows.flatten()[chosen], columns.flatten()[chosen], chosen)


def _survivors(chosen: Tensor, fields: tuple[Tensor, Tensor, Tensor, Tensor], reach: int) -> Tensor:
    """Which of the chosen candidates stay, (A,) bool; fields are rows, columns, radii and ranks (N, M, M)."""
    count, side = fields[0].shape[:2]
    wide = side + 2 * reach
    y, x = chosen // side % side + reach, chosen % side + reach
    spot = (chosen // (side * side) * wide + y) * wide + x
    around = torch.arange(-reach, reach + 1, device=chosen.device)
    far = around[:, None] ** 2 + around[None, :] ** 2
    offsets = (around[:, None] * wide + around[None, :])[(far > 0) & (far <= (reach + 1) ** 2)]
    near = spot[:, None] + offsets[None]
    number = torch.full((count * wide * wide,), -1, dtype=torch.int64, device=chosen.device)
    number[spot] = torch.arange(len(chosen), device=chosen.device)
    other = number[near]
    rows, columns, radius, rank = (field.flatten()[chosen] for field in fields)
    distance2 = (rows[other] - rows[:, None]) ** 2 + (columns[other] - columns[:, None]) ** 2
    touching = (other >= 0) & (distance2 < (radius[other] + radius[:, None]) ** 2)
    beaten_by = touching & (rank[other] > rank[:, None])
    open_, kept = torch.ones_like(rank, dtype=torch.bool), torch.zeros_like(rank, dtype=torch.bool)
    for _ in range(ROUNDS):
        winners = open_ & ~(beaten_by & open_[other]).any(1)
        kept |= winners
        open_ &= ~kept & ~(touching & kept[other]).any(1)
    return kept
