"""A form made from an options class: its fields are the rows, nothing is spelled twice."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_medseg.core import Options, one_sentence, problems_by_field

from .field_editors import Editor, make_editor
from .look import GAP, note
from .signals import Signal

O = TypeVar("O", bound=Options)  # noqa: E741


class OptionsForm(QWidget, Generic[O]):
    """One row for each field of an options class: its title, an editor, its description as the tooltip.

    Parameters
    ----------
    kind
        The options class.
    exclude
        Fields that the dock shows elsewhere; they keep their defaults here.
    indent
        Pixels at the left: none for a form that is not in a fold.
    """

    changed = Signal()

    def __init__(self, kind: type[O], exclude: Collection[str] = (), indent: int = 12) -> None:
        super().__init__()
        self.kind = kind
        self._editors: dict[str, Editor] = {}
        self._problems: dict[str, QLabel] = {}
        self._hidden: dict[str, Any] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(indent, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(GAP - 2)
        grid.setColumnStretch(1, 1)
        for name, info in kind.model_fields.items():
            editor = None if name in exclude else make_editor(info)
            if editor is None:
                continue
            row = 2 * len(self._editors)
            title = QLabel(info.title or name.replace("_", " ").capitalize())
            title.setWordWrap(True)
            problem = note(name="problem")
            problem.hide()
            for part in (title, editor.widget):
                part.setToolTip(info.description or "")
            editor.widget.setObjectName(name)
            grid.addWidget(title, row, 0, Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(editor.widget, row, 1)
            grid.addWidget(problem, row + 1, 0, 1, 2)
            self._editors[name], self._problems[name] = editor, problem
            editor.changed.connect(self._on_changed)
        self.set_value(kind())

    @property
    def titles(self) -> list[str]:
        """Titles of the rows, for the heading of a folded form."""
        return [self.kind.model_fields[name].title or name for name in self._editors]

    def value(self, **others: Any) -> O:
        """The options as set; ``others`` are the fields shown elsewhere.

        Raises
        ------
        InputError
            If a value is not allowed; the sentence also stands under its row.
        """
        raw = {**self._hidden, **{name: editor.value() for name, editor in self._editors.items()}, **others}
        self._clear()
        try:
            return self.kind(**raw)
        except ValidationError as error:
            for name, problem in problems_by_field(error).items():
                if label := self._problems.get(name):
                    label.setText(problem)
                    label.show()
            raise one_sentence(error) from error

    def set_value(self, options: O) -> None:
        """Show these options; fields without a row keep their values too."""
        self._hidden = {name: getattr(options, name) for name in self.kind.model_fields if name not in self._editors}
        for name, editor in self._editors.items():
            editor.set_value(getattr(options, name))
        self._clear()

    def _clear(self) -> None:
        for label in self._problems.values():
            label.hide()

    def _on_changed(self, *_: object) -> None:
        self._clear()
        self.changed.emit()
