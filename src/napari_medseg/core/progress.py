"""Telling how far the work is; the same call is where it may be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt


class Cancelled(Exception):
    """Raised by a reporter to end the work; what is finished stays."""


@dataclass(frozen=True)
class Progress:
    """One report from running work.

    Attributes
    ----------
    stage
        What is being done, in words for the status line ("Segmenting").
    done, total
        Finished and planned units (slices, steps, seconds); ``total`` 0 means unknown.
    message
        One sentence worth showing, such as the device in use. Empty when there is none.
    metrics
        Named figures of this moment (``loss``, ``dice``, ``old_dice``).
    region
        Index of the finished part in the result (``(3,)`` is slice 3), with its labels in ``result``.
    result
        Labels of ``region``, shape of that part, or None.
    settled
        What was chosen for the work on the way, such as the number format: who goes on with it later needs it to get
        the same numbers. Empty where nothing was.
    so_far
        The work's result as it stands, for work whose result grows on the way; None where nothing is new.
    """

    stage: str
    done: int = 0
    total: int = 0
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    region: tuple[int | slice, ...] | None = None
    result: npt.NDArray[Any] | None = None
    settled: Mapping[str, Any] = field(default_factory=dict)
    so_far: Any = None


Reporter = Callable[[Progress], None]
"""Takes a `Progress`; raises `Cancelled` to stop the work at this point."""


def silent(progress: Progress) -> None:
    """Report to nobody."""
