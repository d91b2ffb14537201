"""The one look of the docks: margins, colours from napari's theme, words for sizes and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QDockWidget,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QMainWindow,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    import napari.viewer

    from .unsaved_bar import UnsavedBar

WIDTH = 360
GAP = 6


def note(text: str = "", *, name: str = "") -> QLabel:
    """A line of text that wraps and may be copied."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    # Qt gives text that wraps more room than it takes, and would put it into the middle of that.
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    label.setObjectName(name)
    return label


def button(text: str, tip: str, name: str = "") -> QPushButton:
    """A secondary button; its tip says what happens."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setObjectName(name)
    made.setMinimumHeight(26)
    return made


def tighten(layout: QLayout) -> None:
    """No margins of its own, the common gap between its items."""
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(GAP)


def stacked(*parts: QWidget) -> QWidget:
    """Parts in a column."""
    box = QWidget()
    column = QVBoxLayout(box)
    tighten(column)
    for part in parts:
        column.addWidget(part)
    return box


def beside(*parts: QWidget) -> QWidget:
    """Parts of equal width in a row."""
    row = QWidget()
    layout = QHBoxLayout(row)
    tighten(layout)
    for part in parts:
        layout.addWidget(part, 1)
    return row


class Rows(QWidget):
    """A column of titles and a column of parts; a title stands level with the first line of its part.

    Parts with the property ``one_line`` are one line of widgets of several heights.
    """

    def __init__(self, parts: Mapping[str, QWidget]) -> None:
        super().__init__()
        grid = QGridLayout(self)
        tighten(grid)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(GAP + 2)
        grid.setColumnStretch(1, 1)
        self._titles: dict[QWidget, QLabel] = {}
        for row, (text, part) in enumerate(parts.items()):
            self._titles[part] = title = QLabel(text)
            title.setContentsMargins(0, 0 if _starts_low(part) or part.property("one_line") else 4, 0, 0)
            middle = bool(part.property("one_line"))
            grid.addWidget(title, row, 0, Qt.AlignmentFlag.AlignVCenter if middle else Qt.AlignmentFlag.AlignTop)
            grid.addWidget(part, row, 1)

    def show_row(self, part: QWidget, visible: bool) -> None:
        """Show or hide a part with its title."""
        part.setVisible(visible)
        self._titles[part].setVisible(visible)


def _starts_low(part: QWidget) -> bool:
    """Whether the first line of a part is as low as text: a label, a radio button, not a field."""
    layout = part.layout()
    while layout is not None and (item := layout.itemAt(0)) is not None:
        part = item.widget() or part
        layout = item.layout() or (part.layout() if item.widget() is not None else None)
    return isinstance(part, QLabel) or (isinstance(part, QAbstractButton) and not isinstance(part, QPushButton))


def words_for_seconds(seconds: float) -> str:
    """Time left as people say it: ``6 s``, ``2 min``, ``1 h 5 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """``1 slice``, ``2 slices``, ``1 class``, ``2 classes``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def unwrap(viewer: napari.viewer.Viewer) -> napari.viewer.Viewer:
    """The viewer itself: napari hands docks a proxy whose layers are new objects each time they are asked for.

    What the user corrected is remembered by layer, so a layer must stay the same object.
    """
    return getattr(viewer, "__wrapped__", viewer)


def theme_colors(viewer: napari.viewer.Viewer) -> tuple[str, str]:
    """Text and background colour of the viewer's theme, as ``#rrggbb``."""
    from napari.utils.theme import get_theme

    theme = get_theme(viewer.theme)
    return theme.text.as_hex(format="long"), theme.background.as_hex(format="long")


