"""What is read, what is left out, and that it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core import ClassInfo, InputError, ModelCard
from napari_medseg.training import Pair, TrainOptions
from napari_medseg.training.gather import gather
from napari_medseg.training.schedule import Budget
from napari_medseg.training.truth import Painted, prepare
from napari_medseg.training.watch import Watch

from .conftest import Folders, Listener

WriteSeries = Callable[..., Folders]

CARD = ModelCard(name="n", classes=(ClassInfo.numbered(1), ClassInfo.numbered(2)))


def read(folders: Folders, listener: Listener) -> list[Painted]:
    return gather([Pair(image=folders[0], labels=folders[1])], TrainOptions(), Watch(listener, Budget(None, 1)))


def rename(folders: Folders, *names: str) -> Folders:
    """Images that are no series: a set."""
    for folder in folders:
        for i, name in enumerate(names):
            (folder / f"{i}.png").rename(folder / f"{name}.png")
    return folders


def test_a_mask_without_image_is_left_out_and_said(write_series: WriteSeries, listener: Listener) -> None:
    """T3."""
    images, masks = rename(write_series(3), "ant", "bee", "cow")
    (images / "bee.png").unlink()
    assert len(read((images, masks), listener)) == 2
    assert "bee.png: No image belongs to this mask." in listener.said


def test_a_mask_without_slice_is_refused_by_name(write_series: WriteSeries, listener: Listener) -> None:
    """T3: in a series, a mask too many means that masks and slices are not each other's."""
    images, masks = write_series(3)
    (masks / "0.png").rename(masks / "zebra.png")
    with pytest.raises(InputError, match=r"zebra\.png belongs to no slice"):
        read((images, masks), listener)


@pytest.mark.parametrize("which", [0, 1], ids=["image", "mask"])
@pytest.mark.parametrize("content", [b"", b"no picture at all"])
def test_one_unreadable_file_of_many_is_left_out_and_named(
    write_series: WriteSeries, listener: Listener, which: int, content: bytes
) -> None:
    folders = rename(write_series(3), "ant", "bee", "cow")
    (folders[which] / "bee.png").write_bytes(content)
    assert [one.name for one in read(folders, listener)] == ["ant.png", "cow.png"]
    assert "bee.png" in listener.said


def test_an_unreadable_slice_of_a_series_is_left_out_and_named(write_series: WriteSeries, listener: Listener) -> None:
    folders = write_series(4)
    (folders[0] / "2.png").write_bytes(b"no picture at all")
    assert [one.z for one in read(folders, listener)] == [0, 1, 3]
    assert "2.png" in listener.said


def test_a_slice_whose_pixels_turn_out_damaged_is_left_out_and_named(
    write_series: WriteSeries, listener: Listener
) -> None:
    folders = write_series(4)
    painted = read(folders, listener)
    _spoil(folders[0] / "2.png")
    ready = prepare(painted, CARD, {0: 0, 1: 1, 2: 2}, Watch(listener, Budget(None, 1)).say)
    assert [one.name for one in ready] == ["0.png", "1.png", "3.png"]
    assert "2.png is left out" in listener.said


def _spoil(path: Path) -> None:
    """Keep header and end; change the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)


def test_nothing_readable_is_refused_with_the_first_reason(write_series: WriteSeries, listener: Listener) -> None:
    folders = rename(write_series(2), "ant", "bee")
    for name in ("ant", "bee"):
        (folders[1] / f"{name}.png").write_bytes(b"no picture at all")
    with pytest.raises(InputError, match="ant"):
        read(folders, listener)


def test_a_mask_of_another_size_among_many_is_refused(write_series: WriteSeries, listener: Listener) -> None:
    """T10."""
    folders = write_series(3, change=lambda mask, i: np.ascontiguousarray(mask[:32]) if i == 1 else mask)
    with pytest.raises(InputError, match="bee"):
        read(rename(folders, "ant", "bee", "cow"), listener)
