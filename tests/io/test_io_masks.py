"""Masks: values exactly as stored, classes from the sidecar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from made_up import save_png
from PIL import Image as Pillow

from napari_medseg.core import InputError, Labels
from napari_medseg.io import read_labels, write

MakeLabels = Callable[..., Labels]


def codes(found: Labels) -> set[str]:
    return {f.code for f in found.findings}


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
@pytest.mark.parametrize("values", [[0, 1, 2], [0, 3, 255], [0, 200, 256, 40000]])
def test_values_are_read_as_stored(tmp_path: Path, name: str, values: list[int]) -> None:
    """V4, V5."""
    data = np.resize(np.array(values), (6, 7)).astype(np.uint8 if max(values) < 256 else np.uint16)
    if name.endswith("png"):
        save_png(tmp_path / name, data)
    else:
        tifffile.imwrite(tmp_path / name, data)
    labels = read_labels(tmp_path / name)
    np.testing.assert_array_equal(labels.data, data)
    assert [c.value for c in labels.classes] == values[1:]


def test_palette_indices_are_the_mask(tmp_path: Path) -> None:
    """F6."""
    data = np.resize(np.arange(4), (5, 8)).astype(np.uint8)
    image = Pillow.fromarray(data)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    for name in ("x.png", "x.bmp"):
        image.save(tmp_path / name)
        np.testing.assert_array_equal(read_labels(tmp_path / name).data, data)


def test_0_and_255_only_is_one_class_and_told(tmp_path: Path) -> None:
    save_png(tmp_path / "x.png", np.resize(np.array([0, 255], np.uint8), (5, 5)))
    labels = read_labels(tmp_path / "x.png")
    assert np.unique(labels.data).tolist() == [0, 1]
    assert "BINARY_MASK" in codes(labels)


def test_soft_edges_are_cut_at_half_and_told(tmp_path: Path) -> None:
    ramp = np.clip(np.arange(-400, 400) * 3 + 128, 0, 255).astype(np.uint8)
    save_png(tmp_path / "x.png", np.tile(ramp, (4, 1)))
    labels = read_labels(tmp_path / "x.png")
    np.testing.assert_array_equal(labels.data[0], ramp >= 128)
    assert "SOFT_MASK" in codes(labels)


def test_many_objects_are_not_taken_for_soft_edges(tmp_path: Path) -> None:
    data = np.zeros((64, 64), np.uint8)
    data[:32, :32] = np.arange(1024).reshape(32, 32) % 256
    save_png(tmp_path / "x.png", data)
    np.testing.assert_array_equal(read_labels(tmp_path / "x.png").data, data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.array([[0, -1]], np.int16), "negative value -1"),
        (np.array([[0, 1.5]], np.float32), "no whole numbers"),
        (np.array([[0, np.nan]], np.float32), "no whole numbers"),
    ],
    ids=["negative", "fraction", "nan"],
)
def test_values_that_are_no_classes_are_refused(tmp_path: Path, data: Any, reason: str) -> None:
    """V5."""
    tifffile.imwrite(tmp_path / "x.tif", data)
    with pytest.raises(InputError, match=rf"x\.tif holds .*{reason}"):
        read_labels(tmp_path / "x.tif")


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32", "uint32"])
def test_whole_numbers_of_any_type_are_read(tmp_path: Path, dtype: str) -> None:
    """V5."""
    data = np.array([[0, 1], [2, 300]]).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", data)
    labels = read_labels(tmp_path / "x.tif")
    np.testing.assert_array_equal(labels.data, data)
    assert labels.data.dtype.kind == "u"


def test_colour_image_is_no_mask(tmp_path: Path) -> None:
    save_png(tmp_path / "x.png", np.resize(np.arange(200, dtype=np.uint8), (8, 8, 3)))
    with pytest.raises(InputError, match=r"x\.png is a colour image"):
        read_labels(tmp_path / "x.png")


def test_masks_beside_images_are_the_labels(tmp_path: Path) -> None:
    """S9."""
    for n in range(3):
        save_png(tmp_path / f"{n}.png", np.resize(np.arange(200, dtype=np.uint8), (8, 8, 3)))
        save_png(tmp_path / f"{n}_mask.png", np.full((8, 8), n, np.uint8))
    labels = read_labels(tmp_path)
    assert labels.names == ("0_mask.png", "1_mask.png", "2_mask.png")
    assert [labels.slice(z).max() for z in range(3)] == [0, 1, 2]


def test_damaged_mask_counts_as_missing(tmp_path: Path) -> None:
    """F1."""
    for n in range(4):
        save_png(tmp_path / f"{n}.png", np.resize(np.array([0, 1, 2], np.uint8), (40, 40)) + np.uint8(n))
    content = bytearray((tmp_path / "1.png").read_bytes())
    content[45:55] = bytes(10)
    (tmp_path / "1.png").write_bytes(content)
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:-20])
    labels = read_labels(tmp_path)
    assert labels.missing == {1, 3}
    assert "UNREADABLE" in codes(labels)
    assert not labels.slice(1).any()
    with pytest.raises(InputError, match="damaged"):
        read_labels(tmp_path / "1.png")


def test_class_255_of_a_sidecar_stays(tmp_path: Path, make_labels: MakeLabels) -> None:
    data = np.where(np.eye(6, dtype=bool), 255, 0).astype(np.uint8)
    labels = make_labels(0)
    classes = (labels.classes[0].model_copy(update={"value": 255}),)
    write(tmp_path / "x.png", make_labels(0, data=data, classes=classes))
    again = read_labels(tmp_path / "x.png")
    np.testing.assert_array_equal(again.data, data)
    assert again.classes == classes


def test_single_files_of_a_folder_have_its_classes(tmp_path: Path, make_labels: MakeLabels) -> None:
    labels = make_labels(4)
    write(tmp_path / "m", labels)
    one = read_labels(tmp_path / "m" / "0002.png")
    np.testing.assert_array_equal(one.data, labels.data[2])
    assert one.classes == labels.classes
    two = read_labels([tmp_path / "m" / "0001.png", tmp_path / "m" / "0003.png"])
    np.testing.assert_array_equal(two.data, labels.data[[1, 3]])
    assert two.classes == labels.classes


def test_sidecar_that_makes_no_sense_is_loud(tmp_path: Path, make_labels: MakeLabels) -> None:
    write(tmp_path / "x.tif", make_labels())
    (tmp_path / "x.tif.classes.json").write_text("{}")
    with pytest.raises(InputError, match=r"x\.tif\.classes\.json .*move it away"):
        read_labels(tmp_path / "x.tif")


def test_masks_that_were_taken_away_count_as_missing(tmp_path: Path, make_labels: MakeLabels) -> None:
    write(tmp_path / "m", make_labels(4))
    (tmp_path / "m" / "0002.png").unlink()
    labels = read_labels(tmp_path / "m")
    assert (len(labels), labels.missing) == (4, {2})
    assert "SIDECAR_MISMATCH" in codes(labels)


def test_masks_of_another_set_do_not_get_the_sidecars_places(tmp_path: Path, make_labels: MakeLabels) -> None:
    write(tmp_path / "m", make_labels(4))
    save_png(tmp_path / "m" / "0009.png", np.zeros((11, 13), np.uint8))
    labels = read_labels(tmp_path / "m")
    assert (len(labels), labels.missing) == (5, frozenset())
    assert labels.classes[0].name == "femur"
    assert "SIDECAR_MISMATCH" in codes(labels)
