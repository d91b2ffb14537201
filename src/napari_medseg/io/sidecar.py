"""The small JSON file beside masks that keeps what pixels cannot: class names, colours, geometry, missing slices."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels

from .names import stem_of

_FOLDER_NAME = "classes.json"


class Sidecar(BaseModel):
    """What is kept; ``names`` are those of the source slices, ``missing`` the slices that hold no result."""

    model_config = ConfigDict(frozen=True)

    version: int = 1
    classes: tuple[ClassInfo, ...] = ()
    geometry: Geometry
    names: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    slices: int = 1

    @classmethod
    def of(cls, labels: Labels) -> Sidecar:
        return cls(
            classes=labels.classes, geometry=labels.geometry, names=labels.names,
            missing=tuple(sorted(labels.missing)), slices=len(labels),
        )  # fmt: skip


def sidecar_path(target: Path, *, folder: bool) -> Path:
    """``classes.json`` in a folder of masks, ``NAME.classes.json`` beside a file of them."""
    return target / _FOLDER_NAME if folder else target.with_name(f"{stem_of(target)}.{_FOLDER_NAME}")


def read_sidecar(target: Path) -> Sidecar | None:
    """Read the sidecar of a folder or file of masks, if it has one.

    Raises
    ------
    InputError
        If it is there and makes no sense.
    """
    path = sidecar_path(target, folder=target.is_dir())
    if not path.is_file():
        return None
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise InputError(
            f"{path.name} beside the masks cannot be read ({reason}).",
            "Mend it, or move it away to read the masks alone.",
        ) from error
