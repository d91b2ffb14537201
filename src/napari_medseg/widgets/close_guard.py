"""Asks before a window with unsaved painting is closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from weakref import ref

from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from qtpy.QtCore import QChildEvent, QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDialog, QMessageBox, QVBoxLayout, QWidget

from .job import Failure
from .look import GAP, WIDTH, count, note
from .save_panel import SavePanel

if TYPE_CHECKING:
    import napari.viewer

Unsaved = Mapping[Any, Sequence[int]]
Answer = Literal["save", "close", "cancel"]

_KEPT = "Closed anyway, it stays in the journal on this computer and is offered when the image is opened again."


def ask(window: QWidget, text: str) -> Answer:
    """Ask the user what to do with unsaved painting."""
    box = QMessageBox(QMessageBox.Icon.Warning, "Unsaved painting", text, parent=window)
    box.setInformativeText(_KEPT)
    save = box.addButton("Save…", QMessageBox.ButtonRole.AcceptRole)
    close = box.addButton("Close anyway", QMessageBox.ButtonRole.DestructiveRole)
    box.setEscapeButton(box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole))
    box.setDefaultButton(save)
    box.exec()
    chosen = box.clickedButton()
    box.deleteLater()
    return "save" if chosen is save else "close" if chosen is close else "cancel"


def describe_unsaved(unsaved: Unsaved) -> str:
    """``Painting in “femur-ct labels” (6 slices) was not saved as masks.``"""
    parts = [f"“{layer.name}” ({count(len(slices), 'slice')})" for layer, slices in unsaved.items()]
    return f"Painting in {', '.join(parts)} was not saved as masks."


class CloseGuard(QObject):
    """Watches a viewer's window: asks when the user closes it, never when a program does, and tells when it is gone.

    Parameters
    ----------
    viewer
        Without a window there is nothing to watch.
    unsaved
        Gives the layers with unsaved painting and the slices it is in.
    gone
        Called once the window is closed.
    """

    def __init__(self, viewer: napari.viewer.Viewer, unsaved: Callable[[], Unsaved], gone: Callable[[], None]) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        window = getattr(viewer, "window", None)
        self._window: Any = window._qt_window if window is not None else None
        self._unsaved, self._gone = unsaved, gone
        if self._window is not None:
            self._window.installEventFilter(self)

    def close_down(self) -> None:
        """Stop watching."""
        if self._window is not None:
            window, self._window = self._window, None
            window.removeEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        if self._window is None or event is None:
            return False
        if event.type() == QEvent.Type.Close:
            if _is_users(event) and not self._may_close():
                event.ignore()
                return True
            if event.spontaneous():
                QTimer.singleShot(0, self._look)  # napari may still say no
            else:
                self._gone()
        elif event.type() == QEvent.Type.DeferredDelete:
            self._gone()
        elif isinstance(event, QChildEvent) and event.type() == QEvent.Type.ChildPolished:
            self._add_to(event.child())
        return False

    def _add_to(self, child: QObject | None) -> None:
        """Mention unsaved painting in napari's own question, which comes first at Close Window and Exit."""
        if isinstance(child, ConfirmCloseDialog) and (unsaved := self._unsaved()):
            layout = child.layout()
            if isinstance(layout, QVBoxLayout):
                layout.insertWidget(0, note(f"{describe_unsaved(unsaved)} {_KEPT}", name="unsaved"))

    def _may_close(self) -> bool:
        """Ask if there is something to ask about; False when the window must stay (for now)."""
        unsaved = self._unsaved()
        if not unsaved:
            return True
        answer = ask(self._window, describe_unsaved(unsaved))
        if answer == "save":
            save = SaveDialog(self._window, list(unsaved))
            save.accepted.connect(self._close)
            save.open_next()
        elif answer == "close":
            if self._window._window._task_status_manager.is_busy():
                return True  # napari asks about the running work
            QTimer.singleShot(0, self._close)  # as a program does: napari need not ask once more
        return False

    def _close(self) -> None:
        viewer = self._viewer()
        if self._window is not None and viewer is not None:
            viewer.close()

    def _look(self) -> None:
        if self._window is not None and not self._window.isVisible():
            self._gone()


def _is_users(event: QEvent) -> bool:
    """Whether a person closes the window: by its cross, or by the keys for close and quit."""
    held = QGuiApplication.queryKeyboardModifiers() & Qt.KeyboardModifier.ControlModifier
    return event.spontaneous() or bool(held)


class SaveDialog(QDialog):
    """Saves the masks of one layer after the other; accepted when all are saved. Does not block the window."""

    def __init__(self, window: QWidget, layers: Sequence[Any]) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Save masks before closing")
        self.setMinimumWidth(WIDTH + 80)
        self._layers = list(layers)
        self.title = note(name="title")
        self.panel = SavePanel()
        self.problem = note(name="problem")
        layout = QVBoxLayout(self)
        layout.setSpacing(GAP)
        for part in (self.title, self.panel, self.problem):
            layout.addWidget(part)
        self.panel.saved.connect(lambda _: self.open_next())
        self.panel.failed.connect(self._on_failed)
        self.panel.close_button.clicked.connect(self.reject)

    def open_next(self) -> None:
        """Ask where the masks of the next layer go; close when there is none left."""
        if not self._layers:
            self.accept()
            return
        layer = self._layers.pop(0)
        self.problem.hide()
        self.title.setText(f"Masks of “{layer.name}”")
        self.panel.open_for(layer)
        self.show()

    def done(self, result: int) -> None:
        self.panel.job.abandon()
        super().done(result)

    def _on_failed(self, failure: Failure) -> None:
        self.problem.setText(failure.sentence)
        self.problem.show()
