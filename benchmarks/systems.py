"""What the published walk-throughs did, as this project does it: data, recipe and figures of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sets import NUCLEI, Split, femur_ten, four_nuclei, lungs, pelvis_fold, pictures, tumour

from napari_medseg.core import Labels
from napari_medseg.evaluation import Row, evaluate_set
from napari_medseg.evaluation.metrics import dice_of
from napari_medseg.training.comparison import CompareOptions

Figures = dict[str, Any]
Pairs = list[tuple[Labels, Labels]]


def pool(rows: list[Row]) -> float | None:
    """Dice of all their pixels together."""
    return dice_of(
        sum(r.true_positive for r in rows), sum(r.false_positive for r in rows), sum(r.false_negative for r in rows)
    )


def by_picture(pairs: Pairs) -> Figures:
    """Dice of every image or slice, all classes as one, and means of what else the walk-throughs report."""
    report = evaluate_set(pairs, merge=True)
    dice = [r.values["dice"] for r in report.rows if not r.both_empty]
    means = {name: report.figure(name.lower()).mean for name in ("IoU", "recall", "precision")}
    return {"dice": dice, "Dice of all pixels": pool([*report.rows]), **means}


def by_class(value: int | None = None) -> Callable[[Pairs], Figures]:
    """Dice of each image or volume: of the class with this value, or the mean of all classes that it holds."""

    def measure(pairs: Pairs) -> Figures:
        dice: list[float] = []
        classes: dict[str, list[Row]] = {}
        for pair in pairs:
            rows = [row for row in evaluate_set([pair]).rows if value in (None, row.value)]
            held = dict.fromkeys(row.class_name for row in rows if row.true_positive + row.false_negative)
            own = [pool([row for row in rows if row.class_name == name]) for name in held]
            dice += [float(np.mean([d for d in own if d is not None]))]
            for row in rows:
                classes.setdefault(row.class_name, []).append(row)
        shares = {f"Dice of {name}": pool(rows) for name, rows in classes.items()} if value is None else {}
        return {"dice": dice, **shares}

    return measure


def by_volume(pairs: Pairs) -> Figures:
    """Dice of every volume, and what is found of the slices that hold something."""
    told = evaluate_set(pairs, merge=True).detection
    assert told is not None
    volumes = [case.dice for case in told.cases if case.dice is not None]
    slices = {"slice sensitivity": told.recall, "slice specificity": told.specificity, "AUROC": told.auroc}
    wrong = float(np.mean([case.false_positive_slices for case in told.cases]))
    return {"dice": volumes, **slices, "Dice on tumour slices": told.dice, "falsely found slices a case": wrong}


@dataclass(frozen=True)
class System:
    """One task as a walk-through has it.

    Attributes
    ----------
    title, reported, aim
        For the table; what a walk-through reported was measured on its own images.
    recipe
        Of the package.
    split
        What trains and what measures, by seed; may use the folder.
    measure
        Figures of predictions and truths; ``dice`` has one for every case.
    unit
        What a case is.
    starts
        Networks to choose from; empty where the recipe's own is trained.
    tta
        Mirror images that are segmented too, as in `SegmentOptions`; where things look alike in a mirror.
    start
        What is trained in place of the recipe's own; empty for that.
    same
        Whether every seed measures the same cases.
    remark
        What one must know to read the figures.
    """

    title: str
    recipe: str
    split: Callable[[Path, int], Split]
    unit: str
    measure: Callable[[Pairs], Figures] = by_picture
    reported: str = ""
    aim: str = ""
    classes: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    tta: str = "none"
    start: str = ""
    same: bool = False
    remark: str = ""


SYSTEMS = {
    "lungs": System(
        "Lungs in chest X-rays", "lungs-xray", lambda folder, seed: lungs(100, seed), "X-ray",
        reported="Dice 0.9002, IoU 0.8198, recall 0.9629, precision 0.9577", aim="0.965", same=True,
        remark="Of the 100 X-rays that train, the built-in model has learnt from 90 already, for 25 minutes, and 10 "
        "chose its weights: the ten minutes are not all that it took.",
    ),
    "lungs-random": System(
        "Lungs in chest X-rays, from random weights", "lungs-xray", lambda folder, seed: lungs(100, seed), "X-ray",
        aim="0.965", tta="flips", start="unet:resnet18", same=True,
    ),
    "tumour": System(
        "Brain tumour in MR: detect, then outline", "brain-tumour", tumour, "patient", by_volume, aim="0.78",
        tta="flips",
        remark="The made-up heads of the built-in model were changed several times after looking at what earlier ones "
        "made of these patients; none of them trained it.",
    ),
    "femur-ct": System(
        "Femur in hip CT, ten slices painted", "femur-ct", femur_ten, "slice",
        reported="98.56 ± 0.02 (20 patients)", aim="0.955", same=True,
    ),
    "femur-mri": System(
        "Femur in MR of the pelvis, across patients", "femur-mri", pelvis_fold, "patient", by_class(1), aim="0.90",
        tta="flips",
    ),
    "choose": System(
        "Choosing a network: lungs", "lungs-xray", lambda folder, seed: lungs(100, seed), "X-ray",
        starts=CompareOptions().starts, same=True,
    ),
    "nuclei": System(
        "Nuclei in HE", "nuclei-he", lambda folder, seed: pictures("monuseg", 1, seed), "image", aim="0.78",
        tta="flips",
    ),
    "four-nuclei": System(
        "Nuclei of four kinds in HE", "nuclei-he-classes", four_nuclei, "image", by_class(), tta="flips",
        classes=tuple(f"{i}={name}" for i, name in enumerate(NUCLEI, 1)),
    ),
    "glands": System(
        "Glands in HE", "glands-he", lambda folder, seed: pictures("glas", 6, seed), "image", aim="0.925",
        tta="flips",
    ),
    "cancer": System(
        "Cancer regions in HE", "cancer-he", lambda folder, seed: pictures("bcnb_he_tumour", 1, seed), "image",
        tta="flips",
    ),
}  # fmt: skip

SYSTEMS["glands-imagenet"] = replace(
    SYSTEMS["glands"], title="Glands in HE, from an encoder that knows photos", recipe="glands-he-imagenet"
)