def _style(viewer: napari.viewer.Viewer) -> str:
    from napari.utils.theme import get_theme

    theme = get_theme(viewer.theme)
    text, accent, line = (c.as_hex(format="long") for c in (theme.text, theme.current, theme.secondary))
    # napari's error red is too dark to read on its dark background.
    bad = "#ff7b72" if theme.type == "dark" else "#b00010"
    # A style sheet on a child replaces napari's font size for the rules it names, so sizes are left alone here.
    return f"""
        QWidget#unsaved {{ border-left: 3px solid {accent}; border-bottom: 1px solid {line}; }}
        QPushButton#run {{ background-color: {accent}; font-weight: 600; padding: 7px; border-radius: 3px; }}
        QPushButton#run:disabled {{ background-color: {line}; border: 0px; }}
        QPushButton#fold {{ text-align: left; background: transparent; padding: 3px 0px; }}
        QPushButton#fold:hover {{ color: {text}; text-decoration: underline; }}
        QLabel#problem, QLabel[bad="true"] {{ color: {bad}; }}
        QProgressBar::chunk {{ background-color: {accent}; width: 1px; }}
        QSpinBox#slice {{ min-width: 56px; }}
        QLabel[heading="true"] {{ font-weight: 600; }}
    """


class _Scroll(QScrollArea):
    """Asks for the height of what it holds; scrolls sideways, too, where a large font needs more width than it has."""

    def sizeHint(self) -> QSize:  # noqa: N802
        inner = self.widget()
        height = inner.sizeHint().height() if inner is not None else 200
        return QSize(WIDTH, min(height + 2, 900))


def _make_bar(viewer: napari.viewer.Viewer) -> UnsavedBar:
    """The top of every dock; the first dock of a viewer begins its session."""
    from .session import session_of
    from .unsaved_bar import UnsavedBar

    return UnsavedBar(session_of(viewer))


class Dock(QWidget):
    """Base of every dock: a column that scrolls when it lacks room, in napari's colours, that ends its work.

    Parts go into ``self.column``. `close_down` runs once when the dock is closed or removed.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = unwrap(napari_viewer)
        self._closed = False
        self._sought: QWidget | None = None
        self.setMinimumWidth(300)
        inner = QWidget()
        whole = QVBoxLayout(inner)
        whole.setContentsMargins(10, 8, 10, 8)
        self.column = QVBoxLayout()
        self.column.setSpacing(GAP)
        whole.addLayout(self.column)
        whole.addStretch(1)
        self._scroll = _Scroll()
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self._scroll.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        self._unsaved = _make_bar(self.viewer)
        outer.addWidget(self._unsaved)
        outer.addWidget(self._scroll)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.viewer.events.theme.connect(self._restyle)
        self._restyle()

    def _restyle(self, event: object = None) -> None:
        if not self._closed:
            self.setStyleSheet(_style(self.viewer))

    def event(self, event: QEvent | None) -> bool:
        # napari takes a closed dock's widget out of the window but does not close it.
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._close_once()
            else:
                QTimer.singleShot(0, self._join)  # once it is in the window
        return bool(super().event(event))

    def _join(self) -> None:
        """Become a tab of an older dock of ours: two above each other are too low to work in."""
        place = self.parent()
        window = place.parent() if isinstance(place, QDockWidget) else None
        if not isinstance(place, QDockWidget) or not isinstance(window, QMainWindow) or place.isFloating():
            return
        area = window.dockWidgetArea(place)
        docks = window.findChildren(QDockWidget)
        for other in docks[: docks.index(place)]:
            beside = other.isVisible() and not other.isFloating() and window.dockWidgetArea(other) == area
            if beside and isinstance(other.widget(), Dock):
                window.tabifyDockWidget(other, place)
                QTimer.singleShot(0, place.raise_)  # Qt makes the tabs first
                return

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        self._close_once()
        super().closeEvent(event)

    def _close_once(self) -> None:
        if not self._closed:
            self._closed = True
            self.viewer.events.theme.disconnect(self._restyle)
            self._unsaved.close_down()
            self.close_down()

    def bring_into_view(self, part: QWidget) -> None:
        """Scroll to a part, once it has its size."""
        self._sought = part
        QTimer.singleShot(0, self._scroll_to)

    def _scroll_to(self) -> None:
        if not self._closed and self._sought is not None:
            # Text that wraps has its height only once all layouts around it were asked again.
            QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
            self._scroll.ensureWidgetVisible(self._sought, 0, GAP)
            self._sought = None

    def close_down(self) -> None:
        """Stop work and stop listening to the viewer."""
