"""How the built-in model ``lungs-xray`` is made; see train_starter.py.

Learns from chest X-rays of Montgomery County and Shenzhen hospital, which the United States National Library of
Medicine has made public (Jaeger et al., "Two public chest X-ray datasets for computer-aided screening of pulmonary
diseases", 2014), and from made-up ones, with the same `train` that users call. The sixty images that the benchmarks
measure on train nothing, and the model keeps no image.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from femur_starter import tell

from napari_medseg import read, segment
from napari_medseg.core import ClassInfo, Score
from napari_medseg.evaluation.metrics import dice_of
from napari_medseg.models import find_model, load_model
from napari_medseg.models.weights import save_network
from napari_medseg.phantoms.draw import Draw
from napari_medseg.phantoms.xray import draw_chest_xrays
from napari_medseg.training import TrainingRun, train
from napari_medseg.training.memory import write_known
from napari_medseg.training.options import TrainOptions
from napari_medseg.training.pair import Pair
from napari_medseg.training.truth import identify

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from sets import Split, lungs  # so that what measures in the benchmarks never trains here

ENCODER = "tu-mobilenetv3_small_100"
LONGEST = 256
DRAWN = 50
"""Made-up X-rays beside a hundred real ones."""

HELD_OUT = 10
"""Real ones that choose the best state of the training."""

HOSPITALS = {"MCUCXR": "Montgomery", "CHNCXR": "Shenzhen"}


def draw(folder: Path, seed: int) -> list[Pair]:
    """Write made-up X-rays and their lungs."""
    made = draw_chest_xrays(Draw(seed), DRAWN, LONGEST)
    pairs = []
    for i, (image, mask) in enumerate(zip(made.image[:, 0], made.lungs, strict=True)):
        pair = Pair(image=folder / f"drawn_{i}.tif", labels=folder / f"drawn_{i}_mask.tif")
        for path, pixels in ((pair.image, image), (pair.labels, mask)):
            tifffile.imwrite(path, pixels.numpy().astype(np.uint8), photometric="minisblack")
        pairs.append(pair)
    return pairs


def measure(model: Path, split: Split) -> tuple[Score, ...]:
    """Mean Dice over the X-rays of each hospital that trained nothing."""
    loaded = load_model(model)
    found: dict[str, list[float]] = {name: [] for name in HOSPITALS.values()}
    for case in split.test:
        predicted, truth = np.squeeze(np.asarray(segment(read(case.image), loaded).data)) > 0, case.truth > 0
        hit = int((predicted & truth).sum())
        dice = dice_of(hit, int(predicted.sum()) - hit, int(truth.sum()) - hit)
        found[HOSPITALS[case.name.split("_")[0]]].append(dice or 0.0)
    return tuple(
        Score(metric="dice", value=round(float(np.mean(dice)), 4), on=f"{len(dice)} other X-rays of {name}, real")
        for name, dice in found.items()
    )


def know(folder: Path) -> None:
    """Tell the model which X-rays trained it and which chose its weights, so that neither passes for unseen."""
    known = [identify(read(image).slice(0)) for image, _ in lungs(100, 0).pairs]
    write_known(folder, known[HELD_OUT:], known[:HELD_OUT])


def make_lungs_xray(output: Path, minutes: float, seed: int) -> None:
    """Train the model and write it with its card."""
    split = lungs(100, 0)
    real = [Pair(image=image, labels=mask) for image, mask in split.pairs]
    with tempfile.TemporaryDirectory() as folder:
        options = TrainOptions(max_minutes=minutes, seed=seed, longest=LONGEST, remember=False, rival=False)
        run = TrainingRun(
            pairs=(*real[HELD_OUT:], *draw(Path(folder), seed)), validation_pairs=tuple(real[:HELD_OUT]),
            start=f"unet:{ENCODER}", name="new-lungs-xray", classes=(ClassInfo.numbered(1, "lung"),), merge=True,
            options=options, folder=Path(folder) / "run",
        )  # fmt: skip
        card = train(run, report=tell)
    model = find_model(card.reference)
    card = card.model_copy(update={
        "name": "lungs-xray",
        "version": 1,
        "title": "Lungs in chest X-rays",
        "description": (
            "Trained on chest X-rays from two hospitals, of the healthy and of people with tuberculosis. Expects whole "
            "X-rays from front or back, upright, with bright bones, of any size; both lungs are one class. A starting "
            "point for fine-tuning, not a diagnostic device."
        ),
        "modality": "X-ray",
        "licence": "BSD-3-Clause",
        "trained_on": (
            f"{len(real) - HELD_OUT} X-rays of the Montgomery County and Shenzhen sets, public, National Library of "
            f"Medicine (Jaeger et al. 2014), and {DRAWN} made-up ones"
        ),
        "scores": measure(model, split),
        "parent_sha256": "",
    })  # fmt: skip
    card = save_network(output, card, load_model(model).network, half=True)
    know(output)
    print(card.model_dump_json(indent=2))
