"""Small made-up files for the tests of reading and writing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medseg.core import ClassInfo, Geometry, Labels
from napari_medseg.io import Format

sys.path.insert(0, str(Path(__file__).parent))

from made_up import PICTURES, plane, save_png


@pytest.fixture(params=PICTURES, ids=lambda f: f.name)
def any_picture_format(request: pytest.FixtureRequest) -> Format:
    """Each format of pictures."""
    return request.param


@pytest.fixture
def make_series(tmp_path: Path) -> Callable[..., Path]:
    """Write grey PNG slices with these names; slice k holds k in its first pixel."""

    def make(names: Sequence[str], folder: str = "series", shape: tuple[int, ...] = (12, 17)) -> Path:
        for z, name in enumerate(names):
            save_png(tmp_path / folder / name, plane(z, shape))
        return tmp_path / folder

    return make


@pytest.fixture
def make_labels() -> Callable[..., Labels]:
    """Labels of a few slices with two named classes."""

    def make(slices: int = 4, names: Sequence[str] = (), **changes: Any) -> Labels:
        data = np.zeros((slices, 11, 13), np.uint8)
        data[:, 2:6, 3:9] = 1
        data[:, 7:9, 1:4] = 2
        for z in range(slices):
            data[z, 0, :z] = 2
        classes = (
            ClassInfo(value=1, name="femur", color="#e69f00"),
            ClassInfo(value=2, name="Schädel", color="#56b4e9"),
        )
        geometry = Geometry(spacing=(3.0, 0.5, 0.25), origin=(1.0, 2.0, 3.0), unit="mm")
        if slices == 0:
            data, geometry = np.zeros((11, 13), np.uint8), Geometry(spacing=(0.5, 0.25), unit="mm")
        return Labels(**{"data": data, "classes": classes, "geometry": geometry, "names": tuple(names), **changes})

    return make
