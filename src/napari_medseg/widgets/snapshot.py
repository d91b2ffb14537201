"""A training run as files: what was true at the click, and the images it belongs to."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medseg._layers import image_from_layer, labels_from_layer
from napari_medseg.core import Geometry, Image, Labels, ModelCard, Normalisation, Progress, Reporter, spare_value
from napari_medseg.io.blocks import read_region
from napari_medseg.training.kept_slices import spread_labels, write_slices
from napari_medseg.training.options import TrainOptions

from .files_form import NO_FILES, ChosenFiles
from .learnt import newest_slices
from .pairs_list import ChosenPair
from .placing import Box, Start
from .truth import copy_truth

if TYPE_CHECKING:
    from napari_medseg.inference.ranges import ValueRange
    from napari_medseg.training.pair import KnownRange
    from napari_medseg.training.preview import Preview
    from napari_medseg.training.run import TrainingRun
    from napari_medseg.training.verdict import TrainingResult


@dataclass(frozen=True)
class Snapshot:
    """Labelled slices of one pair, copied: painting may go on.

    Attributes
    ----------
    image
        The whole image.
    labels
        Of the true slices.
    slices
        Which slices of the labels layer these are.
    start
        Index of the image's pixel that the layer's first pixel lies on.
    unlabelled
        Value in ``labels`` that does not count.
    newest
        Those of ``slices`` that were painted since the last training; empty when that is not known.
    accepted
        Those of ``slices`` that show what a model made of them, accepted as it was.
    """

    image: Image
    labels: Labels
    slices: tuple[int, ...]
    title: str
    start: Start = ()
    unlabelled: int | None = None
    newest: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()

    @property
    def first(self) -> int:
        """The image's slice that the layer's first one lies on."""
        return self.start[0] if len(self.start) == 3 else 0

    def kept(self, neighbours: int) -> list[int]:
        """Slices of the image that go into the run: the labelled ones and those a model sees beside them."""
        wanted = {z + self.first + n for z in self.slices for n in range(-neighbours, neighbours + 1)}
        return sorted(wanted & {*range(len(self.image))})

    def in_layer(self, kept: int, neighbours: int) -> int:
        """The labels layer's slice that is the ``kept``-th of the run's."""
        return self.kept(neighbours)[kept] - self.first


def take_snapshots(pairs: Sequence[ChosenPair]) -> list[Snapshot]:
    """Copy what is true now; call it in the main thread.

    Raises
    ------
    InputError
        A layer is none that can be trained on.
    """
    snapshots = []
    for pair in pairs:
        data, unlabelled = copy_truth(pair.labels, pair.truth)
        known = data if unlabelled is None else np.where(data == unlabelled, 0, data)
        described = labels_from_layer(_Planes(pair.labels, known))
        newest = newest_slices(pair.labels, pair.truth.slices)
        image = image_from_layer(pair.image)
        start = pair.start or (0,) * len(image.shape)
        labels = _part(described, data)
        about = pair.truth.slices, pair.image.name, start, unlabelled, newest, pair.truth.untouched
        snapshots.append(Snapshot(image, labels, *about))
    return snapshots


@dataclass(frozen=True)
class Order:
    """What a click on Fine-tune asks for.

    Attributes
    ----------
    card
        The model whose input the snapshots are made for: the one to start from, or of the same kind.
    start
        What to start from: a library model, or ``architecture:encoder``.
    recall
        A model whose remembered slices all train too; empty for none.
    files
        Images and masks on disk that train too, and others that only measure.
    classes, merge
        Names of mask values, ``VALUE=NAME``, and whether all are one class.
    normalisations
        Of other models that are compared with it.
    """

    snapshots: tuple[Snapshot, ...]
    card: ModelCard
    start: str
    name: str
    options: TrainOptions
    recall: str = ""
    files: ChosenFiles = NO_FILES
    classes: tuple[str, ...] = ()
    merge: bool = False
    normalisations: tuple[Normalisation, ...] = ()

    @cached_property
    def beside(self) -> tuple[int, int]:
        """Slices on either side of each labelled one that go into the run, and how many a new network may look at."""
        from napari_medseg.training.neighbours import count_beside

        images = [one.image for one in self.snapshots]
        return count_beside(images, self.options.neighbours, (self.start, self.recall), self.card.neighbours)


def train_order(order: Order, preview: Preview, report: Reporter) -> TrainingResult:
    """Save the run and carry it out in a process of its own; called in a worker thread."""
    from napari_medseg.training.apart import train_apart

    started = time.monotonic()
    return train_apart(save_run(order, report), report, preview, started)


def save_run(order: Order, report: Reporter) -> TrainingRun:
    """Write the snapshots below the library's ``runs`` folder and build the run that repeats exactly from them.

    Each pair is a TIFF of the labelled slices (of the part under the labels), with the neighbours the model sees, and
    one of their labels; range of values and neighbours are those of the whole image, so they look to the network as
    they do when segmented.
    """
    from napari_medseg.io import write
    from napari_medseg.models.library import library_home
    from napari_medseg.training.naming import name_colors
    from napari_medseg.training.pair import Pair
    from napari_medseg.training.run import TrainingRun

    beside, fresh = order.beside
    folder = library_home() / "runs" / f"{order.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    pairs = []
    for i, snapshot in enumerate(order.snapshots):
        report(Progress("Preparing", message=f"reading the labelled slices of {snapshot.title}"))
        place = folder / f"pair-{i + 1}"
        place.mkdir(parents=True, exist_ok=True)
        kept = snapshot.kept(beside)
        slices, newest, accepted = (
            tuple(kept.index(z + snapshot.first) for z in chosen)
            for chosen in (snapshot.slices, snapshot.newest, snapshot.accepted)
        )
        stem = re.sub(r"[^\w-]+", "_", snapshot.title)[:60] or "image"
        image, labels = place / f"{stem}.tif", place / f"{stem}_labels.tif"
        cut, lost = _cut(snapshot)
        known = _without(snapshot, lost)
        write_slices(image, cut, kept, [z + snapshot.first for z in snapshot.slices])
        spread = spread_labels(known.labels, slices, len(kept), snapshot.image.geometry)
        # As what has no result: masks of only 0 and 255 are taken for masks of one class otherwise.
        write(labels, replace(spread, not_computed=known.unlabelled), overwrite=True)
        ranges = _measure(snapshot.image, order)
        pairs.append(
            Pair(
                image=image, labels=labels, slices=slices, ranges=ranges, unlabelled=known.unlabelled,
                newest=newest, accepted=accepted, neighbours=fresh, modality=snapshot.image.modality,
                channel_names=snapshot.image.channel_names,
                part=snapshot.labels.data.shape[-2:] != snapshot.image.shape[-2:],
            )
        )  # fmt: skip
    more, measures = (
        (Pair(image=one[0], labels=one[1]),) if one is not None else ()
        for one in (order.files.trains, order.files.measures)
    )
    options = order.options
    if options.panels is not None:  # the form keeps its folder from run to run
        options = options.model_copy(update={"panels": options.panels / folder.name})
    classes, ground = name_colors(order.classes)
    return TrainingRun(
        pairs=(*pairs, *more), validation_pairs=measures, start=order.start, name=order.name, options=options,
        folder=folder, recall=order.recall, merge=order.merge, classes=classes, background_colors=ground,
    )  # fmt: skip


class _Planes:
    """A labels layer with some of its slices for its data."""

    def __init__(self, layer: Any, data: npt.NDArray[Any]) -> None:
        self._layer = layer
        self.data = data if layer.data.ndim == 3 else data[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


def _measure(image: Image, order: Order) -> tuple[KnownRange, ...]:
    """The values that become 0 and 1 when the whole image is segmented, by each normalisation that may be needed."""
    from napari_medseg.inference.ranges import NORMALISATIONS
    from napari_medseg.models import is_start
    from napari_medseg.training.pair import KnownRange

    fresh = NORMALISATIONS.values() if is_start(order.start) or order.normalisations else ()
    needed = {one.ends: one for one in (order.card.normalisation, *order.normalisations, *fresh)}
    measure = _measurer(image)
    return tuple(KnownRange(normalisation=one, range=measure(one)) for one in needed.values())


def _measurer(image: Image) -> Callable[[Normalisation], ValueRange]:
    from napari_medseg.inference import measure_range

    if not image.levels:
        return partial(measure_range, image)
    from napari_medseg.inference.slides.reader import measure_slide
    from napari_medseg.inference.slides.tissue import find_tissue

    return partial(measure_slide, image, tissue=find_tissue(image))


def _cut(snapshot: Snapshot) -> tuple[Image, tuple[Box, ...]]:
    """The part of the image under the labels, all its slices; and what of the part of a slide cannot be read."""
    height, width = snapshot.labels.data.shape[-2:]
    image = snapshot.image
    if (height, width) == image.shape[-2:]:
        return replace(image, levels=()), ()
    top, left = snapshot.start[-2:]
    part = (slice(top, top + height), slice(left, left + width))
    if image.is_stack:
        return replace(image, data=image.data[(slice(None), *part)]), ()
    pixels, lost = read_region(image.data, *part)
    on_part = tuple(tuple(slice(s.start - o, s.stop - o) for s, o in zip(w, (top, left), strict=True)) for w in lost)
    return replace(image, data=pixels, levels=()), on_part  # type: ignore[return-value]


def _without(snapshot: Snapshot, lost: Sequence[Box]) -> Snapshot:
    """The labels with what of the image cannot be read as unlabelled: it is white there, and nothing else is known."""
    if not lost:
        return snapshot
    data = snapshot.labels.data
    largest = max([int(data.max(initial=0)), *(c.value for c in snapshot.labels.classes)])
    unlabelled = snapshot.unlabelled
    if unlabelled is None:
        unlabelled = spare_value(largest)
    data = data.astype(np.min_scalar_type(max(unlabelled, largest)))
    for rows, columns in lost:
        data[rows, columns] = unlabelled
    return replace(snapshot, labels=replace(snapshot.labels, data=data), unlabelled=unlabelled)


def _part(labels: Labels, data: npt.NDArray[Any]) -> Labels:
    """The labels of some slices as labels of their own."""
    geometry = labels.geometry
    if not labels.is_stack or len(data) == 1:
        about: dict[str, Any] = {"names": (), "source": None, "missing": frozenset(), "not_computed": None}
        return replace(labels, data=data[0], geometry=geometry.flat, **about)
    even = Geometry(spacing=geometry.spacing, unit=geometry.unit)
    return replace(labels, data=data, geometry=even, names=(), source=None, missing=frozenset())
