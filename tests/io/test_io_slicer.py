"""Segmentations of 3D Slicer: names, colours, layers, and crops, in and out; and plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import numpy.typing as npt
import pytest
import slicerio
from specimens import CLASSES, blocks, lps, volume

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels
from napari_medseg.io import read, read_labels, write

PLACE = Geometry(
    spacing=(3.0, 0.5, 0.25), origin=(-7.0, 20.0, 3.0), unit="mm",
    direction=((1.0, 0.0, 0.0), (0.0, 0.8, -0.6), (0.0, 0.6, 0.8)),
)  # fmt: skip


def save(path: Path, data: npt.NDArray[Any], keys: dict[str, str], geometry: Geometry = PLACE) -> Path:
    """A segmentation as Slicer saves it: (K, J, I), or (K, J, I, layers)."""
    spacing, direction, origin = lps(geometry)
    axes = (direction * spacing).T
    header: dict[str, Any] = {
        "space": "left-posterior-superior", "space origin": origin, "encoding": "gzip",
        "space directions": axes if data.ndim == 3 else np.vstack([[np.nan] * 3, axes]),
        "kinds": ["domain"] * 3 if data.ndim == 3 else ["list", "domain", "domain", "domain"], **keys,
    }  # fmt: skip
    nrrd.write(str(path), data.transpose(), header)
    return path


def segment(index: int, name: str, value: int, layer: int = 0, color: str = "1 0 0") -> dict[str, str]:
    about = {"ID": f"Segment_{index}", "Name": name, "LabelValue": value, "Layer": layer, "Color": color}
    return {f"Segment{index}_{key}": str(item) for key, item in about.items()}


def test_slicer_finds_names_colours_and_place(tmp_path: Path) -> None:
    """N8: read by slicerio, the reader of Slicer's own developers."""
    write(tmp_path / "x.seg.nrrd", Labels(blocks(), CLASSES, PLACE))
    found = slicerio.read_segmentation(str(tmp_path / "x.seg.nrrd"))
    np.testing.assert_array_equal(found["voxels"].transpose(), blocks())
    matrix = np.array(found["ijkToLPS"])[[2, 1, 0, 3]][:, [2, 1, 0, 3]]
    np.testing.assert_allclose(matrix, PLACE.affine(), atol=1e-9)
    for one, info in zip(found["segments"], CLASSES, strict=True):
        assert one["labelValue"] == info.value
        assert [round(c * 255) for c in one["color"]] == [int(info.color[i : i + 2], 16) for i in (1, 3, 5)]
        assert one["layer"] == 0
    assert found["segments"][0]["name"] == "femur"
    assert found["segments"][0]["terminology"]["type"] == ["SCT", "71341001", "Femur"]
    assert found["segments"][0]["extent"] == [1, 4, 1, 3, 0, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["x.seg.nrrd"]


def test_names_and_colours_come_back_from_the_file_itself(tmp_path: Path) -> None:
    """N8: without a sidecar, whatever letters the names have."""
    write(tmp_path / "x.seg.nrrd", Labels(blocks(), CLASSES, PLACE))
    found = read_labels(tmp_path / "x.seg.nrrd")
    assert found.classes == CLASSES
    np.testing.assert_array_equal(found.data, blocks())
    np.testing.assert_allclose(found.geometry.affine(), PLACE.affine(), atol=1e-12)


def test_segments_of_several_layers_become_one_map(tmp_path: Path) -> None:
    """N8: equal values in other layers are other classes; what overlaps is told."""
    data = np.zeros((3, 8, 10, 2), np.uint8)
    data[:, 1:5, 1:5, 0] = 1
    data[:, 3:7, 3:7, 1] = 1
    path = save(tmp_path / "x.seg.nrrd", data, segment(0, "bone", 1) | segment(1, "metal", 1, 1, "0 0 1"))
    found = read_labels(path)
    expected = np.zeros((3, 8, 10), np.uint8)
    expected[:, 1:5, 1:5] = 1
    expected[:, 3:7, 3:7] = 2
    np.testing.assert_array_equal(found.data, expected)
    assert [(c.value, c.name, c.color) for c in found.classes] == [(1, "bone", "#ff0000"), (2, "metal", "#0000ff")]
    assert {f.code for f in found.findings} >= {"OVERLAPPING_CLASSES", "RENUMBERED_CLASSES"}


def test_cropped_segments_lie_in_their_image(tmp_path: Path) -> None:
    """N8: Slicer saves the part that holds segments, and the extent of the image that they belong to."""
    whole = np.zeros((6, 8, 10), np.uint8)
    whole[2:4, 3:6, 4:9] = 1
    matrix = PLACE.affine()
    start = np.array([2, 3, 4])
    crop = Geometry(**{**PLACE.model_dump(), "origin": tuple(matrix[:3, :3] @ start + matrix[:3, 3])})
    ras = np.diag([-1.0, -1, 1, 1]) @ matrix[[2, 1, 0, 3]][:, [2, 1, 0, 3]]
    reference = ";".join(map(str, [*ras.ravel(), 0, 9, 0, 7, 0, 5]))
    keys = segment(0, "bone", 1) | {
        "Segmentation_ReferenceImageExtentOffset": "4 3 2",
        "Segmentation_ConversionParameters": f"Oversampling|1|x&Reference image geometry|{reference};|y&",
    }
    found = read_labels(save(tmp_path / "x.seg.nrrd", whole[2:4, 3:6, 4:9], keys, crop))
    np.testing.assert_array_equal(found.data, whole)
    np.testing.assert_allclose(found.geometry.affine(), matrix, atol=1e-9)
    # Moved since, or without the reference: left as a crop at its own place, and told.
    keys["Segmentation_ConversionParameters"] = "Oversampling|1|x&"
    found = read_labels(save(tmp_path / "y.seg.nrrd", whole[2:4, 3:6, 4:9], keys, crop))
    assert found.data.shape == (2, 3, 5)
    np.testing.assert_allclose(found.geometry.affine(), crop.affine(), atol=1e-9)
    assert "CROPPED_EXTENT" in [f.code for f in found.findings]


def test_a_segment_in_a_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """N8: never an index error."""
    path = save(tmp_path / "x.seg.nrrd", blocks(), segment(0, "bone", 1, 3))
    with pytest.raises(InputError, match="1 layers"):
        read_labels(path)


@pytest.mark.parametrize(("space", "signs"), [("right-anterior-superior", (-1, -1, 1)), ("LAS", (1, -1, 1))])
def test_other_spaces_are_turned_to_lps(tmp_path: Path, space: str, signs: tuple[int, int, int]) -> None:
    """N3: the same numbers in RAS are another place."""
    path = save(tmp_path / "x.nrrd", volume(), {"space": space})
    expected = np.diag([*signs[::-1], 1]) @ PLACE.affine()
    np.testing.assert_allclose(read(path).geometry.affine(), expected, atol=1e-9)


def test_a_space_that_does_not_tell_left_from_right_is_told(tmp_path: Path) -> None:
    """Nothing is guessed silently."""
    path = save(tmp_path / "x.nrrd", volume(), {"space": "3D-right-handed"})
    assert [f.code for f in read(path).findings] == ["NO_ORIENTATION"]


def test_moments_in_a_list_are_parts_to_choose(tmp_path: Path) -> None:
    """N4 for NRRD: 3D Slicer's sequences are lists, too, but of volumes."""
    data = np.stack([volume(), volume() + 7], axis=-1)
    found = read(save(tmp_path / "x.nrrd", data, {"axis 0 index type": "numeric"}), series="2")
    np.testing.assert_array_equal(found.data, data[..., 1])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("shape", "axes"), [((8, 10), "YX"), ((5, 8, 10), "ZYX"), ((8, 10, 3), "YXC"), ((5, 8, 10, 3), "ZYXC")]
)
def test_arrays_are_read_as_saved(tmp_path: Path, shape: tuple[int, ...], axes: str, order: Any) -> None:
    """V4: any order of bytes and axes in memory."""
    data = np.random.default_rng(1).integers(0, 4000, shape).astype(">u2")
    np.save(tmp_path / "x.npy", np.asarray(data, order=order))
    found = read(tmp_path / "x.npy")
    told = [f.message for f in found.findings if f.code == "COLOR_AXIS"]
    assert len(told) == ("C" in found.axes), "that a last axis of 3 is one of colours is a guess"
    assert found.axes == axes
    np.testing.assert_array_equal(found.data, data)


def test_arrays_of_objects_run_no_code(tmp_path: Path) -> None:
    """M1 for arrays: a pickle inside is refused by its type."""
    np.save(tmp_path / "x.npy", np.array([[{}, {}]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="values"):
        read(tmp_path / "x.npy")


def test_no_sidecar_of_an_older_file_stays_beside_one_that_needs_none(tmp_path: Path) -> None:
    """A stale description would give wrong slices as missing."""
    path = tmp_path / "x.seg.nrrd"
    write(path, Labels(blocks(), CLASSES, PLACE, missing=frozenset({1})))
    assert read_labels(path).missing == {1}
    write(path, Labels(blocks(), CLASSES, PLACE), overwrite=True)
    assert read_labels(path).missing == frozenset()
    assert [p.name for p in tmp_path.iterdir()] == ["x.seg.nrrd"]


def test_a_class_without_voxels_is_kept(tmp_path: Path) -> None:
    """An empty segment is a result: looked for, not found."""
    classes = (*CLASSES, ClassInfo(value=3, name="metal", color="#112233"))
    write(tmp_path / "x.seg.nrrd", Labels(blocks(), classes, PLACE))
    assert read_labels(tmp_path / "x.seg.nrrd").classes == classes
