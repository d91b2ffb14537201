"""One editor for each kind of option: check box, number, choice or text."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QGridLayout, QLineEdit, QSpinBox, QWidget

from napari_medseg.core import Choice

from .folder_field import FolderField
from .look import tighten
from .signals import Signal

_INT_LIMIT = 2_000_000_000


@dataclass(frozen=True)
class Editor:
    """A Qt widget with the two functions that read and write it as an option's value."""

    widget: QWidget
    value: Callable[[], Any]
    set_value: Callable[[Any], None]
    changed: Any


@dataclass(frozen=True)
class Kind:
    """What a field takes: its types, its choices, its bounds, and the word for "let the program choose".

    With ``several``, any number of them.
    """

    types: tuple[Any, ...]
    choices: tuple[Any, ...]
    low: float | None
    high: float | None
    open_low: bool
    word: str | None
    optional: bool
    several: bool = False


def read_kind(info: FieldInfo) -> Kind:
    """Take a field's annotation apart, unions and bounds included."""
    found: list[Any] = []
    choices: list[Any] = []
    marks: list[Any] = list(info.metadata)
    several = get_origin(info.annotation) is tuple
    _collect(get_args(info.annotation)[0] if several else info.annotation, found, choices, marks)
    lows: list[tuple[Any, bool]] = [(m.ge, False) for m in marks if isinstance(m, annotated_types.Ge)]
    lows += [(m.gt, True) for m in marks if isinstance(m, annotated_types.Gt)]
    highs: list[Any] = [m.le for m in marks if isinstance(m, annotated_types.Le)]
    highs += [m.lt for m in marks if isinstance(m, annotated_types.Lt)]
    for mark in marks:
        if isinstance(mark, Choice):
            choices += mark.names
    numeric = int in found or float in found
    return Kind(
        types=tuple(t for t in found if t is not type(None)),
        choices=tuple(choices) if not numeric else (),
        low=float(lows[0][0]) if lows else None,
        high=float(highs[0]) if highs else None,
        open_low=bool(lows and lows[0][1]),
        word=str(choices[0]) if numeric and choices else None,
        optional=type(None) in found,
        several=several,
    )


def _collect(annotation: Any, found: list[Any], choices: list[Any], marks: list[Any]) -> None:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for part in get_args(annotation):
            _collect(part, found, choices, marks)
    elif origin is Literal:
        choices += get_args(annotation)
    elif hasattr(annotation, "__metadata__"):
        for mark in annotation.__metadata__:
            # Field(...) inside a union keeps its bounds one level further down.
            marks += mark.metadata if isinstance(mark, FieldInfo) else [mark]
        _collect(annotation.__origin__, found, choices, marks)
    else:
        found.append(annotation)


def make_editor(info: FieldInfo) -> Editor | None:
    """The editor that fits a field, or None for a kind that has none (set such a field by file or command line)."""
    kind = read_kind(info)
    if kind.several:
        return _several(kind) if kind.choices else _numbers() if {float, int} & {*kind.types} else None
    if kind.choices:
        return _choice(kind)
    if bool in kind.types:
        return _check()
    if {float, int} & {*kind.types}:
        return _number(kind, whole=float not in kind.types)
    if str in kind.types:
        return _suggestion(kind, info.examples) if info.examples else _text(kind)
    return _folder() if Path in kind.types else None


def _folder() -> Editor:
    field = FolderField()
    return Editor(field, field.value, field.set_value, field.changed)


def _check() -> Editor:
    box = QCheckBox()
    return Editor(box, box.isChecked, lambda value: box.setChecked(bool(value)), box.toggled)


