"""The slices of a file, whether its format decodes them one by one or gives the whole as an array."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError

from .pixels import DamagedError
from .registry import format_for


def open_slices(path: Path, part: int | None = None, *, values: bool = False) -> Callable[[int], npt.NDArray[Any]]:
    """What gives the pixels of each slice of a file, or with ``values`` its stored values; decodes nothing yet."""
    chosen = format_for(path)
    choice = {} if part is None else {"part": part}
    if chosen.array is None:
        return partial(chosen.values if values else chosen.pixels, path, **choice)
    opened: list[Any] = []
    lock = Lock()

    def take(z: int) -> npt.NDArray[Any]:
        with lock:
            if not opened:
                try:
                    opened.append(chosen.array(path, **choice))  # type: ignore[misc]
                except DamagedError as error:  # all of it, not this slice alone
                    raise InputError(error.message, error.hint) from error
        return np.asarray(opened[0][z])

    return take
