"""Fit a Quick model: painted pixels in, boosted trees out, in seconds.

It is a start without any model, and the rival that a network must beat on the same slices.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import maximum_filter, minimum_filter

from napari_medseg.core import CLASSIFIER, Cancelled, ComputeError, ModelCard, ModelError, spread
from napari_medseg.inference.device import thread_count
from napari_medseg.models import Model, build_network, load_model
from napari_medseg.models.build import QUICK
from napari_medseg.models.quick import TREES, QuickNetwork, Settings, plant

from .guard import HeldOut, score
from .loop import Best
from .losses import IGNORE
from .schedule import Budget
from .step import Job
from .truth import LabelledSlice
from .watch import Watch

PIXELS = 40_000
"""Labelled pixels that the trees learn from, as many of each slice and class as far as there are enough."""

BORDER = 0.15
"""Share of them within three pixels of another class; more of them made whole organs worse on the sample tasks."""

MOST_SLICES = 64

PLACE = 1024
"""Grey slices up to this side show a body that lies in them: there, row and column count, too."""

RIVAL_SHARE = 0.1
"""Share of a run's time that the rival may take."""

RIVAL_SECONDS = 5.0
"""What a rival needs at least; shorter runs have none."""

RIVAL_TREES = 50
"""Of a rival with fewer trees nothing is said."""

Listener = Callable[[int, float], bool]
"""Hears the number of trees and their loss; False ends the growing."""

Examples = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Features (P, F) and class indices (P,) of labelled pixels."""


def check_quick(spec: str) -> None:
    """Raise a `ModelError` if ``quick`` or ``quick:MODEL`` cannot be started from."""
    _check_installed()
    if reference := spec.partition(":")[2]:
        base = load_model(reference).card
        if base.architecture == QUICK:
            raise ModelError(f"{base.reference} is a Quick model and has no network.", f"Start from {base.reference}.")
        if not base.outlines:
            raise ModelError(f"{base.reference} looks at whole slices and not at pixels.", "Choose another model.")


def _check_installed() -> None:
    if find_spec("catboost") is None:
        raise ModelError("Fitting a Quick model needs CatBoost.", 'pip install "napari-medseg[quick]"')


def start_quick(template: ModelCard, placed: bool, base: Model | None = None) -> tuple[ModelCard, QuickNetwork]:
    """Card and network of a Quick model that has learnt nothing yet.

    Parameters
    ----------
    template
        Has the name, the classes and the input of the new model; the input of ``base`` goes before it.
    placed
        Whether the images are whole and small enough (`PLACE`) for the place of a pixel to say something.
    base
        Model whose features count, too.

    Raises
    ------
    ModelError
        The images have other channels than ``base`` takes.
    """
    source = base.card if base else template
    if source.channels != template.channels:
        raise ModelError(f"{source.reference} takes {source.channels} channels, the images have {template.channels}.")
    settings = Settings(position=placed and template.channels != 3, trees=TREES, base=base.card if base else None)
    card = ModelCard(
        name=template.name, architecture=QUICK, encoder="catboost", network=settings.model_dump(mode="json"),
        classes=template.classes, channels=source.channels, channel_names=source.channel_names,
        neighbours=source.neighbours, normalisation=source.normalisation, pixel_size=source.pixel_size,
        tile=source.tile, reduction=source.reduction, longest=source.longest,
    )  # fmt: skip
    network: Any = build_network(card)
    if base:
        network.base.load_state_dict(base.network.state_dict())
    return card, network.eval()


def fit_quick(job: Job, replay: Sequence[LabelledSlice], budget: Budget, watch: Watch) -> Best:
    """Fit a job's network anew on today's slices and on those its start remembers.

    Raises
    ------
    Cancelled
        Stopped before the first tree was grown.
    ComputeError
        CatBoost fails.
    """
    # Seconds, however short the time is and however busy the computer: the same seed always gives the same trees.
    budget.seconds, budget.steps = None, min(TREES, budget.steps or TREES)
    budget.begin()
    job.log.begin(0, job.network)
    options, network = job.options, job.network
    assert isinstance(network, QuickNetwork)
    watch.say("Describing the labelled pixels.")
    old = round(PIXELS * options.replay) if replay else 0
    parts = [draw(network, job.samples.slices, PIXELS - old, options.seed, watch.beat)]
    if old:
        parts.append(draw(network, replay, old, options.seed, watch.beat))
    examples = np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])

    def listen(trees: int, loss: float) -> bool:
        with suppress(Cancelled):
            watch.step(trees, {"step": trees, "loss": loss})
        job.log.step(trees, {"loss": loss})
        return not watch.stopped and budget.progress(trees) < 1

    trees = grow(network, examples, options.seed, listen)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    if not job.held_out:
        return Best(state, None, trees)
    scores = score(network, job.held_out, job.engine)
    watch.metrics["dice"] = scores.shown()
    job.log.validation(trees, scores, network)
    return Best(state, scores, trees, scores.balance())


def measure_rival(job: Job, card: ModelCard, budget: Budget, watch: Watch) -> HeldOut | None:
    """Held-out Dice of a Quick model fitted on the slices that a network is about to learn from.

    None where it is not wanted, cannot be measured, or would take more than `RIVAL_SHARE` of the time.

    Raises
    ------
    Cancelled
        Stopped meanwhile.
    """
    most = RIVAL_SHARE * (budget.seconds or 0)
    wanted = job.options.rival and job.held_out and card.architecture not in (QUICK, CLASSIFIER)
    if not wanted or most < RIVAL_SECONDS or find_spec("catboost") is None:
        return None
    end = budget.clock() + most
    slices = spread(job.samples.slices, MOST_SLICES)
    placed = max(max(one.target.shape) for one in slices) <= PLACE
    network = start_quick(card, placed)[1].to(job.engine.device)
    begin = budget.clock()
    network.describe(torch.from_numpy(slices[0].pixels).to(job.engine.device))
    each = budget.clock() - begin
    # A third of the time for describing the slices, a third for the trees, a third for measuring.
    slices = spread(slices, max(3, int(most / 3 / each)))
    if each * (len(slices) + 2 * len(job.held_out)) > most:
        return None
    examples = draw(network, slices, PIXELS, job.options.seed, watch.beat)

    def listen(trees: int, loss: float) -> bool:
        with suppress(Cancelled):
            watch.beat()
        return not watch.stopped and budget.clock() < end - 2 * each * len(job.held_out)

    trees = grow(network, examples, job.options.seed, listen)
    if watch.stopped:
        raise Cancelled
    if trees < RIVAL_TREES:
        return None
    scores = score(network, job.held_out, job.engine, beat=watch.beat)
    watch.say(f"Quick reaches {scores.shown():.3f} on the held-out slices.", {"rival_dice": scores.shown()})
    return scores


def draw(
    network: QuickNetwork, slices: Sequence[LabelledSlice], count: int, seed: int, beat: Callable[[], None]
) -> Examples:
    """Features and classes of about ``count`` labelled pixels, evenly of all slices and of the classes in each.

    Parameters
    ----------
    beat
        Called before every slice; may raise `Cancelled`.
    """
    random = np.random.default_rng(seed)
    device = network.border.device
    chosen = spread(slices, MOST_SLICES)
    features, classes = [], []
    for one in chosen:
        beat()
        places = _choose(one.target, count // len(chosen), random)
        found = network.describe(torch.from_numpy(one.pixels).to(device)).flatten(1)
        features.append(found[:, torch.from_numpy(places).to(device)].T.cpu().numpy())
        classes.append(one.target.ravel()[places].astype(np.int64))
    return np.concatenate(features), np.concatenate(classes)


def _choose(target: npt.NDArray[np.int16], count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of labelled pixels: as many of each class, `BORDER` of them near another one."""
    known = np.where(target == IGNORE, -1, target)
    # What is not labelled is no border: the rim of a stroke says nothing.
    low = minimum_filter(np.where(known < 0, np.iinfo(np.int16).max, known), 7)
    near = (maximum_filter(known, 7) != low).ravel()
    flat = known.ravel()
    present = np.unique(flat[flat >= 0])
    places = [np.zeros(0, np.int64)]
    for k in present:
        wanted = count // len(present)
        inside, rim = np.flatnonzero((flat == k) & ~near), np.flatnonzero((flat == k) & near)
        at_rim = min(len(rim), max(round(wanted * BORDER), wanted - len(inside)))
        for pool, number in ((rim, at_rim), (inside, min(len(inside), wanted - at_rim))):
            places.append(random.choice(pool, number, replace=False) if number < len(pool) else pool)
    return np.concatenate(places)


