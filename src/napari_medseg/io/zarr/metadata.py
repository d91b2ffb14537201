"""What the metadata of an OME-Zarr tells: its images, their axes, where they lie, and the classes of masks.

Source: OME-NGFF specification 0.5 (and 0.4 and before, where they differ): "multiscales", "image-label", "omero",
"bioformats2raw.layout", "plate".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from napari_medseg.core import ClassInfo, Geometry, Window
from napari_medseg.io.units import UNITS, common_unit

OWN = "napari-medseg"
"""Name of our attribute beside those of the specification: the whole geometry, which that cannot tell."""

_OLD_AXES = "tczyx"
_RGB = (("FF0000", "00FF00", "0000FF"), ("F00", "0F0", "00F"))
_MOST_CLASSES = 1024
"""More colours than this are those of single things (nuclei, cells), not of classes."""


class MetadataError(ValueError):
    """The metadata makes no sense; says why."""


@dataclass(frozen=True)
class Multiscale:
    """One image as its group describes it.

    Attributes
    ----------
    path
        Of the array of the first level, within the group.
    axes
        Letters of its axes, in the order they are stored: some of ``t c z y x``.
    spacing, origin
        Of each axis.
    units
        Of each axis; empty where not told.
    smaller
        Paths of the arrays of smaller levels, in the order of the file.
    """

    path: str
    axes: str
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    units: tuple[str, ...]
    smaller: tuple[str, ...] = ()

    def geometry(self) -> Geometry:
        """Of the axes of space, Z first: unit ``pixel`` where no units of length are told."""
        places = [n for n, axis in enumerate(self.axes) if axis in "zyx"]
        units = [UNITS.get(self.units[n].lower()) for n in places]
        known = [u for u in units if u]
        if len(known) < len(places):
            return Geometry.unknown(len(places))
        spacing, unit = common_unit([self.spacing[n] for n in places], known)
        origin, _ = common_unit([self.origin[n] for n in places], known)
        return Geometry(spacing=spacing, origin=origin if any(origin) else (), unit=unit)


def ome_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes of a group that the specification names: within ``ome`` since 0.5."""
    inner = attributes.get("ome")
    return inner if isinstance(inner, Mapping) else attributes


def read_multiscale(ome: Mapping[str, Any]) -> Multiscale:
    """The first image of a group.

    Raises
    ------
    MetadataError
        If it makes no sense.
    """
    try:
        about = ome["multiscales"][0]
        dataset = about["datasets"][0]
        listed = about.get("axes") or list(_OLD_AXES)
        axes = [a if isinstance(a, str) else a["name"] for a in listed]
        units = tuple("" if isinstance(a, str) else str(a.get("unit") or "") for a in listed)
        spacing, origin = [1.0] * len(axes), [0.0] * len(axes)
        for step in (
            *(dataset.get("coordinateTransformations") or ()),
            *(about.get("coordinateTransformations") or ()),
        ):
            if step["type"] not in ("scale", "translation", "identity"):
                raise MetadataError(f"its transformation '{step['type']}' is not known")
            values = step.get(step["type"]) or ()
            for n, value in enumerate(map(float, values)):
                if step["type"] == "scale":
                    spacing[n], origin[n] = spacing[n] * value, origin[n] * value
                else:
                    origin[n] += value
        path, *smaller = (str(found["path"]) for found in about["datasets"])
    except (LookupError, TypeError, AttributeError) as error:
        raise MetadataError("its metadata names no image") from error
    names = "".join(str(a).lower() for a in axes)
    if len(names) != len(axes) or len({*names}) < len(axes) or {*names} - {*_OLD_AXES} or names[-2:] != "yx":
        raise MetadataError(f"it has the axes {', '.join(map(str, axes))}, not some of t, c, z and then y, x")
    if not all(math.isfinite(x) for x in (*spacing, *origin)) or any(s <= 0 for s in spacing):
        raise MetadataError(f"its scale is {spacing}")
    return Multiscale(path, names, tuple(spacing), tuple(origin), units, tuple(smaller))


def read_own_geometry(attributes: Mapping[str, Any], shape: Sequence[int], told: Geometry) -> Geometry:
    """The whole geometry that masks were written with, where it still fits to shape and scale; else the one told."""
    try:
        geometry = Geometry.model_validate(attributes[OWN]["geometry"])
    except (LookupError, TypeError, ValidationError):
        return told
    fits = geometry.ndim == len(shape) and len(geometry.positions) in (0, shape[0]) and geometry.unit == told.unit
    near = fits and all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(geometry.spacing, told.spacing, strict=True))
    return geometry if near else told


