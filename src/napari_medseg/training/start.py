"""What a run starts from: a model of the library or a fresh network, with the classes of the masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from napari_medseg.core import ClassInfo, InputError, ModelCard
from napari_medseg.inference.normalise import count_channels
from napari_medseg.models import Model, is_start, load_model, start_card, start_network
from napari_medseg.models.adapt import match_classes
from napari_medseg.models.build import check_names, check_pretrained
from napari_medseg.models.weights import adapt_network

from .run import TrainingRun
from .truth import Painted


@dataclass(frozen=True)
class Start:
    """What a run starts from: card and network with the new classes, and outputs that mean something already."""

    card: ModelCard
    network: nn.Module
    parent: ModelCard | None
    known: tuple[int, ...]


def find_start(reference: str) -> Model | None:
    """The model to start from, or None for a fresh network whose names are known to be good.

    Raises
    ------
    ModelError
        There is no such model, architecture or encoder.
    """
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
    """The network to train: the parent with the new classes and channels, or a fresh one."""
    images = list({id(one.image): one.image for one in painted}.values())
    if parent:
        card, network = parent.card, parent.network
        # RGB files may hold nothing but grey; a grey model takes them so, a colour model as they are.
        fits = all(image.channels == card.channels for image in images)
        channels = card.channels if fits else max(count_channels(image) for image in images)
    else:
        channels = max(count_channels(image) for image in images)
    for image in images:
        if channels not in (image.channels, count_channels(image)):
            raise InputError(
                f"{image.source or 'An image'} has {image.channels} channels, others have {channels}.",
                "Train grey and colour images apart.",
            )
    if parent is None:
        fresh = start_card(run.start, name=run.name, classes=classes, channels=channels)
        sizes = [image.geometry.pixel_size for image in images]
        known = sorted(size for size in sizes if size is not None)
        if len(known) == len(sizes):
            fresh = fresh.model_copy(update={"pixel_size": round(known[len(known) // 2], 6)})
        return Start(fresh, start_network(run.start, fresh), None, ())
    rows = match_classes(card.classes, classes)
    learnt = (0, *(i for i, row in enumerate(rows, 1) if row))
    if (channels, classes) != (card.channels, card.classes):
        adapted, network = adapt_network(card, network, classes=classes, channels=channels)
        return Start(adapted, network, card, learnt)
    return Start(card, network, card, learnt)
