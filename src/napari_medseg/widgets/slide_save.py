"""A slide's result as `Labels`, described without reading it and counted while it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg._layers import about_layer, labels_from_layer
from napari_medseg.core import Labels, Progress, Reporter

KINDS = (("OME-Zarr (.ome.zarr)", ".ome.zarr"), ("TIFF with levels (.ome.tif)", ".ome.tif"))
"""Title and suffix of the files that hold a whole slide and open at once."""


def labels_of_result(layer: Any) -> Labels:
    """The labels that a multiscale layer shows; none of their pixels is read."""
    data, *levels = list(layer.data)
    described = labels_from_layer(_Blank(layer))
    empty = about_layer(layer).get("not_computed")
    return replace(described, data=data, levels=tuple(x for x in levels if hasattr(x, "chunks")), not_computed=empty)


def counted(labels: Labels, report: Reporter) -> Labels:
    """The same labels, which report how much of them was read."""
    total = sum(int(level.shape[0]) for level in (labels.data, *labels.levels))
    count = _Count(total, report)
    levels = tuple(_Counted(level, count) for level in labels.levels)
    return replace(labels, data=_Counted(labels.data, count), levels=levels)


class _Blank:
    """A layer with a single pixel of background."""

    multiscale = False
    data = np.zeros((1, 1), np.uint8)

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


class _Count:
    def __init__(self, total: int, report: Reporter) -> None:
        self._done, self._total, self._report = 0, total, report

    def add(self, rows: int) -> None:
        self._done = min(self._done + rows, self._total)
        self._report(Progress("Saving", self._done, self._total))


class _Counted:
    """An array whose reads are counted by rows."""

    def __init__(self, array: Any, count: _Count) -> None:
        self._array, self._count = array, count
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        found = np.asarray(self._array[index])
        self._count.add(len(found) if found.ndim == self.ndim else 1)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)
