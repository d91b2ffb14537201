"""What came out of a run, and whether the new model may take the old one's place; loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_medseg.core import ModelCard

TOLERANCE = 0.02
"""A new model whose held-out Dice is lower than the old one's by more than this is not promoted."""

FORGOTTEN = 0.05
"""Nor one whose Dice on the slices its start remembers is lower by more than this: labels that are wrong, such as sides
that were mixed up, are wrong in the held-out slices, too, and only what was known before can tell."""

NOTHING = 0.1
"""Below this, a model finds hardly anything of what is painted."""

HALF = 0.5
"""What a model must reach on labels that its start contradicts."""

_CHECK = "check that nothing is painted with the wrong label"


@dataclass(frozen=True)
class Verdict:
    """Old against new on the same held-out labels; NaN where nothing could be measured, and ``why`` it could not.

    ``rival`` is what a Quick model reaches that learnt from the same slices; ``knew`` and ``knows`` are old and new on
    the slices that the start model remembers; ``figure`` is what was measured, ``on`` how many slices of today.
    """

    old: float
    new: float
    why: str = "nothing was held out"
    rival: float = math.nan
    knew: float = math.nan
    knows: float = math.nan
    figure: str = "Dice"
    on: str = "held-out slices"

    @property
    def is_worse(self) -> bool:
        """Whether the new model is worse on today's held-out labels, by more than chance."""
        return self.new < self.old - TOLERANCE

    @property
    def reason(self) -> str:
        """Why the new model may not take the old one's place; empty when it may."""
        if self.is_worse:
            return "Worse than its start"
        if self.knows < self.knew - FORGOTTEN:
            return f"It lost what its start knew, so {_CHECK}"
        if not math.isnan(self.old) and self.new < (HALF if self.doubt else NOTHING):
            return f"Hardly anything of what is painted is found, so {_CHECK}"
        return ""

    @property
    def doubt(self) -> str:
        """What speaks against today's labels; empty when nothing does."""
        if self.old < NOTHING and self.knew > HALF:
            return f" The start model finds hardly any of what is painted, though it knows such classes: {_CHECK}."
        return ""

    @property
    def promoted(self) -> bool:
        return not self.reason

    def __str__(self) -> str:
        known = ""
        if not math.isnan(self.knew) and not math.isnan(self.knows):
            known = f" On slices its start remembers {self.knows:.3f}, before {self.knew:.3f}."
        if math.isnan(self.new):
            return f"The new model was not measured{' on new slices' if known else ''}: {self.why}.{known}"
        start = "" if math.isnan(self.old) else f", the model it started from {self.old:.3f}"
        return f"Held-out {self.figure} {self.new:.3f}{start}.{known}{self.doubt}{self._compare_rival()}"

    def _compare_rival(self) -> str:
        if math.isnan(self.rival):
            return ""
        lost = self.rival > self.new + TOLERANCE
        advice = ", which is better: start from Quick here, or train longer" if lost else ""
        return f" Quick reaches {self.rival:.3f} on the same slices{advice}."


@dataclass(frozen=True)
class TrainingResult:
    """What came out of a run.

    Attributes
    ----------
    card
        Of the new model in the library.
    verdict
        Old against new on the held-out labels.
    message
        The outcome in words.
    notes
        Everything else that was said on the way.
    held_out
        What only measured, wholly or in part: index of the pair in the run, and the slice in that pair.
    """

    card: ModelCard
    verdict: Verdict
    message: str
    notes: tuple[str, ...]
    held_out: tuple[tuple[int, int], ...] = ()
