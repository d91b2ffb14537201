"""Which slices hold anything at all: a prediction's answers against the truth's."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from napari_medseg.core import Labels

from .metrics import count, dice_of


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(_Frozen):
    """Whether a slice holds anything, of whatever class, in the truth and in the prediction (`Labels.is_positive`).

    Attributes
    ----------
    case
        Name of its volume.
    probability
        What the model said, where it says so of slices.
    overlap
        Pixels that are true positive, false positive and false negative, all classes as one; None where the model
        gives no masks.
    """

    slice: str
    case: str
    truth: bool
    predicted: bool
    probability: float | None
    overlap: tuple[int, int, int] | None


class Case(_Frozen):
    """One volume: Dice of all its pixels together (None where both are empty, or there are no masks), and its falsely
    found slices."""

    name: str
    slices: int
    support: int
    dice: float | None
    false_positive_slices: int


class Detection(_Frozen):
    """How well the slices that hold something are told from those that do not.

    Figures are None where they do not exist.

    Attributes
    ----------
    true_positive, false_positive, false_negative, true_negative
        Slices: the confusion matrix.
    support
        Slices that hold something, by the truth.
    auroc
        Of the probabilities, whatever the masks: see `measure_auroc`; where there are some of all slices.
    dice
        Mean over the slices that hold something, all classes as one; of those that have masks.
    answers, cases
        Slice by slice, and by volume.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    support: int
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    auroc: float | None
    dice: float | None
    answers: tuple[Answer, ...]
    cases: tuple[Case, ...]

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to tell apart: a slice that is empty on either side, or that has no mask."""
        return self.true_positive < len(self.answers) or any(one.overlap is None for one in self.answers)

    def lines(self) -> list[str]:
        """The report in words."""
        empty = self.false_positive + self.true_negative
        figures = {
            "precision": self.precision, "sensitivity (recall)": self.recall, "specificity": self.specificity,
            "F1": self.f1, "AUROC of the probabilities": self.auroc, "Dice": self.dice,
        }  # fmt: skip
        shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items() if value is not None)
        text = [
            f"Slices that hold something: {self.support}, empty: {empty}",
            f"  found {self.true_positive}, missed {self.false_negative}, falsely found {self.false_positive}, rightly "
            f"empty {self.true_negative}",
            f"  {shown}",
        ]
        if len(self.cases) > 1:
            dice = [case.dice for case in self.cases if case.dice is not None]
            wrong = fmean(case.false_positive_slices for case in self.cases)
            mean = f"mean Dice of a volume {fmean(dice):.4f}, " if dice else ""
            text.append(f"  {len(self.cases)} volumes: {mean}falsely found slices in each {wrong:.2f}")
        elif self.cases and self.cases[0].dice is not None:
            text.append(f"  Dice of the volume {self.cases[0].dice:.4f}")
        return text


def answer(
    masks: tuple[npt.NDArray[Any], npt.NDArray[Any]], name: str, case: str, prediction: Labels, z: int
) -> Answer:
    """The answer for slice ``z`` of a prediction, from its masks (prediction, truth), both (Y, X)."""
    ours, theirs = (mask != 0 for mask in masks)
    return Answer(
        slice=name, case=case, truth=bool(theirs.any()), predicted=prediction.is_positive(z, ours),
        probability=prediction.presence.get(z), overlap=count(ours, theirs) if prediction.outlined else None,
    )  # fmt: skip


def detect(answers: Sequence[Answer], *, volumes: bool) -> Detection:
    """Sum up the answers; with ``volumes`` by case, too."""
    found = sum(one.truth and one.predicted for one in answers)
    false = sum(one.predicted and not one.truth for one in answers)
    missed = sum(one.truth and not one.predicted for one in answers)
    rest = len(answers) - found - false - missed
    said = [one.probability for one in answers if one.probability is not None]
    dice = [value for one in answers if one.truth and one.overlap and (value := dice_of(*one.overlap)) is not None]
    groups: dict[str, list[Answer]] = {}
    for one in answers if volumes else ():
        groups.setdefault(one.case, []).append(one)
    return Detection(
        true_positive=found, false_positive=false, false_negative=missed, true_negative=rest, support=found + missed,
        precision=_ratio(found, found + false), recall=_ratio(found, found + missed),
        specificity=_ratio(rest, rest + false), f1=dice_of(found, false, missed),
        auroc=measure_auroc(said, [one.truth for one in answers]) if len(said) == len(answers) else None,
        dice=fmean(dice) if dice else None,
        answers=tuple(answers), cases=tuple(_case(name, group) for name, group in groups.items()),
    )  # fmt: skip


def _case(name: str, answers: Sequence[Answer]) -> Case:
    masks = [one.overlap for one in answers if one.overlap]
    sums = [sum(counts[i] for counts in masks) for i in range(3)]
    return Case(
        name=name, slices=len(answers), support=sum(one.truth for one in answers), dice=dice_of(*sums),
        false_positive_slices=sum(one.predicted and not one.truth for one in answers),
    )  # fmt: skip


def measure_auroc(scores: Sequence[float], truth: Sequence[bool]) -> float | None:
    """Probability that a slice that holds something scores higher than one that does not; ties count half.

    None where all slices are of one kind. By ranks: Hanley and McNeil, Radiology 143 (1982).
    """
    positive = np.asarray(truth, bool)
    positives = int(positive.sum())
    others = len(positive) - positives
    if not positives or not others:
        return None
    from scipy.stats import rankdata  # slow to load, and few ask for it

    ranks = rankdata(np.asarray(scores, float))[positive].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * others))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
