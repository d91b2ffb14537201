"""Images and masks in files: a choice of both, with a look at what goes with what before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QMenu, QPlainTextEdit, QVBoxLayout, QWidget

from napari_medseg.core import Reporter

from .fold import Fold
from .job import Failure, Job
from .look import Rows, button, count, note, tighten
from .signals import Signal

if TYPE_CHECKING:
    from napari_medseg.io.pairs.preview import Preview

_HINT = "Choose images and their masks: two folders, twice the same one, or a table (CSV) and its folder."


@dataclass(frozen=True)
class Use:
    """What chosen files are for, in the words of the form.

    Attributes
    ----------
    title, tip
        Of the form.
    purpose
        What files without a pair hold nothing for.
    name
        Put before the names of what the form is made of.
    """

    title: str
    tip: str
    purpose: str
    name: str = ""


class _Place(QWidget):
    """A path to type or to choose."""

    changed = Signal()

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self.path = QLineEdit()
        self.path.setObjectName(name)
        self.path.setToolTip(tip)
        self.path.setPlaceholderText("folder or file")
        self.browse = button("…", f"Choose {name}", f"browse_{name}")
        self.browse.setFixedWidth(32)
        menu = QMenu(self.browse)
        for text, choose in (("Folder…", self._choose_folder), ("File or table…", self._choose_file)):
            action = menu.addAction(text)
            if action is not None:
                action.triggered.connect(choose)
        self.browse.setMenu(menu)
        row = QHBoxLayout(self)
        tighten(row)
        row.addWidget(self.path, 1)
        row.addWidget(self.browse)
        self.path.editingFinished.connect(self.changed)

    def value(self) -> Path | None:
        text = self.path.text().strip()
        return Path(text).expanduser().absolute() if text else None

    def set_value(self, path: Path | None) -> None:
        self.path.setText(str(path) if path is not None else "")
        self.changed.emit()

    def _choose_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Folder", self.path.text()):
            self.set_value(Path(chosen))

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "File or table", self.path.text())
        if chosen:
            self.set_value(Path(chosen))


class FilesFold(Fold):
    """Paths of images and masks, and a preview: what is paired, which classes there are, what is left out and why.

    What cannot be paired is told here and never used; `value` is None until the preview found pairs.
    """

    changed = Signal()

    def __init__(self, use: Use) -> None:
        self._use = use
        content = QWidget()
        self.images = _Place(f"{use.name}images", "Folder or file of images, or a table (CSV) of image and mask paths")
        self.masks = _Place(
            f"{use.name}masks", "Folder or file of masks, a folder with one folder for each class, or the table's"
        )
        self.summary = note(_HINT, name=f"{use.name}summary")
        self.text = QPlainTextEdit()
        self.text.setObjectName(f"{use.name}preview")
        self.text.setReadOnly(True)
        self.text.setFixedHeight(170)
        self.clear = button("Clear", "Leave these files", f"clear_{use.name}files")
        layout = QVBoxLayout(content)
        tighten(layout)
        for part in (
            Rows({"Images": self.images, "Masks": self.masks}),
            self.summary,
            self.text,
            self.clear,
        ):
            layout.addWidget(part)
        super().__init__(use.title, content, use.tip)
        self.preview: Preview | None = None
        self._asked: tuple[Path, Path] | None = None
        self._job = Job(self)
        self._job.finished.connect(self._on_looked)
        self._job.failed.connect(self._on_failed)
        self._job.cancelled.connect(self._look)
        for place in (self.images, self.masks):
            place.changed.connect(self._look)
        self.clear.clicked.connect(self._on_clear)
        self._show(None)

    def value(self) -> tuple[Path, Path] | None:
        """Images and masks; None without a pair that can be used."""
        paths = self._paths()
        if paths is None or self.preview is None or not self.preview.usable:
            return None
        return paths

    @property
    def slices(self) -> int:
        """Labelled slices that were found."""
        return sum(row.slices for row in self.preview.usable) if self.preview is not None else 0

    @property
    def idle(self) -> bool:
        """Whether nothing is chosen here."""
        return self.images.value() is None and self.masks.value() is None

    @property
    def looking(self) -> bool:
        """Whether the masks are being looked at."""
        return self._job.running

    @property
    def problem(self) -> str:
        """Why what is chosen here cannot be used yet; empty when it can, or when nothing is chosen."""
        if self.looking:
            return "Looking at the masks in the chosen files…"
        if self.idle:
            return ""
        if self._paths() is None:
            return "Choose both, images and masks, or clear the choice."
        return "" if self.slices else f"The chosen files hold nothing to {self._use.purpose}: see above."

    def close_down(self) -> None:
        self._job.abandon()

    def _paths(self) -> tuple[Path, Path] | None:
        images, masks = self.images.value(), self.masks.value()
        return (images, masks) if images is not None and masks is not None else None

    def _look(self) -> None:
        paths = self._paths()
        if paths == self._asked:
            if paths is None:
                self._show(None)  # one of both may be there by now
            return
        if self._job.running:
            self._job.stop()  # its end asks again
            return
        self._asked = paths
        self._show(None)
        if paths is None:
            return
        self.summary.setText("Looking at the masks…")
        self._job.start(partial(_preview, *paths), "Look at masks")

    def _on_looked(self, found: Preview) -> None:
        if self._paths() != self._asked:
            self._look()
            return
        self._show(found)

    def _on_failed(self, failure: Failure) -> None:
        if self._paths() != self._asked:
            self._look()
            return
        self._show(None)
        self.summary.setText(failure.sentence)

    def _show(self, found: Preview | None) -> None:
        self.preview = found
        self.summary.setText(f"{found.headline}." if found is not None else _HINT)
        self.text.setPlainText("\n".join([*found.lines(shown=200)][1:]) if found is not None else "")
        self.text.setVisible(found is not None)
        self.clear.setVisible(not self.idle)
        title = self._use.title
        self.set_title(f"{title}: {count(self.slices, 'slice')}" if self.slices else title)
        self.changed.emit()

    def _on_clear(self) -> None:
        for place in (self.images, self.masks):
            place.path.clear()
        self._look()


def _preview(images: Path, masks: Path, report: Reporter) -> Preview:
    from napari_medseg.io.pairs.preview import preview_pairs

    return preview_pairs(images, masks, report=report)