class _Checks(QWidget):
    """A box to tick for each of several choices; one at least stays ticked."""

    changed = Signal()

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        grid = QGridLayout(self)
        tighten(grid)
        self.boxes = {name: QCheckBox(name) for name in names}
        for i, box in enumerate(self.boxes.values()):
            grid.addWidget(box, i // 2, i % 2)
            box.clicked.connect(partial(self._on_clicked, box))

    def value(self) -> tuple[str, ...]:
        return tuple(name for name, box in self.boxes.items() if box.isChecked())

    def set_value(self, names: Sequence[str]) -> None:
        for name, box in self.boxes.items():
            box.setChecked(name in names)

    def _on_clicked(self, box: QCheckBox, *_: object) -> None:
        if not self.value():
            box.setChecked(True)
        self.changed.emit()


def _several(kind: Kind) -> Editor:
    checks = _Checks(kind.choices)
    return Editor(checks, checks.value, checks.set_value, checks.changed)


def _numbers() -> Editor:
    """Any number of numbers; validation has the say."""
    box = QLineEdit()
    box.setPlaceholderText("several, with spaces between them")

    def value() -> tuple[str, ...]:
        # In some countries a comma stands within a number: only one at its end stands between two.
        return tuple(word.rstrip(",;") for word in box.text().split())

    return Editor(box, value, lambda new: box.setText(" ".join(map(str, new))), box.textChanged)


def _choice(kind: Kind) -> Editor:
    box = QComboBox()
    for choice in (None, *kind.choices) if kind.optional else kind.choices:
        box.addItem("none" if choice is None else str(choice), choice)

    def show(value: Any) -> None:
        # A value outside the list, such as one named device of several, is a choice too: validation has the say.
        if box.findData(value) < 0:
            box.addItem(str(value), value)
        box.setCurrentIndex(box.findData(value))

    if str in kind.types:
        box.setEditable(False)
    return Editor(box, box.currentData, show, box.currentIndexChanged)


def _number(kind: Kind, *, whole: bool) -> Editor:
    box: Any = QSpinBox() if whole else QDoubleSpinBox()
    special = kind.word or ("none" if kind.optional else None)
    step = 1.0 if whole else _step(kind)
    low = kind.low if kind.low is not None else (0.0 if special else -_INT_LIMIT)
    if kind.open_low:
        low += step
    # The place below the lowest number stands for the word.
    bottom = low - step if special else low
    number: Callable[[float], Any] = int if whole else float
    if not whole:
        box.setDecimals(max(0, -math.floor(math.log10(step))) if step < 1 else 1)
        box.setSingleStep(step)
    box.setRange(number(bottom), number(kind.high if kind.high is not None else _INT_LIMIT))
    box.setKeyboardTracking(False)
    if special:
        box.setSpecialValueText(special)

    def value() -> Any:
        if special and box.value() == box.minimum():
            return kind.word
        return number(round(box.value(), 9))

    def show(new: Any) -> None:
        if isinstance(new, float) and not whole:
            # A small value such as 1e-4 must not be rounded to nothing.
            box.setDecimals(max(box.decimals(), -int(Decimal(repr(new)).normalize().as_tuple().exponent)))
        box.setValue(box.minimum() if new is None or isinstance(new, str) else number(new))

    return Editor(box, value, show, box.valueChanged)


def _step(kind: Kind) -> float:
    """A step that suits the range: 0.05 between 0 and 1, 0.5 up to 100, else 1."""
    if kind.high is None or kind.high > 100:
        return 0.5
    span = kind.high - (kind.low or 0.0)
    return 0.0005 if span <= 0.1 else 0.05 if span <= 1 else 0.1 if span <= 10 else 0.5


def _suggestion(kind: Kind, examples: Sequence[Any]) -> Editor:
    """A list to choose from that takes any other text too; validation has the say."""
    box = QComboBox()
    box.setEditable(True)
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    box.addItems([str(example) for example in examples])

    def value() -> Any:
        return None if kind.optional and not box.currentText().strip() else box.currentText().strip()

    return Editor(box, value, lambda new: box.setEditText("" if new is None else str(new)), box.currentTextChanged)


def _text(kind: Kind) -> Editor:
    box = QLineEdit()

    def value() -> Any:
        return None if kind.optional and not box.text().strip() else box.text().strip()

    return Editor(box, value, lambda new: box.setText("" if new is None else str(new)), box.textChanged)
