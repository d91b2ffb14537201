"""Where a slide's result goes, and what is there already: to be resumed, shown, or given up."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontMetrics, QResizeEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_medseg.core import Image, MedsegError, ModelCard
from napari_medseg.inference.slides.results import SUFFIX, ResultState, check_output, default_output, read_state

from .look import button, note, tighten
from .signals import Signal
from .tissue_row import describe_share


class ResultPlace(QWidget):
    """The folder of the result in one line, with a button to choose another; `value` is None before an image is set."""

    changed = Signal()
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._chosen: WeakKeyDictionary[Any, Path] = WeakKeyDictionary()
        self._layer: Any = None
        self.line = _Elided()
        self.line.setObjectName("result")
        self.browse = button("…", "Choose where the result goes", "choose_result")
        self.setProperty("one_line", True)
        row = QHBoxLayout(self)
        tighten(row)
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)
        self.browse.clicked.connect(self._on_browse)

    def value(self) -> Path | None:
        """The folder of the result."""
        return self._path

    def set_value(self, path: Path) -> None:
        """Choose the folder for the image at hand, whatever the model.

        Raises
        ------
        InputError
            Something that is no result is there.
        """
        path = check_output(path)
        if self._layer is not None:
            self._chosen[self._layer] = path
        self._show(path)

    def follow(self, layer: Any, image: Image | None, card: ModelCard | None) -> None:
        """Take the place for an image and a model, unless the user chose one for this image."""
        self._layer = layer
        if layer is None or image is None:
            self._show(None)
        elif layer in self._chosen:
            self._show(self._chosen[layer])
        else:
            self._show(default_output(image, layer.name, card) if card is not None else None)

    def _show(self, path: Path | None) -> None:
        self._path = path
        self.line.set_full(f"{path.parent.name}/{path.name}" if path is not None else "")
        self.line.setToolTip(f"{path}\nAn OME-Zarr of labels, which other programs open too" if path else "")
        self.browse.setEnabled(self._layer is not None)
        self.changed.emit()

    def _on_browse(self) -> None:
        start = str(self._path or Path.home() / f"result{SUFFIX}")
        # The dock itself asks before it gives anything up.
        option = QFileDialog.Option.DontConfirmOverwrite
        chosen, _ = QFileDialog.getSaveFileName(self, "Result of the slide", start, f"*{SUFFIX}", options=option)
        if chosen:
            try:
                self.set_value(Path(chosen))
            except MedsegError as error:
                self.failed.emit(error)


class ResultOffer(QWidget):
    """Says what of a result is there already, and offers to show it, to go on, or to begin anew.

    ``shown``, ``resumed`` and ``begun`` are emitted when the user chooses so; beginning anew is asked once more.
    """

    shown = Signal()
    resumed = Signal()
    begun = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.state: ResultState | None = None
        self.problem = ""
        self._path: Path | None = None
        self._asks = False
        self._visible = False
        self.text = note(name="offer")
        self.resume = button("Resume", "Go on where the run ended; what is done stays", "resume")
        self.show_button = button("Show", "Show the result over the slide", "show_result")
        self.anew = button("Start anew…", "Give up what is there and segment again", "start_anew")
        self.overwrite = button("Overwrite", "Remove it for ever and segment again", "overwrite")
        self.keep = button("Keep it", "Do not remove it", "keep_result")
        row = QHBoxLayout()
        row.setSpacing(6)
        for part in (self.resume, self.show_button, self.anew, self.overwrite, self.keep):
            row.addWidget(part, 1)
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.resume.clicked.connect(self.resumed)
        self.show_button.clicked.connect(self.shown)
        self.anew.clicked.connect(self.ask)
        self.keep.clicked.connect(self._on_keep)
        self.overwrite.clicked.connect(self._on_overwrite)
        self.hide()

    def look(self, path: Path | None, *, visible: bool) -> None:
        """Look at what is in a place; ``visible`` tells whether the viewer shows it already."""
        self._path, self._visible, self._asks = path, visible, False
        self.problem, self.state = "", None
        try:
            self.state = read_state(path) if path is not None else None
        except MedsegError as error:
            self.problem = str(error)
        self._show()

    def ask(self) -> None:
        """Ask whether what is there shall be given up."""
        self._asks = True
        self._show()

    def _on_keep(self) -> None:
        self._asks = False
        self._show()

    def _on_overwrite(self) -> None:
        self._asks = False
        self._show()
        self.begun.emit()

    def _show(self) -> None:
        state, name = self.state, self._path.name if self._path is not None else ""
        finished = state is not None and state.finished
        there = state is not None and not (finished and self._visible and not self._asks)
        self.setVisible(there or bool(self.problem))
        if self.problem:
            self.text.setText(self.problem)
        elif state is not None and self._asks:
            painted = " with what was put back into it" if state.painted else ""
            done = "All of its tissue is done. " if finished else ""
            self.text.setText(f"{done}Overwrite {name}? It is removed for ever{painted}.")
        elif state is not None:
            self.text.setText(describe_state(state))
        self.resume.setVisible(state is not None and not finished and not self._asks)
        self.show_button.setVisible(state is not None and not self._visible and not self._asks)
        self.anew.setVisible(state is not None and not self._asks)
        self.overwrite.setVisible(self._asks)
        self.keep.setVisible(self._asks)


def describe_state(state: ResultState) -> str:
    """``A result is there: 41 % of the tissue is done.``"""
    if state.finished:
        return "A result of this slide and model is there: all of its tissue is done."
    done = "not all of it is done" if state.share is None else f"{describe_share(state.share)} of the tissue is done"
    return f"A result of this slide and model is there: {done}."


class _Elided(QLabel):
    """One line, shortened in its middle where there is no room for it."""

    def __init__(self) -> None:
        super().__init__()
        self._full = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def set_full(self, text: str) -> None:
        self._full = text
        self._shorten()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._shorten()

    def _shorten(self) -> None:
        metrics = QFontMetrics(self.font())
        self.setText(metrics.elidedText(self._full, Qt.TextElideMode.ElideMiddle, max(40, self.width())))
