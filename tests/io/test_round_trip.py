"""Geometry, classes and colours through every format of the registry: out and in again, and in from other programs.

What a format ``keeps`` has to come back from the file alone, everything from the file and its sidecar.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specimens import CLASSES, Specimen, blocks, format_of, labels_of, present, volume

from napari_medseg.core import ClassInfo, Geometry, Labels
from napari_medseg.io import FORMATS, Format, read, read_labels, write
from napari_medseg.io.outlines.registry import OutlineFormat, outline_formats, read_outlines
from napari_medseg.io.sidecar import sidecar_path

WRITTEN = [f for f in FORMATS if f.write]
FLAT = [f for f in WRITTEN if not f.stacks]
STACKED = [f for f in WRITTEN if f.stacks]


def _turned(*angles: float) -> np.ndarray[Any, Any]:
    """A rotation by angles (degrees) about each axis in turn."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(angles)):
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.eye(3)
        others = [a for a in range(3) if a != axis]
        turn[np.ix_(others, others)] = [[cos, -sin], [sin, cos]]
        matrix = turn @ matrix
    return matrix


def _geometry(direction: np.ndarray[Any, Any]) -> Geometry:
    matrix = np.eye(4)
    matrix[:3, :3] = direction * (3.0, 0.5, 0.25)
    matrix[:3, 3] = (-40.0, 12.5, 7.0)
    return Geometry.from_affine(matrix)


def _uneven(geometry: Geometry, places: tuple[float, ...]) -> Geometry:
    """Slices along the third axis at these distances (mm) from the first."""
    start, along = geometry.affine()[:3, 3], np.array(geometry.affine()[:3, 0]) / geometry.spacing[0]
    positions = tuple(tuple((start + along * d).tolist()) for d in places)
    step = float(np.median(np.diff(places)))
    return geometry.model_copy(update={"positions": positions, "spacing": (step, *geometry.spacing[1:])})


_TILT = np.column_stack([(1, 0, 0), (np.sin(0.3), np.cos(0.3), 0), (0, 0, 1)])
"""A tilted gantry: the table moves along Z, the slices are 17 degrees off."""

GEOMETRIES = {
    "upright": _geometry(np.eye(3)),
    "turned": _geometry(np.diag([1.0, -1, -1])),
    "mirrored": _geometry(np.diag([-1.0, 1, 1])),
    "oblique": _geometry(_turned(20, -35, 10)),
    "coronal": _geometry(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])),
    "tilted": _geometry(_TILT),
    "uneven": _uneven(_geometry(np.eye(3)), (0.0, 3.0, 6.0, 11.0)),
    "tilted and uneven": _uneven(_geometry(_TILT), (0.0, 3.0, 6.5, 11.0)),
}
EVEN = [name for name, g in GEOMETRIES.items() if not g.positions]
SQUARE = ["upright", "turned", "mirrored", "oblique", "coronal"]


@pytest.fixture(params=STACKED, ids=lambda f: f.name)
def stacked(request: pytest.FixtureRequest) -> Format:
    """Each format that a stack of masks can be written in."""
    return request.param


@pytest.fixture(params=WRITTEN, ids=lambda f: f.name)
def written(request: pytest.FixtureRequest) -> Format:
    """Each format that masks can be written in."""
    return request.param


def labels_in(folder: Path, fmt: Format, geometry: Geometry) -> Labels:
    """Labels with their source; one slice for a format of single slices."""
    labels = labels_of(folder, blocks(4), geometry)
    if fmt.stacks:
        return labels
    return Labels(labels.data[2], labels.classes, geometry.flat, names=labels.names[2:3], source=labels.source)


def targets(folder: Path, fmt: Format) -> Iterator[Path]:
    """A path for each name of a format; headers beside their voxels are read and not written."""
    for n, suffix in enumerate(s for s in fmt.suffixes if s not in (".nhdr", ".mhd")):
        (folder / f"out{n}").mkdir()
        yield folder / f"out{n}" / f"mask{suffix}"


