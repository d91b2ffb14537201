"""What was measured of a model, and how that is said to people."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

DICE_BEFORE = "dice before fine-tuning"
DICE_AFTER = "dice after fine-tuning on strokes"
DICE_RANDOM = "dice of random weights after the same training"
DICE_TARGET = "target dice"
STEPS_TO_TARGET = "steps to target dice"
RANDOM_STEPS_TO_TARGET = "steps of random weights to target dice"
TRAINING_STEPS = "training steps"
SEEDS = "seeds"

TRIAL = (
    DICE_BEFORE, DICE_AFTER, DICE_RANDOM, DICE_TARGET, STEPS_TO_TARGET, RANDOM_STEPS_TO_TARGET, TRAINING_STEPS, SEEDS,
)  # fmt: skip
"""Figures of a trial: a model and random weights learn from the same strokes, with means over the seeds."""


class Score(BaseModel):
    """One held-out measurement: what was measured, on what, and the figure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    value: float
    on: str

    @property
    def in_words(self) -> str:
        """For people: ``Dice 0.926``."""
        name = f"Dice{self.metric.removeprefix('dice')}" if self.metric.startswith("dice") else self.metric
        return f"{name} {self.value:.3f}"


def say_scores(scores: Sequence[Score]) -> tuple[str, ...]:
    """A line for all that was measured on the same: ``64 unseen images: Dice 0.926``."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.on, []).append(score)
    return tuple(f"{on}: {'; '.join(_say(measured))}" for on, measured in found.items())


def _say(measured: Sequence[Score]) -> list[str]:
    """A trial in one sentence, all else figure by figure."""
    trial = {score.metric: score.value for score in measured if score.metric in TRIAL}
    return [
        *([_say_trial(trial)] if DICE_BEFORE in trial else []),
        *(s.in_words for s in measured if s.metric not in TRIAL),
    ]


def _say_trial(trial: dict[str, float]) -> str:
    """What it comes to; by how many steps the target was reached stays in the card."""
    said = f"Dice {trial[DICE_BEFORE]:.2f} as it is"
    if not {DICE_AFTER, DICE_RANDOM, TRAINING_STEPS, SEEDS} <= trial.keys():
        return said
    seeds = "one seed" if trial[SEEDS] == 1 else f"mean of {trial[SEEDS]:.0f} seeds"
    return (
        f"{said}, {trial[DICE_AFTER]:.2f} after {trial[TRAINING_STEPS]:.0f} steps on painted strokes; "
        f"random weights {trial[DICE_RANDOM]:.2f} after the same ({seeds})"
    )
