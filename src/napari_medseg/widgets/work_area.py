"""A part of a slide's result as a layer that can be painted, and back into the result: no Qt here.

Values of what is not computed stay what they are in a work area: they are grey there, count for nothing when it
teaches, and are not written when it is put back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from napari_medseg._layers import (
    METADATA,
    about_layer,
    class_colormap,
    class_features,
    classes_of,
    image_from_layer,
    part_of,
)
from napari_medseg.core import ClassInfo, InputError, Progress, Reporter
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.editing.journal import begin_save

from .placing import Box, cut_to, find_view, image_shape, place_part
from .result_layer import link_image
from .slide_result import result_path
from .slide_scope import polygons_in

if TYPE_CHECKING:
    import napari.viewer

    from napari_medseg.io.zarr.labels import LabelPyramid

MOST = 4096
"""Width and height of the largest work area, in pixels of full resolution."""

_BAND = 512

# What of a work area is in its result already.
_in_result: WeakKeyDictionary[Any, bytes] = WeakKeyDictionary()


@dataclass(frozen=True)
class Lifted:
    """Values of a part of a result."""

    path: Path
    box: Box
    values: npt.NDArray[Any]
    not_computed: int


@dataclass(frozen=True)
class Patch:
    """A work area as it was at the click, on its way into the result.

    Attributes
    ----------
    classes
        Those of the layer: the result's, and what was added.
    known
        `digest` of what of it is in the result already.
    saved
        To be called when it is in the result.
    """

    path: Path
    box: Box
    values: npt.NDArray[Any]
    classes: tuple[ClassInfo, ...]
    known: bytes
    saved: Callable[[], None]


def is_work_area(layer: Any) -> bool:
    """Whether a layer is a part of a slide's result that can be put back."""
    return layer._type_string == "labels" and not layer.multiscale and result_path(layer) is not None


def find_work_area(viewer: napari.viewer.Viewer, path: Path | None = None) -> Any:
    """The active work area, else the newest one; with ``path``, of this result. None where there is none."""
    layers = [layer for layer in viewer.layers if is_work_area(layer) and path in (None, result_path(layer))]
    active = viewer.layers.selection.active
    return active if active in layers else (layers[-1] if layers else None)


def choose_box(viewer: napari.viewer.Viewer, image_layer: Any) -> tuple[Box, str]:
    """What to lift: around the shape drawn in the active Shapes layer, else what is in view; and a note if it was cut.

    Raises
    ------
    InputError
        Nothing of the slide is in view, or the shape lies beside it.
    """
    active = viewer.layers.selection.active
    height, width = image_shape(image_layer)[-2:]
    if active is not None and active._type_string == "shapes" and len(active.data):
        box = _around(active, image_layer)
    elif (seen := find_view(viewer, image_layer)) is not None:
        box = seen
    elif viewer.dims.ndisplay == 2 and getattr(viewer, "window", None) is None:
        box = (slice(0, height), slice(0, width))
    else:
        raise InputError("Nothing of the slide is in view.", "Move it into view, in 2D.")
    cut = cut_to(box, MOST)
    if cut == box:
        return box, ""
    wide, high = (f"{side.stop - side.start:,}" for side in reversed(box))
    return (
        cut,
        f"It is the middle of {wide} × {high} pixels, as large as a work area can be; zoom in to choose another.",
    )


def lift(path: Path, box: Box, report: Reporter) -> Lifted:
    """Read a part of a result; runs in a worker."""
    report(Progress("Lifting"))
    pyramid = _open(path)
    values = pyramid.read(*box)
    return Lifted(path, box, values, pyramid.not_computed)


def add_work_area(viewer: napari.viewer.Viewer, image_layer: Any, result_layer: Any, lifted: Lifted) -> Any:
    """Add what was lifted as a layer, pixel on pixel over the slide, ready to paint in."""
    start = (lifted.box[0].start, lifted.box[1].start)
    classes = classes_of(result_layer)
    about = about_layer(result_layer)
    geometry = part_of(image_from_layer(image_layer).geometry, start, lifted.values.shape)
    info = {
        **{key: about[key] for key in ("card", "options", "names", "source") if key in about},
        "image": image_layer.name,
        "truth": "slices",
        "classes": [c.model_dump() for c in classes],
        "result": str(lifted.path),
        "not_computed": lifted.not_computed,
        "start": list(start),
        "geometry": geometry.model_dump(mode="json"),
    }
    layer = viewer.add_labels(
        lifted.values,
        name=f"{image_layer.name} work area",
        metadata={METADATA: info},
        colormap=class_colormap(classes, lifted.not_computed),
        features=class_features(classes, lifted.not_computed),
        opacity=0.6,
        **place_part(image_layer, start),
    )
    link_image(layer, image_layer)
    layer.selected_label = classes[0].value if classes else 1
    layer.brush_size = max(4, round(max(lifted.values.shape) / 60))
    if viewer.dims.ndisplay == 2:
        layer.mode = "paint"
    return layer


