"""How the built-in model ``tumour-mr`` is made; see train_starter.py.

Learns from made-up heads alone (`napari_medseg.phantoms.brain`), with the same `train` that users call.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import tifffile
from femur_starter import UNSEEN, tell

from napari_medseg.core import Geometry, Image, Labels
from napari_medseg.models import find_model, load_model
from napari_medseg.models.weights import read_card, save_network
from napari_medseg.phantoms.brain import TUMOUR, VIEW, draw_head
from napari_medseg.phantoms.head import SEQUENCES
from napari_medseg.training import TrainingRun, train
from napari_medseg.training.memory import Memory, write_memory
from napari_medseg.training.options import TrainOptions
from napari_medseg.training.pair import Pair
from napari_medseg.training.truth import LabelledSlice, paint, prepare

START = "unet:tu-resnet10t"
HEADS, EMPTY = 320, 10
"""Heads that are drawn, and every how many-th of them has no tumour."""

SIZE, REDUCTION = 128, 2
"""Pixels along the sides of a drawn slice; scanners give about twice as many, which the model takes smaller."""

RATE = 2e-3

REMEMBERED = 100
"""Heads of which one slice is remembered with a tumour, and one without."""


def remember(folder: Path) -> int:
    """Write what the model remembers, of heads it learnt from; every fifth head is new to it, and only measures."""
    # What is drawn is as small as what the network sees.
    card = read_card(folder).model_copy(update={"reduction": 1.0})
    parts: dict[bool, list[LabelledSlice]] = {False: [], True: []}
    for head in range(REMEMBERED):
        measures = head % 5 == 2
        seed = UNSEEN + head if measures else head
        values, mask, _ = draw_head(seed, size=SIZE, varied=True).arrays()
        rng, holds = np.random.default_rng(seed), mask.any((1, 2))
        chosen = [int(rng.choice(np.flatnonzero(part))) for part in (holds, ~holds) if part.any()]
        names = tuple(f"made-up head {seed}, slice {z}" for z in range(len(mask)))
        stack = Image(values, "ZYXC", Geometry.unknown(3), names, "channels")
        truth = Labels(mask, (TUMOUR,), Geometry.unknown(3))
        parts[measures] += prepare(paint(stack, truth, chosen), card, {0: 0, 1: 1}, print)
    return write_memory(folder, Memory(tuple(parts[False]), tuple(parts[True])), card)


def draw(folder: Path, seed: int) -> list[Pair]:
    """Write heads and their tumours."""
    pairs = []
    for i in range(HEADS):
        values, mask, _ = draw_head(1000 * seed + i, size=SIZE, tumour=i % EMPTY > 0, varied=True).arrays()
        pair = Pair(image=folder / f"head_{i}.tif", labels=folder / f"head_{i}_mask.tif", group=str(i))
        tifffile.imwrite(pair.image, values, photometric="rgb", metadata={"axes": "ZYXS"})
        tifffile.imwrite(pair.labels, mask, photometric="minisblack", metadata={"axes": "ZYX"})
        pairs.append(pair)
    return pairs


def make_tumour_mr(output: Path, minutes: float, seed: int) -> None:
    """Train the model and write it with its card."""
    with tempfile.TemporaryDirectory() as folder:
        options = TrainOptions(
            max_minutes=minutes, seed=seed, reduction=1, pixels=16 * SIZE**2, presence=True, channels="sequences",
            augmentation="medium", learning_rate=RATE, validation=0.05, remember=False, rival=False,
        )  # fmt: skip
        run = TrainingRun(
            pairs=tuple(draw(Path(folder), seed)), start=START, name="new-tumour-mr", options=options,
            classes=(TUMOUR,), folder=Path(folder) / "run",
        )  # fmt: skip
        card = train(run, report=tell)
    model = find_model(card.reference)
    card = card.model_copy(update={
        "name": "tumour-mr",
        "version": 1,
        "reduction": float(REDUCTION),
        "pixel_range": (VIEW / SIZE / REDUCTION,) * 2,
        "channel_names": SEQUENCES,
        "title": "Tumours in MR of the brain",
        "description": (
            "Trained on made-up images only, drawn by the project's own phantom generator. A starting point for "
            "fine-tuning, not a diagnostic device. Expects axial slices of about 256 x 256 pixels in three sequences: "
            "T1, FLAIR and T1 after contrast, or FLAIR three times. Takes whatever is brighter than the brain on FLAIR "
            "for tumour, and masses of mixed brightness. The generator was changed several times after looking at what "
            "earlier models made of the Kaggle LGG set, which trained nothing."
        ),
        "modality": "MR",
        "licence": "BSD-3-Clause",
        "trained_on": f"{HEADS} synthetic heads drawn by the project, {minutes:g} minutes",
        "scores": tuple(
            score.model_copy(update={"on": f"{score.on}, synthetic"}) for score in card.scores
        ),
        "parent_sha256": "",
    })  # fmt: skip
    card = save_network(output, card, load_model(model).network, half=True)
    remember(output)
    print(card.model_dump_json(indent=2))
