"""A made-up user: strokes on four slices of the femur CT, then rounds of correcting one slice and fine-tuning again.

    python benchmarks/user.py [--start femur-ct] [--rounds 4] [--minutes 1] [--seeds 0 1 2] [--clock wall] [--json OUT]

One user corrects the slice that is suggested, the other goes on at a fixed interval. Both give away strokes only: about
0.5 % of a slice's pixels. Every third masked slice is never painted; Dice is measured there after every round.
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
from sets import DATA, femur_masks, femur_slices, read_mask
from strokes import correct, simulate_strokes

import napari_medseg as medseg
from napari_medseg.models import load_model

UNLABELLED = 255


class User:
    """Paints strokes and trains; ``suggested`` tells which slice is corrected next."""

    def __init__(self, folder: Path, seed: int, suggested: bool) -> None:
        self.folder, self.seed, self.suggested = folder, seed, suggested
        folder.mkdir()
        self.image = medseg.read(DATA / "femur_ct" / "images")
        self.truth = {n: read_mask(path) for n, path in sorted(femur_masks().items())}
        numbers = [*self.truth]
        self.test = numbers[1::3]
        self.pool = [n for n in numbers if n not in self.test]
        self.where = femur_slices()
        self.painted: dict[int, np.ndarray[Any, Any]] = {}

    def begin(self) -> None:
        """Strokes on four slices, evenly spread."""
        for i in np.linspace(0, len(self.pool) - 1, 4).round().astype(int):
            number = self.pool[i]
            self._paint(number, simulate_strokes(self.truth[number], unlabelled=UNLABELLED, seed=self.seed))

    def go_on(self, model: Any) -> int:
        """Correct one more slice and return its number."""
        left = [n for n in self.pool if n not in self.painted]
        number = self._next(model, left)
        z = self.where[number]
        found = np.asarray(medseg.segment(self.image, model, slices=f"{z}:{z + 1}").data)[z]
        strokes = correct(found, self.truth[number], unlabelled=UNLABELLED, seed=self.seed)
        if (strokes == UNLABELLED).all():
            strokes = simulate_strokes(self.truth[number], unlabelled=UNLABELLED, seed=self.seed)
        self._paint(number, strokes)
        return number

    def train(self, start: str, minutes: float) -> Any:
        """Learn from everything painted so far."""
        card = medseg.train(
            [(DATA / "femur_ct" / "images", self.folder)],
            model=start,
            name="user",
            unlabelled=UNLABELLED,
            max_minutes=minutes,
            seed=self.seed,
        )
        return load_model(card.reference)

    def score(self, model: Any) -> list[float]:
        """Dice of both femora as one on the slices that are never painted."""
        dice = []
        for number in self.test:
            z = self.where[number]
            found = np.asarray(medseg.segment(self.image, model, slices=f"{z}:{z + 1}").data)[z] > 0
            truth = self.truth[number] > 0
            dice.append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
        return dice

    def _next(self, model: Any, left: list[int]) -> int:
        if not self.suggested:
            even = np.linspace(0, len(self.pool) - 1, 8).round().astype(int)
            return next((self.pool[i] for i in even if self.pool[i] in left), left[0])
        labels = medseg.segment(self.image, model, suggest=1, labelled=[self.where[n] for n in self.painted])
        z = labels.look_at[0]
        return min(left, key=lambda n: abs(self.where[n] - z))

    def _paint(self, number: int, strokes: np.ndarray[Any, Any]) -> None:
        before = self.painted.get(number, np.full_like(strokes, UNLABELLED))
        self.painted[number] = np.where(strokes != UNLABELLED, strokes, before)
        Picture.fromarray(self.painted[number].astype(np.uint8)).save(self.folder / femur_masks()[number].name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", default="femur-ct")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    arguments = read_arguments(parser)
    rows = []
    for seed in arguments.seeds:
        for suggested in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                os.environ["NAPARI_MEDSEG_HOME"] = f"{folder}/home"
                user = User(Path(folder) / "strokes", seed, suggested)
                user.begin()
                start = arguments.start
                for round_number in range(arguments.rounds + 1):
                    number = user.go_on(model) if round_number else 0  # noqa: F821
                    model = user.train(start, arguments.minutes)
                    # Like the window: on with the newest model that passed the guard.
                    start = start if model.card.name.endswith("-rejected") else model.card.reference
                    dice = user.score(model)
                    rows.append(
                        {
                            "seed": seed,
                            "user": "suggested" if suggested else "even",
                            "round": round_number,
                            "corrected": number,
                            "model": model.card.reference,
                            "mean": round(float(np.mean(dice)), 4),
                            "worst": round(float(np.min(dice)), 4),
                        }
                    )
                    print(json.dumps(rows[-1]), flush=True)
                    if arguments.json:
                        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
