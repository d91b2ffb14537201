"""A training run as files: what was true at the click, and the images it belongs to."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_medseg._layers import image_from_layer, labels_from_layer
from napari_medseg.core import Image, InputError, Labels, ModelCard, Progress, Reporter
from napari_medseg.training.options import TrainOptions

from .pairs_list import ChosenPair
from .truth import copy_truth

if TYPE_CHECKING:
    from napari_medseg.training.run import TrainingRun


@dataclass(frozen=True)
class Snapshot:
    """Labelled slices of one pair, copied: painting may go on. ``labels`` holds the slices ``slices`` of ``image``."""

    image: Image
    labels: Labels
    slices: tuple[int, ...]
    title: str


def take_snapshots(pairs: Sequence[ChosenPair], strokes: bool) -> tuple[list[Snapshot], int | None]:
    """Copy what is true now; call it in the main thread.

    Returns
    -------
    snapshots, unlabelled
        ``unlabelled`` is the value of pixels that are not known, None when every pixel of the slices is.
    """
    described = [labels_from_layer(pair.labels) for pair in pairs]
    highest = max((c.value for labels in described for c in labels.classes), default=0)
    unlabelled = (255 if highest < 255 else 65535) if strokes else None
    if strokes and highest >= 65535:
        raise InputError("Label values above 65534 cannot be used with strokes.", "Use smaller label values.")
    snapshots = []
    for pair, labels in zip(pairs, described, strict=True):
        slices = pair.truth.slices
        data = copy_truth(pair.labels, slices, strokes, unlabelled or 0)
        image = image_from_layer(pair.image)
        snapshots.append(Snapshot(image, _part(labels, data), slices, pair.image.name))
    return snapshots, unlabelled


def save_run(
    snapshots: Sequence[Snapshot], card: ModelCard, name: str, options: TrainOptions, report: Reporter
) -> TrainingRun:
    """Write the snapshots below the library's ``runs`` folder and build the run that repeats exactly from them.

    Each pair is a TIFF of the labelled slices, with the neighbours the model sees, and one of their labels; the
    range of values is that of the whole image, so the slices look to the network as they do when segmented.
    """
    from napari_medseg.inference import measure_range
    from napari_medseg.io import write
    from napari_medseg.models.library import library_home
    from napari_medseg.training.run import Pair, TrainingRun

    folder = library_home() / "runs" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    pairs = []
    for i, snapshot in enumerate(snapshots):
        report(Progress("Preparing", message=f"reading the labelled slices of {snapshot.title}"))
        place = folder / f"pair-{i + 1}"
        place.mkdir(parents=True, exist_ok=True)
        kept = _with_neighbours(snapshot.slices, card.neighbours, len(snapshot.image))
        stem = re.sub(r"[^\w-]+", "_", snapshot.title)[:60] or "image"
        image, labels = place / f"{stem}.tif", place / f"{stem}_labels.tif"
        _write_image(image, snapshot.image, kept)
        write(labels, snapshot.labels, overwrite=True)
        slices = tuple(kept.index(z) for z in snapshot.slices)
        value_range = measure_range(snapshot.image, card.normalisation)
        pairs.append(Pair(image=image, labels=labels, slices=slices, range=value_range))
    return TrainingRun(pairs=tuple(pairs), start=card.reference, name=name, options=options, folder=folder)


def _part(labels: Labels, data: npt.NDArray[Any]) -> Labels:
    """The labels of some slices as labels of their own."""
    geometry = labels.geometry
    if not labels.is_stack or len(data) == 1:
        spacing = geometry.spacing[-2:]
        flat = geometry.model_copy(update={"spacing": spacing, "origin": (), "direction": ()})
        return replace(labels, data=data[0], geometry=flat, names=(), source=None, missing=frozenset())
    return replace(labels, data=data, names=(), source=None, missing=frozenset())


def _with_neighbours(slices: Sequence[int], around: int, count: int) -> list[int]:
    return sorted({n for z in slices for n in range(max(0, z - around), min(count, z + around + 1))})


def _write_image(path: Path, image: Image, slices: Sequence[int]) -> None:
    pixels = np.stack([image.slice(z) for z in slices])
    if pixels.dtype.name not in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"):
        pixels = pixels.astype(np.uint8 if pixels.dtype.kind == "b" else np.float64)
    stack = len(slices) > 1
    color = image.channels > 1
    about: dict[str, Any] = {"axes": ("ZYX" if stack else "YX") + ("S" if color else "")}
    if image.geometry.known:
        unit = "µm" if image.geometry.unit == "um" else "mm"
        for axis, size in zip("ZYX"[-image.geometry.ndim :], image.geometry.spacing, strict=True):
            if axis != "Z" or stack:
                about |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    photometric = "rgb" if image.channels == 3 else "minisblack"
    tifffile.imwrite(path, pixels if stack else pixels[0], ome=True, metadata=about, photometric=photometric)
