"""Pixels of masks that have no result: told apart from background in every file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_medseg.core import ClassInfo, Labels

NAME = "not computed"
COLOR = "#808080"


def named_absent(labels: Labels) -> Labels:
    """The same labels, with the value of pixels without a result as a class of that name, as files can hold it."""
    if labels.not_computed is None:
        return labels
    others = tuple(c for c in labels.classes if c.value != labels.not_computed)
    absent = ClassInfo(value=labels.not_computed, name=NAME, color=COLOR)
    return replace(labels, classes=(*others, absent), not_computed=None)


def known_absent(labels: Labels, value: int | None = None) -> Labels:
    """The reverse: the class of that name, or ``value``, is no class but the lack of one."""
    if value is None:
        value = next((c.value for c in labels.classes if c.name == NAME), None)
    if value is None:
        return labels
    return replace(labels, classes=tuple(c for c in labels.classes if c.value != value), not_computed=value)


def stored_absent(path: Path) -> int | None:
    """The value of pixels without a result, where an OME-Zarr tells it; None of all other files."""
    if not (path / "zarr.json").is_file():
        return None
    from napari_medseg.io.zarr.image import ZarrImage
    from napari_medseg.io.zarr.metadata import OWN

    own = ZarrImage(path, 0).attributes.get(OWN)
    value = own.get("not_computed") if isinstance(own, dict) else None
    return value if isinstance(value, int) else None
