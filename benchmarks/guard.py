"""Bad labels on purpose: does the guard let a spoilt model through without a word?

    python benchmarks/guard.py [--count 20] [--minutes 0.33] [--clock wall] [--json OUT]

Fine-tunes the built-in model on strokes whose sides are swapped, and on slices that were wiped to background but for a
speck of each class; five slices of the femur CT each, other ones each time. Prints what became of every model.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from learning import read_arguments
from PIL import Image as Picture
from sets import DATA, femur_masks, read_mask
from strokes import simulate_strokes

import napari_medseg as medseg
from napari_medseg.core import InputError

UNLABELLED = 255


def swap(truth: np.ndarray[Any, Any], seed: int) -> np.ndarray[Any, Any]:
    """Strokes on left and right with each other's label."""
    strokes = simulate_strokes(truth, unlabelled=UNLABELLED, seed=seed)
    exchanged = {1: 2, 2: 1}
    return np.vectorize(lambda v: exchanged.get(v, v), otypes=[np.uint8])(strokes)


def wipe(truth: np.ndarray[Any, Any], seed: int) -> np.ndarray[Any, Any]:
    """Background everywhere, and a speck of each class."""
    blank = np.zeros_like(truth)
    for value in np.unique(truth[truth > 0]):
        where = np.argwhere(truth == value)
        y, x = where[np.random.default_rng(seed).integers(len(where))]
        blank[y : y + 2, x : x + 2] = value
    return blank


def attempt(kind: str, seed: int, minutes: float) -> dict[str, Any]:
    """One fine-tuning on bad labels, and what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_MEDSEG_HOME"] = f"{folder}/home"
        masks = Path(folder) / "masks"
        masks.mkdir()
        chosen = np.random.default_rng(seed).choice(list(femur_masks().values()), 5, replace=False)
        for path in chosen:
            bad = (swap if kind == "swapped" else wipe)(read_mask(path), seed)
            Picture.fromarray(bad.astype(np.uint8)).save(masks / path.name)
        settings = {"unlabelled": UNLABELLED} if kind == "swapped" else {}
        try:
            card = medseg.train(
                [(DATA / "femur_ct" / "images", masks)], name="bad", seed=seed, max_minutes=minutes, **settings
            )
        except InputError as error:
            return {"kind": kind, "seed": seed, "outcome": "refused", "said": str(error)}
        outcome = "kept aside" if card.name.endswith("-rejected") else "PROMOTED"
        return {"kind": kind, "seed": seed, "outcome": outcome, "said": card.description}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=0.33)
    arguments = read_arguments(parser)
    rows = []
    for i in range(arguments.count):
        rows.append(attempt(("swapped", "wiped")[i % 2], i // 2, arguments.minutes))
        print(json.dumps(rows[-1]), flush=True)
    counts = {
        outcome: sum(row["outcome"] == outcome for row in rows) for outcome in ("refused", "kept aside", "PROMOTED")
    }
    print(counts)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
