"""What the start model is sure of in today's images, rehearsed so that it is not unlearnt.

A few strokes say nothing of the rest of their slice, and a few slices nothing of the rest of their series: a network
that learns from them alone drifts there, a little with every round of corrections. So a part of the samples shows what
the start finds in these images, where it is sure and nobody contradicts it. Labels of the user's always come first.

Sources: Li and Hoiem, "Learning without Forgetting" (TPAMI 2018); Lee, "Pseudo-Label" (ICML workshop 2013).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from napari_medseg.core import CLASSIFIER, InputError
from napari_medseg.inference.device import ran_out_of_memory
from napari_medseg.inference.normalise import SliceReader
from napari_medseg.models.build import QUICK

from .engine import WHOLE
from .losses import IGNORE
from .material import count_slices
from .start import Start
from .step import Job
from .truth import LabelledSlice, Painted
from .watch import Watch

SHARE = 0.4
"""Of the samples that come from rehearsal and memory together."""

SURE = 0.9
"""Probability from which on the start is believed."""

NEARLY = 0.7
"""A start is worth rehearsing when of every class so large a share of the labelled pixels lies on or close to where it
finds that class: all strokes may be corrections, and those lie close to what they correct."""

REACH = 1 / 32
"""What is close, as a share of the slice's longer side."""

MOST = 16
"""Slices nobody has painted in that are rehearsed; and as many painted ones."""

APART = 3
"""Slices next to a contradicted one are not rehearsed: they are wrong in the same place."""

T = TypeVar("T")
Classes = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Belief:
    """What the start finds in one slice: class indices (Y, X), and the same with `IGNORE` where it is not sure."""

    found: Classes
    sure: Classes


def rehearse(
    start: Start, job: Job, painted: Sequence[Painted], ready: Sequence[LabelledSlice], watch: Watch
) -> list[LabelledSlice]:
    """Slices of today's images as the start sees them.

    None where it is not good there, where nothing is replayed, and where only whole slices are painted: those say
    enough.

    Parameters
    ----------
    start, job
        The start, and its network where it computes.
    painted
        Slices that train or measure, with their images.
    ready
        Those that train, prepared for the network.
    """
    useless = start.parent is None or start.card.architecture in (QUICK, CLASSIFIER) or len(start.known) < 2
    if useless or not job.options.replay or not any((one.target == IGNORE).any() for one in ready):
        return []
    try:
        found = Rehearsal(start, job).slices(painted, ready, watch)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        return []
    if found:
        watch.say(f"What the start model is sure of in today's images is rehearsed: {count_slices(found)}.")
    return found


