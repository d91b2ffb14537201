"""Closing the window with unsaved painting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari._qt import qt_main_window
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QLabel, QMessageBox, QPushButton

from napari_medseg.widgets import close_guard
from napari_medseg.widgets import session as sessions
from napari_medseg.widgets.close_guard import SaveDialog
from napari_medseg.widgets.session import session_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Cross(QCloseEvent):
    """The window's cross: Qt lets no program send a spontaneous event."""

    def spontaneous(self) -> bool:
        return True


class Desk:
    """A real window with painting in it, and what the user answers."""

    def __init__(self, viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.viewer = viewer
        self.session = session_of(viewer)
        self.layer = viewer.add_labels(np.zeros((4, 16, 16), np.uint8), name="mine")
        self.asked: list[str] = []
        self.answer = "cancel"
        monkeypatch.setattr(close_guard, "ask", self._ask)
        # napari's own question would wait for ever.
        monkeypatch.setattr(qt_main_window, "ConfirmCloseDialog", None)

    @property
    def window(self) -> Any:
        return self.viewer.window._qt_window

    def _ask(self, window: Any, text: str) -> str:
        self.asked.append(text)
        return self.answer

    def paint(self) -> None:
        self.layer._begin_stroke()
        self.layer.paint((1, 5, 5), 1)
        self.layer._commit_stroke()

    def click_cross(self) -> bool:
        """Whether the click reached the window."""
        return not self.session.guard.eventFilter(self.window, Cross())


@pytest.fixture
def desk(make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(make_napari_viewer(), monkeypatch)


def test_cancel_leaves_the_window_open(desk: Desk) -> None:
    """G3."""
    desk.paint()
    assert not desk.click_cross()
    assert desk.asked == ["Painting in “mine” (1 slice) was not saved as masks."]
    assert session_of(desk.viewer) is desk.session


def test_nothing_unsaved_is_not_asked_about(desk: Desk) -> None:
    assert desk.click_cross()
    desk.paint()
    desk.layer.undo()
    assert desk.click_cross()
    assert desk.asked == []


def test_closed_anyway_it_stays_in_the_journal(desk: Desk, qtbot: Any, own_library: Path) -> None:
    """G3: napari does not ask once more."""
    desk.paint()
    desk.answer = "close"
    assert not desk.click_cross()
    qtbot.waitUntil(lambda: desk.session not in sessions._sessions.values())
    assert len(list(own_library.glob("journal/*/*.journal"))) == 1
    assert not list(own_library.glob("journal/*/*.lock"))


def test_saved_from_the_question_the_window_closes_and_nothing_is_left(
    desk: Desk, qtbot: Any, tmp_path: Path, own_library: Path
) -> None:
    desk.paint()
    desk.answer = "save"
    assert not desk.click_cross()
    [dialog] = desk.window.findChildren(SaveDialog)
    assert dialog.title.text() == "Masks of “mine”"
    dialog.panel.path.setText(str(tmp_path / "masks"))
    dialog.panel.save.click()
    qtbot.waitUntil(lambda: desk.session not in sessions._sessions.values())
    assert (tmp_path / "masks").is_dir()
    assert not list(own_library.glob("journal/*/*.journal"))


def test_not_saved_after_all_the_window_stays(desk: Desk) -> None:
    desk.paint()
    desk.answer = "save"
    desk.click_cross()
    [dialog] = desk.window.findChildren(SaveDialog)
    dialog.panel.close_button.click()
    assert dialog.isHidden()
    assert session_of(desk.viewer) is desk.session
    assert desk.session.unsaved() == {desk.layer: (1,)}


@pytest.mark.parametrize("how", ["viewer", "window"])
def test_program_that_closes_is_never_asked(desk: Desk, how: str, qtbot: Any, own_library: Path) -> None:
    """G3: what was painted stays in the journal."""
    desk.paint()
    if how == "viewer":
        desk.viewer.close()
    else:
        assert not desk.session.guard.eventFilter(desk.window, QCloseEvent())
    qtbot.waitUntil(lambda: desk.session not in sessions._sessions.values())
    assert desk.asked == []
    assert len(list(own_library.glob("journal/*/*.journal"))) == 1


def test_naparis_own_question_mentions_it(desk: Desk, qtbot: Any) -> None:
    desk.paint()
    dialog = ConfirmCloseDialog(desk.window, False)
    qtbot.addWidget(dialog)
    dialog.ensurePolished()
    QApplication.sendPostedEvents(desk.window, QEvent.Type.ChildPolished.value)
    [line] = dialog.findChildren(QLabel, "unsaved")
    assert line.text().startswith("Painting in “mine” (1 slice) was not saved as masks. Closed anyway,")


@pytest.mark.parametrize(("button", "answer"), [("Save…", "save"), ("Close anyway", "close"), ("Cancel", "cancel")])
def test_question_has_three_answers(button: str, answer: str, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qtpy.QtWidgets import QWidget

    def click(box: QMessageBox) -> None:
        [chosen] = [b for b in box.findChildren(QPushButton) if b.text() == button]
        box.show()
        chosen.click()

    monkeypatch.setattr(QMessageBox, "exec", click)
    window = QWidget()
    qtbot.addWidget(window)
    assert close_guard.ask(window, "text") == answer