def grow(network: QuickNetwork, examples: Examples, seed: int, listen: Listener) -> int:
    """Grow trees on examples, put them into a network and return their number.

    Raises
    ------
    ComputeError
        CatBoost cannot learn from them.
    """
    _check_installed()
    import catboost

    class Callback:
        def after_iteration(self, info: Any) -> bool:
            return listen(info.iteration, float(info.metrics["learn"]["MultiClass"][-1]))

    features, classes = examples
    # As fast as it goes; that each tree sees but 30 % of the features also makes it better.
    model = catboost.CatBoostClassifier(
        iterations=network.settings.trees, depth=network.settings.depth, learning_rate=0.15, rsm=0.3, border_count=64,
        loss_function="MultiClass", bootstrap_type="No", leaf_estimation_iterations=1, random_strength=0,
        boosting_type="Plain", random_seed=seed, thread_count=thread_count(), allow_writing_files=False, verbose=False,
    )  # fmt: skip
    try:
        model.fit(features, classes, callbacks=[Callback()])
    except catboost.CatBoostError as error:
        first = str(error).strip().splitlines()[0].rpartition(": ")[2]
        raise ComputeError(f"The Quick model cannot be fitted: {first}.", "Paint more, and some background.") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trees.json"
        model.save_model(str(path), format="json")
        content = json.loads(path.read_text(encoding="utf-8"))
    plant(network, content["oblivious_trees"], content["scale_and_bias"][1], [int(k) for k in model.classes_])
    return int(model.tree_count_)
