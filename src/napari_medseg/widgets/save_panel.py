"""Saving masks from the dock: what as, where to, and asking before anything is replaced."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from napari_medseg._layers import labels_from_layer
from napari_medseg.core import Finding, Labels, MedsegError, OutputError, Progress, Reporter
from napari_medseg.editing.journal import begin_save

from .job import Failure, Job, describe_failure
from .look import button, note, tighten
from .signals import Signal
from .slide_save import KINDS, counted, labels_of_result

if TYPE_CHECKING:
    from napari_medseg.io import Format

_FOLDER = "Folder of PNG masks"


def default_target(labels: Labels) -> Path:
    """A folder beside the images, ``<series>_masks``; in the home folder when the images came from no file."""
    source = labels.source
    if source is None:
        return Path.home() / "masks"
    return source.with_name(f"{source.name.split('.')[0] or source.name}_masks")


class SavePanel(QWidget):
    """Rows that appear below the dock's buttons; nothing modal except the system's file dialog.

    ``saved`` carries the path, ``failed`` a `Failure`.

    Attributes
    ----------
    told
        What the file last saved cannot hold, in words.
    """

    saved = Signal(object)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._layer: Any = None
        self.told = ""
        self._end_save = begin_save(None)
        self.job = Job(self)
        self.kind = QComboBox()
        self.kind.setObjectName("format")
        self.kind.setToolTip("A folder holds one mask for each slice, named as the slice; a file holds all slices")
        self.path = QLineEdit()
        self.path.setObjectName("target")
        self.path.setToolTip("Where the masks go")
        self.browse = button("…", "Choose where", "browse")
        self.save = button("Save", "Write the masks", "save")
        self.close_button = button("Close", "Do not save now", "close")
        self.question = note(name="question")
        self.replace = button("Replace", "Write over what is there", "replace")
        layout = QVBoxLayout(self)
        tighten(layout)
        where = QHBoxLayout()
        where.addWidget(self.path, 1)
        where.addWidget(self.browse)
        act = QHBoxLayout()
        for part in (self.save, self.replace, self.close_button):
            act.addWidget(part, 1)
        layout.addWidget(self.kind)
        layout.addLayout(where)
        layout.addWidget(self.question)
        layout.addLayout(act)
        self._ask("")
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.path.textChanged.connect(lambda: self._ask(""))
        self.browse.clicked.connect(self._on_browse)
        self.save.clicked.connect(lambda: self._write(overwrite=False))
        self.replace.clicked.connect(lambda: self._write(overwrite=True))
        self.close_button.clicked.connect(self.hide)
        self.job.progressed.connect(self._on_progress)
        self.job.finished.connect(self._on_saved)
        self.job.failed.connect(self._on_failed)

    def open_for(self, layer: Any) -> None:
        """Show the rows for a labels layer."""
        from napari_medseg.io import FORMATS

        self._layer = layer
        self.kind.blockSignals(True)
        self.kind.clear()
        labels = labels_of_result(layer) if layer.multiscale else labels_from_layer(layer)
        if layer.multiscale:
            for title, suffix in KINDS:
                self.kind.addItem(title, suffix)
        else:
            self.kind.addItem(_FOLDER, "")
            for form in FORMATS:
                if _can_hold(form, labels):
                    self.kind.addItem(f"{form.title} ({form.suffixes[0]})", form.suffixes[0])
        self.kind.blockSignals(False)
        self.path.setText(str(default_target(labels)))
        self._on_kind()
        self.show()

    def _on_kind(self, *_: object) -> None:
        path = Path(self.path.text().strip())
        stem = path.name.split(".")[0] or "masks"
        self.path.setText(str(path.with_name(stem + (self.kind.currentData() or ""))))

    def _on_browse(self) -> None:
        start = self.path.text()
        suffix = self.kind.currentData()
        if suffix:
            # The dock itself asks before it replaces anything, once.
            no_question = QFileDialog.Option.DontConfirmOverwrite
            chosen, _ = QFileDialog.getSaveFileName(self, "Save masks", start, f"*{suffix}", options=no_question)
        else:
            chosen = QFileDialog.getExistingDirectory(self, "Folder for the masks", str(Path(start).parent))
        if chosen:
            self.path.setText(chosen)

    def _ask(self, question: str) -> None:
        self.question.setText(question)
        self.question.setVisible(bool(question))
        self.replace.setVisible(bool(question))
        self.save.setVisible(not question)

    def _write(self, *, overwrite: bool) -> None:
        text = self.path.text().strip()
        if not text:
            self._ask("")
            self.question.setText("Choose where the masks go.")
            self.question.show()
            return
        target = Path(text).expanduser()
        if not overwrite and _holds_something(target):
            self._ask(f"“{target.name}” is there already. Replace the masks in it?")
            return
        try:
            labels = self._labels()
        except MedsegError as error:
            self.failed.emit(describe_failure(error))
            return
        self.setEnabled(False)
        self._end_save = begin_save(self._layer)
        self.job.start(partial(_write_masks, target, labels, overwrite), f"Save {target.name}")

    def _labels(self) -> Labels:
        if self._layer.multiscale:
            return labels_of_result(self._layer)
        found = labels_from_layer(self._layer)
        # A copy: the user may go on painting while it is written.
        return replace(found, data=np.array(found.data))

    def _on_progress(self, progress: Progress) -> None:
        if progress.total:
            self.question.setText(f"{progress.stage}… {100 * progress.done // progress.total} %")
            self.question.show()

    def _on_saved(self, saved: tuple[Path, tuple[Finding, ...]]) -> None:
        path, findings = saved
        self.told = " ".join(f.message for f in findings)
        self.setEnabled(True)
        self._end_save()
        self._ask("")
        self.hide()
        self.saved.emit(path)

    def _on_failed(self, failure: Failure) -> None:
        self.setEnabled(True)
        self._ask("")
        self.failed.emit(failure)


def _holds_something(target: Path) -> bool:
    return any(target.iterdir()) if target.is_dir() else target.exists()


def _can_hold(form: Format, labels: Labels) -> bool:
    """Whether a format is one to offer for these labels."""
    if form.write is None or (len(labels) > 1 and not form.stacks):
        return False
    try:
        if form.check is not None:
            form.check(labels)
    except OutputError:
        return False
    return True


def _write_masks(target: Path, labels: Labels, overwrite: bool, report: Reporter) -> tuple[Path, tuple[Finding, ...]]:
    from napari_medseg.io import write

    if labels.levels:
        labels = counted(labels, report)
    return target, write(target, labels, overwrite=overwrite)
