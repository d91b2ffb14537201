"""The button that starts work, the bar that shows it, the button that stops it, and the line that tells."""

from __future__ import annotations

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QHBoxLayout, QPlainTextEdit, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_medseg.core import Progress

from .fold import Fold
from .job import Failure, Job, Work
from .look import button, note, tighten, words_for_seconds
from .signals import Signal


class RunPanel(QWidget):
    """Starts and follows the one `Job` of a dock.

    ``clicked`` asks the dock to start; the dock calls `start`. The status line always says what is going on or what
    to do next: `set_ready`, `set_blocked` (or `show_state`), `tell`.

    Parameters
    ----------
    counted
        Whether the units of work mean something to people (slices) or only the time left does.
    """

    clicked = Signal()
    told = Signal()
    """Something was said that is not only a state or a figure: how work ended, or why it cannot be done."""

    def __init__(
        self, title: str, *, cancel: str = "✕", tip: str = "", cancel_tip: str = "", counted: bool = True
    ) -> None:
        super().__init__()
        self._counted = counted
        self._message = ""
        self.job = Job(self)
        self._cancel_text = cancel
        self._allowed = True
        self._state: tuple[bool, str] | None = None
        self.run = QPushButton(title)
        self.run.setObjectName("run")
        self.run.setToolTip(tip)
        self.run.setMinimumHeight(32)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(14)
        self.amount = note()
        self.amount.setWordWrap(False)
        self.cancel = button(cancel, cancel_tip or "Stop; what is finished is kept", "cancel")
        self.progress_row = QWidget()
        row = QHBoxLayout(self.progress_row)
        tighten(row)
        row.addWidget(self.bar, 1)
        row.addWidget(self.amount)
        row.addWidget(self.cancel)
        self.status = note(name="status")
        self.details = _Details()
        layout = QVBoxLayout(self)
        tighten(layout)
        for part in (self.run, self.progress_row, self.status, self.details):
            layout.addWidget(part)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.progress_row.hide()
        self.details.hide()
        self.run.clicked.connect(self._on_clicked)
        self.cancel.clicked.connect(self.stop)
        self.job.progressed.connect(self._show_progress)
        self.job.failed.connect(self._show_failure)
        for ended in (self.job.finished, self.job.cancelled, self.job.failed):
            ended.connect(self._on_ended)

    def start(self, work: Work, name: str, message: str) -> bool:
        """Start ``work(report)``; ``name`` is what napari shows when asked to close meanwhile."""
        if self.job.running:
            return False
        self.details.hide()
        self._message = ""
        self.bar.setRange(0, 0)
        self.amount.setText("")
        self.cancel.setText(self._cancel_text)
        self.cancel.setEnabled(True)
        self.progress_row.show()
        self.run.setEnabled(False)
        self.tell(message)
        return self.job.start(work, name)

    def stop(self) -> None:
        """Ask the work to stop; at most one unit of work later it has."""
        if self.job.running:
            self.cancel.setEnabled(False)
            self.tell("Stopping…")
            self.job.stop()

    def set_ready(self, text: str) -> None:
        """Work can start; ``text`` says what the button will do. Ignored while work runs."""
        self._allow(True, text)

    def set_blocked(self, reason: str) -> None:
        """Work cannot start yet; ``reason`` says what to do first. Ignored while work runs."""
        self._allow(False, reason)

    def show_state(self, text: str, *, blocked: bool) -> None:
        """As `set_blocked` or `set_ready`, when it changes: what was told since, such as how a run ended, stays."""
        if (blocked, text) != self._state:
            self._state = (blocked, text)
            self._allow(not blocked, text)

    def forget_state(self) -> None:
        """Have the next `show_state` shown in any case."""
        self._state = None

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Write the status line, and see that it is noticed."""
        self._write(text, bad=bad)
        self.told.emit()

    def _write(self, text: str, *, bad: bool = False) -> None:
        if self.status.property("bad") != bad:
            self.status.setProperty("bad", bad)
            style = self.status.style()
            if style is not None:
                style.polish(self.status)
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def refuse(self, failure: Failure) -> None:
        """Show why work could not even start."""
        self._show_failure(failure)

    def _allow(self, allowed: bool, text: str) -> None:
        self._allowed = allowed
        if self.job.running:
            return
        self.run.setEnabled(allowed)
        self.details.hide()
        self._write(text)

    def _on_clicked(self) -> None:
        if not self.job.running:
            self.clicked.emit()

    def _show_progress(self, progress: Progress) -> None:
        if progress.total > 0:
            self.bar.setRange(0, progress.total)
            self.bar.setValue(min(progress.done, progress.total))
            left = self.job.seconds_left(progress)
            parts = [f"{progress.done:,}/{progress.total:,}"] if self._counted else []
            self.amount.setText(
                " · ".join([*parts, *([f"{words_for_seconds(left)} left"] if left is not None else [])])
            )
        else:
            self.bar.setRange(0, 0)
            self.amount.setText("")
        # A message stands until the next one: most reports carry only figures.
        self._message = progress.message or self._message
        if not self.job.stopping:
            self._write(f"{progress.stage} · {self._message}" if self._message else f"{progress.stage}…")

    def _show_failure(self, failure: Failure) -> None:
        self.tell(failure.sentence, bad=True)
        self.details.show_text(failure.details)

    def _on_ended(self) -> None:
        self.progress_row.hide()
        self.run.setEnabled(self._allowed)


class _Details(Fold):
    """The traceback, folded away, with a Copy button."""

    def __init__(self) -> None:
        content = QWidget()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFixedHeight(150)
        self.copy = button("Copy", "Copy the details to the clipboard, for a bug report", "copy")
        layout = QVBoxLayout(content)
        tighten(layout)
        layout.addWidget(self.text)
        layout.addWidget(self.copy)
        super().__init__("Details", content, "What went wrong, for a bug report")
        self.copy.clicked.connect(self._copy)

    def show_text(self, text: str) -> None:
        self.text.setPlainText(text)
        self.set_open(False)
        self.show()

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text.toPlainText())
