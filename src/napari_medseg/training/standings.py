"""What a comparison of several trainings found; loads no torch."""

from __future__ import annotations

import math
import statistics

from pydantic import BaseModel

from napari_medseg.core import ModelCard
from napari_medseg.inference.cost import Cost


class Row(BaseModel):
    """What became of a candidate.

    Attributes
    ----------
    candidate, start, loss, augmentation
        Which.
    round
        The last one it was trained in, from 1.
    minutes
        Of each training in that round.
    dice
        Held-out Dice of each of its seeds; NaN where nothing could be measured.
    cost
        None where it was not measured: only of those in the last round.
    """

    candidate: str
    start: str
    loss: str
    augmentation: str
    round: int
    minutes: float
    dice: tuple[float, ...]
    cost: Cost | None = None

    @property
    def mean(self) -> float:
        """Mean Dice, 0 where it could not be measured."""
        found = [d for d in self.dice if not math.isnan(d)]
        return statistics.fmean(found) if found else 0.0

    @property
    def spread(self) -> float:
        """Half the distance between the best and the worst seed."""
        return (max(self.dice) - min(self.dice)) / 2


class Comparison(BaseModel):
    """All candidates, the best first, and the model of the winner."""

    rows: tuple[Row, ...]
    winner: ModelCard | None = None

    def __str__(self) -> str:
        """A table for a terminal."""
        width = max(len(row.candidate) for row in self.rows)
        lines = [f"{'':{width}}  held-out Dice    round  minutes  million weights  ms an image    MiB"]
        for row in self.rows:
            dice = f"{row.mean:.3f}" + (f" ± {row.spread:.3f}" if len(row.dice) > 1 else " " * 8)
            line = f"{row.candidate:{width}}  {dice:>13}  {row.round:7d}  {row.minutes:7.2g}"
            if row.cost:
                line += f"  {row.cost.parameters / 1e6:15.1f}  {row.cost.milliseconds:11.0f}"
                line += f"  {row.cost.mebibytes:5.0f}" if row.cost.mebibytes else ""
            lines.append(line)
        return "\n".join(lines)
