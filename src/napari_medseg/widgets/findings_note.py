"""What a user should know about files or a result: one line each, with the word to look up in its tip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_medseg._layers import findings_of
from napari_medseg.core import Finding


class FindingsNote(QLabel):
    """Lists findings; hidden when there are none. The tip has all of them with their codes.

    Parameters
    ----------
    most
        How many lines at most; the rest is counted.
    """

    def __init__(self, most: int = 4) -> None:
        super().__init__()
        self._most = most
        self.setObjectName("findings")
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.hide()

    def set_layers(self, layers: Iterable[Any]) -> None:
        """Show what was found when these layers' files were opened; None stands for no layer."""
        self.set_value(f for layer in layers if layer is not None for f in findings_of(layer))

    def set_value(self, findings: Iterable[Finding]) -> None:
        """Show these findings."""
        findings = tuple(findings)
        lines = list(dict.fromkeys(f.message for f in findings))
        more = len(lines) - self._most
        shown = [f"⚠ {line}" for line in lines[: self._most]] + ([f"… and {more} more."] if more > 0 else [])
        self.setText("\n".join(shown))
        self.setToolTip("\n".join(dict.fromkeys(f"{f.code}: {f.message}" for f in findings)))
        self.setVisible(bool(shown))
