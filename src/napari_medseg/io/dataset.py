"""``dataset.json``: what a data set says of its channels and classes, in the forms of nnU-Net (1 and 2) and of the
Medical Segmentation Decathlon."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import MOST_CHANNELS, ClassInfo, clean_name

NAME = "dataset.json"
_LONGEST = 2**22
_MOST_CLASSES = 2**12


@dataclass(frozen=True)
class DataSet:
    """What there is to know of all images of a data set.

    Attributes
    ----------
    channel_names
        In the order of the channels; empty where that is not told.
    classes
        Those of the masks.
    ignored
        The value of masks that says nothing; None where there is none such.
    """

    channel_names: tuple[str, ...] = ()
    classes: tuple[ClassInfo, ...] = ()
    ignored: int | None = None

    def ignored_in(self, mask: npt.NDArray[Any]) -> int | None:
        """The value that says nothing, where the mask has it."""
        return self.ignored if self.ignored is not None and np.any(mask == self.ignored) else None


def dataset_of(path: Path) -> DataSet:
    """What is said of an image or mask, by a `NAME` in its folder or the folder above; nothing where there is none.

    A file of that name that is something else says nothing: many programs call theirs so.
    """
    for folder in path.absolute().parents[:2]:
        file = folder / NAME
        try:
            state = file.stat()
        except OSError:
            continue
        # A pipe of that name would be waited for.
        if stat.S_ISREG(state.st_mode) and (found := _read(file, state.st_mtime_ns, state.st_size)) != DataSet():
            return found
    return DataSet()


@lru_cache(maxsize=32)
def _read(file: Path, changed: int, size: int) -> DataSet:
    """``changed`` and ``size`` tell a file from what it was before."""
    try:
        about = json.loads(file.read_bytes()) if size <= _LONGEST else None
    except (OSError, ValueError, RecursionError):
        about = None
    if not isinstance(about, Mapping):
        return DataSet()
    labels = _by_number(about.get("labels"))
    ignored = next((value for value, name in labels.items() if name.casefold() == "ignore"), None)
    return DataSet(
        _in_order(_by_number(about.get("channel_names") or about.get("modality"))),
        tuple(ClassInfo.numbered(value, name) for value, name in sorted(labels.items()) if value not in (0, ignored)),
        ignored,
    )


def _by_number(told: Any) -> dict[int, str]:
    """Names by number, whichever of the two is the key; regions of several numbers and a name's second number are left
    out."""
    found: dict[int, str] = {}
    taken: set[str] = set()
    for one, other in told.items() if isinstance(told, Mapping) else ():
        number, name = (one, other) if isinstance(other, str) else (other, one)
        if isinstance(number, list) and len(number) == 1:  # a region of one class
            number = number[0]
        if not (isinstance(number, int | str) and str(number).isdecimal() and len(str(number)) < 6):
            continue
        name = clean_name(name)
        if name and name.casefold() not in taken and int(number) not in found:
            taken.add(name.casefold())
            found[int(number)] = name
    return found if len(found) <= _MOST_CLASSES else {}


def _in_order(names: Mapping[int, str]) -> tuple[str, ...]:
    counted = len(names) <= MOST_CHANNELS and sorted(names) == [*range(len(names))]
    return tuple(names[i] for i in range(len(names))) if counted else ()
