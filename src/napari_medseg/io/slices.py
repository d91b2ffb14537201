"""The slices of a file, whether its format decodes them one by one or gives the whole as an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError

from .format import ALL
from .pixels import DamagedError
from .registry import format_for


def open_slices(path: Path, part: int | None = None, *, values: bool = False) -> Callable[[int], npt.NDArray[Any]]:
    """What gives the pixels of each slice of a file, or with ``values`` its stored values; decodes nothing yet.

    Of all images in a file (``ALL``) it gives the same slice side by side, (Y, X, C).
    """
    chosen = format_for(path)
    if part == ALL and chosen.together is None and chosen.parts:
        each = [open_slices(path, index, values=values) for index in range(len(chosen.parts(path)))]
        return lambda z: _beside([take(z) for take in each])
    choice = {} if part is None else {"part": part}
    if chosen.array is None:
        return partial(chosen.values if values else chosen.pixels, path, **choice)
    opened: list[Any] = []
    lock = Lock()

    def take(z: int) -> npt.NDArray[Any]:
        with lock:
            if not opened:
                try:
                    opened.extend(chosen.together(path) if part == ALL else [chosen.array(path, **choice)])  # type: ignore[misc]
                except DamagedError as error:  # all of it, not this slice alone
                    raise InputError(error.message, error.hint) from error
        return _beside([np.asarray(one[z]) for one in opened])

    return take


def _beside(planes: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Planes (Y, X) or (Y, X, C) as channels; one alone as it is."""
    if len(planes) == 1:
        return planes[0]
    return np.concatenate([p if p.ndim == 3 else p[..., np.newaxis] for p in planes], axis=-1)
