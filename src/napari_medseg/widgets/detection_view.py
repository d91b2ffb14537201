"""Which slices hold anything at all, in tables: found and missed slices, their figures, and each volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from .look import tighten
from .score_tables import figure_words, fill_table, make_table

if TYPE_CHECKING:
    from napari_medseg.evaluation.detection import Detection

_FIGURES = {
    "Prec.": "precision", "Sens.": "recall", "Spec.": "specificity", "F1": "f1", "AUROC": "auroc", "Dice": "dice",
}  # fmt: skip


class DetectionView(QWidget):
    """The detection report of an evaluation; hidden where every slice holds something on both sides."""

    def __init__(self) -> None:
        super().__init__()
        heading = QLabel("Slices that hold something")
        heading.setProperty("heading", True)
        self.matrix = make_table("confusion", ())
        self.matrix.setToolTip("Slices by what the truth says (rows) and what the prediction says (columns)")
        self.figures = make_table("detection", ())
        self.figures.setToolTip(
            "Precision, sensitivity (recall), specificity and F1 of slices; AUROC of the model's probabilities, "
            "where it gave some; mean Dice of the slices that hold something"
        )
        self.volumes = make_table("volumes", ())
        self.volumes.setToolTip("Dice of all pixels of a volume together, and slices falsely found in it")
        layout = QVBoxLayout(self)
        tighten(layout)
        for part in (heading, self.matrix, self.figures, self.volumes):
            layout.addWidget(part)
        self.hide()

    def show_detection(self, found: Detection | None) -> None:
        """Fill the tables; hide them where there is nothing to tell."""
        self.setVisible(found is not None and found.is_asked)
        if found is None:
            return
        empty = found.false_positive + found.true_negative
        rows = [
            [f"something ({found.support})", str(found.true_positive), str(found.false_negative)],
            [f"nothing ({empty})", str(found.false_positive), str(found.true_negative)],
        ]
        fill_table(self.matrix, rows, ("In the truth", "Found", "Not found"), wide=0)
        masks = any(one.overlap is not None for one in found.answers)
        names = [title for title in _FIGURES if masks or title != "Dice"]
        figures = [figure_words(getattr(found, _FIGURES[title])) for title in names]
        fill_table(self.figures, [figures], names, wide=-1)
        volumes = [
            [case.name, str(case.slices), *[figure_words(case.dice)] * masks, str(case.false_positive_slices)]
            for case in found.cases
        ]
        fill_table(self.volumes, volumes, ("Volume", "Slices", *["Dice"] * masks, "False"), wide=0)
        self.volumes.setVisible(bool(volumes))
