"""A small picture of a model: its own, the first slice it remembers with its labels, or the colours of its classes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtGui import QIcon, QImage, QPixmap

from napari_medseg.core import ClassInfo, MedsegError, ModelCard

SIDE = 32
_SHARE = 0.55
"""Of a class's colour over the picture."""


def model_icon(card: ModelCard) -> QIcon:
    """The picture of a model of the library."""
    from napari_medseg.models.library import find_model
    from napari_medseg.models.weights import THUMBNAIL

    try:
        folder = str(find_model(card.reference))
    except MedsegError:
        folder = ""
    if folder and not (own := QPixmap(str(Path(folder, THUMBNAIL)))).isNull():
        return QIcon(own)
    values = paint_model(folder, card.sha256, card.classes)
    image = QImage(values.tobytes(), SIDE, SIDE, 3 * SIDE, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image.copy()))


@lru_cache(maxsize=256)
def paint_model(folder: str, sha256: str, classes: tuple[ClassInfo, ...]) -> npt.NDArray[np.uint8]:
    """Pixels (Y, X, RGB) of the picture of the model in ``folder``; ``sha256`` tells its contents apart."""
    from napari_medseg.training.memory import read_first

    try:
        first = read_first(Path(folder)) if folder else None
        return _swatch(classes) if first is None else _paint_slice(first)
    except MedsegError:  # said where the memory is used
        return _swatch(classes)


def _swatch(classes: tuple[ClassInfo, ...]) -> npt.NDArray[np.uint8]:
    """Stripes, one for each class."""
    colours = np.array([_rgb(c.color) for c in classes], np.uint8)
    column = np.arange(SIDE) * len(colours) // SIDE
    return np.ascontiguousarray(np.broadcast_to(colours[column][None], (SIDE, SIDE, 3)))


def _paint_slice(one: Any) -> npt.NDArray[np.uint8]:
    """The middle square of a remembered slice."""
    codes, planes = one.codes(), one.pixels().astype(np.float32)
    colour = len(planes) % 3 == 0 and len(one.pictures) * 3 == len(planes)
    middle = len(planes) // 6 * 3 if colour else len(planes) // 2
    chosen = planes[middle : middle + 3] if colour else np.repeat(planes[middle : middle + 1], 3, 0)
    side = min(codes.shape)
    rows, columns = (((np.arange(SIDE) + 0.5) * side / SIDE + (n - side) / 2).astype(int) for n in codes.shape)
    small, marks = chosen[:, rows[:, None], columns], codes[rows[:, None], columns]
    low, high = float(small.min()), float(small.max())
    values = np.moveaxis((small - low) / max(high - low, 1e-6) * 255, 0, -1)
    for code, info in enumerate(one.entry.classes, 2):  # 0 is unlabelled and 1 background
        values[marks == code] = (1 - _SHARE) * values[marks == code] + _SHARE * np.array(_rgb(info.color))
    return np.ascontiguousarray(values.astype(np.uint8))


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
