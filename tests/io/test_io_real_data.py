"""Image sets as they come from clinics and challenges; skipped where they are not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medseg.io import inspect, match_pairs, read, read_labels, read_pair


def folder(real_data: Path, name: str) -> Path:
    if not (real_data / name).is_dir():
        pytest.skip(f"{name} is not among the real images")
    return real_data / name


def test_femur_ct(real_data: Path) -> None:
    data = folder(real_data, "femur_ct")
    image, labels, slices = read_pair(data / "images", data / "masks")
    assert (image.shape, image.axes, image.meaning) == ((93, 512, 512), "ZYX", "grey")
    assert (image.names[0], image.names[-1]) == ("1-439.png", "1-623.png")
    assert slices == tuple(range(0, 91, 6))
    assert [c.value for c in labels.classes] == [1, 2]


def test_lgg_mri(real_data: Path) -> None:
    data = folder(real_data, "lgg_mri")
    pairs = match_pairs(data, data)
    assert len(pairs) == 12
    for pair in pairs[:3]:
        image, labels, slices = read_pair(pair.image, pair.mask)
        assert len(image) == len(slices)
        assert set(np.unique(labels.data)) <= {0, 1}


def test_em_membrane(real_data: Path) -> None:
    data = folder(real_data, "em_membrane")
    assert read(data / "images").names == tuple(f"{n}.png" for n in range(10))
    assert set(np.unique(read_labels(data / "masks").data)) == {0, 1}


def test_cxr_lungs(real_data: Path) -> None:
    data = folder(real_data, "cxr_lungs")
    assert inspect(data / "images").kind == "images"
    pairs = match_pairs(data / "images", data / "masks")
    assert len(pairs) == 160
    _, labels, _ = read_pair(pairs[0].image, pairs[0].mask)
    assert [c.value for c in labels.classes] == [1]
    assert 0.1 < labels.data.mean() < 0.5
