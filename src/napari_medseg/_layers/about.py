"""What the project keeps in a layer's metadata, in plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_medseg.core import Finding, Image, Labels, Window

METADATA = "napari_medseg"
"""Key of ``layer.metadata`` under which the project keeps what napari has no place for; plain JSON values."""

LayerDataTuple = tuple[Any, dict[str, Any], str]


def about_layer(layer: Any) -> Mapping[str, Any]:
    """What the project knows of a layer; empty when it is not one of its own."""
    info = layer.metadata.get(METADATA, {})
    return info if isinstance(info, Mapping) else {}


def is_preview(layer: Any) -> bool:
    """Whether a layer only shows what a training has learnt so far: nobody's to paint in, learn from or save."""
    return bool(about_layer(layer).get("preview"))


def describe(item: Image | Labels) -> dict[str, Any]:
    """What is kept of an image or labels."""
    windows = [{"name": w.name, "low": w.low, "high": w.high} for w in getattr(item, "windows", ())]
    return {
        "names": list(item.names),
        "source": str(item.source) if item.source else None,
        "missing": sorted(item.missing),
        "findings": [{"code": f.code, "message": f.message, "files": list(f.files)} for f in item.findings],
        "geometry": item.geometry.model_dump(mode="json"),
        **({"windows": windows} if windows else {}),
        **({"alike": item.alike} if isinstance(item, Image) and item.alike > 1 else {}),
        **({"modality": item.modality} if isinstance(item, Image) and item.modality else {}),
        **({"channel_names": [*item.channel_names]} if isinstance(item, Image) and item.channel_names else {}),
    }


def title_of(source: Path | None, default: str) -> str:
    """What to call the layer of a file or folder."""
    if source is None:
        return default
    return source.name if source.is_dir() else source.name.split(".")[0] or source.name


def source_of(layer: Any) -> Path | None:
    """The file or folder a layer came from."""
    path = about_layer(layer).get("source") or getattr(getattr(layer, "source", None), "path", None)
    return Path(path) if path else None


def names_of(layer: Any, slices: int) -> tuple[str, ...]:
    """Names of a layer's slices, if known for each."""
    names = tuple(about_layer(layer).get("names", ()))
    if len(names) == slices:
        return names
    source = source_of(layer)
    return (source.name,) if slices == 1 and source else ()


def findings_of(layer: Any) -> tuple[Finding, ...]:
    """What was found when a layer's files were opened."""
    found = about_layer(layer).get("findings", ())
    return tuple(Finding(f["code"], f["message"], tuple(f["files"])) for f in found)


def windows_of(layer: Any) -> tuple[Window, ...]:
    """The ranges of values that a layer's file asks to be shown."""
    return tuple(Window(w["name"], w["low"], w["high"]) for w in about_layer(layer).get("windows", ()))
