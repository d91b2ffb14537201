"""Outlines onto an image: filled into labels of its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from napari_medseg.core import ClassInfo, Finding, Geometry, Image, InputError, Labels
from napari_medseg.io.budget import check_budget, in_gib, stack_budget
from napari_medseg.io.findings import counted
from napari_medseg.io.masks.values import smallest_type
from napari_medseg.io.names import in_order, stem_of
from napari_medseg.io.registry import is_folder_format, is_known
from napari_medseg.io.sidecar import Sidecar, read_sidecar

from .fill import fill
from .gathering import gathered, with_classes
from .regions import Outlines, bounds, scaled
from .registry import is_outline_name, read_outlines

OutlineUnit = Literal["pixel", "um", "mm"]
Source = str | Path | Sequence[str | Path]


def holds_outlines(source: Source) -> bool:
    """Whether a file has the name of outlines, or a folder holds such files and no images."""
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    if path.is_file():
        return is_outline_name(path) and not is_known(path)
    if not path.is_dir() or is_folder_format(path):
        return False
    return bool(outline_files(path)) and not any(is_known(p) for p in path.iterdir() if p.is_file())


def outline_files(source: Path) -> list[Path]:
    """The file, or those of a folder, whose names outlines have; in the order people count."""
    if not source.is_dir():
        return [source] if is_outline_name(source) else []
    return in_order([p for p in source.iterdir() if not p.name.startswith(".") and is_outline_name(p) and p.is_file()])


def read_outline_labels(
    source: str | Path,
    *,
    image: Image | None = None,
    series: str | None = None,
    unit: OutlineUnit = "pixel",
    classes: Sequence[ClassInfo] = (),
) -> Labels:
    """Read outlines and fill them: a pixel belongs to a region when its centre lies inside.

    Parameters
    ----------
    source
        A file; or a folder of them, one an image, whose names are those of the slices.
    image
        What they were drawn on: gives size, geometry and names. Without it the file or its sidecar has to tell the
        size.
    series
        Which image of a file that holds the outlines of several, by its name.
    unit
        What the coordinates count in; micrometres and millimetres need an image that knows its pixel size.
    classes
        Which values classes of these names have, where no sidecar says.

    Returns
    -------
    Labels
        Of the size of the image, in the smallest unsigned type.

    Raises
    ------
    InputError
        If they cannot be read, fit no image, or nothing tells how large it is.
    """
    source = Path(source)
    files = outline_files(source)
    if not files:
        raise InputError(f"{source} holds no outlines.", "Choose a file of outlines, or the folder they lie in.")
    sidecar = read_sidecar(source)
    beside = sidecar or read_sidecar(files[0].parent)
    known = beside.classes if beside else classes
    found = gathered([with_classes(read_outlines(path), known) for path in files], source)
    if sidecar and (not source.is_dir() or len(found) == sidecar.slices):
        sizes = found.sizes or ((sidecar.size,) * sidecar.slices if sidecar.size else ())
        found = replace(found, sizes=sizes, names=sidecar.names or found.names, geometry=sidecar.geometry)
    found = _chosen(found, image, series, sidecar)
    if unit != "pixel":
        found = replace(found, regions=scaled(found.regions, _pixels_per(unit, image, source)))
    fits = sidecar is not None and sidecar.slices == (len(image) if image else len(found))
    if sidecar is None or not fits:
        return filled(found, image)
    return sidecar.answered(filled(found, image, missing=frozenset(sidecar.missing)))


def fill_slices(files: Mapping[int, Path], image: Image, folder: Path) -> Labels:
    """Labels of an image of whose slices some have a file of outlines in a folder; the others are missing.

    A file that cannot be read counts as missing too, and a finding says so (``UNREADABLE``).

    Raises
    ------
    InputError
        If none can be read, or one was drawn on another image.
    """
    beside = read_sidecar(folder)
    parts: dict[int, Outlines] = {}
    damage: dict[int, str] = {}
    for z, path in files.items():
        try:
            parts[z] = with_classes(read_outlines(path), beside.classes if beside else ())
        except InputError as error:
            damage[z] = error.message
    if not parts:
        raise InputError(f"No outlines in {folder.name} can be read: {next(iter(damage.values()), 'there are none')}")
    found = _picked(gathered([*parts.values()], folder), dict(enumerate(parts)), len(image))
    labels = filled(found, image, missing=frozenset(range(len(image))) - parts.keys())
    if not damage:
        return labels
    text = f"{counted(len(damage), 'mask')} cannot be read, counted as missing: {next(iter(damage.values()))}"
    told = Finding("UNREADABLE", text, tuple(files[z].name for z in damage))
    return replace(labels, findings=(*labels.findings, told))


def filled(outlines: Outlines, image: Image | None = None, *, missing: frozenset[int] = frozenset()) -> Labels:
    """Labels of outlines whose slices are those of the image, or of the images that they name themselves.

    Raises
    ------
    InputError
        If sizes do not fit, or all of them lie beside the image.
    """
    name = outlines.source.name if outlines.source else "outlines"
    size, slices, stack = _size(outlines, image, name)
    outlines = _fitted(outlines, size, name)
    findings = [*outlines.findings, *_beside(outlines, size, name)]
    dtype = smallest_type(max((c.value for c in outlines.classes), default=1))
    check_budget(Path(name), size, dtype)
    if slices * size[0] * size[1] * dtype.itemsize > stack_budget():
        need = in_gib(slices * size[0] * size[1] * dtype.itemsize)
        raise InputError(f"Labels of the outlines in {name} take {need} of memory.", "Read them in parts.")
    data = np.zeros((slices, *size), dtype)
    overlapping = empty = 0
    for z in sorted({r.z for r in outlines.regions}):
        done = fill([r for r in outlines.regions if r.z == z], data[z])
        overlapping, empty = overlapping + done.overlapping, empty + done.empty
    if overlapping:
        text = f"{overlapping} pixels of {name} lie in outlines of two classes: the smaller outline has them."
        findings.append(Finding("OVERLAPPING_OUTLINES", text, (name,)))
    if empty:
        findings.append(Finding("EMPTY_OUTLINES", f"{empty} outlines of {name} enclose no pixel's centre.", (name,)))
    geometry = image.geometry if image else outlines.geometry or Geometry.unknown(3 if stack else 2)
    fits = geometry.ndim == (3 if stack else 2)
    names = image.names if image else outlines.names
    return Labels(
        data=data if stack else data[0], classes=outlines.classes, names=names if len(names) == slices else (),
        geometry=geometry if fits else geometry.flat if not stack else Geometry.unknown(3),
        source=image.source if image and image.source else outlines.source, findings=tuple(findings), missing=missing,
    )  # fmt: skip


def _chosen(outlines: Outlines, image: Image | None, series: str | None, sidecar: Sidecar | None) -> Outlines:
    """Regions on the slices of the image that they belong to."""
    name = outlines.source.name if outlines.source else "outlines"
    if series is not None or (image is not None and not image.is_stack and len(outlines) > 1):
        wanted = series or (image.names[0] if image and image.names else "")
        places = [z for z, n in enumerate(outlines.names) if n == wanted or stem_of(n) == stem_of(wanted)]
        if len(places) != 1:
            some = ", ".join(f"'{n}'" for n in outlines.names[:8])
            raise InputError(
                f"{name} holds the outlines of {len(outlines)} images, none or several of them called '{wanted}'.",
                f"Choose one with --series: {some}.",
            )
        return _picked(outlines, {places[0]: 0}, 1)
    if image is None or not image.is_stack:
        return outlines
    own = {stem_of(n).lower(): z for z, n in enumerate(image.names)}
    moved = {z: own[s] for z, n in enumerate(outlines.names) if (s := stem_of(n).lower()) in own}
    if moved and len(moved) == len(outlines.names) == len({*moved.values()}):
        return _picked(outlines, moved, len(image))
    if len(outlines) <= len(image) and (len(outlines) == len(image) or _by_number(outlines, sidecar, image)):
        return _picked(outlines, {z: z for z in range(len(outlines))}, len(image))
    raise InputError(
        f"{name} holds the outlines of {len(outlines)} images, and {_called(image)} has {len(image)} slices.",
        "Name the files of outlines as the slices.",
    )


def _by_number(outlines: Outlines, sidecar: Sidecar | None, image: Image) -> bool:
    """Whether slices are told by their number: by planes, or because the sidecar knows of as many."""
    planes = len(outlines) > len(outlines.names)
    return planes or (sidecar is not None and sidecar.slices == len(image))


def _picked(outlines: Outlines, places: dict[int, int], count: int) -> Outlines:
    regions = tuple(replace(r, z=places[r.z]) for r in outlines.regions if r.z in places)
    some = sorted(places) if outlines.sizes else []
    sizes = {outlines.sizes[z] for z in some if z < len(outlines.sizes)}
    names = tuple(n for z, n in enumerate(outlines.names) if z in places)
    return replace(
        outlines, regions=regions, names=names if len(names) == count else (),
        sizes=tuple(sizes) * count if len(sizes) == 1 else tuple(outlines.sizes[z] for z in some),
    )  # fmt: skip


def _size(outlines: Outlines, image: Image | None, name: str) -> tuple[tuple[int, int], int, bool]:
    """(Y, X), number of slices, and whether they make a stack."""
    if image is not None:
        return (image.shape[-2], image.shape[-1]), len(image), image.is_stack
    sizes = {*outlines.sizes}
    if not sizes:
        raise InputError(
            f"{name} does not tell the size of the image that its outlines were drawn on.",
            "Give the image (on the command line --image).",
        )
    if len(sizes) > 1:
        some = ", ".join(f"'{n}'" for n in outlines.names[:8])
        raise InputError(
            f"{name} holds the outlines of {len(outlines.sizes)} images of different sizes.",
            f"Choose one with --series: {some}.",
        )
    stack = len(outlines) > 1 or (outlines.geometry is not None and outlines.geometry.ndim == 3)
    return next(iter(sizes)), len(outlines), stack


def _fitted(outlines: Outlines, size: tuple[int, int], name: str) -> Outlines:
    """Outlines stretched to the image where they may be; refused where they were drawn on another."""
    others = {s for s in outlines.sizes if s != size}
    if not others:
        return outlines
    height, width = next(iter(others))
    factor = size[0] / height, size[1] / width
    if len({*outlines.sizes}) > 1 or not outlines.scalable or abs(factor[0] / factor[1] - 1) > 0.01:
        raise InputError(
            f"The outlines in {name} were drawn on {width} x {height} pixels, the image has {size[1]} x {size[0]}.",
            "Give the image that they were drawn on.",
        )
    text = f"{name} was drawn on {width} x {height} and is stretched to the {size[1]} x {size[0]} pixels of the image."
    return replace(
        outlines, regions=scaled(outlines.regions, factor), sizes=(),
        findings=(*outlines.findings, Finding("SCALED_OUTLINES", text, (name,))),
    )  # fmt: skip


def _beside(outlines: Outlines, size: tuple[int, int], name: str) -> list[Finding]:
    """What lies beyond the edges of the image; all of it means that they belong to another, or count otherwise."""
    boxes = [bounds(r) for r in outlines.regions]
    gone = sum(t >= size[0] or l >= size[1] or b <= 0 or r <= 0 for t, l, b, r in boxes)  # noqa: E741
    over = sum(t < -1 or l < -1 or b > size[0] + 1 or r > size[1] + 1 for t, l, b, r in boxes)  # noqa: E741
    if boxes and gone == len(boxes):
        raise InputError(
            f"None of the {len(boxes)} outlines in {name} lies on the image of {size[1]} x {size[0]} pixels.",
            "Are they of another image, or in micrometres (--unit um)?",
        )
    if not over:
        return []
    text = f"{over} of {len(boxes)} outlines in {name} reach beyond the image; what lies there is cut off."
    return [Finding("OUT_OF_BOUNDS", text, (name,))]


def _pixels_per(unit: OutlineUnit, image: Image | None, source: Path) -> tuple[float, float]:
    """Pixels along Y and X to one unit."""
    if image is None or not image.geometry.known:
        raise InputError(
            f"Outlines of {source.name} in {unit} need an image that tells its pixel size.",
            "Give the image, with its spacing.",
        )
    in_mm = {"um": 1e-3, "mm": 1.0}
    ratio = in_mm[unit] / in_mm[image.geometry.unit]
    return ratio / image.geometry.spacing[-2], ratio / image.geometry.spacing[-1]


def _called(image: Image) -> str:
    return image.source.name if image.source else "the image"
