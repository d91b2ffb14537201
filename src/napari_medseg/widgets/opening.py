"""What the Open dock does in the background: look at files, then read them as layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg._layers import LayerDataTuple, image_layers, labels_layer_data, outlines_layer_data
from napari_medseg.core import Finding, Geometry, Image, Progress, Reporter

from .look import count

if TYPE_CHECKING:
    from napari_medseg.io.outlines.regions import Outlines
    from napari_medseg.io.series import Series

Source = Path | list[Path]

IMAGE, MASKS, OUTLINES = "Image", "Masks", "Outlines"


@dataclass(frozen=True)
class Found:
    """What a look at files showed: a series or images, or outlines.

    Attributes
    ----------
    kind
        What it looks like: ``IMAGE``, ``MASKS`` or ``OUTLINES``.
    """

    source: Source
    kind: str
    series: Series | None = None
    outlines: Outlines | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (self.series or self.outlines).findings  # type: ignore[union-attr]

    @property
    def name(self) -> str:
        place = self.series.source if self.series is not None else self.source
        return place.name if isinstance(place, Path) else place[0].name

    def describe(self) -> str:
        """What to check before opening."""
        return describe_series(self.series) if self.series is not None else describe_outlines(self.outlines)


@dataclass(frozen=True)
class Wish:
    """What to open, and how.

    Attributes
    ----------
    geometry
        Instead of what the files tell.
    series
        Which of several.
    title
        What to call its layer; empty for the name of its file or folder.
    in_patient
        Place oblique slices in patient coordinates.
    image
        What outlines and masks belong to.
    """

    source: Source
    kind: str
    geometry: Geometry | None = None
    series: str | None = None
    title: str = ""
    in_patient: bool = False
    image: Image | None = None


def look(source: Source, series: str | None, report: Reporter) -> Found:
    """Look at files without reading their pixels.

    Raises
    ------
    InputError
        If there is nothing to open.
    """
    from napari_medseg.io.outlines.described import read_described
    from napari_medseg.io.outlines.registry import is_outline_name
    from napari_medseg.io.registry import is_known
    from napari_medseg.io.series import find_series

    if isinstance(source, Path) and source.is_file() and is_outline_name(source) and not is_known(source):
        return Found(source, OUTLINES, outlines=read_described(source))
    found = find_series(source, series=series)
    return Found(source, MASKS if _looks_like_masks(source, found) else IMAGE, found)


def read_layers(wish: Wish, report: Reporter) -> list[LayerDataTuple]:
    """Read what is wished for as layers."""
    from napari_medseg import io

    report(Progress("Opening"))
    if wish.kind == OUTLINES:
        return [_outlines_layer(wish)]
    if wish.kind == MASKS:
        labels = io.read_labels(wish.source, series=wish.series, image=wish.image)
        if wish.geometry is not None:
            labels = replace(labels, geometry=wish.geometry)
        elif (
            wish.image is not None and wish.image.shape == tuple(labels.data.shape) and not _is_placed(labels.geometry)
        ):
            labels = replace(labels, geometry=wish.image.geometry)
        return [labels_layer_data(labels, in_patient=wish.in_patient)]
    if wish.series is None and io.inspect(wish.source).kind == "images":
        return [layer for image in io.read_set(wish.source) for layer in image_layers(image)]
    return _image_layers(io.read(wish.source, series=wish.series), wish)


def _image_layers(image: Image, wish: Wish) -> list[LayerDataTuple]:
    if wish.geometry is not None:
        image = image.with_spacing(wish.geometry.spacing, wish.geometry.unit)
        image = replace(
            image, findings=tuple(f for f in image.findings if f.code not in ("NO_SPACING", "PRINT_RESOLUTION"))
        )
    return image_layers(image, name=wish.title, in_patient=wish.in_patient)


def describe_outlines(outlines: Outlines | None) -> str:
    """Number of regions by class."""
    if outlines is None:
        return ""
    names = {c.value: c.name for c in outlines.classes}
    numbers = [(names.get(v, str(v)), sum(r.value == v for r in outlines.regions)) for v in names]
    shown = ", ".join(f"{name} {number:,}" for name, number in numbers[:5])
    return f"{count(len(outlines.regions), 'region')}: {shown}{' …' if len(numbers) > 5 else ''}"


def describe_series(found: Series) -> str:
    """Number, first and last name, size, colours and depth: what to check before opening."""
    height, width = found.shape
    what = "slice" if found.kind != "images" and found.is_stack else "image"
    lines = [count(found.count, what)]
    if len(found.files) > 1:
        lines[0] += f": {found.files[0].name} … {found.files[-1].name}"
    colors = "RGB" if found.color else "grey" if found.channels == 1 else f"{found.channels} channels"
    size = f"first {width}×{height}" if found.kind == "images" else f"{width}×{height}"
    depth = f"{8 * found.dtype.itemsize} bit" + (" decimal" if found.dtype.kind == "f" else "")
    levels = f" · {len(found.levels)} levels" if found.levels else ""
    return "\n".join([*lines, f"{size} · {colors} · {depth}{levels}"])


def _looks_like_masks(source: Source, found: Series) -> bool:
    from napari_medseg.io.holding import holds_masks
    from napari_medseg.io.names import masked_stem, stem_of

    if isinstance(source, Path) and holds_masks(source):
        return True
    name = stem_of(found.source).lower()
    called = name in ("mask", "masks", "label", "labels")
    called = called or (found.source.is_file() and masked_stem(found.source) is not None)
    return called and not found.color and found.dtype.kind in "bui"


def _is_placed(geometry: Geometry) -> bool:
    return geometry.known or bool(geometry.origin)


def _outlines_layer(wish: Wish) -> LayerDataTuple:
    from napari_medseg.io.outlines.described import described_by, read_described

    assert isinstance(wish.source, Path)
    outlines = read_described(wish.source)
    if wish.image is not None:
        outlines = described_by(outlines, wish.image)
    data, kwargs, kind = outlines_layer_data(outlines, in_patient=wish.in_patient)
    return data, {**kwargs, "name": f"{kwargs['name']} outlines"}, kind