def alone(target: Path) -> Path:
    """The same masks without their sidecar."""
    sidecar_path(target, folder=False).unlink(missing_ok=True)
    return target


def in_place(labels: Labels) -> tuple[Any, Any]:
    """Pixels and the position of each slice's first pixel, in the order of the slices along Z, then Y, then X."""
    places = np.array([labels.geometry.slice_origin(z) for z in range(len(labels))])
    order = np.lexsort(np.round(places, 3).T[::-1])
    return np.asarray(labels.data)[order], places[order]


def same_place(found: Labels, wanted: Labels, tolerance: float = 1e-6) -> None:
    """Every pixel lies where it lay; a format that orders slices by their place may have turned them round."""
    (pixels, places), (pixels_wanted, places_wanted) = in_place(found), in_place(wanted)
    np.testing.assert_array_equal(pixels, pixels_wanted)
    np.testing.assert_allclose(places, places_wanted, rtol=0, atol=tolerance * 100)
    inside = (slice(0, 3), slice(1, 3))
    np.testing.assert_allclose(
        found.geometry.affine()[inside], wanted.geometry.affine()[inside], rtol=0, atol=tolerance
    )
    assert found.geometry.unit == "mm"


@pytest.mark.parametrize("shape", GEOMETRIES)
def test_masks_come_back_where_they_were_with_their_classes(stacked: Format, shape: str, tmp_path: Path) -> None:
    """D3, D4, N3, N7."""
    labels = labels_in(tmp_path, stacked, GEOMETRIES[shape])
    for target in targets(tmp_path, stacked):
        write(target, labels)
        again = read_labels(target)
        same_place(again, labels)
        assert [(c.value, c.name) for c in again.classes] == [(c.value, c.name) for c in labels.classes]
        same_colors(again.classes, labels.classes)
        assert again.data.dtype == np.uint8
        if sidecar_path(target, folder=False).exists():
            assert again.names == labels.names


def same_colors(found: tuple[ClassInfo, ...], wanted: tuple[ClassInfo, ...]) -> None:
    """Equal up to rounding: some formats keep colours as CIELab or as fractions."""
    for one, other in zip(found, wanted, strict=True):
        levels = [[int(c.color[i : i + 2], 16) for i in (1, 3, 5)] for c in (one, other)]
        np.testing.assert_allclose(levels[0], levels[1], atol=2)


def test_one_slice_comes_back_with_its_classes(written: Format, tmp_path: Path) -> None:
    """S7."""
    labels = labels_of(tmp_path, blocks(1), GEOMETRIES["oblique"])
    if not written.stacks:
        labels = Labels(labels.data[0], labels.classes, labels.geometry.flat, names=labels.names, source=labels.source)
    for target in targets(tmp_path, written):
        write(target, labels)
        again = read_labels(target)
        np.testing.assert_array_equal(np.squeeze(again.data), np.squeeze(labels.data))
        np.testing.assert_allclose(again.geometry.flat.spacing, labels.geometry.flat.spacing, atol=1e-6)
        assert [c.name for c in again.classes] == [c.name for c in labels.classes]


def test_a_series_of_single_files_comes_back_in_any_geometry(tmp_path: Path) -> None:
    for shape, geometry in GEOMETRIES.items():
        labels = labels_of(tmp_path / shape, blocks(4), geometry)
        write(tmp_path / shape / "masks", labels)
        again = read_labels(tmp_path / shape / "masks")
        np.testing.assert_array_equal(again.data, labels.data)
        assert (again.geometry, again.classes, again.names) == (geometry, labels.classes, labels.names)


@pytest.mark.parametrize("fmt", [f for f in STACKED if "spacing" in f.keeps], ids=lambda f: f.name)
def test_the_file_alone_keeps_the_spacing(fmt: Format, tmp_path: Path) -> None:
    labels = labels_in(tmp_path, fmt, GEOMETRIES["upright"])
    for target in targets(tmp_path, fmt):
        write(target, labels)
        again = read_labels(alone(target))
        np.testing.assert_array_equal(again.data, labels.data)
        np.testing.assert_allclose(again.geometry.spacing, labels.geometry.spacing, rtol=1e-6)
        assert again.geometry.unit == "mm"


