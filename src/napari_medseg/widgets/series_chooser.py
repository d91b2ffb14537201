"""Choosing one of the series in a folder or a file by picture, description and number of slices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_medseg.core import MedsegError, Progress, Reporter

from .job import Job
from .look import count
from .signals import Signal

if TYPE_CHECKING:
    from napari_medseg.io.names import Group

Picture = npt.NDArray[np.uint8]

SIDE = 56
"""Width and height of a picture, in pixels."""

_ROWS = 4  # shown before the list scrolls


class SeriesChooser(QListWidget):
    """A list of series; their pictures, of a slice in the middle, come as they are read in the background.

    ``chosen`` carries the label to read a series by.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("series")
        self.setToolTip("There are several series: choose the one to open")
        self.setIconSize(QSize(SIDE, SIDE))
        self.setWordWrap(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._wanted: Any = None
        self.job = Job(self)
        self.job.progressed.connect(self._show_picture)
        for ended in (self.job.finished, self.job.cancelled, self.job.failed):
            ended.connect(self._on_ended)
        # Not currentItemChanged: Qt makes the first item current when the list gets the focus.
        self.itemSelectionChanged.connect(self._on_chosen)

    def value(self) -> str | None:
        """Label of the chosen series, or None."""
        chosen = self.selectedItems()
        return str(chosen[0].data(Qt.ItemDataRole.UserRole)) if chosen else None

    def title(self) -> str:
        """What to call the layer of the chosen series: what its files say it shows, else its label; or empty."""
        chosen = self.selectedItems()
        if not chosen:
            return ""
        first = chosen[0].text().partition("\n")[0].rpartition(" · ")[0]
        return first or str(self.value())

    def set_value(self, label: str) -> None:
        """Choose a series."""
        for row in range(self.count()):
            item = self.item(row)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) == label:
                self.setCurrentItem(item)

    def set_groups(self, source: Any, groups: Sequence[Group]) -> None:
        """List these series; none is chosen yet, and ``chosen`` is not emitted."""
        self.blockSignals(True)
        self.clear()
        blank = QPixmap(SIDE, SIDE)
        blank.fill(Qt.GlobalColor.black)
        for group in groups:
            item = QListWidgetItem(_icon(blank), describe_group(group))
            item.setData(Qt.ItemDataRole.UserRole, group.label)
            item.setToolTip(group.label)
            self.addItem(item)
        self.setCurrentItem(None)
        self.blockSignals(False)
        heights = [self.sizeHintForRow(row) for row in range(min(_ROWS, self.count()))]
        self.setFixedHeight(max(SIDE, sum(heights)) + 2 * self.frameWidth())
        self._wanted = (source, tuple(groups)) if groups else None
        self._read()

    def _read(self) -> None:
        if self._wanted is None:
            self.job.stop()
        elif self.job.start(partial(_read_pictures, *self._wanted), "Read pictures of series"):
            self._wanted = None
        else:
            self.job.stop()  # its end asks again, for the newer groups

    def _on_ended(self, *_: object) -> None:
        if self._wanted is not None:
            self._read()

    def _on_chosen(self, *_: object) -> None:
        label = self.value()
        if label is not None:
            self.chosen.emit(label)

    def _show_picture(self, progress: Progress) -> None:
        if progress.result is None or progress.region is None or self._wanted is not None:
            return
        item = self.item(int(progress.region[0]))  # type: ignore[arg-type]
        if item is not None:
            item.setIcon(_icon(_pixmap(progress.result)))


def describe_group(group: Group) -> str:
    """What a series is called and how many slices it has."""
    if group.title:
        return group.title
    return f"{group.label}\n{count(len(group.files), 'file')}" if len(group.files) > 1 else group.label


def make_picture(pixels: npt.NDArray[Any], low_high: tuple[float, float] | None = None) -> Picture:
    """A small picture (Y, X, 3) of a slice, grey or RGB, on black.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, C).
    low_high
        The window to show; None stretches from the 1st to the 99th percentile.
    """
    step = max(1, -(-max(pixels.shape[:2]) // SIDE))
    small = pixels[step // 2 :: step, step // 2 :: step] if min(pixels.shape[:2]) > step else pixels[::step, ::step]
    if small.ndim == 3:
        small = small[..., :3] if small.shape[2] >= 3 else small[..., 0]
    small = small.astype(np.float64)
    finite = small[np.isfinite(small)]
    if not finite.size:
        finite = np.zeros(1)
    is_rgb = small.ndim == 3 and pixels.dtype == np.uint8
    low, high = (0.0, 255.0) if is_rgb else low_high or tuple(np.percentile(finite, (1, 99)))
    shown = np.clip((np.nan_to_num(small, nan=low) - low) / max(high - low, 1e-9), 0, 1) * 255
    shown = shown if shown.ndim == 3 else np.repeat(shown[..., np.newaxis], 3, axis=2)
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    top, left = ((SIDE - n) // 2 for n in shown.shape[:2])
    picture[top : top + shown.shape[0], left : left + shown.shape[1]] = shown.astype(np.uint8)
    return picture


def _icon(pixmap: QPixmap) -> QIcon:
    """Of the same look when it is chosen, where Qt would tint it."""
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon


def _pixmap(picture: Picture) -> QPixmap:
    data = np.ascontiguousarray(picture)
    image = QImage(data.tobytes(), SIDE, SIDE, 3 * SIDE, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image)


def _read_pictures(source: str | Path | list[Path], groups: Sequence[Group], report: Reporter) -> None:
    """Read one slice of each series; one that cannot be read stays black: choosing it says why."""
    from napari_medseg import io

    for index, group in enumerate(groups):
        picture = None
        with suppress(MedsegError):
            several = len(group.files) > 1
            # Only the one file is looked into: a series may have thousands.
            image = io.read(group.files[len(group.files) // 2]) if several else io.read(source, series=group.label)
            window = image.windows[0] if image.windows else None
            picture = make_picture(image.slice(len(image) // 2), (window.low, window.high) if window else None)
        report(Progress("Reading pictures", index + 1, len(groups), region=(index,), result=picture))
