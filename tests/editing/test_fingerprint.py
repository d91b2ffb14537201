"""By what an image is recognised when it is opened again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_medseg.editing.fingerprint import MOST_FILES, fingerprint

STACK = np.random.default_rng(0).integers(0, 255, (7, 300, 200)).astype(np.uint8)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    folder = tmp_path / "femur"
    folder.mkdir()
    for i in range(100):
        (folder / f"{i}.png").write_bytes(bytes(i))
    return folder


NAMES = [f"{i}.png" for i in range(100)]


def test_files_are_known_by_names_sizes_and_times_wherever_they_are(series: Path, tmp_path: Path) -> None:
    known = fingerprint(STACK, series, NAMES)
    assert fingerprint(STACK, series, NAMES) == known
    moved = tmp_path / "elsewhere"
    shutil.copytree(series, moved)  # keeps the times
    assert fingerprint(STACK, moved, NAMES) == known
    assert fingerprint(STACK, series, NAMES[1:]) != known
    os.utime(series / "99.png", (1, 1))
    assert fingerprint(STACK, series, NAMES) != known


def test_pixels_of_files_are_not_read(series: Path) -> None:
    def explode(block: np.ndarray) -> np.ndarray:
        raise AssertionError("read")

    lazy = da.zeros((100, 64, 64), chunks=(1, 64, 64), dtype=np.uint8).map_blocks(explode, meta=np.empty(0, np.uint8))
    assert fingerprint(lazy, series, NAMES)


def test_only_some_files_of_a_large_series_are_looked_at(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **kwargs: looked.append(self) or stat(self, **kwargs))
    fingerprint(STACK, series, NAMES)
    assert MOST_FILES <= len(looked) <= MOST_FILES + 1


@pytest.mark.parametrize("shape", [(7, 300, 200), (300, 200), (300, 200, 3), (7, 300, 200, 3), (1, 1, 1)])
def test_image_without_files_is_known_by_its_pixels(shape: tuple[int, ...]) -> None:
    data = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    known = fingerprint(data)
    assert fingerprint(data.copy()) == known
    assert fingerprint(da.from_array(data)) == known
    assert fingerprint(data.astype(np.uint16)) != known
    assert fingerprint(255 - data) != known


def test_at_most_three_slices_of_lazy_data_are_read() -> None:
    read: set[int] = set()

    def note(block: np.ndarray, block_info: dict[int, dict[str, tuple[int, ...]]]) -> np.ndarray:
        read.add(block_info[0]["chunk-location"][0])
        return block

    lazy = da.zeros((50, 300, 300), chunks=(1, 300, 300), dtype=np.uint8)
    fingerprint(lazy.map_blocks(note, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)))
    assert read == {0, 25, 49}


def test_pyramid_is_known_by_its_smallest_level() -> None:
    levels = [da.zeros((4000, 4000), chunks=500, dtype=np.uint8), STACK[0]]
    known = fingerprint(levels)
    assert fingerprint([levels[0], STACK[0].copy()]) == known
    assert fingerprint([levels[0], STACK[1]]) != known


def test_files_that_are_gone_leave_the_pixels(tmp_path: Path) -> None:
    assert fingerprint(STACK, tmp_path / "gone") == fingerprint(STACK)
