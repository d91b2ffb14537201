"""Whether a slice holds anything: what it is learnt from, and from which probability on the answer is yes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_medseg.core import CLASSIFIER, InputError, ModelCard, Score
from napari_medseg.evaluation.detection import measure_auroc
from napari_medseg.io.findings import counted

from .engine import WHOLE
from .run import TrainingRun
from .step import Job
from .truth import LabelledSlice
from .watch import Watch

SENSITIVITY = 0.95
"""Share of the held-out slices that hold something and shall be found."""

ENOUGH = 20
"""Of fewer such slices, one that is missed is more than the other share, and a single unclear one would decide: it may
be missed, and it alone, where without it at most `FALSE` of the empty ones are taken for others, and with it more."""

FALSE = 0.1

FEWEST = 10
"""Fewer cannot tell where to divide."""

MOST = 100
"""Held-out slices that are looked at."""

HIGHEST = 0.5
"""Slices of a new patient answer less clearly than the held-out ones: never more is asked for."""


@dataclass(frozen=True)
class Presence:
    """What the held-out slices say about a slice head.

    Attributes
    ----------
    changes
        Of the model's card.
    scores
        For it.
    """

    changes: dict[str, float] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()


def says_presence(run: TrainingRun, parent: ModelCard | None) -> bool:
    """Whether the model that a run makes will say of slices whether they hold anything."""
    known = run.start.startswith(f"{CLASSIFIER}:") if parent is None else parent.presence is not None
    return known or run.options.presence


def whole_side(card: ModelCard, slices: Sequence[LabelledSlice], crop: int, watch: Watch) -> int:
    """Side of samples that show whole slices, which a slice head needs; 0 without one, or where they are too large."""
    side = int(max(max(one.target.shape) for one in slices))
    if card.presence is None or crop:
        return 0
    if side > WHOLE:
        watch.say(f"Slices of more than {WHOLE} pixels are learnt in parts, which do not tell whether a slice holds "
                  "anything.")  # fmt: skip
        return 0
    return side


def check_telling(slices: Sequence[LabelledSlice]) -> None:
    """Refuse to learn whether slices hold anything from slices that do not tell.

    Raises
    ------
    InputError
        None of them is labelled as a whole, or all that are give the same answer.
    """
    answers = {one.holds for one in slices if not math.isnan(one.holds)}
    if len(answers) < 2:
        what = "hold something" if 1.0 in answers else "are empty" if answers else "are labelled in part only"
        raise InputError(
            f"Whether a slice holds anything cannot be learnt: all labelled slices {what}.",
            "Give whole slices with and without anything in them (empty masks), or do not ask for it.",
        )


def measure_presence(card: ModelCard, job: Job, watch: Watch) -> Presence:
    """Set the threshold of a slice head on the held-out slices; see `choose_threshold`.

    The figures are of the answers that the finished model gives: those of its masks, where it outlines. Slices that
    the start model remembers count only where there are no others: nearly all of them hold something, and the model
    has learnt from others of their images.
    """
    if card.presence is None:
        return Presence()
    telling = [one for one in (*job.held_out, *job.spare) if not math.isnan(one.holds)]
    told = [one for one in telling if not one.remembered] or telling
    kind = "remembered" if told and told[0].remembered else "held-out"
    told = told[:: max(1, -(-len(told) // MOST))]
    job.network.eval()
    holds = [bool(one.holds) for one in told]
    chances = [job.engine.presence(job.network, one.pixels) for one in told]
    full, empty = ([p for p, there in zip(chances, holds, strict=True) if there is side] for side in (True, False))
    threshold, why = choose_threshold(full, empty, card.presence, kind)
    watch.say(why)
    tile = max(card.tile, *job.samples.size) if job.samples.whole else card.tile
    found = [p >= threshold and _outlined(job, one) for p, one in zip(chances, told, strict=True)]
    scores = []
    for name, side in (("sensitivity", True), ("specificity", False)):
        right = [said is side for said, there in zip(found, holds, strict=True) if there is side]
        if right:
            on = f"{counted(len(right), f'{kind} slice')} holding {'something' if side else 'nothing'}"
            scores.append(Score(metric=f"{name} for slices", value=round(sum(right) / len(right), 4), on=on))
    auroc = measure_auroc(chances, holds)
    if auroc is not None:
        scores.append(Score(metric="AUROC for slices", value=round(auroc, 4), on=counted(len(holds), f"{kind} slice")))
    return Presence({"presence": threshold, "tile": tile}, tuple(scores))


def _outlined(job: Job, one: LabelledSlice) -> bool:
    """Whether the mask of a slice that passes the gate holds anything; where there are no masks, that it passes is
    all."""
    engine = job.engine
    return not engine.outlines or bool(engine.predict(job.network, one.pixels, range(engine.outputs)).any())


def choose_threshold(
    full: Sequence[float], empty: Sequence[float], before: float, kind: str = "held-out"
) -> tuple[float, str]:
    """The probability from which on a slice holds something, and a sentence about it.

    Parameters
    ----------
    full
        Probabilities of held-out slices that do hold something. The threshold is the highest that finds `SENSITIVITY`
        of them, and at most `HIGHEST`.
    empty
        Those of empty ones. They decide only whether one of fewer full ones than `ENOUGH` may be missed.
    before
        What stays where there are fewer than `FEWEST`.
    kind
        A word for the slices.
    """
    if len(full) < FEWEST:
        return before, (
            f"{len(full)} {kind} slices hold something, too few (of {FEWEST}) to set a threshold by: a slice is "
            f"taken as empty below a probability of {before:.2g}."
        )
    missed = int((1 - SENSITIVITY) * len(full) + 1e-9)
    lowest, second = (math.floor(p * 1e4) / 1e4 for p in sorted(full)[missed : missed + 2])
    threshold = lowest
    if empty and len(full) < ENOUGH:
        wrong = int(FALSE * len(empty))
        telling = math.ceil(sorted(empty)[-1 - wrong] * 1e4 + 1e-9) / 1e4
        if lowest < telling <= second:
            threshold = telling
    threshold = min(HIGHEST, threshold)
    found, told = sum(p >= threshold for p in full), sum(p < threshold for p in empty)
    return threshold, (
        f"A slice is taken as empty below a probability of {threshold:.2g}: {found} of {len(full)} {kind} slices "
        f"that hold something reach it, and {told} of {len(empty)} empty ones do not."
    )
