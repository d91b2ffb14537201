"""The names and colours in a group of labels, told anew when classes are added."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from napari_medseg.core import ClassInfo, Geometry
from napari_medseg.io.atomic import write_text

from .image import explained
from .metadata import describe_labels


def name_classes(path: Path, classes: Sequence[ClassInfo]) -> None:
    """Write names and colours of classes into the metadata of labels, in place of those that are there.

    Raises
    ------
    InputError
        The folder holds no labels of version 0.5.
    OutputError
        It cannot be written.
    """
    file = path / "zarr.json"
    with explained(path):
        about = json.loads(file.read_text(encoding="utf-8"))
        described = describe_labels(Geometry.unknown(2), classes, 1)
        about["attributes"]["ome"]["image-label"] = described["ome"]["image-label"]
    write_text(file, json.dumps(about, indent=2))