class Rehearsal:
    """Asks a start model what it finds in today's images.

    Parameters
    ----------
    start, job
        The start's network, and where it computes.
    """

    def __init__(self, start: Start, job: Job) -> None:
        self._start, self._job = start, job
        self._partial = len(start.known) < job.engine.outputs

    def slices(self, painted: Sequence[Painted], ready: Sequence[LabelledSlice], watch: Watch) -> list[LabelledSlice]:
        """Slices to rehearse; none where the start is not good in today's images.

        Parameters
        ----------
        painted
            Slices that train or measure, with their images.
        ready
            Those that train, prepared for the network.
        """
        job = self._job
        was_training = job.network.training
        job.network.eval()
        labels = {one.identity: one for one in ready if one.identity and not one.remembered}
        believed = {key: self._believe(one.pixels) for key, one in _spread([*labels.items()]) if self._fits(one.pixels)}
        found: list[LabelledSlice] = []
        shares = nearly_right([labels[key] for key in believed], [*believed.values()], self._start.known)
        if believed and all(share >= NEARLY for share in shares.values()):
            contradicted: set[str] = set()
            for key, belief in believed.items():
                one = labels[key]
                if (belief.found != one.target)[one.target != IGNORE].any():
                    contradicted.add(key)
                if (one.target == IGNORE).any():
                    found.append(_believed(one.name, one.pixels, combine(one.target, belief)))
                watch.beat()
            wrong = {one.identity for one in painted if one.identity in labels} - (believed.keys() - contradicted)
            found += self._others(painted, wrong, watch)
        job.network.train(was_training)
        return [one for one in found if (one.target != IGNORE).any()]

    def _others(self, painted: Sequence[Painted], wrong: set[str], watch: Watch) -> Iterator[LabelledSlice]:
        """Slices of the painted series that nobody has painted in, evenly spread."""
        card = self._start.card
        left: list[tuple[SliceReader, int]] = []
        for image in {id(one.image): one.image for one in painted}.values():
            own = {one.z: one for one in painted if one.image is image}
            avoid = [z for z, one in own.items() if one.identity in wrong]
            reader = SliceReader(image, card, next(iter(own.values())).value_range(card.normalisation))
            left += [(reader, z) for z in range(len(image)) if z not in own and z not in image.missing
                     and all(abs(z - other) > APART for other in avoid)]  # fmt: skip
        for reader, z in _spread(left):
            try:
                pixels = reader(z).astype(np.float16)
            except InputError:  # a damaged slice teaches nothing
                continue
            if self._fits(pixels):
                yield _believed(f"slice {z}", pixels, self._believe(pixels).sure)
            watch.beat()

    def _fits(self, pixels: npt.NDArray[np.float16]) -> bool:
        """Whether a slice goes through the network whole; slides are painted in work areas that do."""
        return bool(max(pixels.shape[-2:]) <= WHOLE)

    @torch.no_grad()
    def _believe(self, pixels: npt.NDArray[np.float16]) -> Belief:
        job = self._job
        chance = job.engine.probabilities(job.network, pixels, self._start.known)
        best, found = chance.max(0)
        known = torch.tensor(list(self._start.known), device=found.device)
        classes = known[found].cpu().numpy().astype(np.int16)
        # Where there is a class that the start does not know, its background may be just that.
        doubtful = (best.cpu().numpy() < SURE) | (self._partial & (classes == 0))
        return Belief(classes, np.where(doubtful, np.int16(IGNORE), classes))


def _believed(name: str, pixels: npt.NDArray[np.float16], target: Classes) -> LabelledSlice:
    return LabelledSlice(f"{name}, rehearsed", pixels, target, partial=True)


def combine(target: Classes, belief: Belief) -> Classes:
    """Strokes, and around them what the start is sure of; nothing where they say that it is wrong.

    A stroke on a thing that is none speaks of that whole thing; one where something was missed of its surroundings.
    """
    said = target != IGNORE
    against = said & (belief.found != target)
    kept = belief.sure.copy()
    for k in np.unique(belief.found[against]):
        if k:
            parts = ndimage.label(belief.found == k)[0]
            kept[np.isin(parts, np.unique(parts[against & (belief.found == k)]))] = IGNORE
        else:
            missed = against & (belief.found == 0)
            kept[ndimage.distance_transform_edt(~missed) <= _reach(target) * 2] = IGNORE
    kept[said] = target[said]
    return kept


def nearly_right(slices: Sequence[LabelledSlice], beliefs: Sequence[Belief], known: Sequence[int]) -> dict[int, float]:
    """Of the labelled pixels of each known class, the share on or close to where the start finds that class."""
    shares = {}
    for k in known:
        near = total = 0
        for one, belief in zip(slices, beliefs, strict=True):
            own = one.target == k
            if own.any():
                there = belief.found == k
                total += int(own.sum())
                if there.any():
                    near += int((ndimage.distance_transform_edt(~there)[own] <= _reach(one.target)).sum())
        if total:
            shares[k] = near / total
    return shares


def _reach(target: Classes) -> float:
    return float(max(target.shape)) * REACH


def _spread(items: Sequence[T]) -> list[T]:
    """At most `MOST` of them, evenly spread."""
    picked = {int(i) for i in np.linspace(0, len(items) - 1, MOST)} if items else set()
    return [items[i] for i in sorted(picked)]
