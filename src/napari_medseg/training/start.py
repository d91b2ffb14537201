"""What a run starts from: a model of the library or a fresh network, with the classes of the masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from napari_medseg.core import ClassInfo, Image, InputError, ModelCard
from napari_medseg.inference.normalise import SliceReader
from napari_medseg.inference.sizes import square_side
from napari_medseg.inference.suits import count_channels, fits
from napari_medseg.io.findings import counted
from napari_medseg.models import Model, is_start, load_model, start_card, start_network
from napari_medseg.models.adapt import add_slice_head, level_merged, match_classes
from napari_medseg.models.build import QUICK, check_names, size_multiple
from napari_medseg.models.heads import UNSET
from napari_medseg.models.starts import check_pretrained, is_quick_start
from napari_medseg.models.weights import adapt_network

from .memory import EMPTY, Archive
from .neighbours import choose_neighbours
from .quick import PLACE, check_quick, start_quick
from .run import TrainingRun
from .truth import Painted


@dataclass(frozen=True)
class Start:
    """What a run starts from.

    Attributes
    ----------
    card, network
        With the classes of the run.
    parent
        The model's card as it was; None for a fresh network.
    known
        Outputs that mean something already.
    archive
        What the model remembers of its training.
    """

    card: ModelCard
    network: nn.Module
    parent: ModelCard | None
    known: tuple[int, ...]
    archive: Archive = EMPTY


def find_start(reference: str) -> Model | None:
    """The model to start from, or None for a fresh network whose names are known to be good.

    Raises
    ------
    ModelError
        There is no such model, architecture or encoder.
    """
    if is_quick_start(reference):
        check_quick(reference)
        return None
    plain = not {"/", "\\"} & {*reference} and not reference.startswith("hf:") and not Path(reference).exists()
    if not is_start(reference) and not (plain and ":" in reference):
        return load_model(reference)
    architecture, _, rest = reference.partition(":")
    encoder, _, weights = rest.partition("+")
    check_names(architecture, encoder)
    start_card(reference, name="new", classes=(ClassInfo.numbered(1),))
    if weights:
        check_pretrained(encoder)
    return None


def make_start(
    run: TrainingRun,
    painted: Sequence[Painted],
    classes: tuple[ClassInfo, ...],
    parent: Model | None,
) -> Start:
    """The network to train: the parent with the new classes and channels, or a fresh one; with a slice head where the
    options ask for one.

    Raises
    ------
    InputError
        Images differ in channels, or the options ask for what the start cannot do.
    ModelError
        There is no such start, or its network cannot be adapted.
    """
    images = list({id(one.image): one.image for one in painted}.values())
    quick = is_quick_start(run.start)
    base = load_model(run.start.partition(":")[2]) if quick and ":" in run.start else None
    if teacher := parent or base:
        card, network = teacher.card, teacher.network
        as_they_are = all(fits(image, card.channels) for image in images)
    channels = card.channels if teacher and as_they_are else max(count_channels(image) for image in images)
    for image in images:
        if not fits(image, channels):
            raise InputError(
                f"{image.source or 'An image'} has {counted(image.channels, 'channel')}, others have {channels}.",
                "Train grey and colour images apart.",
            )
    if parent is None:
        spec = "unet:resnet18" if quick else run.start
        neighbours = 0 if quick else choose_neighbours(run, painted)
        fresh = start_card(spec, name=run.name, classes=classes, channels=channels, neighbours=neighbours)
        known = sorted(side for side in map(square_side, images) if side is not None)
        if len(known) == len(images):
            fresh = fresh.model_copy(update={"pixel_size": float(f"{known[len(known) // 2]:.6g}")})
        if quick and (run.options.presence or run.options.neighbours in {"1", "2"}):
            what = "learn whether a slice holds anything" if run.options.presence else "look at neighbouring slices"
            raise InputError(f"Quick cannot {what}.", "Start from a network, such as unet:resnet18.")
        if quick:
            whole = not any(pair.part for pair in run.pairs)
            placed = whole and max(max(image.shape[-2:]) for image in images) <= PLACE
            return Start(*start_quick(fresh, placed, base), None, ())
        scale = {"reduction": max(1.0, run.options.reduction), "longest": run.options.longest or None}
        fresh = fresh.model_copy(update=scale)
        if run.options.presence:
            fresh = fresh.model_copy(update={"presence": UNSET})
        return Start(fresh, start_network(run.start, fresh), None, ())
    rows = match_classes(card.classes, classes)
    learnt = (0, *(i for i, row in enumerate(rows, 1) if row))
    new = card
    if (channels, classes) != (card.channels, card.classes):
        old, (new, network) = network, adapt_network(card, network, classes=classes, channels=channels)
        as_one = len(rows) == 1 < len(rows[0]) and channels == card.channels
        if as_one and card.architecture != QUICK and card.outlines:
            level_merged(old, network, _some(painted, new))
    if run.options.presence:
        new, network = add_slice_head(new, network)
    return Start(new, network, card, learnt)


def _some(painted: Sequence[Painted], card: ModelCard) -> Iterator[npt.NDArray[np.float32]]:
    """The middle of a few slices that show a class, as the network's input."""
    shown = [one for one in painted if one.shown - {0}]
    multiple = size_multiple(card)
    for one in shown[:: 1 + len(shown) // 4]:
        with suppress(InputError):  # said where it is read to learn from
            pixels = SliceReader(one.image, card, one.value_range(card.normalisation))(one.z)
            sides = [min(n, 768) // multiple * multiple for n in pixels.shape[1:]]
            if all(sides):
                top, left = ((n - side) // 2 for n, side in zip(pixels.shape[1:], sides, strict=True))
                yield np.ascontiguousarray(pixels[:, top : top + sides[0], left : left + sides[1]])


def about_start(run: TrainingRun, start: Start, images: Sequence[Image]) -> list[str]:
    """What there is to say where a trained model is not all that the images or the options ask for."""
    old = start.parent
    if old is None:
        return []
    said = []
    if old.channels != start.card.channels:
        said.append(f"{old.reference} takes {old.takes}: its first layer is fitted to {start.card.takes}.")
    beside = counted(old.neighbours, "slice") if old.neighbours else "no slices"
    if run.options.neighbours not in ("auto", str(old.neighbours)):
        said.append(f"{old.reference} looks at {beside} on either side, and so does what is made from it.")
    if old.neighbours and any(len(image) == 1 for image in images):
        said.append(f"{old.reference} looks at {beside} on either side; a single one is its own neighbour.")
    return said
