"""Labels of slides on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_medseg.core import ClassInfo, Geometry, InputError, OutputError, spare_value
from napari_medseg.io.pyramid import halve
from napari_medseg.io.zarr.labels import LabelPyramid

CLASSES = (ClassInfo.numbered(1), ClassInfo.numbered(2, "tumour"))
SHAPE = (1300, 4399)
UM = Geometry(spacing=(0.25, 0.25), unit="um")

Array = np.typing.NDArray[Any]


@pytest.fixture
def pyramid(tmp_path: Path) -> LabelPyramid:
    return LabelPyramid.create(tmp_path / "a.ome.zarr", SHAPE, np.uint8, UM, CLASSES, 255)


@pytest.fixture(scope="module")
def values() -> Array:
    blobs = np.random.default_rng(0).choice([0, 1, 2, 255], (SHAPE[0] // 5, SHAPE[1] // 5 + 1))
    return np.kron(blobs, np.ones((5, 5))).astype(np.uint8)[: SHAPE[0], : SHAPE[1]]


def check(pyramid: LabelPyramid, values: Array) -> None:
    """Every level is what halving the one before gives, read by ours and by zarr."""
    np.testing.assert_array_equal(pyramid.read(slice(None), slice(None)), values)
    group: Any = zarr.open_group(pyramid.path, mode="r")
    for n, level in enumerate(pyramid.levels):
        np.testing.assert_array_equal(level[:], values)
        np.testing.assert_array_equal(group[str(n)][:], values)
        values = halve(values)


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_what_was_never_written_is_not_background(pyramid: LabelPyramid) -> None:
    check(pyramid, np.full(SHAPE, 255, np.uint8))
    assert [level.shape for level in pyramid.levels] == [SHAPE, (650, 2200), (325, 1100), (163, 550)]
    again = LabelPyramid.open(pyramid.path)
    assert (again.not_computed, again.chunk, again.classes, again.geometry) == (255, 512, CLASSES, UM)
    assert again.count == (3, 9)
    assert again.lock is pyramid.lock


def test_levels_are_the_same_on_the_way_and_afterwards(pyramid: LabelPyramid, values: Array, tmp_path: Path) -> None:
    places = list(pyramid.chunks_in(slice(None), slice(None)))
    np.random.default_rng(1).shuffle(places)
    for place in places:
        pyramid.write(*pyramid.window(place), values[pyramid.window(place)])
    check(pyramid, values)
    later = LabelPyramid.create(tmp_path / "b.ome.zarr", SHAPE, np.uint8, UM, CLASSES, 255)
    later.write_chunks({p: values[later.window(p)] for p in places[:20]})
    later.build_levels()
    later.write_chunks({p: values[later.window(p)] for p in places[20:]})
    later.build_levels()
    assert contents(later.path) == contents(pyramid.path)


def test_any_rectangle_can_be_put(pyramid: LabelPyramid, values: Array) -> None:
    wanted = np.full(SHAPE, 255, np.uint8)
    for box in ((slice(1, 2), slice(1, 2)), (slice(500, 1300), slice(511, 1537)), (slice(700, 701), slice(0, 4399))):
        pyramid.put(*box, values[box])
        wanted[box] = values[box]
    check(pyramid, wanted)
    np.testing.assert_array_equal(pyramid.read(slice(400, 600), slice(600, 9999)), wanted[400:600, 600:])


def test_background_costs_a_file_and_no_more(tmp_path: Path) -> None:
    pyramid = LabelPyramid.create(tmp_path / "a.ome.zarr", (20_001, 33_000), np.uint16, UM, CLASSES, 65_535)
    assert pyramid.chunk == 1024
    places = list(pyramid.chunks_in(slice(None), slice(None)))
    pyramid.write_chunks(dict.fromkeys(places, 0))
    pyramid.build_above(dict.fromkeys(places, 0))
    for level in pyramid.levels:
        assert not level[-1].any()
        assert not level[:, -1].any()
    files = [p for p in pyramid.path.rglob("*") if p.is_file() and p.name != "zarr.json"]
    assert len(files) >= 4 / 3 * len(places)
    assert sum(p.stat().st_size for p in files) < 300 * len(files)
    # As zarr itself would have written them.
    group: Any = zarr.open_group(pyramid.path, mode="r+")
    corner = pyramid.path / "0" / "c" / "19" / "32"
    ours = corner.read_bytes()
    group["0"].with_config({"write_empty_chunks": True})[19 * 1024 :, 32 * 1024 :] = 0
    assert len(ours) == pytest.approx(corner.stat().st_size, rel=0.5)


def test_unfinished_files_are_swept_away(pyramid: LabelPyramid, values: Array) -> None:
    """W3."""
    pyramid.put(slice(None), slice(None), values)
    before = contents(pyramid.path)
    for place in ("0/c/1/3", "2/c/0/0"):
        (pyramid.path / f"{place}.0123456789abcdef.partial").write_bytes(b"half")
    pyramid.clean(range(0, 1), above=False)
    assert len(contents(pyramid.path)) == len(before) + 2
    pyramid.clean()
    assert contents(pyramid.path) == before


def test_damage_is_told_and_an_empty_chunk_was_never_written(pyramid: LabelPyramid, values: Array) -> None:
    """W2: as a power cut leaves files."""
    pyramid.put(slice(0, 512), slice(0, 1024), values[:512, :1024])
    chunk = pyramid.path / "0" / "c" / "0" / "1"
    chunk.write_bytes(b"")
    assert pyramid.written((0, 0))
    assert not pyramid.written((0, 1))
    chunk.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is damaged"):
        pyramid.read(slice(0, 10), slice(600, 700))


def test_nothing_is_made_where_something_is(pyramid: LabelPyramid, tmp_path: Path) -> None:
    """W1, W5."""
    with pytest.raises(OutputError, match="exists"):
        LabelPyramid.create(pyramid.path, SHAPE, np.uint8, UM, CLASSES, 255)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        LabelPyramid.create(tmp_path / "file" / "a.ome.zarr", SHAPE, np.uint8, UM, CLASSES, 255)
    group = zarr.create_group(tmp_path / "other.zarr", zarr_format=3)
    group.create_array("0", shape=(5, 5), dtype="u1")
    with pytest.raises(InputError, match=r"other\.zarr"):
        LabelPyramid.open(tmp_path / "other.zarr")


def test_a_value_is_kept_free_for_what_is_not_computed() -> None:
    assert [spare_value(n) for n in (1, 254, 255, 65_534)] == [255, 255, 65_535, 65_535]
    with pytest.raises(InputError, match="leaves no value"):
        spare_value(65_535)