@pytest.mark.parametrize("shape", EVEN)
@pytest.mark.parametrize("fmt", [f for f in STACKED if "orientation" in f.keeps], ids=lambda f: f.name)
def test_the_file_alone_keeps_the_place_in_space(fmt: Format, shape: str, tmp_path: Path) -> None:
    """D4, N2, N3, N7."""
    labels = labels_in(tmp_path, fmt, GEOMETRIES[shape])
    for target in targets(tmp_path, fmt):
        write(target, labels)
        if shape not in SQUARE and sidecar_path(target, folder=False).exists():
            continue  # axes that are not at right angles are in the sidecar, as the test above shows
        same_place(read_labels(alone(target)), labels)


@pytest.mark.parametrize("shape", ["uneven", "tilted and uneven"])
@pytest.mark.parametrize("fmt", [f for f in STACKED if "positions" in f.keeps], ids=lambda f: f.name)
def test_the_file_alone_keeps_the_position_of_every_slice(fmt: Format, shape: str, tmp_path: Path) -> None:
    """D3, D4."""
    labels = labels_in(tmp_path, fmt, GEOMETRIES[shape])
    for target in targets(tmp_path, fmt):
        write(target, labels)
        same_place(read_labels(alone(target)), labels)


@pytest.mark.parametrize("fmt", [f for f in WRITTEN if {"classes", "colors"} & f.keeps], ids=lambda f: f.name)
def test_the_file_alone_keeps_the_classes_it_says_it_keeps(fmt: Format, tmp_path: Path) -> None:
    labels = labels_in(tmp_path, fmt, GEOMETRIES["upright"])
    for target in targets(tmp_path, fmt):
        write(target, labels)
        again = read_labels(alone(target))
        if "classes" in fmt.keeps:
            assert [(c.value, c.name) for c in again.classes] == [(c.value, c.name) for c in CLASSES]
        if "colors" in fmt.keeps:
            same_colors(again.classes, CLASSES)


def test_a_class_without_a_pixel_is_not_forgotten(written: Format, tmp_path: Path) -> None:
    """A class that was looked for and not found is not one that was not looked for."""
    labels = labels_in(tmp_path, written, GEOMETRIES["upright"])
    absent = ClassInfo(value=3, name="ilium", color="#009e73")
    labels = Labels(labels.data, (*CLASSES, absent), labels.geometry, names=labels.names, source=labels.source)
    for target in targets(tmp_path, written):
        write(target, labels)
        assert [c.name for c in read_labels(target).classes] == [c.name for c in labels.classes]


@pytest.mark.parametrize("one", [s for s in present() if format_of(s).masks], ids=lambda s: s.name)
def test_other_programs_masks_are_read(one: Specimen, tmp_path: Path) -> None:
    data = blocks(one.slices)
    if one.format == "jpeg":
        data = np.kron(data > 0, np.full((1, 16, 16), 255, np.uint8)).astype(np.uint8)
    labels = read_labels(one.make(tmp_path, data, GEOMETRIES["upright"]))
    np.testing.assert_array_equal(
        np.squeeze(labels.data), np.squeeze(np.minimum(data, 1) if one.format == "jpeg" else data)
    )


IMAGES = [s for s in present() if format_of(s).images and s.slices > 1]
PLACED = [s for s in IMAGES if not s.flat]


@pytest.mark.parametrize("one", [s for s in IMAGES if "spacing" in format_of(s).keeps], ids=lambda s: s.name)
def test_other_programs_images_are_read_with_their_spacing(one: Specimen, tmp_path: Path) -> None:
    geometry = GEOMETRIES["upright"]
    image = read(one.make(tmp_path, volume(4), geometry))
    np.testing.assert_array_equal(np.asarray(image.data), volume(4))
    np.testing.assert_allclose(image.geometry.spacing, geometry.spacing, rtol=1e-6)
    assert image.geometry.unit == "mm"