def read_label_classes(ome: Mapping[str, Any]) -> tuple[ClassInfo, ...]:
    """Names and colours of an ``image-label``; empty where there are none."""
    about = ome.get("image-label")
    if not isinstance(about, Mapping):
        return ()
    colors = {v: e.get("rgba") for v, e in _by_value(about.get("colors"))}
    names = {
        v: next((str(e[k]) for k in ("name", "class", "label") if e.get(k)), "")
        for v, e in _by_value(about.get("properties"))
    }
    if len(colors.keys() | names.keys()) > _MOST_CLASSES:
        return ()
    found = []
    for value in sorted(colors.keys() | names.keys()):
        one = ClassInfo.numbered(value, names.get(value, ""))
        rgb = colors.get(value)
        if isinstance(rgb, list) and len(rgb) >= 3 and all(isinstance(x, int) and 0 <= x <= 255 for x in rgb[:3]):
            one = one.model_copy(update={"color": "#{:02x}{:02x}{:02x}".format(*rgb[:3])})
        found.append(one)
    return tuple(found)


def read_windows(ome: Mapping[str, Any]) -> tuple[tuple[Window, ...], bool]:
    """Ranges to be shown of each channel, and whether the channels are red, green and blue."""
    channels = _channels(ome)
    windows = []
    for channel in channels:
        window = channel.get("window")
        low, high = (window.get("start"), window.get("end")) if isinstance(window, Mapping) else (None, None)
        if isinstance(low, int | float) and isinstance(high, int | float) and -math.inf < low < high < math.inf:
            windows.append(Window(str(channel.get("label") or "as in the file"), float(low), float(high)))
    is_rgb = tuple(str(c.get("color", "")).upper().lstrip("#") for c in channels) in _RGB
    return tuple(windows), is_rgb


def read_channel_names(ome: Mapping[str, Any]) -> tuple[str, ...]:
    """What the channels are called; empty where one has no name."""
    names = tuple(str(channel.get("label") or "").strip() for channel in _channels(ome))
    return names if all(names) else ()


def _channels(ome: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is said of each channel; where one says nothing that makes sense, it is empty."""
    omero = ome.get("omero")
    told = omero.get("channels") if isinstance(omero, Mapping) else None
    return [one if isinstance(one, Mapping) else {} for one in told] if isinstance(told, list) else []


def list_images(ome: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths of the images in a plate (as ``A/1``, a well) or of several series; empty for a group that is an image."""
    plate = ome.get("plate")
    wells = plate.get("wells") if isinstance(plate, Mapping) else ()
    paths = wells if isinstance(wells, list) else ()
    return tuple(str(w["path"]) for w in paths if isinstance(w, Mapping) and "path" in w)


def describe_labels(geometry: Geometry, classes: Sequence[ClassInfo], levels: int) -> dict[str, Any]:
    """Attributes of a group of labels with this many levels, each half the size of the one before."""
    axes = "zyx"[-geometry.ndim :]
    unit = {"mm": "millimeter", "um": "micrometer"}.get(geometry.unit)
    # Scale and translation cannot turn axes: of a turned image the place would be that of another box.
    origin = geometry.origin if geometry.origin and not geometry.direction else (0.0,) * geometry.ndim
    datasets = []
    for level in range(levels):
        factor = [1 if axis == "z" else 2**level for axis in axes]
        scale = [s * f for s, f in zip(geometry.spacing, factor, strict=True)]
        # The centre of the first pixel of a level is that of the pixels it was made of.
        moved = [o + s * (f - 1) / 2 for o, s, f in zip(origin, geometry.spacing, factor, strict=True)]
        steps = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": moved}]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    about: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{
            "name": "labels", "type": "mode",
            "axes": [{"name": a, "type": "space", **({"unit": unit} if unit else {})} for a in axes],
            "datasets": datasets,
        }],
        "image-label": {
            "colors": [{"label-value": c.value, "rgba": [*bytes.fromhex(c.color[1:]), 255]} for c in classes],
            "properties": [{"label-value": c.value, "name": c.name} for c in classes],
        } if classes else {},
    }  # fmt: skip
    return {"ome": about, OWN: {"geometry": geometry.model_dump(mode="json")}}


def _by_value(entries: Any) -> list[tuple[int, Mapping[str, Any]]]:
    found = [e for e in entries if isinstance(e, Mapping)] if isinstance(entries, list) else []
    return [(v, e) for e in found if isinstance(v := e.get("label-value"), int) and 0 < v < 2**32]
