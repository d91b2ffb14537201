"""How the built-in model ``femur-ct`` is made; see train_starter.py.

Draws made-up people with exact outlines of both femora (`napari_medseg.phantoms`), trains from random weights with the
same `train` that users call, and scores the result on people it has not seen.
"""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import torch

from napari_medseg.core import Image, Labels, Progress, Score
from napari_medseg.core.geometry import Geometry
from napari_medseg.evaluation import evaluate
from napari_medseg.inference import segment
from napari_medseg.models import find_model, load_model
from napari_medseg.models.weights import read_card, save_network
from napari_medseg.phantoms import FEMURS, femur_sample, femur_slices
from napari_medseg.phantoms.femur import PIXELS
from napari_medseg.training import TrainingRun, train
from napari_medseg.training.memory import Memory, write_memory
from napari_medseg.training.options import TrainOptions
from napari_medseg.training.pair import Pair
from napari_medseg.training.truth import LabelledSlice, paint, prepare

UNSEEN = 900_000
"""First seed of the people that measure."""

LEGS = (*np.linspace(-0.1, 0.2, 14), *np.linspace(0.22, 0.83, 18), *np.linspace(0.85, 1.12, 16))
"""Levels of the slices that are remembered, most at hip and knee; 0 and 1 are the ends of the femur."""

PEOPLE = 320
"""Made-up people that it learns from."""


def draw_person(folder: Path, seed: int, slices: int = 8) -> Pair:
    """Write a few slices of one person, more of them at hip and knee, where shapes differ most."""
    rng = np.random.default_rng([seed, 7])
    low, high, spread = (
        rng.uniform(-0.08, 0.2, slices),
        rng.uniform(0.85, 1.06, slices),
        rng.uniform(-0.1, 1.08, slices),
    )
    levels = np.sort(np.select([rng.random(slices) < 0.4, rng.random(slices) < 0.45], [low, high], spread))
    image, labels, _ = femur_slices(seed, levels.tolist())
    pair = Pair(image=folder / f"{seed}.tif", labels=folder / f"{seed}_mask.tif", group=str(seed))
    tifffile.imwrite(pair.image, image, photometric="minisblack")
    tifffile.imwrite(pair.labels, labels, photometric="minisblack")
    return pair


def remember(folder: Path) -> int:
    """Write what the model remembers: two slices each of some people it learnt from, evenly from hip to shin.

    Every fifth person is one it has never seen: their slices only measure what later training makes it forget.
    """
    card = read_card(folder)
    index = {0: 0} | {c.value: i for i, c in enumerate(FEMURS, 1)}
    parts: dict[bool, list[LabelledSlice]] = {False: [], True: []}
    people = len(LEGS) // 2
    for person in range(people):
        measures = person % 5 == 2
        seed = UNSEEN + person if measures else person
        own = [float(level) for level in LEGS[person::people]]
        # The range of values is measured over a whole leg, as when a series is segmented.
        image, labels, _ = femur_slices(seed, [*own, *np.linspace(0, 1, 6).tolist()])
        names = tuple(f"made-up person {seed}, slice {z}" for z in range(len(image)))
        stack = Image(image, "ZYX", Geometry.unknown(3), names)
        truth = Labels(labels, FEMURS, Geometry.unknown(3))
        parts[measures] += prepare(paint(stack, truth, range(len(own))), card, index, print)
    return write_memory(folder, Memory(tuple(parts[False]), tuple(parts[True])), card)


def tell(progress: Progress) -> None:
    if progress.message:
        print(progress.message, flush=True)


def measure(model: str | Path, people: int) -> tuple[Score, ...]:
    """Dice on whole series of people the model has not seen."""
    loaded, pooled = load_model(model), []
    for seed in range(2 * UNSEEN, 2 * UNSEEN + people):
        image, truth = femur_sample(seed, slices=32)
        report = evaluate(segment(image, loaded), truth, merge=True)
        pooled += [row.pooled for row in report.summary if row.metric == "dice" and row.pooled is not None]
    print("pooled Dice of each unseen synthetic series:", json.dumps([round(p, 3) for p in pooled]))
    metric, on = "dice, both femora as one", f"{people} unseen synthetic series from hip to knee"
    return (
        Score(metric=metric, value=round(float(np.mean(pooled)), 4), on=f"{on}, mean"),
        Score(metric=metric, value=round(float(np.min(pooled)), 4), on=f"{on}, worst"),
    )


def make_femur_ct(output: Path, minutes: float, seed: int) -> None:
    """Train the model, write it with its card, and what it remembers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
            pairs = tuple(pool.map(partial(draw_person, folder), range(PEOPLE)))
            held_out = tuple(pool.map(partial(draw_person, folder), range(UNSEEN, UNSEEN + 10)))
        options = TrainOptions(max_minutes=minutes, seed=seed, augmentation="medium")
        run = TrainingRun(
            pairs=pairs, validation_pairs=held_out, start="unet:tu-resnet10t", name="new-femur-ct", classes=FEMURS,
            options=options, folder=folder / "run",
        )  # fmt: skip
        card = train(run, report=tell)
    trained = load_model(find_model(card.reference))
    card = trained.card.model_copy(update={
        "name": "femur-ct",
        "version": 1,
        "title": "Femora in CT, hip to knee",
        "description": (
            "Trained on synthetic CT only: made-up people drawn by the project's own phantom generator, no patient's "
            "image. A starting point for fine-tuning, not a diagnostic device. Expects axial slices of a supine person "
            "with both legs in view, 0.6-1.6 mm pixels, in any bone or soft-tissue window or in HU."
        ),
        "modality": "CT",
        "licence": "BSD-3-Clause",
        "trained_on": f"{8 * PEOPLE} slices of {PEOPLE} synthetic people",
        "scores": measure(find_model(card.reference), 20),
        "parent": "unet:tu-resnet10t",
        "parent_sha256": "",
        "pixel_size": None,
        "pixel_range": PIXELS,
    })  # fmt: skip
    card = save_network(output, card, trained.network, half=True)
    remember(output)
    print(card.model_dump_json(indent=2))
