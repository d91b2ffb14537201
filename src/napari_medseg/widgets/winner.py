"""What to do with the end of a comparison: keep a model, save the report."""

from __future__ import annotations

import re

from qtpy.QtWidgets import QGridLayout, QLabel, QLineEdit, QWidget

from napari_medseg.training.standings import Comparison, Row

from .look import button, tighten


class Winner(QWidget):
    """A name for the model, and the buttons."""

    def __init__(self) -> None:
        super().__init__()
        self._suggested = ""
        self.name = QLineEdit()
        self.name.setObjectName("name")
        self.name.setToolTip("Name of the new model; a name that exists gets a new version, nothing is overwritten")
        self.keep = button(
            "Keep the winner", "Take its model into the library, and choose it in the other docks", "keep"
        )
        self.save = button("Save report…", "Save the table as CSV, and everything as JSON", "save_report")
        grid = QGridLayout(self)
        tighten(grid)
        grid.setColumnStretch(1, 1)
        grid.addWidget(QLabel("Name"), 0, 0)
        grid.addWidget(self.name, 0, 1, 1, 2)
        grid.addWidget(self.keep, 1, 0, 1, 2)
        grid.addWidget(self.save, 1, 2)

    def suggest(self, row: Row) -> None:
        """Suggest a name, as long as the user has not typed another."""
        if self.name.text() == self._suggested:
            start = re.sub(r"[^a-z0-9._-]+", "-", re.sub(r"@\d+$", "", row.start).lower()).strip("-.")
            self._suggested = start if start.startswith("my-") else f"my-{start}"
            self.name.setText(self._suggested)

    def show_for(self, row: Row | None, result: Comparison) -> None:
        """Say which will be kept, if it can be."""
        self.keep.setText("Keep the winner" if row is None or row is result.rows[0] else "Keep the selected")
        self.keep.setEnabled(row is not None and row.model is not None)
        if row is not None:
            self.suggest(row)
