"""The small JSON file beside masks that keeps what pixels cannot: classes, geometry, missing slices, answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels, first_problem

from .format import Kept
from .registry import is_folder_format

_FOLDER_NAME = "classes.json"


class Sidecar(BaseModel):
    """What is kept; ``names`` are those of the source slices, ``missing`` the slices that hold no result.

    ``classes`` and ``geometry`` are left out where the file of masks holds them itself. ``size`` is (Y, X) of a slice,
    for outlines: their files need not tell it. ``presence`` is what the model that made the masks said of slices: the
    probability that one holds anything, which from ``threshold`` on it is taken to do; without ``outlined`` the model
    gives no masks.
    """

    model_config = ConfigDict(frozen=True)

    version: int = 1
    classes: tuple[ClassInfo, ...] = ()
    geometry: Geometry | None = None
    names: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    slices: int
    size: tuple[int, int] | None = None
    presence: dict[int, Annotated[float, Field(ge=0, le=1)]] = {}
    threshold: float | None = Field(default=None, ge=0, le=1)
    outlined: bool = True

    @classmethod
    def of(cls, labels: Labels, keeps: Collection[Kept] = ()) -> Sidecar:
        """What a file whose format ``keeps`` these things cannot hold of the labels."""
        named = "classes" in keeps and "colors" in keeps
        placed = _holds(keeps, labels.geometry)
        return cls(
            classes=() if named else labels.classes, geometry=None if placed else labels.geometry,
            names=labels.names, missing=tuple(sorted(labels.missing)), slices=len(labels),
            presence={z: round(labels.presence[z], 4) for z in sorted({*labels.presence} - labels.missing)},
            threshold=labels.threshold if labels.presence else None, outlined=labels.outlined,
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write it into a new file."""
        path.write_text(self.model_dump_json(indent=1), encoding="utf-8")

    @property
    def is_needed(self) -> bool:
        """Whether it holds anything that the file of masks does not; one slice is called as its file."""
        return bool(self.classes or self.geometry or self.missing or self.presence or (self.names and self.slices > 1))

    def answered(self, labels: Labels) -> Labels:
        """The same labels with what the model said of their slices."""
        if not self.presence:
            return labels
        return replace(labels, presence=self.presence, threshold=self.threshold or 0.0, outlined=self.outlined)


def _holds(keeps: Collection[Kept], geometry: Geometry) -> bool:
    """Whether a format that keeps these things holds all that a geometry says."""
    turned = bool(geometry.origin or geometry.direction)
    return (
        geometry.known and "spacing" in keeps and ("orientation" in keeps or not turned)
        and ("positions" in keeps or not geometry.positions)
    )  # fmt: skip


def sidecar_path(target: Path, *, folder: bool) -> Path:
    """``classes.json`` in a folder of masks, ``a.nii.gz.classes.json`` beside a file of them.

    With the suffix: masks may lie in several formats beside each other, of which each holds another part itself.
    """
    return target / _FOLDER_NAME if folder else target.with_name(f"{target.name}.{_FOLDER_NAME}")


def read_sidecar(target: Path) -> Sidecar | None:
    """Read the sidecar of a folder or file of masks, if it has one.

    Raises
    ------
    InputError
        If it is there and makes no sense.
    """
    path = sidecar_path(target, folder=target.is_dir() and not is_folder_format(target))
    if not path.is_file():
        return None
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else error.strerror
        raise InputError(
            f"{path.name} beside the masks cannot be read ({reason}).",
            "Mend it, or move it away to read the masks alone.",
        ) from error