def describe_lifted(lifted: Lifted) -> str:
    """What a user should know of a work area beside its place; empty where all of it is computed."""
    share = float((lifted.values == lifted.not_computed).mean())
    if share == 0:
        return ""
    what = "Nothing of it is computed" if share == 1 else f"{100 * share:.0f} % of it are not computed"
    return f"{what}: grey there, it stays as it is until you paint over it."


def take_patch(layer: Any) -> Patch:
    """Copy a work area for `put_back`; call it in the main thread.

    Raises
    ------
    InputError
        Nothing was painted or accepted in it, or its result is gone.
    """
    path = result_path(layer)
    assert path is not None
    if not path.is_dir():
        raise InputError(
            f"The result {path.name} is not there any more; “{layer.name}” is kept.", "Save its masks to keep them."
        )
    corrections = corrections_of(layer)
    corrections.look()
    if not (corrections.accepted or corrections.edited_slices()):
        raise InputError(
            f"Nothing was painted in “{layer.name}” yet.", "Paint over a mistake, or accept it with the key A."
        )
    values = np.array(layer.data)
    top, left = about_layer(layer)["start"]
    box = slice(top, top + values.shape[0]), slice(left, left + values.shape[1])
    return Patch(path, box, values, classes_of(layer), _in_result.get(layer, b""), begin_save(layer))


def put_back(patch: Patch, report: Reporter) -> tuple[int | None, bytes]:
    """Write a work area into its result, in all levels, so that no later run overwrites it; runs in a worker.

    Returns
    -------
    (changed, digest)
        How many pixels of the result changed; None when all of it had been put back before. And what to give to
        `note_in_result`.

    Raises
    ------
    InputError, OutputError
        The result is not what the area was lifted from any more, or cannot be written.
    """
    from napari_medseg.inference.slides.ledger import Ledger
    from napari_medseg.io.zarr.classes import name_classes

    report(Progress("Putting back"))
    now = digest(patch.values)
    if now == patch.known:
        return None, now
    ledger = Ledger(patch.path)
    with ledger.writing():  # a run, perhaps of another program, writes chunks before or after, never in between
        pyramid = _open(patch.path)
        _check(patch, pyramid)
        # Kept first: whatever chunk a run writes from now on holds it too.
        ledger.keep(*patch.box, patch.values)
        before = pyramid.read(*patch.box)
        values = np.where(patch.values == pyramid.not_computed, before, patch.values)
        changed = int((values != before).sum())
        pyramid.put(*patch.box, values)
        known = {c.value for c in pyramid.classes}
        if added := [c for c in patch.classes if c.value not in known]:
            name_classes(patch.path, sorted([*pyramid.classes, *added], key=lambda c: c.value))
    return changed, now


def note_in_result(layer: Any, known: bytes) -> None:
    """Remember what of a work area is in its result."""
    _in_result[layer] = known


def digest(values: npt.NDArray[Any]) -> bytes:
    """The same for the same values."""
    return blake2b(np.ascontiguousarray(values).data, digest_size=16).digest()


def _check(patch: Patch, pyramid: LabelPyramid) -> None:
    rows, columns = patch.box
    inside = rows.stop <= pyramid.shape[0] and columns.stop <= pyramid.shape[1]
    theirs = {c.value: c.name for c in pyramid.classes}
    same = all(theirs.get(c.value, c.name) == c.name for c in patch.classes)
    if not inside or not same or patch.values.dtype != pyramid.dtype:
        raise InputError(
            f"{patch.path.name} was made anew with other classes or another size.",
            "Save the work area's masks, or correct the new result.",
        )


def _open(path: Path) -> LabelPyramid:
    from napari_medseg.io.zarr.labels import LabelPyramid

    return LabelPyramid.open(path)


def _around(shapes_layer: Any, image_layer: Any) -> Box:
    """The box around the selected shapes of a layer, or around its last one."""
    chosen = sorted(shapes_layer.selected_data) or [len(shapes_layer.data) - 1]
    polygons = polygons_in(shapes_layer, image_layer)
    if len(polygons) == len(shapes_layer.data):
        polygons = tuple(polygons[i] for i in chosen)
    points = np.concatenate(polygons)
    shape = np.array(image_shape(image_layer)[-2:])
    low = np.clip(np.round(points.min(0)), 0, shape).astype(int)
    high = np.clip(np.round(points.max(0)), 0, shape).astype(int)
    if (high - low < 1).any():
        raise InputError("The shape lies beside the slide.", "Draw a rectangle on it, or choose another layer.")
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
