"""Panels: what is drawn where, and what has no result is neither background nor anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core import ClassInfo, Geometry, Image, InputError, Labels
from napari_medseg.evaluation import evaluate_set
from napari_medseg.evaluation.panels import draw_pairs, write_panels
from napari_medseg.evaluation.parts import only_listed
from napari_medseg.io.pairs.listing import Listed, read_split, split_text

CLASSES = (ClassInfo.numbered(1, "femur"),)
ORANGE = (0xE6, 0x9F, 0x00)


def labels(*masks: np.ndarray, names: tuple[str, ...] = (), source: str = "") -> Labels:
    data = np.stack(masks)
    return Labels(data, CLASSES, Geometry.unknown(3), names, Path(source) if source else None)


def box() -> np.ndarray:
    mask = np.zeros((20, 20), np.uint8)
    mask[4:10, 4:10] = 1
    return mask


def image(count: int = 2, names: tuple[str, ...] = (), source: str = "") -> Image:
    data = np.tile(np.arange(20, dtype=np.uint8) * 4, (count, 20, 1))
    return Image(data, "ZYX", Geometry.unknown(3), names=names, source=Path(source) if source else None)


def third(panel: np.ndarray, i: int) -> np.ndarray:
    return panel[:, 24 * i : 24 * i + 20]


def is_striped(part: np.ndarray) -> bool:
    return bool(np.isclose((part == 128).all(-1).mean(), 0.5, atol=0.1))


def test_a_slice_without_a_result_is_striped_and_not_drawn_as_background() -> None:
    prediction = replace(labels(box(), np.zeros((20, 20), np.uint8)), missing=frozenset({1}))
    whole, missing = (panel for _, panel in draw_pairs([image()], [(prediction, labels(box(), box()))]))
    assert not is_striped(third(whole, 2))
    assert (third(whole, 2)[4, 4] == ORANGE).all()
    assert is_striped(third(missing, 2))
    assert (third(missing, 1)[4, 4] == ORANGE).all()
    assert (third(missing, 0) == third(whole, 0)).all()


def test_pixels_without_a_result_are_striped_and_no_class() -> None:
    half = box()
    half[:, 10:] = 9
    prediction = replace(labels(half), not_computed=9)
    ((_, panel),) = draw_pairs([image(1)], [(prediction, labels(box()))])
    left, right = third(panel, 2)[:, :10], third(panel, 2)[:, 10:]
    assert is_striped(right)
    assert not is_striped(left)
    assert len({tuple(color) for color in right.reshape(-1, 3)}) < 12, "stripes and the darkened image, no outline"


def test_volumes_of_a_set_are_told_apart_and_none_replaces_another(tmp_path: Path) -> None:
    pairs = [(labels(box(), box()), labels(box(), box(), source=f"{name}.nii.gz")) for name in ("hip", "knee")]
    images = [image(source=f"{name}.nii.gz") for name in ("knee", "hip")]
    assert write_panels(tmp_path / "new", draw_pairs(images, pairs)) == 4
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"hip-0.png", "hip-1.png", "knee-0.png", "knee-1.png"}
    panel = np.zeros((2, 2, 3), np.uint8)
    assert write_panels(tmp_path / "same", [("a.png", panel), ("a.png", panel)]) == 2
    assert {p.name for p in (tmp_path / "same").iterdir()} == {"a.png", "a-2.png"}


def test_an_image_of_another_size_is_refused() -> None:
    other = Image(np.zeros((1, 8, 8), np.uint8), "ZYX", Geometry.unknown(3))
    with pytest.raises(InputError, match="differ in size"):
        [*draw_pairs([other], [(labels(box()), labels(box()))])]


def test_only_what_is_listed_is_scored(tmp_path: Path) -> None:
    names = ("a.png", "b.png", "c.png")
    wrong = np.roll(box(), 8)
    prediction = replace(labels(box(), wrong, box(), names=names), presence={0: 0.5, 2: 0.75})
    truth = labels(*[box()] * 3, names=("a_mask.png", "b_mask.png", "c_mask.png"))
    (tmp_path / "split.csv").write_text(
        split_text(
            [Listed("training", Path("x/b.png")), Listed("test", Path("x/a.png")), Listed("test", Path("c.png"))]
        )
    )
    rows = [row for row in read_split(tmp_path) if row.part == "test"]
    report = evaluate_set(only_listed([(prediction, truth)], rows))
    assert report.figure().mean == 1
    assert {row.slice for row in report.rows} == {"a_mask.png", "c_mask.png"}
    assert report.detection is not None
    assert [one.probability for one in report.detection.answers] == [0.5, 0.75]


def test_slices_of_volumes_are_listed_by_their_place() -> None:
    pair = (labels(box(), box(), box()), labels(*[box()] * 3, source="seg/hip_seg.nii.gz"))
    ((prediction, truth),) = only_listed([pair], [Listed("test", Path("ct/hip.nii.gz"), 2)])
    assert prediction.names == truth.names == ("2",)
    with pytest.raises(InputError, match="None of these masks"):
        only_listed([pair], [Listed("test", Path("ct/knee.nii.gz"), 2)])


@pytest.mark.parametrize(
    "content",
    ["", "part,image\n", "part,image,slice,group\nhoney,a.png,,\n", "part,image,slice,group\ntest,a.png,x,\n"],
)
def test_a_file_that_lists_nothing_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.csv").write_text(content)
    with pytest.raises(InputError, match="does not list the images"):
        read_split(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_split(tmp_path / "gone.csv")
