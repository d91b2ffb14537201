"""A panel (image, truth, prediction) in a dock, and larger in a window of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QImage, QMouseEvent, QPixmap, QResizeEvent
from qtpy.QtWidgets import QDialog, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_medseg.core import Image, Labels

from .look import note, tighten

LARGEST = 1024
"""Pixels along a side of what is drawn; of larger slices some are left out."""

Pixels = npt.NDArray[np.uint8]


def draw_small(image: Image, prediction: tuple[Labels, int], truth: tuple[Labels, int]) -> Pixels:
    """The panel of a slice, at most `LARGEST` pixels along a side of each picture.

    Raises
    ------
    InputError
        The slice is not in the image, or has another size there.
    """
    from napari_medseg.evaluation.panels import display_range, draw_match, slice_of

    labels, t = truth
    image, z = slice_of([image], labels.names[t] if labels.names else str(t), t, labels)
    pixels = image.slice(z)
    step = -(-max(pixels.shape[:2]) // LARGEST)
    small = [_thinned(*side, step) for side in (prediction, truth)]
    return draw_match(pixels[::step, ::step], (small[0], 0), (small[1], 0), display_range(image))


def _thinned(labels: Labels, z: int, step: int) -> Labels:
    """One slice as labels of its own, every ``step``-th pixel."""
    missing = frozenset({0} if z in labels.missing else ())
    name = (labels.names[z],) if labels.names else ()
    data = labels.slice(z)[::step, ::step]
    return replace(labels, data=data, geometry=labels.geometry.flat, names=name, missing=missing, levels=())


class _Picture(QLabel):
    """A picture as wide as there is room, never larger than it is unless ``grows``."""

    def __init__(self, *, grows: bool = False) -> None:
        super().__init__()
        self._grows = grows
        self._whole = QPixmap()
        self.setMinimumSize(1, 1)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)

    def show_pixels(self, pixels: Pixels) -> None:
        height, width = pixels.shape[:2]
        content = np.ascontiguousarray(pixels).tobytes()
        image = QImage(content, width, height, 3 * width, QImage.Format.Format_RGB888)
        self._whole = QPixmap.fromImage(image.copy())
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self._whole.isNull():
            return
        room = self.size() if self._grows else QSize(max(self.width(), 1), 10_000)
        shown = self._whole.scaled(room, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
        self.setPixmap(shown)
        if not self._grows and self.height() != shown.height():
            self.setFixedHeight(shown.height())


class PanelView(QWidget):
    """A small panel with a line of text; a click shows it larger."""

    def __init__(self) -> None:
        super().__init__()
        self.small = _Picture()
        self.small.setObjectName("panel")
        self.small.setToolTip("Click to see it larger")
        self.small.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.small.setCursor(Qt.CursorShape.PointingHandCursor)
        self.small.installEventFilter(self)
        self.text = note(name="panel_text")
        self._large: QDialog | None = None
        self._pixels: Pixels | None = None
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(self.text)
        layout.addWidget(self.small)
        self.hide()

    def show_panel(self, pixels: Pixels | None, text: str = "") -> None:
        """Show a panel, or only ``text`` where there is none; without both, nothing."""
        self._pixels = pixels
        self.text.setText(text)
        self.text.setVisible(bool(text))
        self.small.setVisible(pixels is not None)
        self.setVisible(pixels is not None or bool(text))
        if pixels is not None:
            self.small.show_pixels(pixels)
            if self._large is not None and self._large.isVisible():
                self.enlarge()

    def enlarge(self) -> None:
        """Show the panel in a window of its own, which follows the choice until it is closed."""
        if self._pixels is None:
            return
        if self._large is None:
            self._large = QDialog(self)
            self._large.setObjectName("panel_window")
            self._large.resize(1200, 440)
            QVBoxLayout(self._large).addWidget(_Picture(grows=True))
        self._large.setWindowTitle(self.text.text())
        picture = self._large.findChild(_Picture)
        if picture is not None:
            picture.show_pixels(self._pixels)
        self._large.show()

    def eventFilter(self, watched: object, event: QEvent | None) -> bool:  # noqa: N802
        if watched is self.small and isinstance(event, QMouseEvent) and event.type() == QEvent.Type.MouseButtonRelease:
            self.enlarge()
        return False

    def close_down(self) -> None:
        if self._large is not None:
            self._large.close()
