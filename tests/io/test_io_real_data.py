"""Image sets as they come from clinics and challenges; skipped where they are not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core import InputError
from napari_medseg.io import inspect, match_pairs, read, read_labels, read_pair
from napari_medseg.io.masks.colors import find_legend
from napari_medseg.io.pairs.preview import preview_pairs


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


def test_monusac_colours_are_the_same_classes_in_all_masks(real_data: Path) -> None:
    data = folder(real_data, "monusac")
    found = preview_pairs(data / "images", data / "masks")
    assert (len(found.usable), found.unmatched) == (18, {})
    assert [c.split(":")[0] for c in found.classes] == ["1 blue", "2 green", "3 red", "4 yellow"]
    assert "COLOR_MASK" in {f.code for f in found.findings}


def test_pictures_of_tissue_are_not_taken_for_masks(real_data: Path) -> None:
    for name in ("glas", "monuseg", "bcnb_he_tumour"):
        files = sorted((folder(real_data, name) / "images").iterdir())[:4]
        with pytest.raises(InputError, match="is a colour image"):
            find_legend(files)


def test_jpeg_masks_of_tumours_have_one_class(real_data: Path) -> None:
    data = folder(real_data, "bcnb_he_tumour")
    for pair in match_pairs(data / "images", data / "masks"):
        assert set(np.unique(read_labels(pair.mask).data)) == {0, 1}


def test_monuseg_outlines_are_masks_of_their_images(real_data: Path) -> None:
    data = folder(real_data, "monuseg")
    outlined, drawn = (match_pairs(data / "images", data / part) for part in ("xml", "masks"))
    assert [p.image.name for p in outlined] == [p.image.name for p in drawn]
    for ours, theirs in zip(outlined[:1], drawn[:1], strict=True):
        a, b = (read_pair(pair)[1].data > 0 for pair in (ours, theirs))
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.9