@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize("one", [s for s in PLACED if "orientation" in format_of(s).keeps], ids=lambda s: s.name)
def test_other_programs_images_are_read_in_their_place(one: Specimen, shape: str, tmp_path: Path) -> None:
    """D4, D5, N3, N7."""
    geometry = GEOMETRIES[shape]
    image = read(one.make(tmp_path, volume(4), geometry))
    found = Labels(np.asarray(image.data), (), image.geometry)
    same_place(found, Labels(volume(4), (), geometry), tolerance=1e-5)


@pytest.mark.parametrize("shape", ["tilted", "uneven", "tilted and uneven"])
@pytest.mark.parametrize("one", [s for s in PLACED if "positions" in format_of(s).keeps], ids=lambda s: s.name)
def test_other_programs_images_are_read_with_the_position_of_every_slice(
    one: Specimen, shape: str, tmp_path: Path
) -> None:
    """D3, D4."""
    geometry = GEOMETRIES[shape]
    image = read(one.make(tmp_path, volume(4), geometry))
    found = Labels(np.asarray(image.data), (), image.geometry)
    same_place(found, Labels(volume(4), (), geometry), tolerance=1e-5)


@pytest.mark.parametrize("one", IMAGES, ids=lambda s: s.name)
def test_opening_and_looking_at_one_slice_does_not_load_the_others(one: Specimen, tmp_path: Path) -> None:
    """S8."""
    if one.packed:
        pytest.skip("packed as a whole: decoded once, when the first slice is asked for")
    data = np.random.default_rng(1).integers(0, 1000, (16, 300, 400)).astype(np.int16)
    path = one.make(tmp_path, data, GEOMETRIES["upright"])
    read(path).slice(0)  # what readers import is imported
    tracemalloc.start()
    try:
        image = read(path)
        opened = tracemalloc.get_traced_memory()[1]
        np.testing.assert_array_equal(image.slice(3), data[3])
        shown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert opened < data.nbytes / 4
    assert shown < data.nbytes / 2


@pytest.fixture(params=outline_formats(), ids=lambda f: f.name)
def outlined(request: pytest.FixtureRequest) -> OutlineFormat:
    """Each format of outlines."""
    return request.param


def test_masks_come_back_from_their_outlines_pixel_by_pixel(outlined: OutlineFormat, tmp_path: Path) -> None:
    """X3, X4."""
    data = np.zeros((4, 30, 40), np.uint8)
    data[:, 2:28, 3:30], data[:, 8:20, 8:20], data[:, 10:14, 10:14] = 1, 2, 0
    data[:, 25:, 35:], data[:, 1, 38], data[3] = 2, 1, 0
    data[np.arange(3), 0, np.arange(3)] = 1
    geometry = GEOMETRIES["oblique"]
    names = ("a.png", "b.png", "c.png", "d.png")
    labels = Labels(data, CLASSES, geometry, names=names)
    if not outlined.stacks:
        labels = Labels(data[1], CLASSES, geometry.flat, names=names[1:2])
    for n, suffix in enumerate(outlined.suffixes):
        target = tmp_path / f"{n}" / f"mask{suffix}"
        target.parent.mkdir()
        write(target, labels)
        again = read_labels(target)
        np.testing.assert_array_equal(again.data, labels.data)
        assert (again.classes, again.geometry) == (labels.classes, labels.geometry)


def test_outlines_keep_the_classes_they_say_they_keep(outlined: OutlineFormat, tmp_path: Path) -> None:
    """X5, X7."""
    data = blocks(1)[0]
    target = tmp_path / f"mask{outlined.suffixes[0]}"
    write(target, Labels(data, CLASSES, GEOMETRIES["upright"].flat))
    found = read_outlines(alone(target))
    assert {c.name for c in found.classes} == {c.name for c in CLASSES}
    if "colors" in outlined.keeps:
        assert {c.name: c.color for c in found.classes} == {c.name: c.color for c in CLASSES}
